use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::LOG;
use super::api;
use super::describe::TopicState;
use super::name_server::NameServers;
use super::publish::{self, PublishInfo};
use super::rpc::Names;
use crate::error::{Error, ErrorKind, Result, Wait};
use crate::logging;
use crate::message::MessageQueue;
use crate::protocol::route::TopicRoute;
use crate::sync::channel::{self, Receiver, Sender};
use crate::sync::{Condvar, Mutex, RwLock};
use crate::transport::{Deadline, catch_bug};

/// A topic that nobody sent to for so long, and for so many refreshes, is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(30 * 60);
const FORGET_AFTER_REFRESHES: u32 = 60;

/// However many sends suspect a route, it is asked for again at most so often.
const HURRY_EVERY: Duration = Duration::from_millis(200);

/// The routes of the topics in use.
pub(crate) struct Routes {
    pub(crate) name_servers: NameServers,
    api_timeout: Duration,
    /// Topics are known here by their names on the wire; their queues name them as users do.
    names: Names,
    known: RwLock<HashMap<Arc<str>, Arc<Known>>>,
    /// Those that were named at a start and are yet to be found.
    wanted: Mutex<Vec<(Arc<str>, DefaultTopic)>>,
    /// Lookups under way: one per topic, shared by all who ask.
    flights: Mutex<HashMap<Arc<str>, Arc<Flight>>>,
    /// Dropped at the end, which wakes those who wait on the other end.
    open: Mutex<Option<Sender<()>>>,
    closing: Receiver<()>,
}

/// Where the settings of topics that do not exist yet come from.
#[derive(Debug, Clone)]
pub(crate) struct DefaultTopic {
    /// Java's `createTopicKey`.
    pub(crate) name: Arc<str>,
    /// Java's `defaultTopicQueueNums`.
    pub(crate) queues: i32,
}

struct Known {
    info: Arc<PublishInfo>,
    default: DefaultTopic,
    /// There was no such topic yet: these are the default topic's brokers.
    is_default: bool,
    refreshes_unused: AtomicU32,
    /// When the name server that last said so was asked: it knew all that had happened before.
    confirmed: Mutex<Instant>,
    /// When a refresh out of turn was last made.
    hurried: Mutex<Option<Instant>>,
}

struct Flight {
    begun: Instant,
    result: Mutex<Option<Result<Arc<PublishInfo>>>>,
    landed: Condvar,
}

/// Whether a topic was not used for so many refreshes that it may be forgotten.
fn is_stale(unused: u32, interval: Duration) -> bool {
    unused >= FORGET_AFTER_REFRESHES && interval.saturating_mul(unused) >= FORGET_AFTER
}

/// Whether it is one topic's route that something is wrong with, which says nothing about the others'.
fn is_of_topic(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NoRoute | ErrorKind::NameServer | ErrorKind::Invalid
    )
}

impl Routes {
    pub(crate) fn new(name_servers: NameServers, api_timeout: Duration, names: Names) -> Routes {
        let (open, closing) = channel::bounded(0);
        Routes {
            name_servers,
            api_timeout,
            names,
            known: RwLock::default(),
            wanted: Mutex::default(),
            flights: Mutex::default(),
            open: Mutex::new(Some(open)),
            closing,
        }
    }

    /// Wakes those who wait for a name server that is left alone. Connections must have been closed
    /// before: they ask at once.
    pub(crate) fn close(&self) {
        drop(self.open.lock().take());
    }

    /// Where to write messages of a topic: what is known, else what a name server says, else the
    /// default topic's brokers.
    ///
    /// # Errors
    /// `NoRoute`, `NoNameServer`, `NameServer`, or `Timeout` while waiting for the route.
    pub(crate) fn publish_info(
        &self,
        topic: &Arc<str>,
        default: &DefaultTopic,
        deadline: Deadline,
    ) -> Result<Arc<PublishInfo>> {
        if let Some(info) = self.known(topic) {
            return Ok(info);
        }
        let find = || self.known(topic);
        let found = self.fly(topic, default, deadline, None, find);
        let pause = found.as_ref().err().and_then(Error::retry_after);
        match pause {
            // Nobody was asked, since another call has just failed; that one may have had less time.
            Some(pause) if pause < deadline.remaining(Instant::now()) => {
                // The rest of a name server's time alone: half a second at most, within the deadline.
                // Nothing is ever sent: this ends by time, or by the other end being dropped.
                let _ = self.closing.recv_timeout(pause);
                self.fly(topic, default, deadline, None, find)
            }
            _ => found,
        }
    }

