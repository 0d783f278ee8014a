//! The known routes, each with its views: a cache, and the listeners of its changes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::brokers::Brokers;
use super::publish::PublishInfo;
use super::subscribe::subscribe_queues;
use crate::message::MessageQueue;
use crate::protocol::route::{TopicRoute, perm};
use crate::sync::{Mutex, RwLock};

/// However many sends suspect a route, it is looked up out of turn at most this often.
const OUT_OF_TURN_EVERY: Duration = Duration::from_millis(200);

/// The default topic, whose settings new topics inherit.
#[derive(Debug, Clone)]
pub(crate) struct DefaultTopic {
    /// Java's `createTopicKey`.
    pub(crate) name: Arc<str>,
    /// Java's `defaultTopicQueueNums`.
    pub(crate) queues: i32,
}

/// Is notified of new and changed routes.
pub(crate) trait RouteListener: Send + Sync {
    /// The route of a topic, as brokers know it, has changed. Runs on the thread that looked the route
    /// up, which may be a sender's, and under no lock: it must not wait.
    fn route_changed(&self, topic: &Arc<str>, route: &Arc<Route>);
}

/// The known routes, by the topics' names on the wire.
#[derive(Default)]
pub(crate) struct Table {
    state: RwLock<State>,
    listeners: RwLock<Vec<Weak<dyn RouteListener>>>,
}

#[derive(Default)]
struct State {
    known: HashMap<Arc<str>, Arc<Known>>,
    /// Of all of them.
    brokers: Arc<Brokers>,
}

/// A known route.
pub(crate) struct Known {
    pub(crate) route: Arc<Route>,
    /// The topic whose settings a new topic inherits; `None` if this client does not create topics.
    pub(super) default: Option<DefaultTopic>,
    /// Refreshes since it was last used.
    unused: AtomicU32,
    /// When the lookup began that last confirmed it: it knew of everything that had happened before.
    confirmed: Mutex<Instant>,
    /// When it was last looked up out of turn.
    out_of_turn: Mutex<Option<Instant>>,
}

impl Table {
    /// The publish view of a known topic. Counts as a use of the route.
    pub(crate) fn publish(&self, topic: &str) -> Option<Arc<PublishInfo>> {
        let state = self.state.read();
        let known = state.known.get(topic)?;
        known.note_used();
        Some(known.route.publish().clone())
    }

    pub(super) fn get(&self, topic: &str) -> Option<Arc<Known>> {
        self.state.read().known.get(topic).cloned()
    }

    /// All known topics.
    pub(super) fn all(&self) -> Vec<(Arc<str>, Arc<Known>)> {
        let state = self.state.read();
        let known = state.known.iter();
        known.map(|(topic, k)| (topic.clone(), k.clone())).collect()
    }

    pub(super) fn brokers(&self) -> Arc<Brokers> {
        self.state.read().brokers.clone()
    }

    /// A topic that has queues on a broker, and the broker's address.
    pub(super) fn topic_on(&self, broker: &str) -> Option<(Arc<str>, Arc<str>)> {
        let state = self.state.read();
        state.known.iter().find_map(|(topic, known)| {
            let info = known.route.publish();
            let used = info.queues.iter().any(|queue| queue.broker() == broker);
            let address = info.master(broker).filter(|_| used)?;
            Some((topic.clone(), address.clone()))
        })
    }

    /// Adds a listener, which is forgotten when it is gone.
    pub(super) fn listen(&self, listener: Weak<dyn RouteListener>) {
        let mut listeners = self.listeners.write();
        listeners.retain(|known| known.strong_count() > 0);
        listeners.push(listener);
    }

    /// Takes over the result of a lookup that began at this time, unless what is known is better. Returns
    /// the route that is known from now on, and whether it is news; then the listeners have heard of it.
    pub(super) fn remember(
        &self,
        topic: &Arc<str>,
        default: Option<&DefaultTopic>,
        route: &Arc<Route>,
        asked: Instant,
    ) -> (Arc<Route>, bool) {
        if let Some(kept) = self.replace(topic, default, route, asked) {
            return (kept, false);
        }
        let listeners = self.listeners.read().clone();
        for listener in listeners.iter().filter_map(Weak::upgrade) {
            listener.route_changed(topic, route);
        }
        (route.clone(), true)
    }

    /// Returns the route that is kept, if the new one does not replace it.
    fn replace(
        &self,
        topic: &Arc<str>,
        default: Option<&DefaultTopic>,
        route: &Arc<Route>,
        asked: Instant,
    ) -> Option<Arc<Route>> {
        let mut state = self.state.write();
        let before = state.known.get(topic).cloned();
        let default = default
            .or(before.as_ref().and_then(|known| known.default.as_ref()))
            .cloned();
        if let Some(known) = &before {
            if known.route.is_same(route) {
                let mut confirmed = known.confirmed.lock();
                *confirmed = asked.max(*confirmed);
                return Some(known.route.clone());
            }
            if known.is_better_than(route, asked) {
                return Some(known.route.clone());
            }
        }
        let known = Known {
            route: route.clone(),
            default,
            unused: AtomicU32::new(before.as_ref().map_or(0, |known| known.unused())),
            confirmed: Mutex::new(asked),
            out_of_turn: Mutex::new(before.as_ref().and_then(|known| *known.out_of_turn.lock())),
        };
        state.known.insert(topic.clone(), Arc::new(known));
        match before {
            // Its broker addresses are newer than all others.
            None => Arc::make_mut(&mut state.brokers).add(topic, route.raw()),
            // Addresses may be gone.
            Some(_) => state.gather_brokers(),
        }
        None
    }

