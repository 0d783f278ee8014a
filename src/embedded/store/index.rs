//! The messages of all brokers by topic, by queue and offset, and by commit log offset.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use super::draft::Draft;
use super::parts::Place;
use super::stored::StoredMessage;

/// One queue of one broker.
#[derive(Clone, Copy)]
pub(in crate::embedded) struct QueueRef<'a> {
    /// The broker's place in the cluster.
    pub(in crate::embedded) broker: usize,
    pub(in crate::embedded) topic: &'a str,
    pub(in crate::embedded) queue_id: i32,
}

/// Where messages were stored.
pub(in crate::embedded) struct Appended {
    pub(in crate::embedded) commit_log_offsets: Vec<i64>,
    /// That of the first message.
    pub(in crate::embedded) queue_offset: i64,
    store_timestamp: i64,
}

impl Appended {
    /// The first message, which was appended as a hidden one.
    pub(in crate::embedded) fn reveal(&self, hidden: Draft) -> Option<StoredMessage> {
        hidden.placed(Place {
            queue_offset: self.queue_offset,
            commit_log_offset: *self.commit_log_offsets.first()?,
            store_timestamp: self.store_timestamp,
        })
    }
}

pub(super) struct Index {
    commit_logs: Vec<CommitLog>,
    topics: HashMap<Arc<str>, TopicLog>,
}

#[derive(Default, Clone)]
struct CommitLog {
    end: i64,
    /// Those that are kept, in the order of their offsets.
    messages: Vec<StoredMessage>,
}

#[derive(Default)]
struct TopicLog {
    /// Those that are kept, over all brokers, in order of arrival.
    messages: Vec<StoredMessage>,
    count: u64,
    /// By broker and queue.
    queues: HashMap<(usize, i32), QueueLog>,
}

#[derive(Default)]
struct QueueLog {
    end: i64,
    /// The last ones of the queue, one an offset: the last has the offset before `end`.
    messages: Vec<StoredMessage>,
}

impl Index {
    pub(super) fn new(brokers: usize) -> Index {
        Index {
            commit_logs: vec![CommitLog::default(); brokers],
            topics: HashMap::new(),
        }
    }

    /// Appends messages to a queue, in order. `keep` sees each that is not a mere size, and decides
    /// whether to keep it.
    pub(super) fn append(
        &mut self,
        broker: usize,
        topic: &Arc<str>,
        queue_id: i32,
        drafts: Vec<Draft>,
        store_timestamp: i64,
        mut keep: impl FnMut(&StoredMessage) -> bool,
    ) -> Appended {
        let log = match self.topics.get_mut(topic) {
            Some(log) => log,
            None => self.topics.entry(Arc::clone(topic)).or_default(),
        };
        let queue = log.queues.entry((broker, queue_id)).or_default();
        let commit_log = &mut self.commit_logs[broker];
        let mut appended = Appended {
            commit_log_offsets: Vec::with_capacity(drafts.len()),
            queue_offset: queue.end,
            store_timestamp,
        };
        for draft in drafts {
            let size = i64::try_from(draft.size).unwrap_or(i64::MAX);
            let message = draft.placed(Place {
                queue_offset: queue.end,
                commit_log_offset: commit_log.end,
                store_timestamp,
            });
            appended.commit_log_offsets.push(commit_log.end);
            log.count += 1;
            queue.end += 1;
            commit_log.end += size;
            match message.filter(&mut keep) {
                Some(message) => {
                    queue.messages.push(message.clone());
                    commit_log.messages.push(message.clone());
                    log.messages.push(message);
                }
                // Those that are kept have no gap.
                None => queue.messages.clear(),
            }
        }
        appended
    }

    /// The messages of a topic, over all brokers, in order of arrival.
    pub(super) fn topic(&self, topic: &str) -> &[StoredMessage] {
        self.topics.get(topic).map_or(&[], |log| &log.messages)
    }

    /// The number of messages of a topic that were stored, kept or not.
    pub(super) fn count(&self, topic: &str) -> u64 {
        self.topics.get(topic).map_or(0, |log| log.count)
    }

    /// The offset behind the last message of a queue.
    pub(super) fn end(&self, queue: QueueRef<'_>) -> i64 {
        self.queue(queue).map_or(0, |log| log.end)
    }

    /// The offset of the first message that a queue still has; its end if it has none.
    pub(super) fn start(&self, queue: QueueRef<'_>) -> i64 {
        self.queue(queue).map_or(0, QueueLog::start)
    }

    /// The messages of a queue from an offset on: none if the queue does not have that offset.
    pub(super) fn from(&self, queue: QueueRef<'_>, offset: i64) -> &[StoredMessage] {
        let Some(log) = self.queue(queue) else {
            return &[];
        };
        let skipped = usize::try_from(offset - log.start());
        skipped.map_or(&[], |skipped| log.messages.get(skipped..).unwrap_or(&[]))
    }

    /// The first message of a queue that was stored at this time or later.
    pub(super) fn first_since(&self, queue: QueueRef<'_>, time: i64) -> Option<&StoredMessage> {
        let messages = &self.queue(queue)?.messages;
        let before = messages.partition_point(|m| m.store_timestamp() < time);
        messages.get(before)
    }

    /// The message at an offset of a broker's commit log.
    pub(super) fn at(&self, broker: usize, commit_log_offset: i64) -> Option<&StoredMessage> {
        let messages = &self.commit_logs.get(broker)?.messages;
        let found = messages.binary_search_by_key(&commit_log_offset, |m| m.commit_log_offset());
        messages.get(found.ok()?)
    }

    /// Forgets the messages of a queue before an offset, as a broker that deletes old files.
    pub(super) fn delete_before(&mut self, queue: QueueRef<'_>, offset: i64) {
        let Some(topic) = self.topics.get_mut(queue.topic) else {
            return;
        };
        let Some(log) = topic.queues.get_mut(&(queue.broker, queue.queue_id)) else {
            return;
        };
        let count = usize::try_from(offset - log.start()).unwrap_or(0);
        let count = count.min(log.messages.len());
        let gone: Vec<StoredMessage> = log.messages.drain(..count).collect();
        let Some(broker) = gone.first().map(StoredMessage::broker) else {
            return;
        };
        let is_gone = |message: &StoredMessage| {
            let at = message.commit_log_offset();
            let found = gone.binary_search_by_key(&at, StoredMessage::commit_log_offset);
            message.broker() == broker && found.is_ok()
        };
        topic.messages.retain(|message| !is_gone(message));
        if let Some(commit_log) = self.commit_logs.get_mut(queue.broker) {
            commit_log.messages.retain(|message| !is_gone(message));
        }
    }

    /// Forgets a topic: its offsets begin at 0 again.
    pub(super) fn delete_topic(&mut self, topic: &str) {
        if self.topics.remove(topic).is_some() {
            for log in &mut self.commit_logs {
                log.messages.retain(|message| message.topic() != topic);
            }
        }
    }

    /// Forgets the messages; all offsets go on where they are.
    pub(super) fn clear(&mut self) {
        for log in &mut self.commit_logs {
            log.messages.clear();
        }
        for log in self.topics.values_mut() {
            log.messages.clear();
            for queue in log.queues.values_mut() {
                queue.messages.clear();
            }
        }
    }

    fn queue(&self, queue: QueueRef<'_>) -> Option<&QueueLog> {
        let log = self.topics.get(queue.topic)?;
        log.queues.get(&(queue.broker, queue.queue_id))
    }
}

impl QueueLog {
    fn start(&self) -> i64 {
        self.end - i64::try_from(self.messages.len()).unwrap_or(self.end)
    }
}
