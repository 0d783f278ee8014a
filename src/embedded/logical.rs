//! The logical queues of a static topic: which broker has which part of one.

use std::collections::BTreeMap;

/// The first logical offset on another broker is a multiple of this (`blockSeqSize` of Java's tools).
const BLOCK: i64 = 10_000;

/// The messages of a queue that one broker has, in a row, in a queue of its own. An ordinary queue has one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) broker: usize,
    /// The number of the broker's own queue.
    pub(super) queue_id: i32,
    /// The logical offset of the message that has the offset 0 there.
    pub(super) first: i64,
}

/// By their numbers, each with its parts in order. The broker of the last one hosts the queue.
pub(super) struct LogicalQueues {
    queues: Vec<Vec<Part>>,
    /// Rises with each change.
    pub(super) epoch: i64,
}

impl LogicalQueues {
    /// Each queue on the broker of its place.
    pub(super) fn new(hosts: &[usize]) -> LogicalQueues {
        let mut queues = LogicalQueues {
            queues: Vec::with_capacity(hosts.len()),
            epoch: 1,
        };
        for broker in hosts {
            let part = queues.next_part(*broker, 0);
            queues.queues.push(vec![part]);
        }
        queues
    }

    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    /// The parts of a queue; none if it does not exist.
    pub(super) fn parts(&self, id: i32) -> &[Part] {
        let parts = usize::try_from(id).ok().and_then(|id| self.queues.get(id));
        parts.map_or(&[], Vec::as_slice)
    }

    /// Lets another broker host a queue, which has had messages up to this offset.
    pub(super) fn move_to(&mut self, id: usize, broker: usize, end: i64) {
        let first = (end + BLOCK - 1) / BLOCK * BLOCK;
        let part = self.next_part(broker, first);
        self.queues[id].push(part);
        self.epoch += 1;
    }

    /// The number of own queues that a broker uses.
    pub(super) fn used(&self, broker: usize) -> i32 {
        let parts = self.queues.iter().flatten();
        let used = parts.filter(|part| part.broker == broker).count();
        i32::try_from(used).unwrap_or(i32::MAX)
    }

    /// The queues that a broker hosts, each with the number of its own one.
    pub(super) fn hosted_by(&self, broker: usize) -> BTreeMap<i32, i32> {
        let hosts = (0..).zip(self.queues.iter().filter_map(|parts| parts.last()));
        let hosted = hosts.filter(|(_, host)| host.broker == broker);
        hosted.map(|(id, host)| (id, host.queue_id)).collect()
    }

    fn next_part(&self, broker: usize, first: i64) -> Part {
        Part {
            broker,
            queue_id: self.used(broker),
            first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_moves_goes_on_in_a_new_queue_and_at_a_round_offset() {
        let mut queues = LogicalQueues::new(&[0, 1, 0]);
        let part = |broker, queue_id, first| Part {
            broker,
            queue_id,
            first,
        };
        assert_eq!(queues.parts(2), [part(0, 1, 0)]);
        queues.move_to(2, 1, 7);
        assert_eq!(queues.parts(2), [part(0, 1, 0), part(1, 1, BLOCK)]);
        queues.move_to(2, 0, BLOCK);
        assert_eq!(queues.parts(2)[2], part(0, 2, BLOCK));
        assert_eq!(queues.hosted_by(0), [(0, 0), (2, 2)].into());
        assert_eq!(queues.hosted_by(1), [(1, 0)].into());
        assert!(queues.parts(3).is_empty() && queues.parts(-1).is_empty());
    }
}
