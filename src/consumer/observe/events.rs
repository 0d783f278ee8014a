//! The events of a consumer, for its listener and for the log.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::consumer::LOG;
use crate::error::ResponseCode;
use crate::logging;
use crate::message::MessageQueue;
use crate::panics::caught;
use crate::sync::channel::{self, Receiver, Sender, TrySendError};
use crate::transport::Threads;

use super::stats::Counters;

/// The most events that wait for the listener. Further ones are dropped and counted.
const MOST_WAITING: usize = 1024;

/// An event of a consumer. Its `Display` is one line for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The queues of this member have changed: these are all of them, sorted, including [retry
    /// queues](MessageQueue::is_retry). The first such event comes during the start, even if the member
    /// has no queues. It does not mean that the start offsets are known:
    /// [`StartFrom::Last`](crate::StartFrom::Last) may still skip messages that are sent after it. Wait
    /// for the start to return, not for this event.
    Assigned {
        /// All queues of this member.
        queues: Vec<MessageQueue>,
    },
    /// A queue is about to be given up: handlers end, then the progress is committed.
    Revoking {
        /// The queue.
        queue: MessageQueue,
    },
    /// A queue was given up before its handlers ended or its offset was committed: its next member gets
    /// these messages again.
    Lost {
        /// The queue.
        queue: MessageQueue,
        /// The number of messages that handlers still had.
        running: usize,
        /// The offset that no broker confirmed.
        uncommitted: Option<u64>,
    },
    /// The broker has no message at the asked offset, or an operator reset it: the queue goes on at another
    /// offset, or stops, by the consumer's policy.
    OffsetMoved {
        /// The queue.
        queue: MessageQueue,
        /// The asked offset.
        from: u64,
        /// The offset at which the queue goes on; `None` if it stops.
        to: Option<u64>,
        /// The reason.
        why: MoveReason,
    },
    /// A handler has had a message for longer than the consume timeout.
    Stuck {
        /// The queue.
        queue: MessageQueue,
        /// The offset of the message.
        offset: u64,
        /// For how long.
        since: Duration,
    },
    /// A message cannot be read: its checksum is wrong, or its body is damaged.
    Corrupt {
        /// The queue.
        queue: MessageQueue,
        /// The offset of the message.
        offset: u64,
        /// The fault.
        what: String,
    },
    /// A broker refused a pull of a queue, or its answer cannot be used.
    Refused {
        /// The queue.
        queue: MessageQueue,
        /// The code of the answer; `None` if the code is a success but the answer is damaged.
        code: Option<ResponseCode>,
        /// The code and remark of the broker, or the fault of the answer.
        what: String,
    },
    /// The offsets of a broadcasting consumer could not be saved, twice in a row: the disk is full or
    /// read-only, or another process has taken the folder.
    NotSaved {
        /// What is wrong.
        what: String,
    },
    /// Another client with this member's id is a member of the group: both take the same queues. The
    /// event comes within a minute if the other client started later, and cannot be an ended connection of
    /// this one; otherwise after 130 s. (A start beside a living member with the same id fails.)
    DuplicateClient {
        /// The address of the other one, as the broker sees it; all addresses if it is not known which one.
        address: String,
    },
    /// Other members of the group subscribe to other topics, or with other filters. The broker keeps
    /// the subscriptions of only the latest heartbeat, so that messages get lost. Which member differs, and
    /// how many do, is not known.
    SubscriptionMismatch {
        /// The topic.
        topic: String,
        /// How the subscriptions differ.
        what: String,
    },
    /// The members of the group have been in doubt for a minute: brokers disagree or do not answer, for
    /// example. This member keeps its queues meanwhile.
    Doubtful {
        /// What is wrong.
        what: String,
    },
}

/// Why an offset moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MoveReason {
    /// The messages were deleted before they were consumed: they were older than the broker's retention.
    Expired,
    /// The queue ends before it: the broker lost messages, or the topic was created again.
    BehindEnd,
    /// An operator reset the offset of the group.
    Reset,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Assigned { queues } => {
                let queues: Vec<_> = queues.iter().map(ToString::to_string).collect();
                write!(f, "{} queues assigned: {}", queues.len(), queues.join(" "))
            }
            Event::Revoking { queue } => write!(f, "{queue} is given up"),
            Event::Lost {
                queue,
                running,
                uncommitted,
            } => {
                write!(
                    f,
                    "{queue} was given up with {running} messages in handlers"
                )?;
                match uncommitted {
                    Some(offset) => write!(f, ", and its offset {offset} uncommitted"),
                    None => Ok(()),
                }
            }
            Event::OffsetMoved {
                queue,
                from,
                to,
                why,
            } => {
                write!(f, "{queue}: offset {from} {why}; ")?;
                match to {
                    Some(to) => write!(f, "going on at {to}"),
                    None => f.write_str("stopped"),
                }
            }
            Event::Stuck {
                queue,
                offset,
                since,
            } => write!(f, "{queue}: a handler has offset {offset} for {since:.0?}"),
            Event::Corrupt {
                queue,
                offset,
                what,
            } => write!(f, "{queue}: offset {offset} cannot be read: {what}"),
            Event::Refused { queue, what, .. } => write!(f, "{queue}: {what}"),
            Event::NotSaved { what } => write!(f, "the offsets are not saved: {what}"),
            Event::DuplicateClient { address } => {
                write!(f, "several clients have the id of this member: {address}")
            }
            Event::SubscriptionMismatch { topic, what } => {
                write!(
                    f,
                    "members of the group subscribe differently: {topic}: {what}"
                )
            }
            Event::Doubtful { what } => write!(f, "the members of the group are in doubt: {what}"),
        }
    }
}

impl fmt::Display for MoveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MoveReason::Expired => "has expired",
            MoveReason::BehindEnd => "is beyond the end of the queue",
            MoveReason::Reset => "was reset",
        })
    }
}

/// The user's listener of events.
pub(crate) type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// Passes events to the log, and to the listener if there is one. It never waits.
pub(crate) struct Events {
    listener: Option<Sender<Event>>,
    counters: Arc<Counters>,
}

impl Events {
    /// The listener runs on a thread of its own, which ends with the `Events`.
    pub(crate) fn start(
        listener: Option<Listener>,
        threads: &Threads,
        counters: Arc<Counters>,
    ) -> io::Result<Events> {
        let mut events = Events {
            listener: None,
            counters,
        };
        if let Some(listener) = listener {
            let (sender, receiver) = channel::bounded(MOST_WAITING);
            threads.spawn("rmq-events", move || listen(&receiver, &listener))?;
            events.listener = Some(sender);
        }
        Ok(events)
    }

    pub(crate) fn tell(&self, event: Event) {
        match &event {
            Event::Assigned { .. } | Event::Revoking { .. } => {
                logging::info!(target: LOG, "{event}");
            }
            _ => logging::warn!(target: LOG, "{event}"),
        }
        if let Some(listener) = &self.listener {
            if let Err(TrySendError::Full(_)) = listener.try_send(event) {
                self.counters.events_dropped.add(1);
            }
        }
    }
}

fn listen(events: &Receiver<Event>, listener: &Listener) {
    for event in events {
        if caught(|| listener(&event)).is_err() {
            logging::error!(target: LOG, "a listener of events panicked");
        }
    }
}