    pub(super) fn forget(&self, topic: &str) {
        let mut state = self.state.write();
        if state.known.remove(topic).is_some() {
            state.gather_brokers();
        }
    }
}

impl State {
    fn gather_brokers(&mut self) {
        let mut routes: Vec<_> = self.known.iter().collect();
        routes.sort_by_key(|(_, known)| known.confirmed());
        let mut brokers = Brokers::default();
        for (topic, known) in routes {
            brokers.add(topic, known.route.raw());
        }
        self.brokers = Arc::new(brokers);
    }
}

impl Known {
    pub(crate) fn confirmed(&self) -> Instant {
        *self.confirmed.lock()
    }

    /// Lookups can end in another order than they began. A topic's own route is better than the default
    /// topic's, which a lookup may bring that was told that the topic does not exist just before it was
    /// made; of two of a kind, the one that was asked for later.
    fn is_better_than(&self, route: &Route, asked: Instant) -> bool {
        match (self.route.is_of_topic(), route.is_of_topic()) {
            (true, false) => true,
            (false, true) => false,
            _ => self.confirmed() > asked,
        }
    }

    pub(super) fn note_used(&self) {
        if self.unused.load(Ordering::Relaxed) != 0 {
            // Only when needed: what many threads only read stays in all their caches.
            self.unused.store(0, Ordering::Relaxed);
        }
    }

    /// The number of refreshes since its last use.
    pub(super) fn unused(&self) -> u32 {
        self.unused.load(Ordering::Relaxed)
    }

    /// One refresh more; returns how many there were before.
    pub(super) fn note_refresh(&self) -> u32 {
        self.unused.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether it may be looked up out of turn now; not if it was a moment ago.
    pub(super) fn may_go_out_of_turn(&self, now: Instant) -> bool {
        let mut last = self.out_of_turn.lock();
        if last.is_some_and(|last| now.saturating_duration_since(last) < OUT_OF_TURN_EVERY) {
            return false;
        }
        *last = Some(now);
        true
    }
}

/// A topic's route as a name server gave it. Each view is computed once, on first use, and shared.
pub(crate) struct Route {
    /// The topic as users name it.
    topic: Arc<str>,
    /// Its lists are sorted by broker name, so that equal routes compare equal.
    raw: TopicRoute,
    is_default: bool,
    publish: OnceLock<Arc<PublishInfo>>,
    subscribe: OnceLock<Arc<[MessageQueue]>>,
}

impl Route {
    /// The route of a topic that exists. The queues of the views name the topic as it is given here.
    pub(crate) fn new(topic: Arc<str>, raw: TopicRoute) -> Route {
        Route::sorted(topic, raw, false)
    }

    /// The route of a topic that does not exist yet: the default topic's brokers, with at most this
    /// many queues. The broker creates the topic at the first message.
    pub(super) fn of_default_topic(topic: Arc<str>, mut raw: TopicRoute, queues: i32) -> Route {
        for data in &mut raw.queue_datas {
            let queues = queues.min(data.read_queue_nums);
            data.read_queue_nums = queues;
            data.write_queue_nums = queues;
        }
        Route::sorted(topic, raw, true)
    }

    fn sorted(topic: Arc<str>, mut raw: TopicRoute, is_default: bool) -> Route {
        raw.queue_datas
            .sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        raw.broker_datas
            .sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        Route {
            topic,
            raw,
            is_default,
            publish: OnceLock::new(),
            subscribe: OnceLock::new(),
        }
    }

    pub(crate) fn raw(&self) -> &TopicRoute {
        &self.raw
    }

    /// Whether the topic exists. Otherwise these are the default topic's brokers, and nothing can be read.
    pub(crate) fn is_of_topic(&self) -> bool {
        !self.is_default
    }

    /// The writable queues, possibly none.
    pub(crate) fn publish(&self) -> &Arc<PublishInfo> {
        self.publish
            .get_or_init(|| Arc::new(PublishInfo::new(&self.topic, &self.raw)))
    }

    /// Whether the topic has logical queues.
    pub(crate) fn is_static(&self) -> bool {
        !self.raw.topic_queue_mapping_by_broker.is_empty()
    }

    /// The queues that can be read, sorted by broker name and number.
    pub(crate) fn subscribe(&self) -> &Arc<[MessageQueue]> {
        self.subscribe.get_or_init(|| match self.is_default {
            true => Arc::new([]),
            false => subscribe_queues(&self.topic, &self.raw).into(),
        })
    }

    /// The names of the brokers that can be read, whose own queues POP reads: brokers do not map these.
    pub(crate) fn popped(&self) -> impl Iterator<Item = &str> {
        let datas = self.raw.queue_datas.iter();
        let readable = datas.filter(|data| data.perm & perm::READ != 0 && data.read_queue_nums > 0);
        let named = readable.filter(|_| !self.is_default);
        named.map(|data| data.broker_name.as_str())
    }

    /// Whether both routes are equal.
    pub(super) fn is_same(&self, other: &Route) -> bool {
        self.raw == other.raw && self.is_default == other.is_default
    }
}

#[cfg(test)]
mod tests;
