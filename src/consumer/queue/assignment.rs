//! The queues of a consumer, for all threads, and which of them are paused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::assigned::Assigned;
use crate::message::MessageQueue;
use crate::sync::Mutex;

/// The queues of this member, by the users' names, and what is paused. The control thread adds and
/// removes them.
#[derive(Default)]
pub(crate) struct Assignment(Mutex<State>);

#[derive(Default)]
struct State {
    queues: BTreeMap<MessageQueue, Arc<Assigned>>,
    paused: Paused,
}

/// What is paused, queues of other members included.
#[derive(Debug, Default)]
struct Paused {
    all: bool,
    topics: BTreeSet<Arc<str>>,
    queues: BTreeSet<MessageQueue>,
}

/// What to pause or resume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    /// By the users' name.
    Topic(Arc<str>),
    Queue(MessageQueue),
}

impl Paused {
    fn is_paused(&self, queue: &MessageQueue) -> bool {
        self.all || self.topics.contains(queue.topic()) || self.queues.contains(queue)
    }

    fn set(&mut self, scope: &Scope, paused: bool) {
        match (scope, paused) {
            (Scope::All, true) => self.all = true,
            // Also resumes the topics and queues that were paused one by one.
            (Scope::All, false) => *self = Paused::default(),
            (Scope::Topic(topic), true) => drop(self.topics.insert(topic.clone())),
            (Scope::Topic(topic), false) => drop(self.topics.remove(topic)),
            (Scope::Queue(queue), true) => drop(self.queues.insert(queue.clone())),
            (Scope::Queue(queue), false) => drop(self.queues.remove(queue)),
        }
    }
}

impl Assignment {
    /// A queue was taken. It is paused if it, its topic or everything is.
    pub(crate) fn add(&self, queue: &Arc<Assigned>) {
        let mut state = self.0.lock();
        queue.pause(state.paused.is_paused(&queue.shown));
        state.queues.insert(queue.shown.clone(), queue.clone());
    }

    pub(crate) fn remove(&self, queue: &MessageQueue) {
        self.0.lock().queues.remove(queue);
    }

    /// A queue of this member, by the users' name.
    pub(crate) fn get(&self, queue: &MessageQueue) -> Option<Arc<Assigned>> {
        self.0.lock().queues.get(queue).cloned()
    }

    /// All queues of this member, sorted.
    pub(crate) fn all(&self) -> Vec<Arc<Assigned>> {
        self.0.lock().queues.values().cloned().collect()
    }

    /// The queues, sorted.
    pub(crate) fn queues(&self) -> Vec<MessageQueue> {
        self.0.lock().queues.keys().cloned().collect()
    }

    /// Pauses or resumes. Returns the queues that changed: no further message of a paused queue is handed
    /// out from now on.
    pub(crate) fn pause(&self, scope: &Scope, paused: bool) -> Vec<Arc<Assigned>> {
        let mut state = self.0.lock();
        state.paused.set(scope, paused);
        let State { queues, paused } = &*state;
        let changed = queues.values().filter(|queue| {
            let wanted = paused.is_paused(&queue.shown);
            let differs = queue.is_paused() != wanted;
            if differs {
                queue.pause(wanted);
            }
            differs
        });
        changed.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(topic: &str, id: i32) -> MessageQueue {
        MessageQueue::new(topic, "b", id)
    }

    #[test]
    fn a_pause_holds_for_queues_that_are_taken_later() {
        let assignment = Assignment::default();
        let new = |topic: &str, id| {
            let queue = queue(topic, id);
            Arc::new(Assigned::new(1, queue.clone(), queue, 10, false))
        };
        let (t0, t1, u0) = (new("T", 0), new("T", 1), new("U", 0));
        let states = || [&t0, &t1, &u0].map(|queue| queue.is_paused());
        assignment.add(&t0);
        let changed = assignment.pause(&Scope::Topic("T".into()), true);
        assert_eq!(changed.len(), 1);
        assignment.add(&t1);
        assignment.add(&u0);
        assert_eq!(states(), [true, true, false]);
        assert_eq!(
            assignment.pause(&Scope::Queue(queue("T", 0)), true).len(),
            0
        );
        assert_eq!(assignment.pause(&Scope::Topic("T".into()), false).len(), 1);
        assert_eq!(states(), [true, false, false]);
        assert_eq!(assignment.pause(&Scope::All, true).len(), 2);
        assert_eq!(assignment.pause(&Scope::All, false).len(), 3);
        assert_eq!(states(), [false, false, false]);
        assignment.remove(&queue("T", 0));
        assert_eq!(assignment.queues(), [queue("T", 1), queue("U", 0)]);
    }
}
