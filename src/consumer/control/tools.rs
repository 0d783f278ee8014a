//! The state that the steps of all queues share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::inbox::Inbox;
use super::wire::Wire;
use crate::client::Membership;
use crate::consumer::config::ConsumerConfig;
use crate::consumer::consume::{Dispatcher, Trace};
use crate::consumer::observe::{Counters, Events, History};
use crate::consumer::offset::{LocalOffsets, Past, Progress};
use crate::consumer::popping::Popping;
use crate::consumer::queue::{Assignment, Budget};
use crate::consumer::topics::{GroupFacts, Topics};
use crate::message::MessageQueue;
use crate::transport::Deadline;

/// The control thread's state apart from the queues.
pub(super) struct Tools {
    pub(super) config: Arc<ConsumerConfig>,
    pub(super) topics: Arc<Topics>,
    pub(super) wire: Wire,
    pub(super) inbox: Inbox,
    pub(super) membership: Arc<Membership>,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) facts: GroupFacts,
    pub(super) budget: Budget<u64>,
    pub(super) progress: Progress,
    pub(super) past: Past,
    pub(super) assignment: Arc<Assignment>,
    pub(super) counters: Arc<Counters>,
    /// The topics that are popped, if there are any; the others are pulled.
    pub(super) popping: Option<Arc<Popping>>,
    /// Of what is counted of each topic.
    pub(super) histories: HashMap<Arc<str>, History>,
    pub(super) events: Events,
    /// Message trace, if it is on.
    pub(super) trace: Option<Arc<Trace>>,
    /// The offsets of a broadcasting consumer; otherwise brokers keep them.
    pub(super) local: Option<LocalOffsets>,
    /// When the consumer was started, epoch milliseconds.
    pub(super) started_ms: i64,
    /// A queue that is given up waits for the handlers of its messages.
    pub(super) waits_for_handlers: bool,
    /// Whether the group may hold a lock of a queue at some broker.
    pub(super) holds_locks: bool,
    /// Whether leases are taken for the hand-over of queues.
    pub(super) leases: bool,
    /// Queues whose locks are about to be asked for, by the name of their broker.
    pub(super) to_lock: BTreeMap<Arc<str>, Vec<u64>>,
    /// Whether the group has other members.
    pub(super) has_others: bool,
    /// Whether all members use this library, as far as is known.
    pub(super) are_all_ours: bool,
    /// The number of the last assignment, seek or reset.
    pub(super) last_generation: u64,
}

impl Tools {
    /// No message is handed out from now on: unregisters at the brokers, then sends the trace that waits. Other
    /// members need not wait for that.
    pub(super) fn leave(&self, deadline: Deadline) {
        self.dispatcher.close();
        if let Some(popping) = &self.popping {
            popping.end();
        }
        self.membership.unregister(deadline);
        if let Some(trace) = &self.trace {
            trace.close(deadline.share(Instant::now(), 4));
        }
    }

    /// The next number of an assignment, seek or reset.
    pub(super) fn next_generation(&mut self) -> u64 {
        self.last_generation += 1;
        self.last_generation
    }

    /// Whether a topic (on the wire) is popped.
    pub(super) fn pops(&self, topic: &str) -> bool {
        let popping = self.popping.as_ref();
        popping.is_some_and(|popping| popping.pops(topic))
    }

    /// Whether a queue can be read, by the route that is known.
    pub(super) fn is_in_route(&self, queue: &MessageQueue) -> bool {
        let route = self.wire.core.routes.known_route(queue.topic(), false);
        route.is_some_and(|route| {
            let mut readable = route.subscribe().iter();
            readable.any(|q| self.topics.on_wire(q) == *queue)
        })
    }

    /// Notes how far this member was in a queue that has left the route.
    pub(super) fn note_place(&mut self, queue: &MessageQueue, now: Instant) {
        let place = match self.config.auto_commit {
            true => self.progress.latest(queue),
            // What a caller has not committed comes again.
            false => self.progress.stored(queue),
        };
        if let Some(offset) = place {
            self.past.keep(queue, offset, now);
        }
    }

    /// Keeps a look at what was counted of each topic, if it is time.
    pub(super) fn note_rates(&mut self, now: Instant) {
        for (name, history) in &mut self.histories {
            if let Some(topic) = self.topics.get(name) {
                history.note(&topic.counts, now);
            }
        }
    }
}
