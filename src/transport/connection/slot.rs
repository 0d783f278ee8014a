use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::protocol::Command;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::transport::{Job, Pool, Promise, catch_bug};

/// What became of a request: its response, or why there is none.
pub(crate) type Outcome = Result<Command, Error>;

/// A request's waiter.
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

/// The duty to answer a thread, which waits without a deadline once its waiter is taken from the
/// table: so it is answered also if this is lost.
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

/// Continuations that go on elsewhere, gathered so that each pool is woken once.
#[derive(Default)]
pub(crate) struct Ready {
    callbacks: Vec<Box<dyn Job>>,
    retries: Vec<Box<dyn Job>>,
}

impl Ready {
    /// `at` is when the outcome was there: one look at the clock does for all that one read brings.
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

/// How long a caller that waits alone on a connection spins before it sleeps.
///
/// Between two threads on a machine, or in one rack, an answer comes sooner than a sleeping thread
/// is woken. What this costs is bounded: it is done by one caller of a connection at a time, for at
/// most [`Spin::MOST`], and not at all where answers usually take longer.
#[derive(Default)]
pub(super) struct Spin {
    /// A running mean of how long such callers waited, in nanoseconds; 0 before the first one.
    usual: AtomicU64,
}

impl Spin {
    /// Spinning for longer would cost more than being woken.
    const MOST: Duration = Duration::from_micros(100);
    /// For an answer that usually takes longer nobody spins.
    const WORTH: Duration = Duration::from_micros(80);
    /// One answer counts for so much of the mean.
    const WEIGHT: u64 = 8;

    /// For how long to spin; zero is not at all.
    pub(super) fn time(&self) -> Duration {
        match Duration::from_nanos(self.usual.load(Ordering::Relaxed)) {
            usual if usual > Spin::WORTH => Duration::ZERO,
            Duration::ZERO => Spin::MOST,
            usual => (usual * 2).min(Spin::MOST),
        }
    }

    pub(super) fn note(&self, waited: Duration) {
        // What was far longer says no more than that, or one outlier would count for long.
        let waited = waited.min(Spin::WORTH * 4).as_nanos() as u64;
        let usual = match self.usual.load(Ordering::Relaxed) {
            0 => waited,
            usual => usual - usual / Spin::WEIGHT + waited / Spin::WEIGHT,
        };
        // A lost update of another caller does not matter.
        self.usual.store(usual.max(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_answers_are_slept_for_and_fast_ones_spun_for_again() {
        let spin = Spin::default();
        let micros = Duration::from_micros;
        assert_eq!(spin.time(), Spin::MOST);
        spin.note(micros(20));
        assert_eq!(spin.time(), micros(40));
        spin.note(Duration::from_secs(3));
        assert!(spin.time() > micros(40), "one outlier counts for little");
        (0..40).for_each(|_| spin.note(micros(500)));
        assert_eq!(spin.time(), Duration::ZERO);
        (0..40).for_each(|_| spin.note(micros(10)));
        assert!(spin.time() > Duration::ZERO);
        assert!(spin.time() < micros(30));
    }
}
