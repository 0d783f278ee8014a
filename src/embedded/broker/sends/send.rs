//! A broker's handlers for sends.

use std::borrow::Cow;
use std::sync::Arc;

use super::dead_letters::instead_of_retry;
use super::hold_back::hold_back;
use super::recall::recall_handle;
use crate::embedded::broker::refusal::Refusal;
use crate::embedded::broker::state::BrokerState;
use crate::embedded::broker::text::{append_property, find_property, set_property};
use crate::embedded::broker::transactions::HALF_TOPIC;
use crate::embedded::server::{Peer, bad_request};
use crate::embedded::store::{Appended, Draft, Parts, REGION};
use crate::embedded::topics::TopicConfig;
use crate::message::{FORBIDDEN_TOPICS, LONGEST_TOPIC, name};
use crate::protocol::code::response;
use crate::protocol::id::{OffsetMessageId, UniqueKeys};
use crate::protocol::message::decode_batch;
use crate::protocol::properties;
use crate::protocol::send::{SendRequest, SendResponse};
use crate::protocol::{Command, sys_flag};

pub(in crate::embedded) fn send(broker: &BrokerState, request: &Command, peer: Peer) -> Command {
    let mut header = match SendRequest::decode(request.code, &request.ext) {
        Ok(header) => header,
        Err(error) => return bad_request(request, &error),
    };
    let asked = header.queue_id;
    let host = match broker.parts(request, &header.topic, asked) {
        Ok(parts) => parts.host(),
        Err(elsewhere) => return elsewhere,
    };
    header.queue_id = host.queue_id;
    if request.body.is_empty() {
        // Java's decoder makes a null of an empty body, and the broker stumbles over it.
        let remark = "java.lang.NullPointerException: the message has no body";
        return Command::response_to(request, response::SYSTEM_ERROR).with_remark(remark);
    }
    match store(broker, &header, &request.body, peer) {
        Ok(mut stored) => {
            stored.queue_offset += host.first;
            if asked != host.queue_id {
                stored.queue_id = asked;
            }
            Command::response_to(request, response::SUCCESS).with_fields(&stored)
        }
        Err(refusal) => refusal.answer(request),
    }
}

/// Stores a message in its topic, or in the place where it waits for delivery.
pub(in crate::embedded::broker) fn store(
    broker: &BrokerState,
    header: &SendRequest,
    body: &[u8],
    peer: Peer,
) -> Result<SendResponse<'static>, Refusal> {
    let (topic, config) = topic_of(broker, header)?;
    if header.queue_id >= config.read_queues.max(config.write_queues) {
        let remark = format!(
            "request queueId[{}] is illegal, TopicConfig [topicName={topic}, {config}] Producer: {}",
            header.queue_id, peer.address
        );
        return Err(Refusal(response::INVALID_PARAMETER, remark));
    }
    if body.len() > broker.settings.max_message_size {
        return Err(illegal(broker));
    }
    let sent_key = find_property(&header.properties, name::UNIQ_KEY);
    let key = sent_key.map_or_else(|| make_key(broker), str::to_owned);
    let queue_id = match header.queue_id {
        0.. => header.queue_id,
        _ => any_queue(broker, config.write_queues),
    };
    let dead_letters = match header.batch {
        true => None,
        false => instead_of_retry(broker, header)?,
    };
    let is_dead = dead_letters.is_some();
    let (topic, queue_id) = match dead_letters {
        Some(dead_letters) => (dead_letters, 0),
        None => (topic, queue_id),
    };
    let message = Parts {
        broker: &broker.name,
        topic: &topic,
        producer_group: &Arc::from(&*header.producer_group),
        queue_id,
        body,
        properties: "",
        flag: header.flag,
        sys_flag: header.sys_flag,
        reconsume_times: header.reconsume_times,
        born_timestamp: header.born_timestamp,
        born_host: peer.address,
        store_host: broker.address,
        prepared_offset: 0,
    };
    let mut drafts = Vec::new();
    if header.batch {
        let entries = decode_batch(body)
            .map_err(|error| Refusal(response::SYSTEM_ERROR, error.to_string()))?;
        for entry in entries {
            let entry = Parts {
                flag: entry.flag,
                body: entry.body,
                properties: entry.properties,
                ..message.clone()
            };
            drafts.push(draft(broker, &entry)?);
        }
    } else {
        let mut properties = Cow::Borrowed(header.properties.as_str());
        if is_dead {
            set_property(name::DELAY, "-1", properties.to_mut());
        }
        if sent_key.is_none() {
            append_property(name::UNIQ_KEY, &key, properties.to_mut());
        }
        let message = Parts {
            properties: &properties,
            ..message
        };
        // Whatever becomes of it, it must be one that can be stored.
        let draft = draft(broker, &message)?;
        if find_property(&properties, name::TRANSACTION_PREPARED) == Some("true") {
            let appended = store_half(broker, &message);
            return Ok(answer(broker, &appended, queue_id, key));
        }
        if let Some(delay) = broker.delays.of(&properties)? {
            let appended = hold_back(broker, &message, &key, &delay);
            return Ok(SendResponse {
                recall_handle: recall_handle(broker, &delay, &topic, &key).map(Into::into),
                ..answer(broker, &appended, delay.queue_id(), key)
            });
        }
        drafts.push(draft);
    }
    let appended = broker.store.append(broker.index, &topic, queue_id, drafts);
    Ok(answer(broker, &appended, queue_id, key))
}

