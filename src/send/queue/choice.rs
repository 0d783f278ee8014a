//! The choice of the queue for a message.

use std::time::Instant;

use super::fault_table::Faults;
use crate::client::PublishInfo;
use crate::error::{Error, Result};
use crate::message::{MessageQueue, string_hash};
use crate::panics::caught;

/// A caller's function over the sorted queues: it returns an index.
pub(crate) type Selector = Box<dyn FnOnce(&[MessageQueue]) -> usize + Send>;

/// The way to choose the queue of a send.
pub(crate) enum QueueChoice {
    /// In turn, over all queues of the topic.
    Any,
    /// A given one.
    Queue(MessageQueue),
    /// By a sharding key.
    Key(String),
    /// By the caller's function.
    Select(Selector),
}

impl QueueChoice {
    /// The queue of the first attempt. A selector has then done its work.
    pub(in crate::send) fn first_queue(
        self,
        faults: Option<&Faults>,
        info: &PublishInfo,
        topic: &str,
    ) -> Result<MessageQueue> {
        let queues = &info.queues;
        match self {
            QueueChoice::Any => Ok(next_queue(faults, info, None).clone()),
            QueueChoice::Queue(queue) if queue.topic() == topic => Ok(queue),
            QueueChoice::Queue(queue) => Err(Error::invalid(format!(
                "the queue {queue} is not one of the message's topic"
            ))),
            QueueChoice::Key(key) => Ok(by_key(&key, queues).clone()),
            QueueChoice::Select(choose) => by_function(choose, queues).cloned(),
        }
    }
}

/// The next queue in turn, if possible not at a broker to avoid: the last one, and slow or failed
/// ones.
pub(in crate::send) fn next_queue<'a>(
    faults: Option<&Faults>,
    info: &'a PublishInfo,
    last: Option<&str>,
) -> &'a MessageQueue {
    let usable = |queue: &MessageQueue| info.is_reachable(queue);
    let queues = &info.queues;
    let first = info.cursor.next(queues.len());
    let chosen = match faults {
        None => next(queues, first, last, usable),
        Some(faults) => faults.pick(queues, first, last, Instant::now(), &usable),
    };
    if chosen != first {
        info.cursor.go_on_behind(chosen);
    }
    &queues[chosen]
}

/// The next queue in turn, for the benchmarks.
#[cfg(feature = "internals")]
pub(crate) fn round_robin<'a>(info: &'a PublishInfo, last: Option<&str>) -> &'a MessageQueue {
    next_queue(None, info, last)
}

fn next(
    queues: &[MessageQueue],
    first: usize,
    avoid: Option<&str>,
    is_reachable: impl Fn(&MessageQueue) -> bool,
) -> usize {
    let candidates = || (first..first + queues.len()).map(|at| at % queues.len());
    let reachable = |at: &usize| is_reachable(&queues[*at]);
    let good = |at: &usize| Some(queues[*at].broker()) != avoid && reachable(at);
    let found = candidates()
        .find(good)
        .or_else(|| candidates().find(reachable));
    found.unwrap_or(first)
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
