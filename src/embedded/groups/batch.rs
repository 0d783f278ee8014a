//! Messages of one queue that were popped in order: until all of them are acknowledged, or visible again,
//! the queue yields nothing else.

use std::collections::BTreeMap;

use crate::embedded::clock::Millis;

/// The latest batch of a queue.
#[derive(Debug, Clone, Default)]
pub(in crate::embedded) struct Batch {
    pub(in crate::embedded) pop_time: Millis,
    /// A request with the same one gets the same batch.
    attempt_id: Option<String>,
    /// By offset.
    messages: BTreeMap<i64, Ordered>,
}

#[derive(Debug, Clone, Copy)]
struct Ordered {
    /// When it is visible again.
    until: Millis,
    acknowledged: bool,
    /// How often it was delivered before.
    deliveries: i32,
}

/// The effect of an acknowledgement in order.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::embedded) enum InOrder {
    /// The batch has no such message.
    Unknown,
    /// It belongs to an earlier delivery.
    Late,
    /// The offset to commit: that of the first message that is not acknowledged.
    Commit(i64),
}

impl Batch {
    /// A new batch. Its messages count one delivery more than in the previous batch, unless the request is
    /// a repetition.
    pub(in crate::embedded) fn new(
        previous: Option<&Batch>,
        offsets: &[i64],
        pop_time: Millis,
        invisible: Millis,
        attempt_id: Option<&str>,
    ) -> Batch {
        let repeated = previous.is_some_and(|previous| previous.is_attempt(attempt_id));
        let message = |offset: &i64| {
            let before = previous.and_then(|previous| previous.messages.get(offset));
            let deliveries = before.map_or(0, |before| before.deliveries + i32::from(!repeated));
            let message = Ordered {
                until: pop_time.saturating_add(invisible),
                acknowledged: false,
                deliveries,
            };
            (*offset, message)
        };
        Batch {
            pop_time,
            attempt_id: attempt_id.map(str::to_owned),
            messages: offsets.iter().map(message).collect(),
        }
    }

    /// Whether a request must wait for this batch.
    pub(in crate::embedded) fn blocks(&self, attempt_id: Option<&str>, now: Millis) -> bool {
        !self.is_attempt(attempt_id) && self.in_flight(now) > 0
    }

    pub(in crate::embedded) fn in_flight(&self, now: Millis) -> usize {
        let messages = self.messages.values();
        messages
            .filter(|message| !message.acknowledged && message.until > now)
            .count()
    }

    /// Offsets and how often each message was delivered before.
    pub(in crate::embedded) fn deliveries(&self) -> impl Iterator<Item = (i64, i32)> {
        let messages = self.messages.iter();
        messages.map(|(offset, message)| (*offset, message.deliveries))
    }

    pub(in crate::embedded) fn acknowledge(&mut self, offset: i64, pop_time: Millis) -> InOrder {
        let Some(message) = self.messages.get_mut(&offset) else {
            return InOrder::Unknown;
        };
        if pop_time != self.pop_time {
            return InOrder::Late;
        }
        message.acknowledged = true;
        let mut messages = self.messages.iter();
        let open = messages.find(|(_, message)| !message.acknowledged);
        let last = self.messages.keys().next_back().copied();
        InOrder::Commit(match open {
            Some((open, _)) => *open,
            None => last.unwrap_or(offset).saturating_add(1),
        })
    }

    /// Changes when a message is visible again; `false` if it is not of this delivery, or acknowledged.
    pub(in crate::embedded) fn change(
        &mut self,
        offset: i64,
        pop_time: Millis,
        until: Millis,
    ) -> bool {
        let is_current = pop_time == self.pop_time;
        match self.messages.get_mut(&offset) {
            Some(message) if is_current && !message.acknowledged => {
                message.until = until;
                true
            }
            _ => false,
        }
    }

    fn is_attempt(&self, attempt_id: Option<&str>) -> bool {
        attempt_id.is_some() && self.attempt_id.as_deref() == attempt_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_blocks_its_queue_until_it_is_acknowledged_or_visible_again() {
        let mut batch = Batch::new(None, &[4, 6], 100, 50, Some("one"));
        assert!(batch.blocks(None, 149) && batch.blocks(Some("two"), 149));
        assert!(!batch.blocks(Some("one"), 149), "asked again");
        assert!(!batch.blocks(None, 150));
        assert_eq!(batch.acknowledge(6, 100), InOrder::Commit(4));
        assert_eq!(batch.acknowledge(5, 100), InOrder::Unknown);
        assert_eq!(batch.acknowledge(4, 99), InOrder::Late);
        assert!(batch.change(4, 100, 200) && !batch.change(4, 99, 300));
        assert!(!batch.change(6, 100, 200), "acknowledged");
        assert_eq!((batch.in_flight(199), batch.in_flight(200)), (1, 0));
        assert_eq!(batch.acknowledge(4, 100), InOrder::Commit(7));
        assert!(!batch.blocks(None, 100));
    }

    #[test]
    fn deliveries_are_counted_but_for_repeated_requests() {
        let deliveries = |batch: &Batch| batch.deliveries().collect::<Vec<_>>();
        let first = Batch::new(None, &[1, 2], 0, 1, Some("one"));
        assert_eq!(deliveries(&first), [(1, 0), (2, 0)]);
        let repeated = Batch::new(Some(&first), &[1, 2], 0, 1, Some("one"));
        assert_eq!(deliveries(&repeated), [(1, 0), (2, 0)]);
        let second = Batch::new(Some(&repeated), &[2, 3], 1, 1, None);
        assert_eq!(deliveries(&second), [(2, 1), (3, 0)]);
    }
}
