//! What happens to a consumer that a person or a program may want to know of.

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

/// So many events wait for the listener; more are dropped, and counted.
const MOST_WAITING: usize = 1024;

/// Something that happened to a consumer. Its `Display` is one line for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The queues of this member have changed: these are all of them, sorted, [retry
    /// queues](MessageQueue::is_retry) included. The first one comes during the start, also if there
    /// are none. Where the queues start is decided after it: what is sent from now on may still be
    /// left out by [`StartFrom::Last`](crate::StartFrom::Last). Wait for the start to return, not for this.
    Assigned {
        /// All queues of this member.
        queues: Vec<MessageQueue>,
    },
    /// A queue is about to be given up: handlers end, then the progress is committed.
    Revoking {
        /// The queue.
        queue: MessageQueue,
    },
    /// A queue was given up before all was done: what was with handlers, or not committed, comes
    /// again to its next member.
    Lost {
        /// The queue.
        queue: MessageQueue,
        /// Messages that handlers still had.
        running: usize,
        /// The offset that no broker confirmed.
        uncommitted: Option<u64>,
    },
    /// The broker has no message at the offset that was asked for: consuming goes on elsewhere, or
    /// stops, by the consumer's policy.
    OffsetMoved {
        /// The queue.
        queue: MessageQueue,
        /// The offset that was asked for.
        from: u64,
        /// Where consuming goes on; `None` if it stops.
        to: Option<u64>,
        /// Why.
        why: MoveReason,
    },
    /// A handler has a message for longer than the consume timeout.
    Stuck {
        /// The queue.
        queue: MessageQueue,
        /// The offset of the message.
        offset: u64,
        /// How long.
        since: Duration,
    },
    /// A message cannot be read: its checksum is wrong, or its body is damaged.
    Corrupt {
        /// The queue.
        queue: MessageQueue,
        /// The offset of the message.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A broker refuses to hand out messages of a queue, or does not answer as it should.
    Refused {
        /// The queue.
        queue: MessageQueue,
        /// The code of its answer; `None` if that says that there are messages, and is damaged.
        code: Option<ResponseCode>,
        /// What it said.
        what: String,
    },
    /// The offsets of a broadcasting consumer could not be saved, twice in a row: the disk is full or
    /// read-only, or another process has taken the folder.
    NotSaved {
        /// What is wrong.
        what: String,
    },
    /// Another client with the id of this one is a member of the group: both take the same queues. Told
    /// within a minute if it came later than this one, and can be told from a connection of this client
    /// that was cut; else after 130 s. A start beside a member that lives fails instead.
    DuplicateClient {
        /// The address of the other one, as the broker sees it.
        address: String,
    },
    /// Other members of the group subscribe to other topics, or with other filters. The broker keeps
    /// the subscriptions of one of them only, so that messages get lost. Brokers name those of the last
    /// heartbeat only: which member differs, and how many do, is not known.
    SubscriptionMismatch {
        /// The topic.
        topic: String,
        /// What the broker has.
        what: String,
    },
    /// Brokers have not agreed for a minute on who the members are. Queues are kept meanwhile.
    Doubtful {
        /// What is wrong.
        what: String,
    },
}

/// Why an offset was not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MoveReason {
    /// The messages were deleted before they were consumed: they were older than the broker keeps.
    Expired,
    /// The queue ends before it: the broker lost messages, or the topic was made anew.
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
                write!(f, "{address} has the same client id as this member")
            }
            Event::SubscriptionMismatch { topic, what } => {
                write!(
                    f,
                    "members of the group subscribe differently: {topic}: {what}"
                )
            }
            Event::Doubtful { what } => write!(f, "the members of the group are not sure: {what}"),
        }
    }
}

impl fmt::Display for MoveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MoveReason::Expired => "has expired",
            MoveReason::BehindEnd => "lies behind the end of the queue",
            MoveReason::Reset => "was reset",
        })
    }
}

/// User code that hears of events.
pub(crate) type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// Where events go: to the log, and to the listener if there is one. It never waits.
pub(crate) struct Events {
    listener: Option<Sender<Event>>,
    counters: Arc<Counters>,
}

impl Events {
    /// The listener runs on a thread of its own, which ends with this.
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
