use std::time::Instant;

use crate::error::Error;
use crate::protocol::Command;
use crate::transport::{Claim, Job, Pool, Promise, catch_bug};

/// The outcome of a request: its response, or the error.
pub(crate) type Outcome = Result<Command, Error>;

/// A thread's place to wait.
pub(crate) type Waiter = Promise<Outcome>;

/// A request's waiter.
pub(crate) enum Slot {
    /// A thread.
    Thread(Claim<Command>),
    /// Something that goes on when the answer is there.
    Task(Box<dyn Completion>),
}

impl Slot {
    pub(crate) fn is_thread(&self) -> bool {
        matches!(self, Slot::Thread(_))
    }
}

/// An asynchronous request's continuation.
///
/// `complete` runs on a reader or timer thread: it decides and hands on, and never runs user code. `at`
/// is when the outcome was there.
pub(crate) trait Completion: Send {
    fn complete(self: Box<Self>, outcome: Outcome, at: Instant) -> Next;

    /// The same with an answer that may be left where it is, for its memory to be used again.
    fn answer(self: Box<Self>, answer: &mut Command, at: Instant) -> Next {
        self.complete(Ok(answer.take()), at)
    }
}

/// The place where a continuation runs.
pub(crate) enum Next {
    /// User code: on the callback workers.
    Callback(Box<dyn Job>),
    /// Another attempt: on the retry workers.
    Retry(Box<dyn Job>),
    /// Nowhere.
    Done,
}

impl<F: FnOnce(Outcome) -> Next + Send> Completion for F {
    fn complete(self: Box<Self>, outcome: Outcome, _: Instant) -> Next {
        self(outcome)
    }
}

/// Continuations that go on elsewhere, gathered so that each pool is woken once.
#[derive(Default)]
pub(crate) struct Ready {
    callbacks: Vec<Box<dyn Job>>,
    retries: Vec<Box<dyn Job>>,
}

impl Ready {
    /// `at` is the time of the outcome: one reading of the clock serves all answers of one read.
    pub(crate) fn answer(&mut self, slot: Slot, outcome: Outcome, at: Instant) {
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

    pub(crate) fn hand_over(&mut self, callbacks: &Pool, retries: &Pool) {
        if !self.callbacks.is_empty() {
            callbacks.submit_all(&mut self.callbacks);
        }
        if !self.retries.is_empty() {
            retries.submit_all(&mut self.retries);
        }
    }
}
