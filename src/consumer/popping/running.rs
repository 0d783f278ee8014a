//! The popped messages with handlers, and when each is renewed. Pure: time is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::consumer::pop::Delivery;
use crate::message::{MessageQueue, MessageView};

/// The pause before a failed renewal is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The messages with handlers, by numbers of their own.
#[derive(Default)]
pub(super) struct Running {
    last: u64,
    messages: BTreeMap<u64, Open>,
}

/// One message with a handler.
struct Open {
    delivery: Arc<Delivery>,
    queue: MessageQueue,
    offset: u64,
    bytes: u64,
    since: Instant,
    /// When its time is renewed; `None`: it is left to expire.
    renew_at: Option<Instant>,
    is_renewing: bool,
    is_stuck: bool,
}

/// A consumed message, and where it is.
#[derive(Clone)]
pub(super) struct Consumed {
    pub(super) delivery: Arc<Delivery>,
    pub(super) queue: MessageQueue,
    pub(super) offset: u64,
}

/// A handler that has had a message for too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stuck {
    pub(super) number: u64,
    pub(super) queue: MessageQueue,
    pub(super) offset: u64,
    pub(super) since: Duration,
}

impl Running {
    /// A handler gets a message. Returns its number.
    pub(super) fn begin(&mut self, delivery: Delivery, message: &MessageView, now: Instant) -> u64 {
        self.last += 1;
        let queue = message.queue().cloned();
        let open = Open {
            renew_at: Some(delivery.renew_at()),
            delivery: Arc::new(delivery),
            queue: queue.unwrap_or_else(|| MessageQueue::new(message.topic(), "", 0)),
            offset: message.queue_offset().try_into().unwrap_or(0),
            bytes: message.body().len() as u64,
            since: now,
            is_renewing: false,
            is_stuck: false,
        };
        self.messages.insert(self.last, open);
        self.last
    }

    /// The message is settled. Returns it and its size.
    pub(super) fn end(&mut self, number: u64) -> Option<(Consumed, u64)> {
        let open = self.messages.remove(&number)?;
        let consumed = Consumed {
            delivery: open.delivery,
            queue: open.queue,
            offset: open.offset,
        };
        Some((consumed, open.bytes))
    }

    pub(super) fn delivery(&self, number: u64) -> Option<Arc<Delivery>> {
        let open = self.messages.get(&number)?;
        Some(open.delivery.clone())
    }

    /// When the next message is to be renewed.
    pub(super) fn renew_at(&self) -> Option<Instant> {
        self.messages
            .values()
            .filter_map(|open| open.renew_at)
            .min()
    }

    /// The messages to renew now. Each is being renewed until [`renewed`](Running::renewed).
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(u64, Arc<Delivery>)> {
        let due = self.messages.iter_mut().filter_map(|(number, open)| {
            open.renew_at.filter(|at| *at <= now)?;
            (open.renew_at, open.is_renewing) = (Some(now + AGAIN), true);
            Some((*number, open.delivery.clone()))
        });
        due.collect()
    }

    /// A renewal has ended. One that failed is tried again after a pause.
    pub(super) fn renewed(&mut self, number: u64, is_confirmed: bool) {
        if let Some(open) = self.messages.get_mut(&number) {
            open.is_renewing = false;
            if is_confirmed && open.renew_at.is_some() {
                open.renew_at = Some(open.delivery.renew_at());
            }
        }
    }

    /// The thread that renews has ended its turn without results. It tries again.
    pub(super) fn no_renewals(&mut self) {
        for open in self.messages.values_mut() {
            open.is_renewing = false;
        }
    }

    pub(super) fn is_renewing(&self, number: u64) -> bool {
        let open = self.messages.get(&number);
        open.is_some_and(|open| open.is_renewing)
    }

    /// A message is not renewed any more: it comes again.
    pub(super) fn leave(&mut self, number: u64) {
        if let Some(open) = self.messages.get_mut(&number) {
            open.renew_at = None;
        }
    }

    /// A message is taken from its handler: it comes again, and the handler's result does not count.
    pub(super) fn revoke(&mut self, number: u64) {
        if let Some(open) = self.messages.get(&number) {
            open.delivery.give_back();
        }
        self.leave(number);
    }

