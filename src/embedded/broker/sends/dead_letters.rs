//! Plain sends to a group's retry topic, which may become dead letters.

use std::sync::Arc;

use crate::embedded::broker::refusal::Refusal;
use crate::embedded::broker::state::BrokerState;
use crate::message::name::{DLQ_PREFIX, RETRY_PREFIX};
use crate::protocol::code::response;
use crate::protocol::send::SendRequest;

/// The number of queues of a dead letter topic.
const DLQ_QUEUES: i32 = 1;

/// The dead letter topic, if this send to a retry topic goes there: above the limit of retries, or while
/// the group holds a lock (a sign of ordered consumption, which retries would disturb).
pub(super) fn instead_of_retry(
    broker: &BrokerState,
    header: &SendRequest,
) -> Result<Option<Arc<str>>, Refusal> {
    let Some(group) = header.topic.strip_prefix(RETRY_PREFIX) else {
        return Ok(None);
    };
    let group = group.split('+').next().unwrap_or(group);
    let Some(config) = broker.configs.find(group) else {
        let remark = format!("subscription group not exist, {group}");
        return Err(Refusal(response::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    };
    let times = header.reconsume_times;
    let most = header.max_reconsume_times.unwrap_or(config.max_retries);
    let dead = match broker.settings.release.is_5() {
        true => times > most || broker.locks.any(group, broker.clock.now()),
        false => times >= most,
    };
    Ok(dead.then(|| dead_letter_topic(broker, group)))
}

/// The dead letter topic of a group. Makes it if it does not exist.
pub(in crate::embedded) fn dead_letter_topic(broker: &BrokerState, group: &str) -> Arc<str> {
    let topic = format!("{DLQ_PREFIX}{group}");
    broker.topics.make(&topic, broker.index, DLQ_QUEUES);
    Arc::from(topic)
}
