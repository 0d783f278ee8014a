//! One queue of this member, shared by the control thread and the consume threads.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::held::{Handed, Stale, Ticket};
use super::window::Window;
use crate::message::{MessageQueue, MessageView, name};
use crate::protocol::message::Packed;
use crate::sync::{Mutex, MutexGuard};

/// A fetched message.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// As it was received. A consume thread checks and inflates it.
    Packed(Packed),
    /// From an inner batch, which had to be split before its offsets were known.
    Unpacked(MessageView),
}

impl Payload {
    /// Its sharding key, as a number: messages of one key have the same.
    pub(crate) fn sharding_key(&self) -> Option<u64> {
        let key = match self {
            Payload::Packed(packed) => packed.property(name::SHARDING_KEY),
            Payload::Unpacked(message) => message.property(name::SHARDING_KEY),
        };
        let mut hasher = DefaultHasher::new();
        key?.hash(&mut hasher);
        Some(hasher.finish())
    }
}

/// One queue of this member, from the moment it is taken until it is given up.
pub(crate) struct Assigned {
    /// The number of this assignment, which is unique.
    pub(crate) number: u64,
    /// The queue as brokers know it.
    pub(crate) queue: MessageQueue,
    /// The queue as users name it.
    pub(crate) shown: MessageQueue,
    contents: Mutex<Contents>,
    /// The control thread was notified of the latest changes, and has not looked yet.
    is_noted: AtomicBool,
    /// It is in the dispatcher's line of queues that have messages for a handler.
    is_in_line: AtomicBool,
    is_paused: AtomicBool,
    /// It was given up: results change nothing any more.
    is_gone: AtomicBool,
    order: Order,
}

/// In which order messages of a queue are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    None,
    /// One message at a time, in the order of the queue.
    Queue,
    /// The messages of one sharding key one after the other; so many messages at once.
    Keys(usize),
}

/// What is under the lock, which is never held over user code or I/O.
pub(crate) struct Contents {
    pub(crate) window: Window<Payload>,
    /// Bytes that were released, and are not returned to the budget yet.
    pub(crate) freed: u64,
    /// The start offset is known.
    pub(crate) has_place: bool,
    /// No message is handed out from this time on, unless the control thread sets it anew; `None`: no limit.
    pub(crate) ours_until: Option<Instant>,
    /// Messages below this offset may have been handled already, without a commit.
    pub(crate) may_repeat_below: u64,
}