    /// The messages that a handler has had for `most`; each comes up once.
    pub(super) fn stuck(&mut self, most: Duration, now: Instant) -> Vec<Stuck> {
        let stuck = self.messages.iter_mut().filter_map(|(number, open)| {
            let since = now.saturating_duration_since(open.since);
            if since < most || open.is_stuck {
                return None;
            }
            open.is_stuck = true;
            Some(Stuck {
                number: *number,
                queue: open.queue.clone(),
                offset: open.offset,
                since,
            })
        });
        stuck.collect()
    }

    /// The messages with handlers, by queue and offset.
    pub(super) fn left(&self) -> Vec<(MessageQueue, u64)> {
        let open = self.messages.values();
        let mut left: Vec<_> = open.map(|open| (open.queue.clone(), open.offset)).collect();
        left.sort();
        left
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::pop::delivery;
    use crate::protocol::message::Record;

    const SECOND: Duration = Duration::from_secs(1);

    fn queue() -> MessageQueue {
        MessageQueue::new("T", "broker-a", 1)
    }

    /// A message of ten bytes.
    fn message(queue_offset: i64) -> MessageView {
        let record = Record {
            queue_id: 1,
            queue_offset,
            ..Record::plain("T", b"ten bytes.")
        };
        let message = record.view(1000).expect("a message");
        message.of_queue(&queue())
    }

    /// The numbers of those that are renewed now.
    fn to_renew(running: &mut Running, now: Instant) -> Vec<u64> {
        let due = running.take_due(now).into_iter();
        due.map(|(number, _)| number).collect()
    }

    #[test]
    fn a_message_is_renewed_when_two_thirds_of_its_time_are_over() {
        let zero = Instant::now();
        let at = |s| zero + SECOND * s;
        let mut running = Running::default();
        let first = running.begin(delivery(60 * SECOND, at(0)), &message(7), at(1));
        let second = running.begin(delivery(60 * SECOND, at(5)), &message(8), at(6));
        assert_eq!(running.renew_at(), Some(at(40)));
        assert!(to_renew(&mut running, at(39)).is_empty());
        assert_eq!(to_renew(&mut running, at(40)), [first]);
        assert!(running.is_renewing(first) && !running.is_renewing(second));
        // The first one failed, and is tried again after a second.
        running.renewed(first, false);
        assert!(!running.is_renewing(first));
        assert!(to_renew(&mut running, at(40)).is_empty());
        assert_eq!(to_renew(&mut running, at(45)), [first, second]);
        running.renewed(first, false);
        running.renewed(second, false);
        assert_eq!(running.renew_at(), Some(at(46)));
        assert_eq!(to_renew(&mut running, at(46)), [first, second]);
        running.no_renewals();
        assert!(!running.is_renewing(first) && !running.is_renewing(second));
        assert_eq!(running.renew_at(), Some(at(47)), "tried again");
        assert_eq!(running.left(), [(queue(), 7), (queue(), 8)]);
        assert_eq!(running.end(first).map(|(_, bytes)| bytes), Some(10));
        assert!(running.end(first).is_none() && !running.is_empty());
    }

    #[test]
    fn what_is_left_alone_or_revoked_is_renewed_no_more() {
        let zero = Instant::now();
        let mut running = Running::default();
        let first = running.begin(delivery(SECOND, zero), &message(1), zero);
        let second = running.begin(delivery(SECOND, zero), &message(2), zero);
        running.leave(first);
        // A renewal that ends after that changes nothing.
        running.renewed(first, true);
        running.revoke(second);
        assert_eq!(running.renew_at(), None);
        assert!(to_renew(&mut running, zero + 60 * SECOND).is_empty());
    }

    #[test]
    fn a_stuck_handler_comes_up_once() {
        let zero = Instant::now();
        let mut running = Running::default();
        let number = running.begin(delivery(SECOND, zero), &message(9), zero);
        assert!(running.stuck(10 * SECOND, zero + 9 * SECOND).is_empty());
        let stuck = Stuck {
            number,
            queue: queue(),
            offset: 9,
            since: 11 * SECOND,
        };
        assert_eq!(running.stuck(10 * SECOND, zero + 11 * SECOND), [stuck]);
        assert!(running.stuck(10 * SECOND, zero + 12 * SECOND).is_empty());
    }
}