    /// Asks again, for a route that has just proved wrong. What was known stays if that fails.
    pub(crate) fn look_up(
        &self,
        topic: &Arc<str>,
        default: &DefaultTopic,
        deadline: Deadline,
    ) -> Result<Arc<PublishInfo>> {
        self.fly(topic, default, deadline, None, || None)
    }

    /// The same, unless a name server that was asked after this time has answered: of many who find a
    /// route wrong, one asks.
    pub(crate) fn look_up_after(
        &self,
        since: Instant,
        topic: &Arc<str>,
        default: &DefaultTopic,
        deadline: Deadline,
    ) -> Result<Arc<PublishInfo>> {
        self.fly(topic, default, deadline, Some(since), || {
            let table = self.known.read();
            let known = table.get(topic)?;
            let is_new = *known.confirmed.lock() > since;
            is_new.then(|| known.info.clone())
        })
    }

    /// What is known, without asking anybody.
    pub(crate) fn known(&self, topic: &Arc<str>) -> Option<Arc<PublishInfo>> {
        let table = self.known.read();
        let known = table.get(topic).filter(|k| !k.info.queues.is_empty())?;
        if known.refreshes_unused.load(Ordering::Relaxed) != 0 {
            // Only when needed: what many threads only read stays in all their caches.
            known.refreshes_unused.store(0, Ordering::Relaxed);
        }
        Some(known.info.clone())
    }

    pub(super) fn describe(&self) -> Vec<TopicState> {
        let all = |(topic, known): (&Arc<str>, &Arc<Known>)| (topic.clone(), known.clone());
        let known: Vec<_> = self.known.read().iter().map(all).collect();
        let state = |(topic, known): (Arc<str>, Arc<Known>)| TopicState {
            topic,
            queues: known.info.queues.len(),
            brokers: known.info.brokers(),
            age: known.confirmed.lock().elapsed(),
        };
        known.into_iter().map(state).collect()
    }

    /// Asks, or waits for who is asking already, but not for an answer to what was asked before `since`.
    /// `find` is tried before asking: another one's question may have been answered just before ours
    /// began.
    fn fly(
        &self,
        topic: &Arc<str>,
        default: &DefaultTopic,
        deadline: Deadline,
        since: Option<Instant>,
        find: impl Fn() -> Option<Arc<PublishInfo>>,
    ) -> Result<Arc<PublishInfo>> {
        loop {
            let (flight, mine) = self.board(topic);
            if mine {
                let result = match find() {
                    Some(info) => Ok(info),
                    None => catch_bug("a question for a route", || {
                        self.ask(topic, default, deadline)
                    })
                    .unwrap_or_else(|| {
                        Err(Error::new(ErrorKind::NameServer, "the question panicked"))
                    }),
                };
                self.flights.lock().remove(topic);
                *flight.result.lock() = Some(result.clone());
                flight.landed.notify_all();
                return result;
            }
            let mut result = flight.result.lock();
            while result.is_none() {
                let waited = flight.landed.wait_until(&mut result, deadline.instant());
                if waited.timed_out() && result.is_none() {
                    return Err(Error::timeout(Wait::Route).on_topic(topic));
                }
            }
            match &*result {
                // The one who asked had less time than we have: ask ourselves.
                Some(Err(error))
                    if error.kind() == ErrorKind::Timeout
                        && !deadline.has_passed(Instant::now()) => {}
                Some(Ok(_)) if since.is_some_and(|since| flight.begun <= since) => {}
                Some(result) => return result.clone(),
                None => {}
            }
        }
    }

