use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use super::{Job, Promise};
use crate::error::Error;
use crate::protocol::Command;

/// What became of a request: its response, or why there is none.
pub(crate) type Outcome = Result<Command, Error>;

/// Who waits for an answer.
pub(crate) enum Slot {
    /// A thread.
    Thread(Claim),
    /// Something that goes on when the answer is there.
    Task(Box<dyn Completion>),
}

impl Slot {
    pub(crate) fn is_thread(&self) -> bool {
        matches!(self, Slot::Thread(_))
    }
}

/// A thread's claim to an answer. It waits without a bound once its waiter is taken from the table: so
/// whatever happens to who took it, it is answered.
pub(crate) struct Claim(Arc<Waiter>);

impl Claim {
    pub(crate) fn new(waiter: Arc<Waiter>) -> Claim {
        Claim(waiter)
    }

    pub(crate) fn answer(self, outcome: Outcome) {
        self.0.keep(outcome);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.0.is_kept() {
            self.0.keep(Err(Error::lost()));
        }
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
    fn complete(self: Box<Self>, outcome: Outcome, _: Instant) -> Next {
        self(outcome)
    }
}

thread_local! {
    static SPARE: Cell<Option<Arc<Waiter>>> = const { Cell::new(None) };
}

/// A thread's place to wait.
pub(crate) type Waiter = Promise<Outcome>;

/// One that this thread has used before, if nobody else has it any more, or a new one.
pub(super) fn take_waiter() -> Arc<Waiter> {
    let spare = SPARE.try_with(Cell::take).ok().flatten();
    spare.unwrap_or_else(|| Arc::new(Waiter::new()))
}

/// For the next [`take_waiter`], after the wait.
pub(super) fn give_back(mut waiter: Arc<Waiter>) {
    if let Some(own) = Arc::get_mut(&mut waiter) {
        *own = Waiter::new();
        // At the end of the thread there is no next one.
        let _ = SPARE.try_with(|spare| spare.set(Some(waiter)));
    }
}
