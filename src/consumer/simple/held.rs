//! Which messages are with the program, and how many ended in which way.

use std::collections::BTreeMap;
use std::thread::{self, ThreadId};

use crate::message::{MessageQueue, MessageView};
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
    tally: Tally,
}

/// How many messages were received, and how many of them ended in which way: each in one way. The others are
/// open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) received: u64,
    /// The bytes of their bodies.
    pub(super) bytes: u64,
    pub(super) acked: u64,
    pub(super) given_back: u64,
    pub(super) dead_lettered: u64,
    pub(super) expired: u64,
    pub(super) dropped: u64,
    pub(super) open: u64,
    pub(super) open_bytes: u64,
}

/// How a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Acked,
    GivenBack,
    DeadLettered,
    /// Its invisible time was over.
    Expired,
    Dropped,
}

struct Open {
    thread: ThreadId,
    queue: MessageQueue,
    offset: u64,
    bytes: u64,
}

impl Held {
    /// This thread has received a message. Returns the number under which it is closed.
    pub(super) fn open(&self, message: &MessageView) -> u64 {
        let queue = message.queue().cloned();
        let open = Open {
            thread: thread::current().id(),
            queue: queue.unwrap_or_else(|| MessageQueue::new(message.topic(), "", 0)),
            offset: message.queue_offset().try_into().unwrap_or(0),
            bytes: message.body().len() as u64,
        };
        let mut table = self.table.lock();
        table.last += 1;
        let number = table.last;
        table.tally.received += 1;
        table.tally.bytes += open.bytes;
        table.tally.open += 1;
        table.tally.open_bytes += open.bytes;
        table.open.insert(number, open);
        number
    }

    /// A message is settled or dropped. Only its first end counts.
    pub(super) fn close(&self, number: u64, end: End) {
        let mut table = self.table.lock();
        let Some(open) = table.open.remove(&number) else {
            return;
        };
        let tally = &mut table.tally;
        tally.open -= 1;
        tally.open_bytes -= open.bytes;
        *match end {
            End::Acked => &mut tally.acked,
            End::GivenBack => &mut tally.given_back,
            End::DeadLettered => &mut tally.dead_lettered,
            End::Expired => &mut tally.expired,
            End::Dropped => &mut tally.dropped,
        } += 1;
        self.changed.notify_all();
    }

    pub(super) fn tally(&self) -> Tally {
        self.table.lock().tally
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
    use crate::protocol::message::Record;

    fn queue() -> MessageQueue {
        MessageQueue::new("T", "broker-a", 0)
    }

    /// A message of ten bytes.
    fn message(queue_offset: i64) -> MessageView {
        let record = Record {
            queue_offset,
            ..Record::plain("T", b"ten bytes.")
        };
        let message = record.view(1000).expect("a message");
        message.of_queue(&queue())
    }

    #[test]
    fn a_thread_waits_for_all_others_and_not_for_itself() {
        let held = Arc::new(Held::default());
        let soon = |ms| Deadline::after(Instant::now(), Duration::from_millis(ms));
        let mine = held.open(&message(7));
        held.wait_for_others(soon(60_000));
        let others = held.clone();
        let opened = thread::spawn(move || others.open(&message(3)));
        let opened = opened.join().expect("it ends");
        let start = Instant::now();
        held.wait_for_others(soon(10));
        assert!(start.elapsed() >= Duration::from_millis(10));
        assert_eq!(held.left(), [(queue(), 3), (queue(), 7)]);
        let last = held.clone();
        let closing = thread::spawn(move || last.close(opened, End::Dropped));
        held.wait_for_others(soon(60_000));
        closing.join().expect("it ends");
        held.close(mine, End::Acked);
        assert_eq!(held.left(), []);
    }

    #[test]
    fn each_message_counts_once_by_its_first_end() {
        use End::{Acked, DeadLettered, Dropped, Expired, GivenBack};
        let held = Held::default();
        let numbers: Vec<u64> = (0..7).map(|offset| held.open(&message(offset))).collect();
        for (number, ends) in numbers.into_iter().zip([
            // Most are dropped after that.
            &[Acked, Dropped][..],
            &[Acked, Acked],
            &[GivenBack, Expired, Dropped],
            &[DeadLettered, Acked],
            &[Expired, Expired],
            &[Dropped],
            &[],
        ]) {
            ends.iter().for_each(|end| held.close(number, *end));
        }
        let expected = Tally {
            received: 7,
            bytes: 70,
            acked: 2,
            given_back: 1,
            dead_lettered: 1,
            expired: 1,
            dropped: 1,
            open: 1,
            open_bytes: 10,
        };
        assert_eq!(held.tally(), expected);
    }
}
