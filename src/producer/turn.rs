//! What waits for a retry worker. They may all be busy (looking for a route, in a hook) until after the
//! deadline of what waits, and then the timer ends it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::sync::Mutex;
use crate::transport::{Deadline, Timer};

/// How long the timer remembers what is over.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Something that waits, and can be ended instead.
pub(super) trait Waits: Send + 'static {
    /// Its time is up, on the timer's thread.
    fn end_late(self);
}

/// Where it waits: the worker or the timer takes it, whoever comes first.
pub(super) struct Turn<T>(Arc<Mutex<Option<T>>>);

impl<T: Waits> Turn<T> {
    pub(super) fn new() -> Turn<T> {
        Turn(Arc::default())
    }

    pub(super) fn put(&self, waiting: T) {
        *self.0.lock() = Some(waiting);
    }

    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().take()
    }

    /// Has the timer end what waits here at the deadline.
    pub(super) fn watch(&self, timer: &Timer, deadline: Deadline) {
        look_for_late(timer, Arc::downgrade(&self.0), deadline);
    }
}

/// By the deadline it may be over for long: so the timer comes by before, and forgets it.
fn look_for_late<T: Waits>(timer: &Timer, waiting: Weak<Mutex<Option<T>>>, deadline: Deadline) {
    let at = deadline.capped(Instant::now(), LOOK_EVERY).instant();
    let again = timer.clone();
    timer.schedule(at, move |now| {
        let Some(turn) = waiting.upgrade() else {
            return;
        };
        if !deadline.has_passed(now) {
            return look_for_late(&again, waiting, deadline);
        }
        let taken = turn.lock().take();
        if let Some(late) = taken {
            late.end_late();
        }
    });
}
