//! Long polls: requests that wait for a message, or for their timeout.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::filter::Filter;
use super::read;
use crate::embedded::broker::BrokerState;
use crate::embedded::server::{Call, Responder};
use crate::embedded::store::Watch;
use crate::protocol::Command;

/// Brokers check all parked requests at this interval. A request whose queue got only messages that do not
/// match is then answered with the offset after them.
const LOOKED_AT_EACH: Duration = Duration::from_secs(5);

/// The event that a request waits for.
pub(super) struct Waiting {
    pub(super) group: String,
    /// Queues of the broker, each with the offset of the first message to wait for.
    pub(super) queues: Vec<(String, i32, i64)>,
    pub(super) filter: Filter,
}

/// Makes the answer; `true`: the timeout is over. `None`, possible only before that, waits on.
type Again = Box<dyn Fn(&BrokerState, bool) -> Option<Command> + Send + Sync>;

struct Poll {
    broker: Weak<BrokerState>,
    responder: Responder,
    waiting: Waiting,
    again: Again,
    /// Held while an answer is made.
    answering: Mutex<()>,
    /// For each queue.
    watching: Mutex<Watching>,
}

#[derive(Default)]
struct Watching {
    /// The offsets up to which messages were checked, and the watches for the next ones. Empty once the
    /// request is answered or dropped.
    watches: Vec<(i64, Option<Watch>)>,
    /// Whether a check of this request is scheduled.
    is_timed: bool,
}

/// Held by the request: ends the watches when it is answered or dropped.
struct EndWatches(Arc<Poll>);

/// Answers a call later with what `again` returns: when a message comes, and at the timeout. When the
/// connection ends, everything is dropped.
pub(super) fn wait(
    broker: &Arc<BrokerState>,
    call: Call<'_>,
    waiting: Waiting,
    time: Duration,
    again: impl Fn(&BrokerState, bool) -> Option<Command> + Send + Sync + 'static,
) {
    let count = waiting.queues.len();
    let responder = call.later();
    let watches = waiting.queues.iter().map(|(_, _, offset)| (*offset, None));
    let watching = Watching {
        watches: watches.collect(),
        ..Watching::default()
    };
    let poll = Arc::new(Poll {
        broker: Arc::downgrade(broker),
        responder: responder.clone(),
        waiting,
        again: Box::new(again),
        answering: Mutex::new(()),
        watching: Mutex::new(watching),
    });
    responder.keep(EndWatches(Arc::clone(&poll)));
    let timed = Arc::clone(&poll);
    responder.keep(broker.clock.after(time, move || _ = timed.answer(true)));
    for index in 0..count {
        poll.watch(broker, index);
    }
    // Counted only now that all watches exist: tests rely on the count.
    let woken = Arc::downgrade(&poll);
    responder.keep(broker.parked.enter(&poll.waiting.group, move || {
        if let Some(poll) = woken.upgrade() {
            poll.answer(false);
        }
    }));
}

impl Poll {
    /// Answers the request if it has an answer; `is_last`: it must have one. Returns whether the request
    /// is finished.
    fn answer(&self, is_last: bool) -> bool {
        let Some(broker) = self.broker.upgrade() else {
            return true;
        };
        let _turn = self.answering.lock();
        if !self.responder.is_open() {
            return true;
        }
        match (self.again)(&broker, is_last) {
            Some(answer) => {
                self.responder.answer_with(|| answer);
                true
            }
            None => false,
        }
    }

    /// Waits for the next message of a queue.
    fn watch(self: &Arc<Poll>, broker: &Arc<BrokerState>, index: usize) {
        let Some(offset) = self.watching.lock().watches.get(index).map(|(at, _)| *at) else {
            return;
        };
        let (topic, queue_id, _) = &self.waiting.queues[index];
        let woken = Arc::clone(self);
        // The watch may fire within this call; then a watch for a later message exists already.
        let watch = broker
            .store
            .watch(broker.queue(topic, *queue_id), offset, move || {
                woken.arrived(index);
            });
        let mut watching = self.watching.lock();
        let current = watching.watches.get_mut(index);
        let unused = match current.filter(|(looked_at, _)| *looked_at == offset) {
            Some((_, current)) => current.replace(watch),
            None => Some(watch),
        };
        drop(watching);
        drop(unused);
    }

    /// A message arrived in a queue.
    fn arrived(self: &Arc<Poll>, index: usize) {
        let Some(broker) = self.broker.upgrade() else {
            return;
        };
        let Some(from) = self.watching.lock().watches.get(index).map(|(at, _)| *at) else {
            return;
        };
        let (topic, queue_id, _) = &self.waiting.queues[index];
        let queue = broker.queue(topic, *queue_id);
        let (_, end) = broker.store.bounds(queue);
        let (wanted, mut looked_at) = read::any(&broker, queue, from, &self.waiting.filter);
        if wanted {
            if self.answer(false) {
                return;
            }
            // Another poll took the messages.
            looked_at = end.max(from);
        }
        let mut watching = self.watching.lock();
        let Some(watch) = watching.watches.get_mut(index) else {
            return;
        };
        let passed = std::mem::replace(watch, (looked_at, None));
        let first = !wanted && !std::mem::replace(&mut watching.is_timed, true);
        drop(watching);
        drop(passed);
        if first {
            let timed = Arc::clone(self);
            let timer = broker
                .clock
                .after(LOOKED_AT_EACH, move || _ = timed.answer(false));
            self.responder.keep(timer);
        }
        self.watch(&broker, index);
    }
}

impl Drop for EndWatches {
    fn drop(&mut self) {
        // Dropped after the lock is released.
        let _watches = std::mem::take(&mut self.0.watching.lock().watches);
    }
}
