use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Attempt, Attempts, Error};
use crate::message::SendReceipt;

/// The attempts that did not end a send well. Most sends have none, and then no history.
#[derive(Default)]
pub(super) struct History {
    failed: Attempts,
    /// When the first of them began.
    begun: Option<Instant>,
    /// Consecutive latest attempts that reached no broker (address in back-off).
    unasked: u32,
    /// Why the current one waits until its address may be asked.
    held_back: Option<Error>,
    /// The broker of the last one, which a retry avoids.
    last_broker: Option<Arc<str>>,
    /// A receipt that says "stored, but not flushed or replicated", and the same as an error; one of
    /// both is returned if nothing better comes.
    doubtful: Option<(SendReceipt, Error)>,
}

impl History {
    /// Adds a failed attempt that began at this time.
    pub(super) fn note(&mut self, attempt: Attempt, begun: Instant) {
        self.begun.get_or_insert(begun);
        self.last_broker = Some(attempt.broker.clone());
        self.unasked = match attempt.error.retry_after() {
            Some(_) => self.unasked.saturating_add(1),
            None => 0,
        };
        self.failed.push(attempt);
    }

    /// Keeps the receipt of an attempt whose message was stored, but not flushed or replicated.
    pub(super) fn doubt(&mut self, receipt: SendReceipt, error: Error) {
        self.doubtful = Some((receipt, error));
    }

    /// The current attempt, which began at this time, waits until its address is out of back-off.
    pub(super) fn hold_back(&mut self, error: Error, begun: Instant) {
        self.begun.get_or_insert(begun);
        self.held_back = Some(error);
    }

    /// Another attempt begins.
    pub(super) fn go_on(&mut self) {
        self.held_back = None;
    }

    pub(super) fn was_held_back(&self) -> bool {
        self.held_back.is_some()
    }

    /// Consecutive latest attempts that reached no broker, without the current one.
    pub(super) fn unasked(&self) -> u32 {
        self.unasked
    }

    /// The broker that a retry avoids.
    pub(super) fn last_broker(&self) -> Option<&str> {
        self.last_broker.as_deref()
    }

    /// The error of the last attempt that has ended.
    pub(super) fn last_error(&self) -> Option<Error> {
        let last = self.failed.listed().last();
        last.map(|attempt| attempt.error.clone())
    }

    /// Why the current attempt waits, if it does.
    pub(super) fn take_held_back(&mut self) -> Option<Error> {
        self.held_back.take()
    }

    /// A receipt that is better than a failure, and the same as an error.
    pub(super) fn take_doubtful(&mut self) -> Option<(SendReceipt, Error)> {
        self.doubtful.take()
    }

    /// An error, as the end of all these attempts: it says whether any of them may have stored the
    /// message.
    pub(super) fn end(&self, error: Error) -> Error {
        let took = self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        let error = error.with_fate(self.failed.worst());
        error.with_attempts(self.failed.clone(), took)
    }
}
