//! Messages that a consumer sends back: they are delivered again later, or become dead letters.

use std::sync::Arc;

use super::check::Refused;
use crate::embedded::broker::{
    BrokerState, dead_letter_topic, find_property, hold_back, make_retry_topic, set_property,
};
use crate::embedded::server::bad_request;
use crate::embedded::store::{Draft, Parts, StoredMessage};
use crate::message::name::{self, RETRY_PREFIX};
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::protocol::consumer::back::SendBack;
use crate::protocol::route::perm;

/// The delay level of the first retry, unless the consumer sets another.
const FIRST_LEVEL: i32 = 3;

/// Serves a send-back (36).
pub(in crate::embedded) fn send_back(broker: &BrokerState, request: &Command) -> Command {
    let back = match SendBack::decode(&request.ext) {
        Ok(back) => back,
        Err(error) => return bad_request(request, &error),
    };
    match take_back(broker, &back) {
        Ok(()) => Command::response_to(request, response::SUCCESS),
        Err(refused) => refused.answer(broker, request),
    }
}

fn take_back(broker: &BrokerState, back: &SendBack) -> Result<(), Refused> {
    let group = &back.group;
    let Some(config) = broker.configs.find(group) else {
        let code = response::SUBSCRIPTION_GROUP_NOT_EXIST;
        return Err(Refused::new(
            code,
            format!("subscription group not exist, {group}"),
        ));
    };
    if config.retry_queues <= 0 {
        return Ok(());
    }
    make_retry_topic(broker, group);
    let retry_topic = format!("{RETRY_PREFIX}{group}");
    let found = broker.topics.find(&retry_topic, broker.index);
    let Some((retry_topic, _)) = found.filter(|(_, topic)| topic.perm & perm::WRITE != 0) else {
        let remark = format!("the topic[{retry_topic}] sending message is forbidden");
        return Err(Refused::new(response::NO_PERMISSION, remark));
    };
    let Some(message) = broker.store.at(broker.index, back.offset) else {
        let remark = format!("look message by offset failed, {}", back.offset);
        return Err(Refused::new(response::SYSTEM_ERROR, remark));
    };
    let most = back.max_reconsume_times.unwrap_or(config.max_retries);
    let is_dead = message.reconsume_times() >= most || back.delay_level < 0;
    let (topic, queue_id, level) = match (is_dead, back.delay_level) {
        (true, _) => (dead_letter_topic(broker, group), 0, 0),
        (false, level) => {
            let queues = config.retry_queues.unsigned_abs();
            let queue_id = (broker.count() % queues) as i32;
            let level = match level {
                0 => FIRST_LEVEL.saturating_add(message.reconsume_times()),
                level => level,
            };
            (retry_topic, queue_id, level)
        }
    };
    store_again(broker, &message, &topic, queue_id, level);
    Ok(())
}

fn store_again(
    broker: &BrokerState,
    message: &StoredMessage,
    topic: &Arc<str>,
    queue_id: i32,
    level: i32,
) {
    let mut properties = message.raw_properties().to_owned();
    for (name, value) in [
        ("RETRY_TOPIC", message.topic()),
        ("ORIGIN_MESSAGE_ID", &message.offset_message_id()),
    ] {
        // The message may have been sent back before.
        if find_property(&properties, name).is_none() {
            set_property(name, value, &mut properties);
        }
    }
    set_property(name::WAIT, "false", &mut properties);
    set_property(name::DELAY, &level.to_string(), &mut properties);
    let again = Parts {
        topic,
        queue_id,
        properties: &properties,
        reconsume_times: message.reconsume_times().saturating_add(1),
        ..message.parts()
    };
    let delay = match level {
        1.. => broker.delays.of_level(level.into()),
        _ => None,
    };
    match delay {
        Some(delay) => {
            let key = message.unique_key().unwrap_or_default();
            hold_back(broker, &again, key, &delay);
        }
        None => {
            let draft = Draft::new(&again, broker.store.wants_messages());
            broker
                .store
                .append(broker.index, topic, queue_id, vec![draft]);
        }
    }
}
