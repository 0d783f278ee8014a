//! Finds routes: known ones, otherwise from the name servers.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::brokers::Brokers;
use super::name_server::NameServers;
use super::publish::PublishInfo;
use super::table::{DefaultTopic, Known, Route, RouteListener, Table};
use crate::client::LOG;
use crate::client::api::topic;
use crate::client::config::Names;
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::message::MessageQueue;
use crate::protocol::route::TopicRoute;
use crate::sync::Mutex;
use crate::sync::channel::{self, Receiver, Sender};
use crate::transport::{Deadline, Remoting, Role, SingleFlight, catch_bug};

/// The routes of the topics in use.
///
/// Topics are known here by their names on the wire; the queues of a route name them as users do.
pub(crate) struct Routes {
    pub(crate) name_servers: NameServers,
    /// Those that are known.
    pub(crate) table: Table,
    remoting: Arc<Remoting>,
    api_timeout: Duration,
    names: Names,
    /// By topic, and whether the default topic's route serves too.
    lookups: SingleFlight<(Arc<str>, bool), Result<Arc<Route>>>,
    /// Dropped at the end, which wakes everything that waits on the other end.
    open: Mutex<Option<Sender<()>>>,
    closing: Receiver<()>,
}

impl Routes {
    pub(crate) fn new(
        name_servers: NameServers,
        remoting: Arc<Remoting>,
        api_timeout: Duration,
        names: Names,
    ) -> Routes {
        let (open, closing) = channel::bounded(0);
        Routes {
            name_servers,
            table: Table::default(),
            remoting,
            api_timeout,
            names,
            lookups: SingleFlight::default(),
            open: Mutex::new(Some(open)),
            closing,
        }
    }

    /// Wakes everything that waits for a name server in back-off. Connections must have been closed
    /// before: it asks at once.
    pub(crate) fn close(&self) {
        drop(self.open.lock().take());
    }

    /// The publish view of a topic: from the known route, otherwise from a name server, otherwise
    /// of the default topic's brokers. It may have no writable queue:
    /// [`PublishInfo::check_writable`].
    ///
    /// # Errors
    /// `NoRoute`, `NoNameServer`, `NameServer`, or `Timeout` while waiting for the route.
    pub(crate) fn publish_info(
        &self,
        topic: &Arc<str>,
        default: &DefaultTopic,
        deadline: Deadline,
    ) -> Result<Arc<PublishInfo>> {
        match self.table.publish(topic) {
            Some(info) => Ok(info),
            None => self
                .find(topic, Some(default), deadline)
                .map(|route| route.publish().clone()),
        }
    }

    /// The known route of a topic, otherwise the name servers' answer. Without a default topic it
    /// is the route of an existing topic.
    ///
    /// # Errors
    /// Those of [`publish_info`](Routes::publish_info).
    pub(crate) fn find(
        &self,
        topic: &Arc<str>,
        default: Option<&DefaultTopic>,
        deadline: Deadline,
    ) -> Result<Arc<Route>> {
        let known = || self.known_route(topic, default.is_some());
        if let Some(route) = known() {
            return Ok(route);
        }
        let found = self.share_lookup(topic, default, deadline, None, known);
        let pause = found.as_ref().err().and_then(Error::retry_after);
        match pause {
            // No name server was asked, since they are in back-off after another call's failure, and
            // that call may have had less time.
            Some(pause) if pause < deadline.remaining(Instant::now()) => {
                // The rest of a name server's back-off: half a second at most, within the deadline.
                // Nothing is ever sent: this ends by time, or by the other end being dropped.
                let _ = self.closing.recv_timeout(pause);
                self.share_lookup(topic, default, deadline, None, known)
            }
            _ => found,
        }
    }

    /// Looks a route up that may have changed. The known one stays if that fails.
    pub(crate) fn look_up(
        &self,
        topic: &Arc<str>,
        default: Option<&DefaultTopic>,
        deadline: Deadline,
    ) -> Result<Arc<Route>> {
        self.share_lookup(topic, default, deadline, None, || None)
    }

    /// The same, unless a lookup that began after this time has confirmed the route: of many callers
    /// that find a route wrong, one asks.
    pub(crate) fn look_up_after(
        &self,
        since: Instant,
        topic: &Arc<str>,
        default: &DefaultTopic,
        deadline: Deadline,
    ) -> Result<Arc<Route>> {
        self.share_lookup(topic, Some(default), deadline, Some(since), || {
            let known = self.table.get(topic)?;
            (known.confirmed() > since).then(|| known.route.clone())
        })
    }

    /// The known route of a topic; that of the default topic only if it `may_be_default`. Counts as a
    /// use of the route.
    pub(crate) fn known_route(&self, topic: &str, may_be_default: bool) -> Option<Arc<Route>> {
        let known = self.table.get(topic)?;
        known.note_used();
        let serves = may_be_default || known.route.is_of_topic();
        serves.then(|| known.route.clone())
    }

    /// Adds a listener for changed routes. It is removed once it is dropped.
    pub(crate) fn listen(&self, listener: Weak<dyn RouteListener>) {
        self.table.listen(listener);
    }

