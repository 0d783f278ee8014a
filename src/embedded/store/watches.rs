//! Waits for the next message of a queue.

use std::collections::HashMap;
use std::sync::Arc;

use super::index::QueueRef;

/// Runs once, on the thread that stores a message, when the store is free again. It must not block.
pub(super) type Wake = Box<dyn FnOnce() + Send>;

/// The watches of a topic, by broker and queue, each with its number.
type OfTopic = HashMap<(usize, i32), Vec<(u64, Wake)>>;

#[derive(Default)]
pub(super) struct Watches {
    by_topic: HashMap<Arc<str>, OfTopic>,
    next: u64,
}

/// The key of a watch.
#[derive(Clone)]
pub(super) struct WatchKey {
    topic: Arc<str>,
    queue: (usize, i32),
    id: u64,
}

impl Watches {
    pub(super) fn add(&mut self, queue: QueueRef<'_>, wake: Wake) -> WatchKey {
        let topic = match self.by_topic.get_key_value(queue.topic) {
            Some((topic, _)) => Arc::clone(topic),
            None => Arc::from(queue.topic),
        };
        let key = WatchKey {
            topic,
            queue: (queue.broker, queue.queue_id),
            id: self.next,
        };
        self.next += 1;
        let queues = self.by_topic.entry(Arc::clone(&key.topic)).or_default();
        queues.entry(key.queue).or_default().push((key.id, wake));
        key
    }

    /// Takes one out, if it is still there.
    pub(super) fn remove(&mut self, key: &WatchKey) -> Option<Wake> {
        let queues = self.by_topic.get_mut(&key.topic)?;
        let watches = queues.get_mut(&key.queue)?;
        let index = watches.iter().position(|(id, _)| *id == key.id)?;
        let (_, wake) = watches.remove(index);
        if watches.is_empty() {
            queues.remove(&key.queue);
        }
        if queues.is_empty() {
            self.by_topic.remove(&key.topic);
        }
        Some(wake)
    }

    /// Takes all of a queue out, in the order in which they came.
    pub(super) fn take(&mut self, queue: QueueRef<'_>) -> Vec<Wake> {
        if self.by_topic.is_empty() {
            return Vec::new();
        }
        let Some(queues) = self.by_topic.get_mut(queue.topic) else {
            return Vec::new();
        };
        let taken = queues.remove(&(queue.broker, queue.queue_id));
        if queues.is_empty() {
            self.by_topic.remove(queue.topic);
        }
        let taken = taken.unwrap_or_default().into_iter();
        taken.map(|(_, wake)| wake).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let queues = self.by_topic.values().flat_map(HashMap::values);
        queues.map(Vec::len).sum()
    }
}