    /// Asks again for every known topic. Stops when no name server answers, keeping the rest. Unused
    /// ones are forgotten; if brokers are to find this client for as long as it lives, not the last ones
    /// of a broker.
    pub(crate) fn refresh_all(&self, interval: Duration, is_awaited: bool) {
        let topics: Vec<_> = self
            .known
            .read()
            .iter()
            .map(|(topic, k)| (topic.clone(), k.clone()))
            .collect();
        for (topic, known) in topics {
            let unused = known.refreshes_unused.fetch_add(1, Ordering::Relaxed);
            let wanted = || is_awaited && self.is_alone(&topic, &known);
            if is_stale(unused, interval) && !wanted() {
                logging::debug!(target: LOG, "{topic}: unused for long; its route is forgotten");
                self.known.write().remove(&topic);
                continue;
            }
            let deadline = Deadline::after(Instant::now(), self.api_timeout);
            match self.look_up(&topic, &known.default, deadline) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NoRoute => {
                    logging::info!(target: LOG, "{error}")
                }
                Err(error) => {
                    logging::warn!(
                        target: LOG,
                        "route refresh: {error}; going on with the routes known"
                    );
                    if !is_of_topic(&error) {
                        return;
                    }
                }
            }
        }
    }

    /// Whether a master of this topic has no other topic here.
    fn is_alone(&self, topic: &Arc<str>, known: &Known) -> bool {
        let table = self.known.read();
        let others = || table.iter().filter(|(other, _)| *other != topic);
        let has = |master| others().any(|(_, other)| other.info.addresses().any(|a| a == master));
        known.info.addresses().any(|master| !has(master))
    }

    /// Asks again for one topic out of turn, if it is known and that was not done just now.
    pub(crate) fn refresh(&self, topic: &Arc<str>) {
        let Some(known) = self.known.read().get(topic).cloned() else {
            return;
        };
        let now = Instant::now();
        let mut hurried = known.hurried.lock();
        if hurried.is_some_and(|last| now.saturating_duration_since(last) < HURRY_EVERY) {
            return;
        }
        *hurried = Some(now);
        drop(hurried);
        let deadline = Deadline::after(now, self.api_timeout);
        if let Err(error) = self.look_up(topic, &known.default, deadline) {
            logging::warn!(target: LOG, "route refresh: {error}; going on with the route known");
        }
    }

    /// Has the routes of topics learnt before a send needs them, by [`learn`](Routes::learn).
    pub(crate) fn want(&self, topics: Vec<Arc<str>>, default: &DefaultTopic) {
        let mut wanted = self.wanted.lock();
        for topic in topics {
            // Producers may come and go, all with the same ones.
            if wanted.iter().all(|(one, _)| *one != topic) {
                wanted.push((topic, default.clone()));
            }
        }
    }

    /// Learns the routes that are wanted. What is not found is wanted still.
    pub(crate) fn learn(&self) {
        let wanted = self.wanted.lock().clone();
        for (topic, default) in wanted {
            let deadline = Deadline::after(Instant::now(), self.api_timeout);
            match self.publish_info(&topic, &default, deadline) {
                Ok(_) => self.wanted.lock().retain(|(one, _)| *one != topic),
                Err(error) => {
                    logging::warn!(target: LOG, "route of a topic named at start: {error}");
                    if !is_of_topic(&error) {
                        return;
                    }
                }
            }
        }
    }

    /// A topic that has queues on a broker, and the broker's address.
    pub(crate) fn topic_on(&self, broker: &str) -> Option<(Arc<str>, Arc<str>)> {
        let known = self.known.read();
        known.iter().find_map(|(topic, known)| {
            let used = known
                .info
                .queues
                .iter()
                .any(|queue| queue.broker() == broker);
            let address = known.info.master(broker).filter(|_| used)?;
            Some((topic.clone(), address.clone()))
        })
    }

    /// The master of a broker, as the route of a known topic has it.
    pub(crate) fn known_master(&self, topic: &str, broker: &str) -> Option<Arc<str>> {
        let known = self.known.read();
        known.get(topic)?.info.master(broker).cloned()
    }

    /// The master that hosts a queue, as the route of a known topic has it.
    pub(crate) fn known_host(&self, topic: &str, queue: &MessageQueue) -> Option<Arc<str>> {
        let known = self.known.read();
        let info = &known.get(topic)?.info;
        info.master(info.host(queue)).cloned()
    }

    /// The masters of all known routes.
    pub(crate) fn masters(&self) -> Vec<Arc<str>> {
        let known = self.known.read();
        let mut masters: Vec<_> = known
            .values()
            .flat_map(|known| known.info.addresses().cloned())
            .collect();
        masters.sort();
        masters.dedup();
        masters
    }

    /// The lookup of a topic, and whether it is the caller's to do.
    fn board(&self, topic: &Arc<str>) -> (Arc<Flight>, bool) {
        let mut flights = self.flights.lock();
        match flights.get(topic) {
            Some(flight) => (flight.clone(), false),
            None => {
                let flight = Arc::new(Flight {
                    begun: Instant::now(),
                    result: Mutex::default(),
                    landed: Condvar::new(),
                });
                flights.insert(topic.clone(), flight.clone());
                (flight, true)
            }
        }
    }

    fn ask(
        &self,
        topic: &Arc<str>,
        default: &DefaultTopic,
        deadline: Deadline,
    ) -> Result<Arc<PublishInfo>> {
        let asked = Instant::now();
        let own = deadline.capped(asked, self.api_timeout);
        // A name server that has lost a topic (it has just started, say) does not turn its queues
        // into those of a new one. One that it never had goes where the default topic goes.
        let has_own = self.known.read().get(topic).is_some_and(|k| !k.is_default);
        let found = self.route_or_default(topic, (!has_own).then_some(default), own);
        let (found, is_default) = found.map_err(|error| {
            // A caller's own deadline is not the name servers' fault.
            let late = deadline.has_passed(Instant::now());
            let timed_out = late && error.kind() == ErrorKind::NoNameServer;
            let error = if timed_out {
                Error::timeout(Wait::Route).caused_by(error)
            } else {
                error
            };
            error.on_topic(topic)
        })?;
        let info = Arc::new(PublishInfo::new(&self.names.for_users(topic), &found));
        if info.queues.is_empty() {
            let text = "the route has no writable queue of a broker with a master";
            return Err(Error::new(ErrorKind::NoRoute, text).on_topic(topic));
        }
        self.remember(topic, default, &info, is_default, asked);
        Ok(info)
    }

    fn remember(
        &self,
        topic: &Arc<str>,
        default: &DefaultTopic,
        info: &Arc<PublishInfo>,
        is_default: bool,
        asked: Instant,
    ) {
        let mut table = self.known.write();
        let before = table.get(topic);
        let same = |known: &&Arc<Known>| known.info == *info && known.is_default == is_default;
        if let Some(known) = before.filter(same) {
            *known.confirmed.lock() = asked;
            return;
        }
        let unused = before.map_or(0, |known| known.refreshes_unused.load(Ordering::Relaxed));
        let known = Known {
            info: info.clone(),
            default: default.clone(),
            is_default,
            refreshes_unused: AtomicU32::new(unused),
            confirmed: Mutex::new(asked),
            hurried: Mutex::new(before.and_then(|known| *known.hurried.lock())),
        };
        table.insert(topic.clone(), Arc::new(known));
        drop(table);
        logging::info!(target: LOG, "{topic}: {} queues to write to", info.queues.len());
    }

    /// Also whether it is the default topic's.
    fn route_or_default(
        &self,
        topic: &Arc<str>,
        default: Option<&DefaultTopic>,
        deadline: Deadline,
    ) -> Result<(TopicRoute, bool)> {
        if let Some(route) = api::topic_route(&self.name_servers, topic, deadline)? {
            return Ok((route, false));
        }
        let Some(default) = default else {
            let text = "the name server does not know the topic any more";
            return Err(Error::new(ErrorKind::NoRoute, text));
        };
        if let Some(route) = api::topic_route(&self.name_servers, &default.name, deadline)? {
            let route = publish::from_default_topic(route, default.queues);
            return Ok((route, true));
        }
        let text = format!(
            "the topic does not exist, and no broker that is up creates topics (no {}): create it first",
            default.name
        );
        Err(Error::new(ErrorKind::NoRoute, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_stale_after_half_an_hour_and_sixty_refreshes() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        for (unused, interval, expected) in [
            (60, Duration::from_secs(30), true),
            (59, Duration::from_secs(30), false),
            (60, Duration::from_secs(5), false),
            (360, Duration::from_secs(5), true),
            (30, minutes(10), false),
            (60, Duration::MAX, true),
        ] {
            assert_eq!(
                is_stale(unused, interval),
                expected,
                "{unused} x {interval:?}"
            );
        }
    }
}
