//! Waiting: until when, for what, and for how long without sleep.

use std::hint;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::Error;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex};

/// Now by the clock on the wall, as messages carry it: never to wait by.
pub(crate) fn epoch_millis() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The one moment until which a call may wait, handed down to every wait of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// `timeout` from `now`; a timeout that no clock can hold means a century.
    pub(crate) fn after(now: Instant, timeout: Duration) -> Deadline {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        Deadline(now.checked_add(timeout.min(CENTURY)).unwrap_or(now))
    }

    pub(crate) fn instant(self) -> Instant {
        self.0
    }

    pub(crate) fn has_passed(self, now: Instant) -> bool {
        now >= self.0
    }

    /// The time left; zero if it has passed.
    pub(crate) fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// An even share of the time left, of this many.
    pub(crate) fn share(self, now: Instant, parts: u32) -> Deadline {
        Deadline::after(now, self.remaining(now) / parts)
    }

    /// The earlier of this and `timeout` from `now`.
    pub(crate) fn capped(self, now: Instant, timeout: Duration) -> Deadline {
        self.min(Deadline::after(now, timeout))
    }
}

/// One result, from the thread that has it to the threads that wait for it. It is shared by an `Arc`.
///
/// The first value stays, any other is dropped. Where it must be kept exactly once, whatever happens, the
/// thread that is to keep it has a [`Claim`].
pub(crate) struct Promise<T> {
    /// Set after the value: a spinning thread reads only this.
    kept: AtomicBool,
    value: Mutex<Option<T>>,
    ready: Condvar,
}

impl<T> Promise<T> {
    pub(crate) fn new() -> Promise<T> {
        Promise {
            kept: AtomicBool::new(false),
            value: Mutex::new(None),
            ready: Condvar::new(),
        }
    }

    /// Gives the result to those that wait, now or later.
    pub(crate) fn keep(&self, value: T) {
        let mut place = self.value.lock();
        if self.kept.load(Ordering::Relaxed) {
            drop(place);
            return;
        }
        *place = Some(value);
        self.kept.store(true, Ordering::Release);
        drop(place);
        self.ready.notify_all();
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }

    /// Spins for at most this long from `start` and while `go_on` returns true: waking a thread
    /// takes longer than many brokers take to answer.
    pub(crate) fn spin(&self, start: Instant, most: Duration, go_on: impl Fn() -> bool) {
        /// Steps between two readings of the clock, which cost more than reading the flag.
        const LOOKS: usize = 16;
        while start.elapsed() < most && go_on() {
            for _ in 0..LOOKS {
                if self.is_kept() {
                    return;
                }
                hint::spin_loop();
            }
        }
    }

    /// Takes the result, for the only thread that waits; `None` if it is not there at the deadline.
    pub(crate) fn take_until(&self, deadline: Deadline) -> Option<T> {
        self.wait(Some(deadline), Option::take)
    }

    /// Takes the result, however long that lasts: only where something must keep the promise.
    pub(crate) fn take(&self) -> T {
        loop {
            if let Some(value) = self.wait(None, Option::take) {
                return value;
            }
        }
    }

    /// A copy of the result, for any number of threads; `None` if it is not there at the deadline.
    pub(crate) fn get_until(&self, deadline: Deadline) -> Option<T>
    where
        T: Clone,
    {
        self.wait(Some(deadline), |value| value.clone())
    }

    /// A copy of the result, if it is there.
    pub(crate) fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        self.value.lock().clone()
    }

    fn wait(
        &self,
        deadline: Option<Deadline>,
        look: impl Fn(&mut Option<T>) -> Option<T>,
    ) -> Option<T> {
        let mut value = self.value.lock();
        loop {
            if value.is_some() {
                return look(&mut value);
            }
            match deadline {
                None => self.ready.wait(&mut value),
                Some(deadline) => {
                    let waited = self.ready.wait_until(&mut value, deadline.instant());
                    if waited.timed_out() {
                        return look(&mut value);
                    }
                }
            }
        }
    }
}

/// The duty to answer a thread, which waits without a deadline once its waiter is taken from the table: so
/// it is answered also if this is lost.
pub(crate) struct Claim<T>(pub(crate) Arc<Promise<Result<T, Error>>>);

impl<T> Claim<T> {
    pub(crate) fn answer(self, outcome: Result<T, Error>) {
        self.0.keep(outcome);
    }
}

impl<T> Drop for Claim<T> {
    fn drop(&mut self) {
        if !self.0.is_kept() {
            self.0.keep(Err(Error::lost()));
        }
    }
}

/// How long a lone caller on a connection spins before it sleeps.
///
/// On one machine, or in one rack, an answer arrives faster than a sleeping thread wakes. The cost
/// is bounded: one caller of a connection spins at a time, for at most [`Spin::MOST`], and not at
/// all if answers usually take longer.
#[derive(Default)]
pub(crate) struct Spin {
    /// A running mean of how long such callers waited, in nanoseconds; 0 before the first one.
    usual: AtomicU64,
}

impl Spin {
    /// Spinning for longer would cost more than being woken.
    const MOST: Duration = Duration::from_micros(100);
    /// If answers usually take longer, no caller spins.
    const WORTH: Duration = Duration::from_micros(80);
    /// The weight of one answer in the mean.
    const WEIGHT: u64 = 8;

    /// For how long to spin; zero is not at all.
    pub(crate) fn time(&self) -> Duration {
        match Duration::from_nanos(self.usual.load(Ordering::Relaxed)) {
            usual if usual > Spin::WORTH => Duration::ZERO,
            Duration::ZERO => Spin::MOST,
            usual => (usual * 2).min(Spin::MOST),
        }
    }

    pub(crate) fn note(&self, waited: Duration) {
        // Longer answers are clamped, so that an outlier does not count for long.
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
    use std::thread;

    use super::*;

    fn deadline(ms: u64) -> Deadline {
        Deadline::after(Instant::now(), Duration::from_millis(ms))
    }

    #[test]
    fn the_first_value_stays_and_all_that_wait_get_it() {
        let promise = Arc::new(Promise::new());
        assert_eq!(promise.get_until(deadline(1)), None);
        assert!(!promise.is_kept());
        thread::scope(|scope| {
            let waiting = [(); 2].map(|()| scope.spawn(|| promise.get_until(deadline(10_000))));
            promise.keep(7);
            promise.keep(8);
            for thread in waiting {
                assert_eq!(thread.join().unwrap(), Some(7));
            }
        });
        assert!(promise.is_kept());
        assert_eq!(promise.take_until(deadline(0)), Some(7), "also when late");
        assert_eq!(promise.take_until(deadline(0)), None, "taken once");
    }

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
