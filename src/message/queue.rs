//! One queue of a topic, and the legal names of topics and groups.

use std::fmt;
use std::sync::Arc;

use super::properties::name::RETRY_PREFIX;
use crate::error::{Error, Printable, Result};

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

    /// Whether it is of the retry topic of a consumer group, which consumers subscribe to by themselves:
    /// messages that were given back come from there, under the topics that they were sent to.
    pub fn is_retry(&self) -> bool {
        self.0.topic.starts_with(RETRY_PREFIX)
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

/// The topic in which brokers keep messages with a delay level, one queue per level. (The `XXXX` is part of
/// the name, in Java's `TopicValidator` too.)
pub(crate) const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";

/// Topics that only brokers write to.
#[rustfmt::skip]
pub(crate) const FORBIDDEN_TOPICS: [&str; 6] = [
    SCHEDULE_TOPIC, "RMQ_SYS_TRANS_HALF_TOPIC", "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC", "SELF_TEST_TOPIC", "OFFSET_MOVED_EVENT",
];

/// Java's limit (`Validators`).
pub(crate) const LONGEST_TOPIC: usize = 127;
/// Java's limit (`Validators`).
pub(crate) const LONGEST_GROUP: usize = 120;

/// Checks the characters of a topic or group: `%|a-zA-Z0-9_-`, as in Java.
pub(crate) fn check_name(what: &str, name: &str, longest: usize) -> Result<()> {
    if name.is_empty() || name.trim().is_empty() {
        return Err(Error::invalid(format!("the {what} is blank")));
    }
    if name.len() > longest {
        let text = format!("the {what} is longer than {longest} characters");
        return Err(Error::invalid(text));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '%' | '|' | '_' | '-');
    if name.bytes().all(|byte| legal(byte.into())) {
        return Ok(());
    }
    match name.chars().find(|c| !legal(*c)) {
        Some(c) => Err(Error::invalid(format!(
            "the {what} has the character {c:?}; only letters, digits and % | _ - are allowed"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_javas_characters() {
        for good in ["TopicTest", "%RETRY%g", "a|b", "x".repeat(127).as_str()] {
            assert!(check_name("topic", good, 127).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "a.b", "ü", "x".repeat(128).as_str()] {
            assert!(check_name("topic", bad, 127).is_err(), "{bad}");
        }
    }
}
