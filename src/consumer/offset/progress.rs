//! The offsets to commit. For each queue the latest value counts until the broker has confirmed it. At
//! most one commit of a queue is in flight, so that an older value never overtakes a newer one.
//!
//! (This is also why pulls carry no offset to commit: a long poll is in flight for as long as it is
//! parked, and brokers serve pulls and commits by different threads.)

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::Occupied;
use std::sync::Arc;

use crate::message::MessageQueue;

/// The offsets of all queues of one consumer.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    queues: BTreeMap<MessageQueue, Queue>,
    last_number: u64,
    refused: u64,
}

#[derive(Debug)]
struct Queue {
    generation: u64,
    latest: u64,
    /// The value that the store certainly has.
    confirmed: Option<u64>,
    /// The number of the commit in flight, also if it belongs to an older generation.
    in_flight: Option<u64>,
    /// The queue was given up; the entry only remembers its commit in flight.
    is_over: bool,
}

/// A value to commit. The caller sends its request, and reports the end to [`Progress::confirmed`] or
/// [`Progress::failed`].
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Commit {
    pub(crate) queue: MessageQueue,
    pub(crate) offset: u64,
    generation: u64,
    number: u64,
}

impl Progress {
    /// A queue was taken and starts at `offset`, which the store has already, or which must be committed
    /// at once.
    pub(crate) fn begin(
        &mut self,
        queue: &MessageQueue,
        generation: u64,
        offset: u64,
        is_stored: bool,
    ) {
        let in_flight = self.queues.get(queue).and_then(|old| old.in_flight);
        let fresh = Queue {
            generation,
            latest: offset,
            // An older commit that is still in flight may change what the store has.
            confirmed: (is_stored && in_flight.is_none()).then_some(offset),
            in_flight,
            is_over: false,
        };
        self.queues.insert(queue.clone(), fresh);
    }

    /// The low-water of a queue moved. A value of an older generation, or a lower one, is refused.
    pub(crate) fn advance(&mut self, queue: &MessageQueue, generation: u64, offset: u64) -> bool {
        match self.queues.get_mut(queue) {
            Some(known)
                if known.generation == generation && !known.is_over && offset >= known.latest =>
            {
                known.latest = offset;
                true
            }
            _ => {
                self.refused += 1;
                false
            }
        }
    }

    /// A seek or reset: a new generation, whose offset may be lower.
    pub(crate) fn seek(&mut self, queue: &MessageQueue, generation: u64, offset: u64) {
        self.begin(queue, generation, offset, false);
    }

    /// The commits to send now, by broker. They count as in flight.
    pub(crate) fn due(&mut self) -> BTreeMap<Arc<str>, Vec<Commit>> {
        let mut due: BTreeMap<Arc<str>, Vec<Commit>> = BTreeMap::new();
        for (queue, known) in &mut self.queues {
            if let Some(commit) = known.commit(queue, &mut self.last_number) {
                due.entry(queue.broker().into()).or_default().push(commit);
            }
        }
        due
    }

    /// The commit of one queue to send now: at a hand-over.
    pub(crate) fn due_of(&mut self, queue: &MessageQueue) -> Option<Commit> {
        let known = self.queues.get_mut(queue)?;
        known.commit(queue, &mut self.last_number)
    }

    /// The store has the value. Returns whether it is the latest one.
    pub(crate) fn confirmed(&mut self, commit: Commit) -> bool {
        self.answered(commit, true)
    }

    /// The commit failed, or its answer was lost: the store may have it or not.
    pub(crate) fn failed(&mut self, commit: Commit) {
        self.answered(commit, false);
    }

    fn answered(&mut self, commit: Commit, is_stored: bool) -> bool {
        let Occupied(mut entry) = self.queues.entry(commit.queue) else {
            return false;
        };
        let known = entry.get_mut();
        if known.in_flight != Some(commit.number) {
            return false;
        }
        known.in_flight = None;
        // A value of an older generation does not matter: it is overwritten in any case.
        let counts = is_stored && known.generation == commit.generation;
        known.confirmed = counts.then_some(commit.offset);
        let is_latest = known.is_settled();
        if known.is_over {
            entry.remove();
        }
        is_latest
    }

    /// The connection to a broker is new: it may have restarted with older offsets, or a master came back
    /// that lacks the latest ones. All its offsets are committed again.
    pub(crate) fn broker_came_back(&mut self, broker: &str) {
        for (queue, known) in &mut self.queues {
            if queue.broker() == broker {
                known.confirmed = None;
            }
        }
    }

    /// Whether the store has the latest value of a queue.
    pub(crate) fn is_settled(&self, queue: &MessageQueue) -> bool {
        self.queues.get(queue).is_none_or(Queue::is_settled)
    }

    /// Whether a commit of the queue is in flight.
    pub(crate) fn is_in_flight(&self, queue: &MessageQueue) -> bool {
        let known = self.queues.get(queue);
        known.is_some_and(|known| known.in_flight.is_some())
    }

    /// A queue was given up. Returns the value that was not confirmed, if there is one.
    pub(crate) fn end(&mut self, queue: &MessageQueue, generation: u64) -> Option<u64> {
        let Occupied(mut entry) = self.queues.entry(queue.clone()) else {
            return None;
        };
        let known = entry.get_mut();
        if known.generation != generation || known.is_over {
            return None;
        }
        let left = (!known.is_settled()).then_some(known.latest);
        match known.in_flight {
            Some(_) => known.is_over = true,
            None => drop(entry.remove()),
        }
        left
    }

    /// The values that the store lacks, for the report of a shutdown.
    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn unconfirmed(&self) -> impl Iterator<Item = (&MessageQueue, u64)> {
        let ours = self.queues.iter().filter(|(_, known)| !known.is_over);
        let open = ours.filter(|(_, known)| !known.is_settled());
        open.map(|(queue, known)| (queue, known.latest))
    }

    /// The latest value of a queue of this member.
    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn latest(&self, queue: &MessageQueue) -> Option<u64> {
        let known = self.queues.get(queue)?;
        (!known.is_over).then_some(known.latest)
    }

    /// The value that the store certainly has, of a queue.
    pub(crate) fn stored(&self, queue: &MessageQueue) -> Option<u64> {
        self.queues.get(queue)?.confirmed
    }

    /// Values that were refused.
    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }
}

impl Queue {
    fn is_settled(&self) -> bool {
        self.confirmed == Some(self.latest)
    }

    fn commit(&mut self, queue: &MessageQueue, last_number: &mut u64) -> Option<Commit> {
        if self.is_settled() || self.in_flight.is_some() || self.is_over {
            return None;
        }
        *last_number += 1;
        self.in_flight = Some(*last_number);
        Some(Commit {
            queue: queue.clone(),
            offset: self.latest,
            generation: self.generation,
            number: *last_number,
        })
    }
}

#[cfg(test)]
mod tests;
