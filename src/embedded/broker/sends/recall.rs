//! Takes timer messages back that are not due yet.

use std::sync::Arc;

use super::delays::{Delay, LONGEST_TIMER_MS};
use crate::embedded::broker::refusal::Refusal;
use crate::embedded::broker::state::BrokerState;
use crate::embedded::server::bad_request;
use crate::protocol::Command;
use crate::protocol::admin::{RecallAnswer, RecallMessage};
use crate::protocol::code::response;
use crate::protocol::recall::RecallHandle;

/// The handle in the answer to a timer message, whether recalling is on or not.
pub(super) fn recall_handle(
    broker: &BrokerState,
    delay: &Delay,
    topic: &Arc<str>,
    key: &str,
) -> Option<String> {
    let handle = RecallHandle {
        topic: topic.to_string(),
        broker: broker.name.to_string(),
        timestamp: delay.due(),
        unique_key: key.to_owned(),
    };
    delay.is_timer().then(|| handle.encode())
}

pub(in crate::embedded) fn recall(broker: &BrokerState, request: &Command) -> Command {
    let header = match RecallMessage::decode(&request.ext) {
        Ok(header) => header,
        Err(error) => return bad_request(request, &error),
    };
    match take_back(broker, &header) {
        Ok(message_id) => {
            let answer = Command::response_to(request, response::SUCCESS);
            answer.with_fields(&RecallAnswer { message_id })
        }
        Err(Refusal(code, remark)) => Command::response_to(request, code).with_remark(remark),
    }
}

fn take_back(broker: &BrokerState, header: &RecallMessage) -> Result<String, Refusal> {
    let refuse = |code, why: &str| Err(Refusal(code, format!("recall failed, {why}")));
    let illegal = |why| refuse(response::ILLEGAL_OPERATION, why);
    if !broker.delays.recall {
        return refuse(response::NO_PERMISSION, "operation is forbidden");
    }
    if broker.topics.find(&header.topic, broker.index).is_none() {
        let why = format!("the topic[{}] not exist", header.topic);
        return refuse(response::TOPIC_NOT_EXIST, &why);
    }
    let Ok(handle) = RecallHandle::decode(&header.recall_handle) else {
        let remark = "recall handle is invalid".to_owned();
        return Err(Refusal(response::ILLEGAL_OPERATION, remark));
    };
    if handle.topic != header.topic {
        return illegal("topic not match");
    }
    if *handle.broker != *broker.name {
        return illegal("broker service not available");
    }
    let left = broker.delays.left(handle.timestamp);
    if left <= 0 || left >= LONGEST_TIMER_MS {
        return illegal("timestamp invalid");
    }
    // As with a real broker, a missing message is not an error.
    broker
        .delays
        .take_back(broker.index, &handle.topic, &handle.unique_key);
    Ok(handle.unique_key)
}
