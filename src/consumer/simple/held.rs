//! Which messages are with the program.

use std::collections::BTreeMap;
use std::thread::{self, ThreadId};

use crate::message::MessageQueue;
use crate::sync::{Condvar, Mutex};
use crate::transport::Deadline;

/// The messages that were received, and are neither settled nor dropped.
///
/// A shutdown waits for the messages of other threads. It cannot wait for those of its own thread.
#[derive(Default)]
pub(super) struct Held {
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    last: u64,
    open: BTreeMap<u64, Open>,
}

struct Open {
    thread: ThreadId,
    queue: MessageQueue,
    offset: u64,
}

impl Held {
    /// This thread has received a message. Returns the number under which it is closed.
    pub(super) fn open(&self, queue: MessageQueue, offset: u64) -> u64 {
        let mut table = self.table.lock();
        table.last += 1;
        let number = table.last;
        let open = Open {
            thread: thread::current().id(),
            queue,
            offset,
        };
        table.open.insert(number, open);
        number
    }

    /// A message is settled or dropped.
    pub(super) fn close(&self, number: u64) {
        let mut table = self.table.lock();
        if table.open.remove(&number).is_some() {
            self.changed.notify_all();
        }
    }

    /// Waits until no other thread has one.
    pub(super) fn wait_for_others(&self, deadline: Deadline) {
        let me = thread::current().id();
        let mut table = self.table.lock();
        while table.open.values().any(|open| open.thread != me) {
            let waited = self.changed.wait_until(&mut table, deadline.instant());
            if waited.timed_out() {
                return;
            }
        }
    }

    /// Those that are open, each with its queue and offset.
    pub(super) fn left(&self) -> Vec<(MessageQueue, u64)> {
        let table = self.table.lock();
        let open = table.open.values();
        let mut left: Vec<_> = open.map(|open| (open.queue.clone(), open.offset)).collect();
        left.sort();
        left
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_thread_waits_for_all_others_and_not_for_itself() {
        let held = Arc::new(Held::default());
        let queue = MessageQueue::new("T", "broker-a", 0);
        let soon = |ms| Deadline::after(Instant::now(), Duration::from_millis(ms));
        let mine = held.open(queue.clone(), 7);
        held.wait_for_others(soon(60_000));
        let others = held.clone();
        let other = queue.clone();
        let opened = thread::spawn(move || others.open(other, 3));
        let opened = opened.join().expect("it ends");
        let start = Instant::now();
        held.wait_for_others(soon(10));
        assert!(start.elapsed() >= Duration::from_millis(10));
        assert_eq!(held.left(), [(queue.clone(), 3), (queue.clone(), 7)]);
        let last = held.clone();
        let closing = thread::spawn(move || last.close(opened));
        held.wait_for_others(soon(60_000));
        closing.join().expect("it ends");
        held.close(mine);
        assert_eq!(held.left(), []);
    }
}
