//! Which threads have unmarked messages.

use std::collections::HashMap;
use std::thread::{self, ThreadId};

use crate::sync::{Condvar, Mutex};
use crate::transport::Deadline;

/// The messages that were polled, and are neither marked nor dropped, by the thread that polled them.
///
/// A shutdown waits for the messages of other threads. It cannot wait for those of its own thread.
#[derive(Default)]
pub(super) struct Open {
    by_thread: Mutex<HashMap<ThreadId, usize>>,
    changed: Condvar,
}

impl Open {
    /// This thread polled `count` messages. Returns the argument for [`close`](Open::close).
    pub(super) fn add(&self, count: usize) -> ThreadId {
        let me = thread::current().id();
        *self.by_thread.lock().entry(me).or_default() += count;
        me
    }

    /// A message of this thread was marked or dropped.
    pub(super) fn close(&self, thread: ThreadId) {
        let mut threads = self.by_thread.lock();
        if let Some(count) = threads.get_mut(&thread) {
            *count -= 1;
            if *count == 0 {
                threads.remove(&thread);
                self.changed.notify_all();
            }
        }
    }

    /// Waits until no other thread has an open message.
    pub(super) fn wait_for_others(&self, deadline: Deadline) {
        let me = thread::current().id();
        let mut threads = self.by_thread.lock();
        while threads.keys().any(|thread| *thread != me) {
            let waited = self.changed.wait_until(&mut threads, deadline.instant());
            if waited.timed_out() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_thread_waits_for_all_others_and_not_for_itself() {
        let open = Arc::new(Open::default());
        let soon = |ms| Deadline::after(Instant::now(), Duration::from_millis(ms));
        open.add(3);
        open.wait_for_others(soon(60_000));
        let others = open.clone();
        let other = thread::spawn(move || others.add(2))
            .join()
            .expect("it ends");
        let start = Instant::now();
        open.wait_for_others(soon(10));
        assert!(start.elapsed() >= Duration::from_millis(10));
        open.close(other);
        let last = open.clone();
        let closing = thread::spawn(move || last.close(other));
        open.wait_for_others(soon(60_000));
        closing.join().expect("it ends");
    }
}
