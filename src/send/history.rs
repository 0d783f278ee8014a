use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Attempt, Attempts, Delivery, Error};
use crate::message::SendReceipt;

/// The attempts that did not end a send. Most sends have none, and then it takes no memory.
#[derive(Default)]
pub(super) struct History(Option<Box<Past>>);

#[derive(Default)]
struct Past {
    failed: Attempts,
    /// When the first of them began.
    begun: Option<Instant>,
    /// How many of the latest in a row reached no broker, since its address was in back-off.
    unasked: u32,
    /// Why the current one waits until its address may be asked.
    held_back: Option<Error>,
    /// The broker of the last one, which a retry avoids.
    last_broker: Option<Arc<str>>,
    /// A receipt that says "stored, but not flushed or replicated"; returned if nothing better comes.
    doubtful: Option<Box<SendReceipt>>,
}

impl History {
    /// Adds a failed attempt that began at this time.
    pub(super) fn note(&mut self, attempt: Attempt, begun: Instant) {
        let past = self.0.get_or_insert_default();
        past.begun.get_or_insert(begun);
        past.last_broker = Some(attempt.broker.clone());
        past.unasked = match attempt.error.retry_after() {
            Some(_) => past.unasked.saturating_add(1),
            None => 0,
        };
        past.failed.push(attempt);
    }

    /// Adds an attempt whose message was stored, but not as well as it could be.
    pub(super) fn doubt(&mut self, receipt: SendReceipt) {
        let past = self.0.get_or_insert_default();
        past.last_broker = Some(receipt.queue.shared_broker().clone());
        past.doubtful = Some(Box::new(receipt));
    }

    /// The current attempt, which began at this time, waits until its address is out of back-off.
    pub(super) fn hold_back(&mut self, error: Error, begun: Instant) {
        let past = self.0.get_or_insert_default();
        past.begun.get_or_insert(begun);
        past.held_back = Some(error);
    }

    /// Another attempt begins.
    pub(super) fn go_on(&mut self) {
        if let Some(past) = &mut self.0 {
            past.held_back = None;
        }
    }

    pub(super) fn was_held_back(&self) -> bool {
        self.0.as_ref().is_some_and(|past| past.held_back.is_some())
    }

    /// How many of the latest attempts in a row reached no broker, the current one not counted.
    pub(super) fn unasked(&self) -> u32 {
        self.0.as_ref().map_or(0, |past| past.unasked)
    }

    /// The broker that a retry avoids.
    pub(super) fn last_broker(&self) -> Option<&str> {
        self.0.as_ref()?.last_broker.as_deref()
    }

    /// Why the send failed: the last attempt's error, or why that attempt was held back.
    pub(super) fn last_error(&mut self) -> Option<Error> {
        let past = self.0.as_mut()?;
        let held_back = past.held_back.take();
        let last = past.failed.listed().last();
        last.map(|attempt| attempt.error.clone()).or(held_back)
    }

    /// A receipt that is better than a failure.
    pub(super) fn take_doubtful(&mut self) -> Option<SendReceipt> {
        self.0.as_mut()?.doubtful.take().map(|receipt| *receipt)
    }

    /// An error, as the end of all these attempts.
    pub(super) fn explain(&self, error: Error) -> Error {
        let Some(past) = &self.0 else {
            return error.with_attempts(Attempts::default(), Duration::ZERO);
        };
        let took = past.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        error.with_attempts(past.failed.clone(), took)
    }

    /// The same; the error then says whether any of them may have stored the message.
    pub(super) fn end(&mut self, error: Error) -> Error {
        let past = self.0.as_ref();
        let worst = past.map_or(Delivery::NotSent, |past| past.failed.worst());
        let error = self.explain(error.delivered(worst));
        self.0 = None;
        error
    }
}
