//! What the brokers of a cluster hold, in order of arrival.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::{Condvar, Mutex};

use super::stored::{self, Stored, StoredMessage};

/// One store for all brokers: one lock says in which order messages arrived.
pub(super) struct Store {
    keep: bool,
    /// Whether anybody looks at messages; if not, none is built.
    wanted: AtomicBool,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    /// The end of each broker's commit log.
    commit_logs: Vec<i64>,
    topics: HashMap<Arc<str>, TopicLog>,
    subscribers: Vec<Sender<StoredMessage>>,
}

#[derive(Default)]
struct TopicLog {
    messages: Vec<StoredMessage>,
    count: u64,
    /// The end of each queue, by broker and queue.
    queues: HashMap<(usize, i32), i64>,
}

/// A message about to be stored.
pub(super) struct Draft {
    /// How much of the commit log it takes.
    pub(super) size: usize,
    /// Absent if nobody looks at messages.
    pub(super) message: Option<Stored>,
}

impl Draft {
    /// A draft of a message that is wanted in any case.
    pub(super) fn of(message: Stored) -> Draft {
        Draft {
            size: stored::size(
                message.body.len(),
                message.topic.len(),
                message.properties.len(),
            ),
            message: Some(message),
        }
    }
}

/// Where messages were stored.
pub(super) struct Appended {
    pub(super) commit_log_offsets: Vec<i64>,
    /// That of the first message.
    pub(super) queue_offset: i64,
}

impl Store {
    pub(super) fn new(brokers: usize, keep: bool) -> Store {
        let state = State {
            commit_logs: vec![0; brokers],
            ..State::default()
        };
        Store {
            keep,
            wanted: AtomicBool::new(keep),
            state: Mutex::new(state),
            arrived: Condvar::new(),
        }
    }

    /// Whether drafts need their message.
    pub(super) fn wants_messages(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Stores messages one after the other in a queue.
    pub(super) fn append(
        &self,
        broker: usize,
        topic: &Arc<str>,
        queue_id: i32,
        drafts: Vec<Draft>,
    ) -> Appended {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let commit_log = &mut state.commit_logs[broker];
        let log = match state.topics.get_mut(topic) {
            Some(log) => log,
            None => state.topics.entry(Arc::clone(topic)).or_default(),
        };
        let queue_end = log.queues.entry((broker, queue_id)).or_default();
        let mut appended = Appended {
            commit_log_offsets: Vec::with_capacity(drafts.len()),
            queue_offset: *queue_end,
        };
        for draft in drafts {
            appended.commit_log_offsets.push(*commit_log);
            if let Some(mut message) = draft.message {
                message.queue_offset = *queue_end;
                message.commit_log_offset = *commit_log;
                let message = StoredMessage::new(message);
                // The channels are unbounded: sending does not wait.
                let deliver = |to: &Sender<StoredMessage>| to.send(message.clone()).is_ok();
                state.subscribers.retain(deliver);
                let wanted = self.keep || !state.subscribers.is_empty();
                self.wanted.store(wanted, Ordering::Relaxed);
                if self.keep {
                    log.messages.push(message);
                }
            }
            *queue_end += 1;
            *commit_log += draft.size as i64;
            log.count += 1;
        }
        drop(guard);
        self.arrived.notify_all();
        appended
    }

    pub(super) fn messages(&self, topic: &str) -> Vec<StoredMessage> {
        self.state.lock().messages(topic).to_vec()
    }

    pub(super) fn wait(&self, topic: &str, count: usize, timeout: Duration) -> Vec<StoredMessage> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        while state.messages(topic).len() < count {
            if self.arrived.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.messages(topic).to_vec()
    }

    pub(super) fn count(&self, topic: &str) -> u64 {
        self.state.lock().topics.get(topic).map_or(0, |t| t.count)
    }

    /// The message at an offset of a broker's commit log, if it is kept.
    pub(super) fn at(&self, broker: &str, commit_log_offset: i64) -> Option<StoredMessage> {
        let state = self.state.lock();
        let mut all = state.topics.values().flat_map(|log| &log.messages);
        let is_it =
            |m: &&StoredMessage| m.broker() == broker && m.commit_log_offset() == commit_log_offset;
        all.find(is_it).cloned()
    }

    /// The end of a queue.
    pub(super) fn queue_end(&self, broker: usize, topic: &str, queue_id: i32) -> i64 {
        let state = self.state.lock();
        let queues = state.topics.get(topic).map(|log| &log.queues);
        let end = queues.and_then(|queues| queues.get(&(broker, queue_id)));
        end.copied().unwrap_or(0)
    }

    pub(super) fn clear(&self) {
        for log in self.state.lock().topics.values_mut() {
            log.messages.clear();
        }
    }

    pub(super) fn subscribe(&self) -> Receiver<StoredMessage> {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let mut state = self.state.lock();
        state.subscribers.push(sender);
        self.wanted.store(true, Ordering::Relaxed);
        receiver
    }

    pub(super) fn end_subscriptions(&self) {
        self.state.lock().subscribers.clear();
    }
}

impl State {
    fn messages(&self, topic: &str) -> &[StoredMessage] {
        self.topics.get(topic).map_or(&[], |log| &log.messages)
    }
}
