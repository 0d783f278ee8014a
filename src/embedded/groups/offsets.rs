//! The progress of consumer groups.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::embedded::clock::{Millis, millis};

/// The interval in which a broker writes the offsets to its disk.
const FLUSHED_EACH: Duration = Duration::from_secs(5);

/// A queue of this broker, for one group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::embedded) struct QueueKey {
    pub(in crate::embedded) group: String,
    pub(in crate::embedded) topic: String,
    pub(in crate::embedded) queue_id: i32,
}

/// The offsets of all groups on one broker. A kill loses the commits that are not on the disk yet.
pub(in crate::embedded) struct Offsets {
    /// When the broker was started: the intervals begin here.
    started: Millis,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    committed: BTreeMap<QueueKey, Committed>,
    /// Pending resets by an administrator: the offset with which the next pull is answered.
    resets: BTreeMap<QueueKey, i64>,
}

struct Committed {
    offset: i64,
    at: Millis,
    /// The offset on the disk when `offset` was committed.
    flushed: Option<i64>,
}

impl QueueKey {
    pub(in crate::embedded) fn new(group: &str, topic: &str, queue_id: i32) -> QueueKey {
        QueueKey {
            group: group.to_owned(),
            topic: topic.to_owned(),
            queue_id,
        }
    }
}

impl Offsets {
    pub(in crate::embedded) fn new(now: Millis) -> Offsets {
        Offsets {
            started: now,
            state: Mutex::default(),
        }
    }

    /// Commits an offset, a lower one too.
    pub(in crate::embedded) fn commit(&self, key: &QueueKey, offset: i64, now: Millis) {
        self.put(&mut self.state.lock(), key, offset, now);
    }

    /// The offset of a group: that of a pending reset, otherwise the committed one.
    pub(in crate::embedded) fn query(&self, key: &QueueKey) -> Option<i64> {
        let state = self.state.lock();
        let committed = || state.committed.get(key).map(|committed| committed.offset);
        state.resets.get(key).copied().or_else(committed)
    }

    /// An administrator's reset, pending until the next pull. Until then commits of clients are ignored.
    pub(in crate::embedded) fn reset(&self, key: &QueueKey, offset: i64, now: Millis) {
        let mut state = self.state.lock();
        self.put(&mut state, key, offset, now);
        state.resets.insert(key.clone(), offset);
    }

    pub(in crate::embedded) fn is_reset(&self, key: &QueueKey) -> bool {
        self.state.lock().resets.contains_key(key)
    }

    /// The offset of a pending reset, which ends it.
    pub(in crate::embedded) fn take_reset(&self, key: &QueueKey) -> Option<i64> {
        self.state.lock().resets.remove(key)
    }

    /// All committed offsets of a group.
    pub(in crate::embedded) fn of(&self, group: &str) -> Vec<(QueueKey, i64)> {
        let state = self.state.lock();
        let of_group = state.committed.iter().filter(|(key, _)| key.group == group);
        of_group
            .map(|(key, committed)| (key.clone(), committed.offset))
            .collect()
    }

    /// The committed offsets of all groups in a queue.
    pub(in crate::embedded) fn of_queue(&self, topic: &str, queue_id: i32) -> Vec<(QueueKey, i64)> {
        let state = self.state.lock();
        let is_of = |key: &QueueKey| key.topic == topic && key.queue_id == queue_id;
        let of_queue = state.committed.iter().filter(|(key, _)| is_of(key));
        of_queue
            .map(|(key, committed)| (key.clone(), committed.offset))
            .collect()
    }

    /// Forgets a group.
    pub(in crate::embedded) fn remove(&self, group: &str) {
        let mut state = self.state.lock();
        state.committed.retain(|key, _| key.group != group);
        state.resets.retain(|key, _| key.group != group);
    }

    /// Forgets a topic in all groups.
    pub(in crate::embedded) fn remove_topic(&self, topic: &str) {
        let mut state = self.state.lock();
        state.committed.retain(|key, _| key.topic != topic);
        state.resets.retain(|key, _| key.topic != topic);
    }

    /// Writes everything to the disk now, as a broker does when it is shut down.
    pub(in crate::embedded) fn flush(&self) {
        for committed in self.state.lock().committed.values_mut() {
            // Before every flush.
            committed.at = Millis::MIN;
        }
    }

    /// The broker was killed: the offsets are those on the disk.
    pub(in crate::embedded) fn forget(&self, now: Millis) {
        let mut state = self.state.lock();
        state.resets.clear();
        let committed = std::mem::take(&mut state.committed);
        for (key, committed) in committed {
            if let Some(offset) = self.on_disk(&committed, now) {
                let kept = Committed {
                    offset,
                    at: Millis::MIN,
                    flushed: Some(offset),
                };
                state.committed.insert(key, kept);
            }
        }
    }

    fn put(&self, state: &mut State, key: &QueueKey, offset: i64, now: Millis) {
        let before = state.committed.get(key);
        let flushed = before.and_then(|before| self.on_disk(before, now));
        let committed = Committed {
            offset,
            at: now,
            flushed,
        };
        state.committed.insert(key.clone(), committed);
    }

    fn on_disk(&self, committed: &Committed, now: Millis) -> Option<i64> {
        match self.flushes(now) > self.flushes(committed.at) {
            true => Some(committed.offset),
            false => committed.flushed,
        }
    }

    /// How many times the table was written until this time.
    fn flushes(&self, time: Millis) -> i64 {
        time.saturating_sub(self.started)
            .div_euclid(millis(FLUSHED_EACH))
    }
}
