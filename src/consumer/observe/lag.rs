//! How far a consumer is behind.

use std::fmt;
use std::time::Duration;

use crate::message::MessageQueue;

/// How far a consumer is behind in its queues. An unknown number is `None`, and never 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// The queues of this member, sorted.
    pub queues: Vec<QueueLag>,
}

/// How far a consumer is behind in one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueLag {
    /// The queue.
    pub queue: MessageQueue,
    /// Offsets from the lowest one that is not consumed to the end of the queue. Messages that a filter
    /// leaves out count until the consumer has passed them. `None` if the end of the queue is not known, or
    /// its start offset is not known yet.
    ///
    /// Of a popped queue (all queues of a simple consumer): messages that no member has received yet. Received
    /// ones that are not acked are not in it, since brokers do not tell their number; they come again through
    /// queues of a retry topic, which are listed too. In order, they are in it.
    pub messages: Option<u64>,
    /// How long ago the oldest message that is not consumed was stored, by this machine's clock; zero if
    /// all are consumed. `None` if it is not known because that message was not fetched yet; a popped queue has
    /// no other value but zero.
    pub oldest: Option<Duration>,
}

impl Lag {
    /// The messages of all queues together; `None` if the number of one queue is not known.
    pub fn messages(&self) -> Option<u64> {
        self.queues.iter().map(|queue| queue.messages).sum()
    }

    /// The age of the oldest message of all queues; `None` if the age of one queue is not known.
    pub fn oldest(&self) -> Option<Duration> {
        let ages: Option<Vec<Duration>> = self.queues.iter().map(|queue| queue.oldest).collect();
        ages.map(|ages| ages.into_iter().max().unwrap_or_default())
    }
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.messages() {
            Some(messages) => write!(f, "{messages} messages behind")?,
            None => f.write_str("messages behind: not known")?,
        }
        match self.oldest() {
            _ if self.messages() == Some(0) => Ok(()),
            Some(age) => write!(f, ", the oldest {age:.1?} old"),
            None => f.write_str(", age of the oldest: not known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_one_queue_lacks_is_unknown_for_all() {
        let seconds = Duration::from_secs;
        let lag = |queues: &[(Option<u64>, Option<Duration>)]| {
            let queues = queues
                .iter()
                .zip(0..)
                .map(|((messages, oldest), id)| QueueLag {
                    queue: MessageQueue::new("T", "b", id),
                    messages: *messages,
                    oldest: *oldest,
                });
            let lag = Lag {
                queues: queues.collect(),
            };
            (lag.messages(), lag.oldest(), lag.to_string())
        };
        let text = |text: &str| text.to_owned();
        assert_eq!(
            lag(&[]),
            (Some(0), Some(seconds(0)), text("0 messages behind"))
        );
        let both = [(Some(3), Some(seconds(5))), (Some(4), Some(seconds(2)))];
        assert_eq!(
            lag(&both),
            (
                Some(7),
                Some(seconds(5)),
                text("7 messages behind, the oldest 5.0s old")
            )
        );
        let unknown = [both[0], (None, Some(seconds(2)))];
        assert_eq!((lag(&unknown).0, lag(&unknown).1), (None, Some(seconds(5))));
        let young = [both[0], (Some(4), None)];
        assert_eq!((lag(&young).0, lag(&young).1), (Some(7), None));
    }
}
