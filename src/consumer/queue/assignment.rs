//! The queues of a consumer, for all threads, and which of them are paused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::assigned::Assigned;
use super::popped::PopQueue;
use crate::message::MessageQueue;
use crate::sync::Mutex;

/// The queues of this member, by the users' names, and what is paused. The control thread adds and
/// removes them.
#[derive(Default)]
pub(crate) struct Assignment(Mutex<State>);

#[derive(Default)]
struct State {
    queues: BTreeMap<MessageQueue, Arc<Assigned>>,
    popped: BTreeMap<MessageQueue, Arc<PopQueue>>,
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

    /// Sets what is popped of a topic, by the users' name, from now on. Returns what is not popped any more.
    pub(crate) fn set_popped(&self, topic: &str, queues: Vec<Arc<PopQueue>>) -> Vec<Arc<PopQueue>> {
        let mut state = self.0.lock();
        let old = std::mem::take(&mut state.popped).into_iter();
        let (mut gone, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            old.partition(|(queue, _)| queue.topic() == topic);
        state.popped = others;
        for new in queues {
            let kept = gone.remove(&new.shown).unwrap_or(new);
            kept.pause(state.paused.is_paused(&kept.shown));
            state.popped.insert(kept.shown.clone(), kept);
        }
        gone.into_values().collect()
    }

    /// What this member pops, sorted.
    pub(crate) fn popped(&self) -> Vec<Arc<PopQueue>> {
        self.0.lock().popped.values().cloned().collect()
    }

    /// A queue of this member, by the users' name.
    pub(crate) fn get(&self, queue: &MessageQueue) -> Option<Arc<Assigned>> {
        self.0.lock().queues.get(queue).cloned()
    }

    /// All queues of this member that are pulled, sorted.
    pub(crate) fn all(&self) -> Vec<Arc<Assigned>> {
        self.0.lock().queues.values().cloned().collect()
    }

    /// The queues, sorted.
    pub(crate) fn queues(&self) -> Vec<MessageQueue> {
        let state = self.0.lock();
        let both = state.queues.keys().chain(state.popped.keys());
        let mut queues: Vec<MessageQueue> = both.cloned().collect();
        queues.sort();
        queues
    }

    /// Pauses or resumes. Returns the pulled queues that changed: no further message of a paused queue is
    /// handed out from now on.
    pub(crate) fn pause(&self, scope: &Scope, paused: bool) -> Vec<Arc<Assigned>> {
        let mut state = self.0.lock();
        state.paused.set(scope, paused);
        let State {
            queues,
            popped,
            paused,
        } = &*state;
        for queue in popped.values() {
            queue.pause(paused.is_paused(&queue.shown));
        }
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
    use std::time::Instant;

    use super::*;
    use crate::consumer::pop::{ANY_QUEUE, Source};
    use crate::consumer::queue::Order;

    fn queue(topic: &str, id: i32) -> MessageQueue {
        MessageQueue::new(topic, "b", id)
    }

    #[test]
    fn a_pause_holds_for_queues_that_are_taken_later() {
        let assignment = Assignment::default();
        let new = |topic: &str, id| {
            let queue = queue(topic, id);
            Arc::new(Assigned::new(1, queue.clone(), queue, 10, Order::None))
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

    fn popped(topic: &str, broker: &str) -> Arc<PopQueue> {
        let source = Source {
            topic: topic.into(),
            broker: broker.into(),
            queue: ANY_QUEUE,
        };
        let shown = MessageQueue::new(topic, broker, ANY_QUEUE);
        Arc::new(PopQueue::new(source, shown, Instant::now()))
    }

    #[test]
    fn what_is_popped_is_kept_while_it_is_assigned_and_paused_like_queues() {
        let assignment = Assignment::default();
        let (a, b, u) = (popped("T", "a"), popped("T", "b"), popped("U", "a"));
        assignment.pause(&Scope::Topic("T".into()), true);
        assert!(assignment.set_popped("T", vec![a.clone()]).is_empty());
        assert!(assignment.set_popped("U", vec![u.clone()]).is_empty());
        assert!(a.is_paused() && !u.is_paused());
        // The same again, as a new value: the old one stays, with its messages.
        let gone = assignment.set_popped("T", vec![popped("T", "a"), b.clone()]);
        assert!(gone.is_empty() && Arc::ptr_eq(&assignment.popped()[0], &a));
        assert!(b.is_paused());
        let gone = assignment.set_popped("T", vec![b.clone()]);
        assert!(gone.len() == 1 && Arc::ptr_eq(&gone[0], &a));
        assert_eq!(assignment.queues(), [b.shown.clone(), u.shown.clone()]);
        assignment.pause(&Scope::All, false);
        assert!(!b.is_paused());
        assignment.pause(&Scope::Queue(b.shown.clone()), true);
        assert!(b.is_paused() && !u.is_paused());
    }
}
