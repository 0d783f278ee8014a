//! A source at one moment, for people.

use std::time::Instant;

use crate::consumer::observe::{Doing, QueueState};
use crate::error::Error;
use crate::message::MessageQueue;

/// A source at one moment.
#[derive(Debug, Clone, Default)]
pub(in crate::consumer) struct Look {
    /// When an answer about messages last came.
    pub(super) answered: Option<Instant>,
    /// Why the latest request failed, if it did.
    pub(super) error: Option<Error>,
    /// Since when requests fail, while it waits before the next one.
    pub(super) backing_off: Option<Instant>,
}

impl Look {
    /// As users see it, under their name of it. `doing`: what it does unless it backs off, and since when.
    /// `waiting`: messages that wait for a handler; `running`: those that user code has.
    pub(in crate::consumer) fn state(
        self,
        queue: MessageQueue,
        doing: (Doing, Instant),
        waiting: usize,
        running: usize,
        now: Instant,
    ) -> QueueState {
        let (doing, since) = match (self.backing_off, doing) {
            (Some(since), (Doing::Fetching | Doing::Idle, _)) => (Doing::BackingOff, since),
            (_, doing) => doing,
        };
        let ago = |at: Instant| now.saturating_duration_since(at);
        QueueState {
            queue,
            doing,
            since: ago(since),
            is_popped: true,
            low_water: 0,
            next: 0,
            committed: None,
            end: None,
            held: waiting + running,
            running,
            last_fetch: self.answered.map(ago),
            last_error: self.error.map(|error| error.to_string()),
        }
    }
}
