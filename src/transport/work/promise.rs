use std::hint;
use std::time::{Duration, Instant};

use super::Deadline;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex};

/// One result, from the thread that has it to the threads that wait for it. It is shared by an `Arc`.
///
/// The first value stays, any other is dropped. Whoever must keep the promise exactly once, whatever
/// happens to it, wraps it in a type whose `Drop` keeps it (as `Claim` does for answers).
pub(crate) struct Promise<T> {
    /// Set after the value: a thread that spins looks at nothing else.
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

    /// Waits without sleep, for at most so long from `start` and while `go_on` says so: waking a
    /// thread takes longer than many a broker takes to answer.
    pub(crate) fn spin(&self, start: Instant, most: Duration, go_on: impl Fn() -> bool) {
        /// Between two looks at the clock, which cost more than a look at the flag.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
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
}
