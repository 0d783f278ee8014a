use std::cell::Cell;
use std::hint;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Deadline, Job};
use crate::error::Error;
use crate::protocol::Command;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex};

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
        self.0.answer(outcome);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.0.answered.load(Ordering::Acquire) {
            self.0.answer(Err(Error::lost()));
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
pub(crate) struct Waiter {
    answered: AtomicBool,
    outcome: Mutex<Option<Outcome>>,
    wake: Condvar,
}

impl Waiter {
    pub(crate) fn new() -> Waiter {
        Waiter {
            answered: AtomicBool::new(false),
            outcome: Mutex::new(None),
            wake: Condvar::new(),
        }
    }

    /// One that this thread has used before, if nobody else has it any more, or a new one.
    pub(crate) fn take() -> Arc<Waiter> {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        spare.unwrap_or_else(|| Arc::new(Waiter::new()))
    }

    /// For the next [`Waiter::take`], after the wait.
    pub(crate) fn give_back(mut self: Arc<Waiter>) {
        if let Some(waiter) = Arc::get_mut(&mut self) {
            *waiter = Waiter::new();
            // At the end of the thread there is no next one.
            let _ = SPARE.try_with(|spare| spare.set(Some(self)));
        }
    }

    pub(crate) fn answer(&self, outcome: Outcome) {
        *self.outcome.lock() = Some(outcome);
        self.answered.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Looks for the outcome without sleeping, for so long from `start` at most. Waking a thread takes longer than many
    /// a broker takes to answer.
    pub(crate) fn look_out(&self, start: Instant, most: Duration, go_on: impl Fn() -> bool) {
        /// Between two looks at the clock, which cost more than a look at the flag.
        const LOOKS: usize = 16;
        while start.elapsed() < most && go_on() {
            for _ in 0..LOOKS {
                if self.answered.load(Ordering::Acquire) {
                    return;
                }
                hint::spin_loop();
            }
        }
    }

    /// The outcome, or `None` if it is not there at the deadline.
    pub(crate) fn wait_until(&self, deadline: Deadline) -> Option<Outcome> {
        let mut outcome = self.outcome.lock();
        while outcome.is_none() {
            if self
                .wake
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
                None => self.wake.wait(&mut outcome),
            }
        }
    }
}
