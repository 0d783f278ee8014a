//! A caller's choice of the queue for a message.

use crate::client::PublishInfo;
use crate::error::{Error, Result};
use crate::message::{MessageQueue, string_hash};
use crate::panics::caught;

/// A caller's function over the sorted queues: it returns an index.
pub(crate) type Selector = Box<dyn FnOnce(&[MessageQueue]) -> usize + Send>;

/// A caller's choice of the queue of a send. Without one, queues take turns.
pub(crate) enum QueueChoice {
    /// A given one.
    Queue(MessageQueue),
    /// By a sharding key.
    Key(String),
    /// By the caller's function.
    Select(Selector),
}

impl QueueChoice {
    /// The queue for a message of the topic. A selector has then done its work.
    pub(in crate::send) fn queue(self, info: &PublishInfo, topic: &str) -> Result<MessageQueue> {
        let queues = &info.queues;
        match self {
            QueueChoice::Queue(queue) if queue.topic() == topic => Ok(queue),
            QueueChoice::Queue(queue) => Err(Error::invalid(format!(
                "the queue {queue} is not one of the message's topic"
            ))),
            QueueChoice::Key(key) => Ok(by_key(&key, queues).clone()),
            QueueChoice::Select(choose) => by_function(choose, queues).cloned(),
        }
    }
}

/// The queue of a sharding key, as Java's `SelectMessageQueueByHash` finds it. `queues` is not
/// empty.
pub(crate) fn by_key<'a>(key: &str, queues: &'a [MessageQueue]) -> &'a MessageQueue {
    // A topic has at most 65,536 queues. Java takes the remainder first and then its amount.
    let remainder = i64::from(string_hash(key)) % queues.len() as i64;
    &queues[remainder.unsigned_abs() as usize]
}

/// The queue that a caller's function chooses. Its panic is the caller's error, not ours.
fn by_function(
    choose: impl FnOnce(&[MessageQueue]) -> usize,
    queues: &[MessageQueue],
) -> Result<&MessageQueue> {
    let chosen = caught(|| choose(queues));
    let index = chosen.map_err(|_| Error::invalid("the selector panicked"))?;
    queues.get(index).ok_or_else(|| {
        let text = format!(
            "the selector chose index {index} of {} queues",
            queues.len()
        );
        Error::invalid(text)
    })
}

#[cfg(test)]
mod tests;