impl Assigned {
    pub(crate) fn new(
        number: u64,
        queue: MessageQueue,
        shown: MessageQueue,
        most: usize,
        order: Order,
    ) -> Assigned {
        let keys = match order {
            Order::Keys(most) => Some(most),
            _ => None,
        };
        Assigned {
            contents: Mutex::new(Contents {
                window: Window::new(number, 0, most, keys),
                freed: 0,
                has_place: false,
                ours_until: None,
                may_repeat_below: 0,
            }),
            number,
            queue,
            shown,
            is_noted: AtomicBool::new(false),
            is_in_line: AtomicBool::new(false),
            is_paused: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            order,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock()
    }

    /// Begins anew at an offset. Messages that were handed out belong to the generation before. Returns the
    /// released bytes.
    pub(crate) fn restart(&self, generation: u64, offset: u64) -> u64 {
        let contents = &mut *self.lock();
        contents.has_place = true;
        contents.window.restart(generation, offset)
    }

    /// The offset of the message that is handed out next; `None` as long as the start offset is not
    /// known.
    pub(crate) fn position(&self) -> Option<u64> {
        let contents = self.lock();
        contents.has_place.then(|| contents.window.position())
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::SeqCst)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::SeqCst)
    }

    /// It is no longer a queue of this member: nothing of it is handed out from now on.
    pub(crate) fn give_away(&self, now: Instant) {
        self.lock().window.close(now);
        self.is_gone.store(true, Ordering::SeqCst);
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.is_paused.store(paused, Ordering::SeqCst);
    }

    /// Takes up to `most` messages for one call of a handler, and returns whether more of them may start
    /// now.
    pub(crate) fn take(&self, most: usize, now: Instant) -> (Vec<Handed<Payload>>, bool) {
        let mut contents = self.lock();
        if self.is_paused() || contents.ours_until.is_some_and(|until| now >= until) {
            return (Vec::new(), false);
        }
        let window = &mut contents.window;
        if self.order == Order::Queue {
            return (window.take_ordered(most, now), false);
        }
        let taken = std::iter::from_fn(|| window.take(now)).take(most);
        let taken: Vec<_> = taken.collect();
        let more = window.ready_at(now).is_some_and(|at| at <= now);
        (taken, more)
    }

    /// When a message is ready for a handler; `None` if there is none to wait for.
    pub(crate) fn ready_at(&self, now: Instant) -> Option<Instant> {
        let window = &self.lock().window;
        match self.order {
            Order::Queue => window.ordered_ready_at(now),
            Order::None | Order::Keys(_) => window.ready_at(now),
        }
    }

    /// When another message is ready for a handler beside those that are now.
    pub(crate) fn due_after(&self, now: Instant) -> Option<Instant> {
        let window = &self.lock().window;
        match self.order {
            Order::Queue => None,
            Order::None | Order::Keys(_) => window.due_after(now),
        }
    }

    /// Whether all is done that a queue which drains still does: no handler runs, no copy is sent, and nothing may
    /// start. It is closed then. One look under one lock: else a thread might take a message between two of them.
    pub(crate) fn has_drained(&self, now: Instant) -> bool {
        let mut contents = self.lock();
        let is_held_up = self.is_paused() || contents.ours_until.is_some_and(|until| now >= until);
        let window = &mut contents.window;
        let is_ready =
            self.order != Order::Queue && window.ready_at(now).is_some_and(|at| at <= now);
        let has_drained = window.is_quiet() && (is_held_up || !is_ready);
        if has_drained {
            window.close(now);
        }
        has_drained
    }

    /// Whether messages of the queue may be handled here at this time.
    pub(crate) fn is_ours(&self, now: Instant) -> bool {
        self.lock().ours_until.is_none_or(|until| now < until)
    }

    /// The message has a final outcome. That does not count if the queue was given up before.
    pub(crate) fn finish(&self, ticket: Ticket) -> Result<(), Stale> {
        let mut contents = self.lock();
        let finished = contents.window.finish(ticket)?;
        contents.freed += finished.freed;
        self.counts()
    }

    /// The handler ended, and the message stays in the window until its outcome is decided.
    pub(crate) fn settle(&self, ticket: &Ticket) -> Result<(), Stale> {
        self.lock().window.settle(ticket)
    }

    /// Another copy of a message that could not be read was fetched: it is handed out again.
    pub(crate) fn renew(
        &self,
        ticket: Ticket,
        payload: Payload,
        not_before: Instant,
    ) -> Result<(), Stale> {
        let mut contents = self.lock();
        let freed = contents.window.renew(ticket, payload, not_before)?;
        contents.freed += freed;
        Ok(())
    }

    /// The message is handed out again here, at `not_before` at the earliest. Nothing is, and that does not count, if
    /// the queue was given up before.
    pub(crate) fn put_back(&self, ticket: Ticket, not_before: Instant) -> Result<(), Stale> {
        let mut contents = self.lock();
        let freed = contents.window.put_back(ticket, not_before)?;
        contents.freed += freed;
        self.counts()
    }

    fn counts(&self) -> Result<(), Stale> {
        match self.is_gone() {
            true => Err(Stale),
            false => Ok(()),
        }
    }

    /// Whether to notify the control thread of a change: not if it was notified, and has not looked yet.
    pub(crate) fn note(&self) -> bool {
        !self.is_noted.swap(true, Ordering::SeqCst)
    }

    /// The control thread looks: later changes need a new notification.
    pub(crate) fn looked_at(&self) {
        self.is_noted.store(false, Ordering::SeqCst);
    }

    /// Enters the line; false if the queue is in it already.
    pub(crate) fn enter_line(&self) -> bool {
        !self.is_in_line.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn leave_line(&self) {
        self.is_in_line.store(false, Ordering::SeqCst);
    }
}
