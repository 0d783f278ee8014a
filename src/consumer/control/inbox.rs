//! The inbox of the control thread: answers, results, flags and orders.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::asked::Reply;
use crate::client::{BrokerRequest, Registered};
use crate::consumer::observe::{self, ConsumerState};
use crate::consumer::offset::Commit;
use crate::consumer::queue::{Ask, Assigned, Payload, Ticket};
use crate::error::Result;
use crate::message::{MessageQueue, MessageView};
use crate::sync::channel::{self, Receiver, Sender};
use crate::transport::{Completion, Connection, Deadline, Next, Outcome};

/// An event for the control thread. Each one belongs to a request in flight, to a message that a
/// handler had, to a flag that is raised once until it is seen, or to a waiting caller. These bound the
/// channel, which has no limit of its own.
pub(crate) enum Event {
    /// A request was answered, or failed.
    Answer(Box<Answered>),
    /// The window of this queue changed: a message became final, or is due later.
    Progress(u64),
    /// A handler could not handle a message.
    GiveBack(Box<GivenBack>),
    /// The send of a copy has ended.
    Copied(u64, Result<()>),
    /// A consume thread could not read a message.
    Corrupt(Box<Unread>),
    /// A save of the local offsets has ended.
    Saved(Result<()>),
    /// Something happened that the user may want to know.
    Tell(Box<observe::Event>),
    /// Popped messages were settled while the consumer ends.
    Settled,
    /// A flag of the inbox was raised.
    Flag,
    /// A broker has confirmed over this connection that it knows this member.
    Confirmed(Arc<Connection>),
    Order(Order),
}

/// The end of a request.
pub(crate) struct Answered {
    pub(crate) asked: Asked,
    pub(crate) outcome: Outcome,
    pub(crate) at: Instant,
}

/// The purpose of a request. Queues are identified by the number of their assignment: an answer for an
/// older assignment is dropped.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The members of the group, by a round of the rebalance.
    Members {
        round: u64,
        nth: usize,
    },
    /// The connections of the group, by the same.
    Connections {
        round: u64,
        nth: usize,
    },
    /// What this member pops of a topic (on the wire).
    Sources {
        topic: Arc<str>,
        round: u64,
    },
    /// The group's offset of any queue.
    Committed(MessageQueue),
    /// The group's offset of a queue that is about to start.
    Start(u64),
    /// The same of a queue that another member has, while it is taken (`true`), or may have had for a while.
    Check(u64, bool),
    /// The locks of queues.
    Lock(Vec<u64>),
    Unlock,
    /// The beginning or the end of a queue that is about to start, or the offset of a time.
    Bound(u64),
    Pull(Pull),
    Commit(Commit, u64),
    /// A copy of a message in the retry or dead letter topic.
    Back(u64),
    /// A message that could not be read, once more.
    Reread(Box<Unread>),
    /// When the first message was stored, of a queue whose end lies before the asked offset.
    Earliest(u64),
}

/// A request for messages.
#[derive(Debug)]
pub(crate) struct Pull {
    pub(crate) number: u64,
    pub(crate) ask: Ask,
    pub(crate) since: Instant,
    pub(crate) from_slave: bool,
    /// The connection that must be confirmed; `None` if brokers need not know the consumer.
    pub(crate) relied_on: Option<Registered>,
}

/// A message that goes back to the broker.
pub(crate) struct GivenBack {
    pub(crate) queue: Arc<Assigned>,
    pub(crate) ticket: Ticket,
    pub(crate) message: MessageView,
    /// The delay level; 0 is the broker's choice, -1 the dead letter topic.
    pub(crate) level: i32,
}

/// A message that could not be read.
pub(crate) struct Unread {
    pub(crate) queue: Arc<Assigned>,
    pub(crate) ticket: Ticket,
    pub(crate) offset: u64,
    /// As it was received.
    pub(crate) payload: Payload,
    pub(crate) what: String,
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unread({} at {})", self.queue.shown, self.offset)
    }
}

/// A request of the consumer's caller.
pub(crate) enum Order {
    Describe(Reply<ConsumerState>),
    /// Commits what is done, until then.
    Commit(Deadline, Reply<()>),
    /// A queue, by its users' name, goes on at an offset.
    Seek(MessageQueue, u64, Reply<()>),
    /// A broker's question.
    Answer(Box<Question>),
    Shutdown(Deadline),
}

/// A broker's question, and its request, which must be answered.
pub(crate) struct Question {
    pub(crate) request: BrokerRequest,
    pub(crate) what: What,
}

pub(crate) enum What {
    /// Queues (on the wire) go on at these offsets.
    Reset(BTreeMap<MessageQueue, i64>),
    /// The offsets of the queues of this topic.
    Offsets(String),
    /// All about this consumer.
    RunningInfo,
}

/// The way to the control thread. It never blocks.
#[derive(Clone)]
pub(crate) struct Inbox(Arc<Shared>);

struct Shared {
    events: Sender<Event>,
    is_raised: AtomicBool,
    wants_rebalance: AtomicBool,
}

impl Inbox {
    pub(crate) fn new() -> (Inbox, Receiver<Event>) {
        let (events, receiver) = channel::unbounded();
        let shared = Shared {
            events,
            is_raised: AtomicBool::new(false),
            wants_rebalance: AtomicBool::new(false),
        };
        (Inbox(Arc::new(shared)), receiver)
    }

    /// Lost once the control thread has ended.
    pub(crate) fn put(&self, event: Event) {
        let _ = self.0.events.send(event);
    }

    /// The members, a route or a connection changed: the assignment may change too.
    pub(crate) fn ask_rebalance(&self) {
        self.0.wants_rebalance.store(true, Ordering::SeqCst);
        if !self.0.is_raised.swap(true, Ordering::SeqCst) {
            self.put(Event::Flag);
        }
    }

    /// For the control thread: whether a rebalance was asked for since the last call.
    pub(super) fn take_rebalance(&self) -> bool {
        self.0.is_raised.store(false, Ordering::SeqCst);
        self.0.wants_rebalance.swap(false, Ordering::SeqCst)
    }

    /// Puts the answer to a request here.
    pub(super) fn completion(&self, asked: Asked) -> Box<dyn Completion> {
        Box::new(ToInbox {
            inbox: self.clone(),
            asked,
        })
    }
}

struct ToInbox {
    inbox: Inbox,
    asked: Asked,
}

impl Completion for ToInbox {
    fn complete(self: Box<Self>, outcome: Outcome, at: Instant) -> Next {
        let ToInbox { inbox, asked } = *self;
        inbox.put(Event::Answer(Box::new(Answered { asked, outcome, at })));
        Next::Done
    }
}