fn draft(broker: &BrokerState, message: &Parts<'_>) -> Result<Draft, Refusal> {
    if message.properties_len() > properties::MAX_LEN {
        return Err(illegal(broker));
    }
    Ok(Draft::new(message, broker.store.wants_messages()))
}

/// Stores a half message in the internal topic. The store hides it.
fn store_half(broker: &BrokerState, message: &Parts<'_>) -> Appended {
    let topic = Arc::from(HALF_TOPIC);
    let half = Parts {
        topic: &topic,
        queue_id: 0,
        sys_flag: message.sys_flag & !sys_flag::TRANSACTION_ROLLBACK,
        ..message.clone()
    };
    let mut draft = Draft::new(&half, true);
    let hidden = draft.hide();
    let appended = broker.store.append(broker.index, &topic, 0, vec![draft]);
    if let Some(half) = hidden.and_then(|hidden| appended.reveal(hidden)) {
        broker
            .transactions
            .add(half, message.topic, message.queue_id);
    }
    appended
}

fn topic_of(
    broker: &BrokerState,
    header: &SendRequest,
) -> Result<(Arc<str>, TopicConfig), Refusal> {
    let topic = header.topic.as_str();
    if let Some(found) = broker.topics.find(topic, broker.index) {
        if !FORBIDDEN_TOPICS.contains(&topic) {
            return Ok(found);
        }
    }
    check_topic(topic)?;
    let made = broker.topics.create_on_demand(
        topic,
        &header.default_topic,
        header.default_topic_queue_nums,
        broker.index,
    );
    let made = made.or_else(|| {
        topic.starts_with(name::RETRY_PREFIX).then_some(())?;
        broker.topics.make(topic, broker.index, 1);
        broker.topics.find(topic, broker.index)
    });
    made.ok_or_else(|| {
        let remark = format!(
            "topic[{topic}] not exist, apply first please!\nSee \
             https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
        );
        Refusal(response::TOPIC_NOT_EXIST, remark)
    })
}

fn answer(
    broker: &BrokerState,
    appended: &Appended,
    queue_id: i32,
    key: String,
) -> SendResponse<'static> {
    let id = |offset: &i64| {
        let id = OffsetMessageId {
            address: broker.address,
            commit_log_offset: *offset,
        };
        id.encode()
    };
    let ids: Vec<String> = appended.commit_log_offsets.iter().map(id).collect();
    SendResponse {
        message_id: ids.join(",").into(),
        queue_id,
        queue_offset: appended.queue_offset,
        transaction_id: Some(key.into()),
        region: Some(REGION.into()),
        trace_on: true,
        ..SendResponse::default()
    }
}

fn illegal(broker: &BrokerState) -> Refusal {
    let remark = format!(
        "the message is illegal, maybe msg body or properties length not matched. msg body length \
         limit {}B, msg properties length limit 32KB.",
        broker.settings.max_message_size
    );
    Refusal(response::MESSAGE_ILLEGAL, remark)
}

fn any_queue(broker: &BrokerState, queues: i32) -> i32 {
    // Less than `queues`, so it fits.
    (broker.count() % queues.max(1).unsigned_abs()) as i32
}

fn make_key(broker: &BrokerState) -> String {
    let counter = broker.count();
    let process = std::process::id() as u16;
    let keys = UniqueKeys::new(broker.address.ip(), process, counter >> 16);
    keys.key(broker.clock.now() as u32, counter as u16)
}

fn check_topic(topic: &str) -> Result<(), Refusal> {
    let invalid = |remark| Err(Refusal(response::INVALID_PARAMETER, remark));
    if topic.trim().is_empty() {
        return invalid("The specified topic is blank.".to_owned());
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || "%|_-".contains(c);
    if !topic.chars().all(legal) {
        return invalid(format!(
            "The specified topic: {topic}, contains illegal characters, allowing only \
             ^[%|a-zA-Z0-9_-]+$"
        ));
    }
    if topic.len() > LONGEST_TOPIC {
        return invalid(format!(
            "The specified topic: {topic}, is longer than topic max length: {LONGEST_TOPIC}"
        ));
    }
    if FORBIDDEN_TOPICS.contains(&topic) {
        let remark = format!("Sending message to topic[{topic}] is forbidden.");
        return Err(Refusal(response::NO_PERMISSION, remark));
    }
    Ok(())
}
