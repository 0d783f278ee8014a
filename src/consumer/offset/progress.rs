//! The offsets to commit. For each queue the latest value counts until the broker has confirmed it. At
//! most one commit of a queue is in flight, so that an older value never overtakes a newer one.
//!
//! (This is also why pulls carry no offset to commit: a long poll is in flight for as long as it is
//! parked, and brokers serve pulls and commits by different threads.)
//!
//! A broker creates its table of a group and topic with the first commit, without a lock (Java:
//! `ConsumerOffsetManager.commitOffset`). Of first commits that come at once it may confirm all and keep one. So the
//! first commit of a topic at a broker is sent alone, and once more after its answer, as other members may have
//! sent theirs.

use std::collections::btree_map::Entry::Occupied;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::message::MessageQueue;

/// The offsets of all queues of one consumer.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    queues: BTreeMap<MessageQueue, Queue>,
    /// The brokers of the queues that are on another broker than the one that they name.
    hosts: BTreeMap<MessageQueue, Arc<str>>,
    /// The topics of each broker for which the store surely has a table. `None`: it needs none.
    tables: Option<BTreeSet<Table>>,
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
    /// A seek that the store did not confirm yet.
    is_sought: bool,
    /// The queue was given up; the entry only remembers its commit in flight.
    is_over: bool,
}

/// A broker and a topic.
type Table = (Arc<str>, Arc<str>);

/// A value to commit. The caller sends its request, and reports the end to [`Progress::confirmed`] or
/// [`Progress::failed`].
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Commit {
    pub(crate) queue: MessageQueue,
    pub(crate) offset: u64,
    generation: u64,
    number: u64,
    /// The broker that the queue is on.
    host: Arc<str>,
}

impl Progress {
    /// The offsets are stored by brokers.
    pub(crate) fn at_brokers() -> Progress {
        Progress {
            tables: Some(BTreeSet::new()),
            ..Progress::default()
        }
    }

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
            is_sought: false,
            is_over: false,
        };
        self.queues.insert(queue.clone(), fresh);
    }

    /// A queue is on this broker, which may be another one than it names. If that is news, the store there may lack
    /// the latest offset.
    pub(crate) fn is_on(&mut self, queue: &MessageQueue, host: &Arc<str>) {
        if self.host(queue) == host {
            return;
        }
        self.hosts.insert(queue.clone(), host.clone());
        if let Some(known) = self.queues.get_mut(queue) {
            known.confirmed = None;
        }
    }

    /// The broker that a queue is on.
    fn host<'a>(&'a self, queue: &'a MessageQueue) -> &'a Arc<str> {
        self.hosts.get(queue).unwrap_or(queue.shared_broker())
    }

    fn table(&self, queue: &MessageQueue) -> Table {
        (self.host(queue).clone(), queue.topic().into())
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

    /// The seek of a queue is a user's: it counts until it is confirmed, whatever the store has.
    pub(crate) fn insist(&mut self, queue: &MessageQueue) {
        if let Some(known) = self.queues.get_mut(queue) {
            known.is_sought = true;
        }
    }

    /// Whether a user's seek is not confirmed yet.
    pub(crate) fn is_sought(&self, queue: &MessageQueue) -> bool {
        let known = self.queues.get(queue);
        known.is_some_and(|known| known.is_sought)
    }

    /// The commits to send now, by broker, of the queues for which `may` is true. They count as in flight.
    pub(crate) fn due(
        &mut self,
        may: impl Fn(&MessageQueue) -> bool,
    ) -> BTreeMap<Arc<str>, Vec<Commit>> {
        let mut due: BTreeMap<Arc<str>, Vec<Commit>> = BTreeMap::new();
        let open = self.queues.iter();
        let open = open.filter(|(queue, known)| known.is_due() && may(queue));
        let open: Vec<MessageQueue> = open.map(|(queue, _)| queue.clone()).collect();
        for queue in &open {
            if let Some(commit) = self.due_of(queue) {
                due.entry(commit.host.clone()).or_default().push(commit);
            }
        }
        due
    }

    /// The commit of one queue to send now: at a hand-over.
    pub(crate) fn due_of(&mut self, queue: &MessageQueue) -> Option<Commit> {
        if !self.queues.get(queue)?.is_due() {
            return None;
        }
        if self.is_held_back(queue) {
            return None;
        }
        let host = self.host(queue).clone();
        let known = self.queues.get_mut(queue)?;
        Some(known.commit(queue, host, &mut self.last_number))
    }

    /// Whether the store surely has a table for the topic of a queue.
    pub(crate) fn has_table(&self, queue: &MessageQueue) -> bool {
        let tables = self.tables.as_ref();
        tables.is_none_or(|tables| tables.contains(&self.table(queue)))
    }

    /// Whether a commit of the queue has to wait for one in flight that creates its table.
    pub(crate) fn is_held_back(&self, queue: &MessageQueue) -> bool {
        let mut queues = self.queues.iter();
        !self.has_table(queue)
            && queues.any(|(other, known)| {
                let is_same =
                    other.topic() == queue.topic() && self.host(other) == self.host(queue);
                is_same && known.in_flight.is_some()
            })
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
        let table = (commit.host, commit.queue.topic().into());
        let is_there = *self.host(&commit.queue) == table.0;
        let tables = self.tables.as_ref();
        let had_table = tables.is_none_or(|tables| tables.contains(&table));
        let Occupied(mut entry) = self.queues.entry(commit.queue) else {
            return false;
        };
        let known = entry.get_mut();
        if known.in_flight != Some(commit.number) {
            return false;
        }
        known.in_flight = None;
        if let Some(tables) = self.tables.as_mut().filter(|_| is_stored) {
            tables.insert(table);
        }
        // A value of an older generation, or at a broker that had the queue before, does not matter: it is
        // overwritten in any case.
        let is_latest = is_there && known.generation == commit.generation;
        let counts = is_stored && had_table && is_latest;
        known.is_sought &= !counts;
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
            let host = self.hosts.get(queue).unwrap_or(queue.shared_broker());
            if **host == *broker {
                known.confirmed = None;
            }
        }
        if let Some(tables) = &mut self.tables {
            tables.retain(|(of, _)| **of != *broker);
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
        self.hosts.remove(queue);
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

    fn is_due(&self) -> bool {
        !self.is_settled() && self.in_flight.is_none() && !self.is_over
    }

    fn commit(&mut self, queue: &MessageQueue, host: Arc<str>, last_number: &mut u64) -> Commit {
        *last_number += 1;
        self.in_flight = Some(*last_number);
        Commit {
            queue: queue.clone(),
            offset: self.latest,
            generation: self.generation,
            number: *last_number,
            host,
        }
    }
}

#[cfg(test)]
mod tests;
