use std::time::Instant;

use super::shared::Shared;
use super::slot::Slot;
use super::{Job, Next, Outcome, catch_bug};
use crate::protocol::Command;

/// Continuations that are to go on, gathered so that each pool is woken once.
#[derive(Default)]
pub(super) struct Ready {
    callbacks: Vec<Box<dyn Job>>,
    retries: Vec<Box<dyn Job>>,
}

impl Ready {
    /// `at` is when the outcome was there: one look at the clock does for all that one read brings.
    pub(super) fn answer(&mut self, slot: Slot, outcome: Outcome, at: Instant) {
        match slot {
            Slot::Thread(claim) => claim.answer(outcome),
            Slot::Task(task) => self.add(|| task.complete(outcome, at)),
        }
    }

    /// The same with an answer of which something may be left.
    pub(super) fn respond(&mut self, slot: Slot, answer: &mut Command, at: Instant) {
        match slot {
            Slot::Thread(claim) => claim.answer(Ok(answer.take())),
            Slot::Task(task) => self.add(|| task.answer(answer, at)),
        }
    }

    /// The others' answers are in the same hands: one continuation that panics must not lose them.
    fn add(&mut self, next: impl FnOnce() -> Next) {
        match catch_bug("a continuation", next) {
            Some(Next::Callback(job)) => self.callbacks.push(job),
            Some(Next::Retry(job)) => self.retries.push(job),
            Some(Next::Done) | None => {}
        }
    }

    pub(super) fn hand_over(&mut self, shared: &Shared) {
        shared.workers.callbacks.submit_all(&mut self.callbacks);
        shared.workers.retries.submit_all(&mut self.retries);
    }
}
