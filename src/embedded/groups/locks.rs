//! Queue locks: each is held by one member of a group.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;

use crate::embedded::clock::{Millis, millis};
use crate::message::MessageQueue;

/// The time after which a lock that is not renewed expires.
const LIVES: Duration = Duration::from_secs(60);

/// The locks of one broker, by group and queue. They belong to client ids, not to connections: a member
/// that disconnects keeps them until they expire.
#[derive(Default)]
pub(in crate::embedded) struct Locks(Mutex<HashMap<String, BTreeMap<MessageQueue, Lock>>>);

struct Lock {
    client_id: String,
    since: Millis,
}

impl Lock {
    fn is_live(&self, now: Millis) -> bool {
        now.saturating_sub(self.since) <= millis(LIVES)
    }
}

impl Locks {
    /// Locks queues for a client, or renews its locks; returns those that it holds now.
    pub(in crate::embedded) fn lock(
        &self,
        group: &str,
        client_id: &str,
        queues: &[MessageQueue],
        now: Millis,
    ) -> Vec<MessageQueue> {
        let mut groups = self.0.lock();
        let locks = groups.entry(group.to_owned()).or_default();
        let mut held = Vec::new();
        for queue in queues {
            let taken = locks
                .get(queue)
                .is_some_and(|lock| lock.is_live(now) && lock.client_id != client_id);
            if !taken {
                let lock = Lock {
                    client_id: client_id.to_owned(),
                    since: now,
                };
                locks.insert(queue.clone(), lock);
                held.push(queue.clone());
            }
        }
        held
    }

    /// Unlocks those of the queues that the client holds.
    pub(in crate::embedded) fn unlock(
        &self,
        group: &str,
        client_id: &str,
        queues: &[MessageQueue],
    ) {
        if let Some(locks) = self.0.lock().get_mut(group) {
            locks.retain(|queue, lock| lock.client_id != client_id || !queues.contains(queue));
        }
    }

    /// Whether the group holds any lock.
    pub(in crate::embedded) fn any(&self, group: &str, now: Millis) -> bool {
        let groups = self.0.lock();
        let locks = groups.get(group);
        locks.is_some_and(|locks| locks.values().any(|lock| lock.is_live(now)))
    }

    /// The locked queues and the clients that hold them.
    pub(in crate::embedded) fn of(
        &self,
        group: &str,
        now: Millis,
    ) -> BTreeMap<MessageQueue, String> {
        let groups = self.0.lock();
        let locks = groups.get(group).into_iter().flatten();
        locks
            .filter(|(_, lock)| lock.is_live(now))
            .map(|(queue, lock)| (queue.clone(), lock.client_id.clone()))
            .collect()
    }

    /// The broker was killed.
    pub(in crate::embedded) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(ids: &[i32]) -> Vec<MessageQueue> {
        let queue = |id: &i32| MessageQueue::new("T", "b", *id);
        ids.iter().map(queue).collect()
    }

    #[test]
    fn a_lock_belongs_to_one_client_until_a_minute_after_it_last_asked() {
        let locks = Locks::default();
        let lock = |client, ids: &[i32], now| locks.lock("g", client, &queues(ids), now);
        assert_eq!(lock("a", &[0, 1], 0), queues(&[0, 1]));
        assert_eq!(lock("b", &[1, 2], 1), queues(&[2]));
        // Another group does not share it.
        assert_eq!(locks.lock("h", "b", &queues(&[0]), 1), queues(&[0]));
        assert_eq!(lock("a", &[0], 50_000), queues(&[0]), "renewed");
        assert_eq!(lock("b", &[1], 60_000), []);
        assert_eq!(lock("b", &[0, 1], 60_001), queues(&[1]), "expired");
        assert_eq!(lock("a", &[1], 60_002), []);
        let held = locks.of("g", 110_000);
        assert_eq!(
            held.into_iter()
                .map(|(q, c)| (q.id(), c))
                .collect::<Vec<_>>(),
            [(0, "a".to_owned()), (1, "b".to_owned()),]
        );
        assert!(locks.any("g", 120_001) && !locks.any("g", 120_002));
        assert!(!locks.any("x", 0));
    }

    #[test]
    fn only_the_holder_unlocks_and_a_kill_unlocks_all() {
        let locks = Locks::default();
        locks.lock("g", "a", &queues(&[0, 1]), 0);
        locks.unlock("g", "b", &queues(&[0, 1]));
        locks.unlock("x", "a", &queues(&[0, 1]));
        locks.unlock("g", "a", &queues(&[1]));
        assert_eq!(locks.of("g", 0).len(), 1);
        assert_eq!(locks.lock("g", "b", &queues(&[0, 1]), 1), queues(&[1]));
        locks.clear();
        assert!(!locks.any("g", 1));
    }
}
