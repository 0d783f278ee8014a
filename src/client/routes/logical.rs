//! The logical queues of a static topic. Their number never changes; which broker hosts one may.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::message::MessageQueue;
use crate::protocol::route::TopicRoute;

/// The most queues of one topic that are taken from a route.
pub(super) const MOST_QUEUES: usize = 65_536;

/// The brokers that host the logical queues of one topic, by logical broker name and queue number. A queue
/// without an entry is on the broker that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hosts(BTreeMap<(Arc<str>, i32), Arc<str>>);

impl Hosts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The broker that a queue is on.
    pub(super) fn of<'a>(&'a self, queue: &'a MessageQueue) -> &'a Arc<str> {
        let broker = queue.shared_broker();
        if self.is_empty() {
            return broker;
        }
        let host = self.0.get(&(broker.clone(), queue.id()));
        host.unwrap_or(broker)
    }
}

/// The brokers that host the logical queues; none if the topic is not a static one.
pub(super) fn hosts(route: &TopicRoute) -> Hosts {
    let mut mappings: Vec<_> = route.topic_queue_mapping_by_broker.values().collect();
    // If two brokers claim a queue, the later epoch comes last and wins.
    mappings.sort_by_key(|mapping| mapping.epoch);
    let mut hosts = BTreeMap::new();
    for mapping in mappings {
        let logical: Arc<str> = mapping.logical_broker().into();
        let host: Arc<str> = mapping.bname.as_str().into();
        let ids = mapping.curr_id_map.keys().take(MOST_QUEUES);
        hosts.extend(ids.map(|id| ((logical.clone(), *id), host.clone())));
    }
    Hosts(hosts)
}

/// The logical queues by number, also those that no broker hosts now (they cannot be reached); `None` if the
/// topic is not a static one.
pub(super) fn queues(topic: &Arc<str>, route: &TopicRoute) -> Option<Vec<MessageQueue>> {
    if route.topic_queue_mapping_by_broker.is_empty() {
        return None;
    }
    let mut totals: BTreeMap<Arc<str>, i32> = BTreeMap::new();
    for mapping in route.topic_queue_mapping_by_broker.values() {
        let total = totals.entry(mapping.logical_broker().into()).or_insert(0);
        *total = mapping.total_queues.max(*total);
    }
    let mut queues = Vec::new();
    for (logical, total) in totals {
        let total = usize::try_from(total).unwrap_or(0);
        let queue = |id| MessageQueue::new(topic.clone(), logical.clone(), id);
        queues.extend((0..).take(total.min(MOST_QUEUES)).map(queue));
    }
    queues.truncate(MOST_QUEUES);
    queues.sort_by_key(MessageQueue::id);
    Some(queues)
}
