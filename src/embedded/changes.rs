//! Wakes tests that wait for a change on the servers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Counts changes while a test waits; otherwise a change costs one read.
#[derive(Default)]
pub(super) struct Changes {
    waiting: AtomicUsize,
    count: Mutex<u64>,
    changed: Condvar,
}

impl Changes {
    /// Notes a change that is visible already.
    pub(super) fn note(&self) {
        // A waiter counts itself before it checks: so it either sees the change or is woken.
        if self.waiting.load(Ordering::SeqCst) > 0 {
            *self.count.lock() += 1;
            self.changed.notify_all();
        }
    }

    /// Waits until the condition holds; `false` at the timeout. It is checked after each change.
    pub(super) fn wait(&self, timeout: Duration, mut holds: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let held = loop {
            let seen = *self.count.lock();
            if holds() {
                break true;
            }
            let mut count = self.count.lock();
            let timed_out =
                *count == seen && self.changed.wait_until(&mut count, deadline).timed_out();
            drop(count);
            if timed_out {
                break holds();
            }
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        held
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    #[test]
    fn a_change_wakes_who_waits_for_it() {
        let changes = Arc::new(Changes::default());
        let done = Arc::new(AtomicBool::new(false));
        changes.note();
        assert!(!changes.wait(Duration::ZERO, || done.load(Ordering::SeqCst)));
        let other = {
            let (changes, done) = (Arc::clone(&changes), Arc::clone(&done));
            thread::spawn(move || {
                while changes.waiting.load(Ordering::SeqCst) == 0 {
                    thread::yield_now();
                }
                changes.note();
                done.store(true, Ordering::SeqCst);
                changes.note();
            })
        };
        assert!(changes.wait(Duration::from_secs(20), || done.load(Ordering::SeqCst)));
        other.join().unwrap();
        assert_eq!(changes.waiting.load(Ordering::SeqCst), 0);
    }
}
