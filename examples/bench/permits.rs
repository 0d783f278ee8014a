//! A counting semaphore that touches its lock only when it is exhausted.

use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Longer than any send may take: a longer wait is a bug.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Permits {
    /// Free permits; below zero, how many threads wait for one.
    free: AtomicIsize,
    /// Returned permits.
    handed_over: Mutex<usize>,
    given: Condvar,
}

impl Permits {
    pub fn new(count: usize) -> Permits {
        Permits {
            free: AtomicIsize::new(isize::try_from(count).unwrap_or(isize::MAX)),
            handed_over: Mutex::new(0),
            given: Condvar::new(),
        }
    }

    /// Takes a permit, or waits for one. Returns whether it got one.
    pub fn take(&self) -> bool {
        if self.free.fetch_sub(1, Ordering::Acquire) > 0 {
            return true;
        }
        let handed_over = self.handed_over.lock().unwrap();
        let waiting = self
            .given
            .wait_timeout_while(handed_over, PATIENCE, |permits| *permits == 0);
        let (mut handed_over, result) = waiting.unwrap();
        if !result.timed_out() {
            *handed_over -= 1;
        }
        !result.timed_out()
    }

    pub fn give_back(&self) {
        if self.free.fetch_add(1, Ordering::Release) < 0 {
            *self.handed_over.lock().unwrap() += 1;
            self.given.notify_one();
        }
    }
}
