use super::core::Core;
use super::select;
use crate::client::PublishInfo;
use crate::error::{Error, Result};
use crate::message::MessageQueue;

/// A caller's choice of queue: an index into the sorted list.
pub(super) type Selector = Box<dyn FnOnce(&[MessageQueue]) -> usize + std::marker::Send>;

/// How the queue of a send is chosen.
pub(super) enum Target {
    /// In turn, over all queues of the topic.
    Any,
    /// A given one.
    Queue(MessageQueue),
    /// By a sharding key.
    Key(String),
    /// By the caller's function over the sorted queues.
    Select(Selector),
}

impl Target {
    pub(super) fn sharding_key(&self) -> Option<&str> {
        match self {
            Target::Key(key) => Some(key),
            _ => None,
        }
    }
}

/// The queue of the first attempt. A selector has then done its work.
pub(super) fn first_queue(
    core: &Core,
    info: &PublishInfo,
    topic: &str,
    target: Target,
) -> Result<MessageQueue> {
    let queues = &info.queues;
    match target {
        Target::Any => Ok(core.pick(topic, info, None).clone()),
        Target::Queue(queue) if queue.topic() == topic => Ok(queue),
        Target::Queue(queue) => Err(Error::invalid(format!(
            "the queue {queue} is not one of the message's topic"
        ))),
        Target::Key(key) => Ok(select::by_key(&key, queues).clone()),
        Target::Select(choose) => select::by_function(choose, queues).cloned(),
    }
}
