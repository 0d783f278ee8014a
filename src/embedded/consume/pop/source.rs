//! The queues of a pop: those of the topic, and that of its retry topic.

use crate::embedded::broker::BrokerState;
use crate::embedded::consume::offsets::has_first_message;
use crate::embedded::groups::QueueKey;
use crate::protocol::consumer::pop::{Mark, PopRequest};

/// One of this many pops asks the retry topic first, the others ask it last
/// (`popFromRetryProbability`, 20 %).
const RETRY_FIRST: u32 = 5;
/// Where a group without an offset starts: with the oldest message.
const FROM_OLDEST: i32 = 0;

/// A queue, and which topic it belongs to.
pub(super) struct Source {
    pub(super) mark: Mark,
    pub(super) key: QueueKey,
}

/// All queues of a pop, in the order in which they are asked. `queues` is the topic's number of queues.
pub(super) fn sources(broker: &BrokerState, pop: &PopRequest, queues: i32) -> Vec<Source> {
    let source = |mark: Mark, id| {
        let topic = mark.real_topic(&pop.topic, &pop.consumer_group);
        let key = QueueKey::new(&pop.consumer_group, &topic, id);
        Source { mark, key }
    };
    let count = broker.count();
    let first = (count % queues.max(1).unsigned_abs()) as i32;
    let mut all: Vec<Source> = match pop.queue_id {
        0.. => vec![source(Mark::Normal, pop.queue_id)],
        _ => (0..queues)
            .map(|n| source(Mark::Normal, (first + n) % queues))
            .collect(),
    };
    if !pop.order {
        let retries = source(Mark::RetryV1, 0);
        match count % RETRY_FIRST {
            0 => all.insert(0, retries),
            _ => all.push(retries),
        }
    }
    all
}

/// The offset of a queue's first message for the group. A start offset is committed at once.
pub(super) fn start(broker: &BrokerState, pop: &PopRequest, source: &Source) -> i64 {
    let key = &source.key;
    let (min, max) = broker.store.bounds(broker.queue(&key.topic, key.queue_id));
    let reset = broker.offsets.take_reset(key);
    if let Some(offset) = reset.or_else(|| broker.offsets.query(key)) {
        return offset.clamp(min, max);
    }
    let is_young = || min <= 0 && has_first_message(broker, key);
    let offset = match source.mark {
        Mark::Normal if pop.init_mode != FROM_OLDEST && !is_young() => (max - 1).max(min),
        _ => min,
    };
    broker.offsets.commit(key, offset, broker.clock.now());
    offset
}
