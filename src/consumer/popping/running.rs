//! The popped messages with handlers, and when each is renewed. Pure: time is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::consumer::pop::Delivery;
use crate::message::MessageQueue;

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
    pub(super) fn begin(
        &mut self,
        delivery: Arc<Delivery>,
        (queue, offset): (MessageQueue, u64),
        bytes: u64,
        now: Instant,
    ) -> u64 {
        self.last += 1;
        let open = Open {
            renew_at: Some(delivery.renew_at()),
            delivery,
            queue,
            offset,
            bytes,
            since: now,
            is_renewing: false,
            is_stuck: false,
        };
        self.messages.insert(self.last, open);
        self.last
    }

    /// The message is settled. Returns its delivery and its size.
    pub(super) fn end(&mut self, number: u64) -> Option<(Arc<Delivery>, u64)> {
        let open = self.messages.remove(&number)?;
        Some((open.delivery, open.bytes))
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
    pub(super) fn to_renew(&mut self, now: Instant) -> Vec<(u64, Arc<Delivery>)> {
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
