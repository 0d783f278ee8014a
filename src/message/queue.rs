use std::fmt;
use std::sync::Arc;

use crate::error::Printable;

/// One queue of a topic on one broker. Cheap to clone; ordered as Java orders its publish list
/// (topic, broker name, number).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageQueue(Arc<Parts>);

/// Shared as a whole: each receipt holds a queue, and several threads touch its reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Parts {
    topic: Arc<str>,
    broker: Arc<str>,
    id: i32,
}

impl MessageQueue {
    /// Queue `id` of `topic` on the broker of this name.
    pub fn new(topic: impl Into<Arc<str>>, broker: impl Into<Arc<str>>, id: i32) -> MessageQueue {
        MessageQueue(Arc::new(Parts {
            topic: topic.into(),
            broker: broker.into(),
            id,
        }))
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// The broker's name (not its address).
    #[doc(alias = "getBrokerName")]
    pub fn broker(&self) -> &str {
        &self.0.broker
    }

    /// The queue's number on its broker, from 0.
    #[doc(alias = "getQueueId")]
    pub fn id(&self) -> i32 {
        self.0.id
    }

    /// The same queue with another name of its topic.
    pub(crate) fn on_topic(self, rename: impl FnOnce(&Arc<str>) -> Arc<str>) -> MessageQueue {
        MessageQueue::new(rename(&self.0.topic), self.0.broker.clone(), self.0.id)
    }

    pub(crate) fn with_id(&self, id: i32) -> MessageQueue {
        MessageQueue::new(self.0.topic.clone(), self.0.broker.clone(), id)
    }

    pub(crate) fn shared_broker(&self) -> &Arc<str> {
        &self.0.broker
    }
}

impl fmt::Display for MessageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, broker) = (Printable(&self.0.topic), Printable(&self.0.broker));
        write!(f, "{topic}@{broker}:{}", self.0.id)
    }
}

impl fmt::Debug for MessageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageQueue({self})")
    }
}
