//! A popped message is hidden. Unless it is acknowledged in time, it is delivered again through the retry
//! topic of its group and topic.

use std::sync::Arc;

use crate::embedded::broker::{BrokerState, set_property};
use crate::embedded::groups::QueueKey;
use crate::embedded::store::{Draft, Parts, StoredMessage};
use crate::protocol::consumer::pop::{Handle, Mark};

/// The number of queues of such a retry topic.
const RETRY_QUEUES: i32 = 1;

/// Hides a message until the time in its handle. A copy is kept, and delivered then.
pub(super) fn hide(broker: &BrokerState, key: &QueueKey, handle: &Handle, message: &StoredMessage) {
    let mut properties = message.raw_properties().to_owned();
    if message.property("1ST_POP_TIME").is_none() {
        set_property(
            "1ST_POP_TIME",
            &handle.pop_time.to_string(),
            &mut properties,
        );
    }
    set_property("ORIGIN_GROUP", &key.group, &mut properties);
    let topic: Arc<str> = match handle.mark {
        Mark::Normal => Mark::RetryV1.real_topic(&key.topic, &key.group).into(),
        _ => key.topic.as_str().into(),
    };
    broker.topics.make(&topic, broker.index, RETRY_QUEUES);
    let copy = Parts {
        topic: &topic,
        queue_id: 0,
        properties: &properties,
        reconsume_times: message.reconsume_times().saturating_add(1),
        ..message.parts()
    };
    let draft = Draft::new(&copy, broker.store.wants_messages());
    let until = handle.hidden_until();
    let copy = broker.delays.hold_copy(until, broker.index, &topic, draft);
    broker.pops.hide(key, handle, copy, broker.clock.now());
    broker.changes.note();
}

/// Ends this delivery, if the handle is the latest: the message is not delivered again.
pub(super) fn acknowledge(broker: &BrokerState, key: &QueueKey, handle: &Handle) {
    if let Some(copy) = broker.pops.acknowledge(key, handle) {
        broker.delays.cancel(copy);
        broker.changes.note();
    }
}