    /// The addresses of the brokers of all known routes.
    pub(crate) fn brokers(&self) -> Arc<Brokers> {
        self.table.brokers()
    }

    /// A topic that has queues on a broker, and the broker's address.
    pub(crate) fn topic_on(&self, broker: &str) -> Option<(Arc<str>, Arc<str>)> {
        self.table.topic_on(broker)
    }

    /// The master of a broker, as the known route of a topic has it.
    pub(crate) fn known_master(&self, topic: &str, broker: &str) -> Option<Arc<str>> {
        let known = self.table.get(topic)?;
        known.route.publish().master(broker).cloned()
    }

    /// The master that hosts a queue, as the known route of a topic has it.
    pub(crate) fn known_host(&self, topic: &str, queue: &MessageQueue) -> Option<Arc<str>> {
        let known = self.table.get(topic)?;
        let info = known.route.publish();
        info.master(info.host(queue)).cloned()
    }

    /// All known topics.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Arc<Known>)> {
        self.table.all()
    }

    /// The route of a topic as a name server has it now, which is not remembered; `None` if the topic
    /// does not exist.
    pub(crate) fn ask(&self, topic: &str, deadline: Deadline) -> Result<Option<TopicRoute>> {
        self.name_servers.ask(deadline, |server, deadline| {
            topic::route(&self.remoting, server, topic, deadline)
        })
    }

    /// Looks a route up, or waits for a caller that does, but not for a lookup that began before `since`.
    /// `known` is tried before: another lookup may have ended just before this one begins.
    fn share_lookup(
        &self,
        topic: &Arc<str>,
        default: Option<&DefaultTopic>,
        deadline: Deadline,
        since: Option<Instant>,
        known: impl Fn() -> Option<Arc<Route>>,
    ) -> Result<Arc<Route>> {
        let serves = |result: &Result<Arc<Route>>, begun: Instant| match result {
            // That caller had less time than this one.
            Err(error) if error.kind() == ErrorKind::Timeout => deadline.has_passed(Instant::now()),
            Ok(_) => since.is_none_or(|since| begun > since),
            Err(_) => true,
        };
        let key = (topic.clone(), default.is_some());
        loop {
            let flight = match self.lookups.join(&key) {
                Role::Lead(lead) => {
                    let look_up = || self.look_up_now(topic, default, deadline);
                    let failed = || Error::new(ErrorKind::NameServer, "the lookup panicked");
                    let result = match known() {
                        Some(route) => Ok(route),
                        None => {
                            catch_bug("a route lookup", look_up).unwrap_or_else(|| Err(failed()))
                        }
                    };
                    lead.finish(result.clone());
                    return result;
                }
                Role::Follow(flight) => flight,
            };
            match flight.wait(deadline) {
                None => return Err(self.name_servers.no_answer().on_topic(topic)),
                Some(Some(result)) if serves(&result, flight.begun()) => return result,
                Some(_) => {}
            }
        }
    }

    fn look_up_now(
        &self,
        topic: &Arc<str>,
        default: Option<&DefaultTopic>,
        deadline: Deadline,
    ) -> Result<Arc<Route>> {
        let asked = Instant::now();
        let own = deadline.capped(asked, self.api_timeout);
        // If name servers have lost a topic (for example because they were just restarted), its
        // known queues are kept. A topic that they never had uses the default topic's brokers.
        let exists = |known: Arc<Known>| known.route.is_of_topic();
        let default_serves = !self.table.get(topic).is_some_and(exists);
        let found = self.route_or_default(topic, default.filter(|_| default_serves), own);
        let route = found.map_err(|error| {
            // A caller's own deadline is not the name servers' fault.
            let late = deadline.has_passed(Instant::now());
            let error = match error.kind() {
                ErrorKind::NoNameServer if late => self.name_servers.no_answer().caused_by(error),
                _ => error,
            };
            error.on_topic(topic)
        })?;
        let route = Arc::new(route);
        if self.table.remember(topic, default, &route, asked) {
            let info = route.publish();
            logging::info!(target: LOG, "{topic}: {} queues to write to", info.queues.len());
        }
        Ok(route)
    }

    fn route_or_default(
        &self,
        topic: &Arc<str>,
        default: Option<&DefaultTopic>,
        deadline: Deadline,
    ) -> Result<Route> {
        let for_users = || self.names.for_users(topic);
        if let Some(route) = self.ask(topic, deadline)? {
            return Ok(Route::new(for_users(), route));
        }
        let Some(default) = default else {
            let text = match self.table.get(topic) {
                Some(_) => "no name server knows the topic any more",
                None => "the topic does not exist",
            };
            return Err(Error::new(ErrorKind::NoRoute, text));
        };
        if let Some(route) = self.ask(&default.name, deadline)? {
            return Ok(Route::of_default_topic(for_users(), route, default.queues));
        }
        let text = format!(
            "the topic does not exist, and no broker that is up creates topics (no {}): create it first",
            default.name
        );
        Err(Error::new(ErrorKind::NoRoute, text))
    }
}
