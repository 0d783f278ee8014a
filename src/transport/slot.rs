use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::{Deadline, Job};
use crate::error::Error;
use crate::protocol::Command;

/// What became of a request: its response, or why there is none.
pub(crate) type Outcome = Result<Command, Error>;

/// Who waits for an answer.
pub(crate) enum Slot {
    /// A thread.
    Thread(Arc<Waiter>),
    /// Something that goes on when the answer is there.
    Task(Box<dyn Completion>),
}

/// An asynchronous request's continuation.
///
/// `complete` runs on a reader or timer thread: it decides and hands on, and never runs user code.
pub(crate) trait Completion: Send {
    fn complete(self: Box<Self>, outcome: Outcome) -> Next;
}

/// Where a continuation goes on.
pub(crate) enum Next {
    /// User code: on the callback workers.
    Callback(Box<dyn Job>),
    /// Another attempt: on the retry workers.
    Retry(Box<dyn Job>),
    /// Nowhere.
    Done,
}

impl<F: FnOnce(Outcome) -> Next + Send> Completion for F {
    fn complete(self: Box<Self>, outcome: Outcome) -> Next {
        self(outcome)
    }
}

/// A thread's place to wait.
pub(crate) struct Waiter {
    outcome: Mutex<Option<Outcome>>,
    answered: Condvar,
}

impl Waiter {
    pub(crate) fn new() -> Waiter {
        Waiter {
            outcome: Mutex::new(None),
            answered: Condvar::new(),
        }
    }

    pub(crate) fn answer(&self, outcome: Outcome) {
        *self.outcome.lock() = Some(outcome);
        self.answered.notify_one();
    }

    /// The outcome, or `None` if it is not there at the deadline.
    pub(crate) fn wait_until(&self, deadline: Deadline) -> Option<Outcome> {
        let mut outcome = self.outcome.lock();
        while outcome.is_none() {
            if self
                .answered
                .wait_until(&mut outcome, deadline.instant())
                .timed_out()
            {
                break;
            }
        }
        outcome.take()
    }

    /// The outcome, however long it takes: only for waiters that somebody has already claimed.
    pub(crate) fn wait(&self) -> Outcome {
        let mut outcome = self.outcome.lock();
        loop {
            match outcome.take() {
                Some(outcome) => return outcome,
                None => self.answered.wait(&mut outcome),
            }
        }
    }
}
