//! Popped messages that are not acknowledged yet.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use super::batch::Batch;
use super::offsets::QueueKey;
use crate::embedded::clock::Millis;
use crate::protocol::consumer::pop::Handle;

/// The popped messages of one broker. They outlive a kill: real brokers keep them on disk.
#[derive(Default)]
pub(in crate::embedded) struct Pops(Mutex<HashMap<QueueKey, Popped>>);

#[derive(Default)]
struct Popped {
    hidden: BTreeMap<Delivery, Hidden>,
    /// The latest batch that was popped in order.
    batch: Option<Batch>,
}

/// One delivery of a message: the parts of its handle besides the queue.
type Delivery = (i64, Millis, i64, i64);

/// A message that comes again unless it is acknowledged in time.
struct Hidden {
    until: Millis,
    /// The number under which its copy for the retry topic is held.
    copy: u64,
}

impl Pops {
    /// A message was popped, or hidden again, until a time; `copy` is the number of its held copy.
    pub(in crate::embedded) fn hide(
        &self,
        key: &QueueKey,
        handle: &Handle,
        copy: u64,
        now: Millis,
    ) {
        let mut queues = self.0.lock();
        let popped = queues.entry(key.clone()).or_default();
        popped.hidden.retain(|_, hidden| hidden.until > now);
        let until = handle.hidden_until();
        popped
            .hidden
            .insert(delivery(handle), Hidden { until, copy });
    }

    /// A delivery is acknowledged; the number of the copy that is not needed any more. `None` if it was
    /// acknowledged before, or is not the latest.
    pub(in crate::embedded) fn acknowledge(&self, key: &QueueKey, handle: &Handle) -> Option<u64> {
        let mut queues = self.0.lock();
        let hidden = queues.get_mut(key)?.hidden.remove(&delivery(handle))?;
        Some(hidden.copy)
    }

    /// Gives access to the latest batch that was popped in order from a queue.
    pub(in crate::embedded) fn with_batch<T>(
        &self,
        key: &QueueKey,
        work: impl FnOnce(&mut Option<Batch>) -> T,
    ) -> T {
        work(&mut self.0.lock().entry(key.clone()).or_default().batch)
    }

    /// How many messages of a group are hidden at this time.
    pub(in crate::embedded) fn in_flight(&self, group: &str, now: Millis) -> usize {
        let queues = self.0.lock();
        let of_group = queues.iter().filter(|(key, _)| key.group == group);
        let counts = of_group.map(|(_, popped)| {
            let hidden = popped.hidden.values().filter(|hidden| hidden.until > now);
            let batch = popped.batch.as_ref();
            hidden.count() + batch.map_or(0, |batch| batch.in_flight(now))
        });
        counts.sum()
    }
}

fn delivery(handle: &Handle) -> Delivery {
    (
        handle.queue_offset,
        handle.pop_time,
        handle.invisible_time,
        handle.start_offset,
    )
}
