//! How far this member was in queues that left the route. Pure: time is an argument.
//!
//! A broker that is killed forgets what was committed in its last seconds. While it is away no other member can have
//! its queues. So a member that gets one of them back at once goes on where it was, if the broker knows less. If
//! another member gets it, what this one knows does not count any more: the queue may have been reset since.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::message::MessageQueue;

/// A broker that is away for longer may come back with another store.
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);

/// The offsets of queues that this member had.
#[derive(Debug, Default)]
pub(crate) struct Past(BTreeMap<MessageQueue, Place>);

#[derive(Debug)]
struct Place {
    offset: u64,
    left: Instant,
}

impl Past {
    /// The queue left the route. All messages below this offset have been settled by this member.
    pub(crate) fn keep(&mut self, queue: &MessageQueue, offset: u64, now: Instant) {
        self.0
            .retain(|_, place| now.saturating_duration_since(place.left) < KEPT_FOR);
        let place = Place { offset, left: now };
        self.0.insert(queue.clone(), place);
    }

    /// The queue is back.
    pub(crate) fn get(&self, queue: &MessageQueue, now: Instant) -> Option<u64> {
        let place = self.0.get(queue)?;
        (now.saturating_duration_since(place.left) < KEPT_FOR).then_some(place.offset)
    }

    /// The queue has started, or somebody has set its offset.
    pub(crate) fn forget(&mut self, queue: &MessageQueue) {
        self.0.remove(queue);
    }

    /// Forgets all others.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&MessageQueue) -> bool) {
        self.0.retain(|queue, _| keep(queue));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept_for_ten_minutes_or_until_it_is_used() {
        let start = Instant::now();
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let [a, b] = ["a", "b"].map(|broker| MessageQueue::new("T", broker, 0));
        let mut past = Past::default();
        assert_eq!(past.get(&a, start), None);
        past.keep(&a, 7, start);
        past.keep(&b, 9, at(5));
        assert_eq!(
            (past.get(&a, at(9)), past.get(&b, at(9))),
            (Some(7), Some(9))
        );
        assert_eq!(
            (past.get(&a, at(10)), past.get(&b, at(10))),
            (None, Some(9))
        );
        past.keep(&a, 3, at(11));
        assert_eq!(past.get(&a, at(11)), Some(3));
        past.forget(&a);
        assert_eq!(past.get(&a, at(11)), None);
        past.keep(&a, 4, at(15));
        assert_eq!(past.0.len(), 1, "old ones do not stay");
        past.retain(|queue| *queue != a);
        assert_eq!(past.get(&a, at(15)), None);
    }
}
