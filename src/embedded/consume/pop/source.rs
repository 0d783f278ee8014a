//! The queues of a pop: those of the topic, and that of its retry topic.

use std::time::Duration;

use crate::embedded::broker::BrokerState;
use crate::embedded::consume::offsets::has_first_message;
use crate::embedded::groups::QueueKey;
use crate::protocol::consumer::pop::{Mark, NoticeRequest, PopRequest};

/// One of this many pops asks the retry topic first, the others ask it last
/// (`popFromRetryProbability`, 20 %).
const RETRY_FIRST: u32 = 5;
/// Where a group without an offset starts: with the oldest message.
const FROM_OLDEST: i32 = 0;

/// Brokers answer a request that they hold 50 ms before its time is over (`PopRequest.isTimeout`).
const EARLY: Duration = Duration::from_millis(50);

/// How long a request with this time (`pollTime`, in ms) is held; `None`: not at all.
pub(super) fn held(poll_time: i64) -> Option<Duration> {
    let time = Duration::from_millis(poll_time.try_into().ok()?);
    time.checked_sub(EARLY).filter(|held| !held.is_zero())
}

/// A queue, and which topic it belongs to.
pub(super) struct Source {
    pub(super) mark: Mark,
    pub(super) key: QueueKey,
}

/// The queues that a request is about.
pub(super) struct Asked<'a> {
    group: &'a str,
    topic: &'a str,
    /// -1 for all.
    queue_id: i32,
    order: bool,
}

impl<'a> From<&'a PopRequest> for Asked<'a> {
    fn from(pop: &'a PopRequest) -> Asked<'a> {
        Asked {
            group: &pop.consumer_group,
            topic: &pop.topic,
            queue_id: pop.queue_id,
            order: pop.order,
        }
    }
}

impl<'a> From<&'a NoticeRequest> for Asked<'a> {
    fn from(question: &'a NoticeRequest) -> Asked<'a> {
        Asked {
            group: &question.consumer_group,
            topic: &question.topic,
            queue_id: question.queue_id,
            order: question.order,
        }
    }
}

/// All queues of a pop, in the order in which they are asked. `queues` is the topic's number of queues.
pub(super) fn sources(broker: &BrokerState, asked: Asked<'_>, queues: i32) -> Vec<Source> {
    let source = |mark: Mark, id| {
        let topic = mark.real_topic(asked.topic, asked.group);
        let key = QueueKey::new(asked.group, &topic, id);
        Source { mark, key }
    };
    let count = broker.count();
    let first = (count % queues.max(1).unsigned_abs()) as i32;
    let mut all: Vec<Source> = match asked.queue_id {
        0.. => vec![source(Mark::Normal, asked.queue_id)],
        _ => (0..queues)
            .map(|n| source(Mark::Normal, (first + n) % queues))
            .collect(),
    };
    if !asked.order {
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

/// The same without an effect; a group without an offset counts from the oldest message on.
pub(super) fn position(broker: &BrokerState, source: &Source) -> i64 {
    let key = &source.key;
    let (min, max) = broker.store.bounds(broker.queue(&key.topic, key.queue_id));
    let offset = broker.offsets.query(key);
    offset.map_or(min, |offset| offset.clamp(min, max))
}
