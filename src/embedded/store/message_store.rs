//! The store: one for all brokers, so that one lock orders the messages.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::{Condvar, Mutex};

use super::draft::Draft;
use super::index::{Appended, Index, QueueRef};
use super::stored::StoredMessage;
use super::watches::{WatchKey, Watches};
use crate::embedded::changes::Changes;
use crate::embedded::clock::Clock;

pub(in crate::embedded) struct Store {
    keep: bool,
    clock: Arc<Clock>,
    /// Wakes tests that wait for something else than messages.
    changes: Arc<Changes>,
    /// Whether messages are kept; otherwise they are not encoded.
    wanted: AtomicBool,
    state: Mutex<State>,
    arrived: Condvar,
}

struct State {
    index: Index,
    watches: Watches,
    subscribers: Vec<Sender<StoredMessage>>,
}

/// Waits for the next message of a queue. Dropping it ends that.
pub(in crate::embedded) struct Watch(Option<(Weak<Store>, WatchKey)>);

impl Store {
    pub(in crate::embedded) fn new(
        brokers: usize,
        keep: bool,
        clock: Arc<Clock>,
        changes: Arc<Changes>,
    ) -> Store {
        Store {
            keep,
            clock,
            changes,
            wanted: AtomicBool::new(keep),
            state: Mutex::new(State {
                index: Index::new(brokers),
                watches: Watches::default(),
                subscribers: Vec::new(),
            }),
            arrived: Condvar::new(),
        }
    }

    /// Whether drafts need their message.
    pub(in crate::embedded) fn wants_messages(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Stores messages in a queue, in order, and wakes its watches.
    pub(in crate::embedded) fn append(
        &self,
        broker: usize,
        topic: &Arc<str>,
        queue_id: i32,
        drafts: Vec<Draft>,
    ) -> Appended {
        let queue = QueueRef {
            broker,
            topic,
            queue_id,
        };
        let mut guard = self.state.lock();
        let State {
            index,
            watches,
            subscribers,
        } = &mut *guard;
        let keep = |message: &StoredMessage| {
            // The channels are unbounded: sending does not wait.
            subscribers.retain(|to| to.send(message.clone()).is_ok());
            let wanted = self.keep || !subscribers.is_empty();
            self.wanted.store(wanted, Ordering::Relaxed);
            self.keep
        };
        // Under the lock: in a queue the times never fall.
        let now = self.clock.now();
        let appended = index.append(broker, topic, queue_id, drafts, now, keep);
        let woken = watches.take(queue);
        drop(guard);
        self.arrived.notify_all();
        self.changes.note();
        for wake in woken {
            wake();
        }
        appended
    }

    /// Runs `wake` once a queue has a message at this offset or a later one: at once, on this thread,
    /// if it has; otherwise on the thread that stores it, which it must not block.
    pub(in crate::embedded) fn watch(
        self: &Arc<Store>,
        queue: QueueRef<'_>,
        offset: i64,
        wake: impl FnOnce() + Send + 'static,
    ) -> Watch {
        let mut state = self.state.lock();
        if state.index.end(queue) > offset {
            drop(state);
            wake();
            return Watch(None);
        }
        let key = state.watches.add(queue, Box::new(wake));
        Watch(Some((Arc::downgrade(self), key)))
    }

    /// The offset of the first message that a queue still has, and the one behind its last.
    pub(in crate::embedded) fn bounds(&self, queue: QueueRef<'_>) -> (i64, i64) {
        let state = self.state.lock();
        (state.index.start(queue), state.index.end(queue))
    }

    /// The messages of a queue from an offset on: at most `count`, and at most `bytes` of them, but
    /// one if there is one. In the time that these take, however long the queue is.
    pub(in crate::embedded) fn read(
        &self,
        queue: QueueRef<'_>,
        offset: i64,
        count: usize,
        bytes: usize,
    ) -> Vec<StoredMessage> {
        let state = self.state.lock();
        let mut taken = 0;
        let fits = |message: &&StoredMessage| {
            let first = taken == 0;
            taken += message.encoded().len();
            first || taken <= bytes
        };
        let from = state.index.from(queue, offset).iter();
        from.take(count).take_while(fits).cloned().collect()
    }

    /// The first message of a queue that was stored at this time or later.
    pub(in crate::embedded) fn first_since(
        &self,
        queue: QueueRef<'_>,
        time: i64,
    ) -> Option<StoredMessage> {
        self.state.lock().index.first_since(queue, time).cloned()
    }

    /// The message at an offset of a broker's commit log, if it is kept.
    pub(in crate::embedded) fn at(
        &self,
        broker: usize,
        commit_log_offset: i64,
    ) -> Option<StoredMessage> {
        let state = self.state.lock();
        state.index.at(broker, commit_log_offset).cloned()
    }

    pub(in crate::embedded) fn messages(&self, topic: &str) -> Vec<StoredMessage> {
        self.state.lock().index.topic(topic).to_vec()
    }

    pub(in crate::embedded) fn wait(
        &self,
        topic: &str,
        count: usize,
        timeout: Duration,
    ) -> Vec<StoredMessage> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        while state.index.topic(topic).len() < count {
            if self.arrived.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.index.topic(topic).to_vec()
    }

    pub(in crate::embedded) fn count(&self, topic: &str) -> u64 {
        self.state.lock().index.count(topic)
    }

    /// Forgets the messages of a queue before an offset.
    pub(in crate::embedded) fn delete_before(&self, queue: QueueRef<'_>, offset: i64) {
        self.state.lock().index.delete_before(queue, offset);
    }

    /// Forgets a topic with its messages.
    pub(in crate::embedded) fn delete_topic(&self, topic: &str) {
        self.state.lock().index.delete_topic(topic);
    }

    pub(in crate::embedded) fn clear(&self) {
        self.state.lock().index.clear();
    }

    pub(in crate::embedded) fn subscribe(&self) -> Receiver<StoredMessage> {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let mut state = self.state.lock();
        state.subscribers.push(sender);
        self.wanted.store(true, Ordering::Relaxed);
        receiver
    }

    pub(in crate::embedded) fn end_subscriptions(&self) {
        self.state.lock().subscribers.clear();
    }

    /// The number of watches.
    #[cfg(test)]
    pub(in crate::embedded) fn watches(&self) -> usize {
        self.state.lock().watches.len()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some((store, key)) = self.0.take() else {
            return;
        };
        if let Some(store) = store.upgrade() {
            // Its captures are dropped after the lock is released.
            let _wake = store.state.lock().watches.remove(&key);
        }
    }
}
