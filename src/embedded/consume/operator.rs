//! Requests of operators about a group: its progress, its topics, and the reset of its offsets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::check::Refused;
use crate::embedded::broker::BrokerState;
use crate::embedded::groups::{Kind, QueueKey};
use crate::embedded::server::bad_request;
use crate::message::MessageQueue;
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::asked::{OffsetTable, ResetOffsets};
use crate::protocol::consumer::progress::{
    ConsumeStats, ConsumeStatsQuery, GroupTopicsQuery, QueueStats, TopicList,
};

/// The progress of a group (208).
pub(in crate::embedded) fn consume_stats(broker: &BrokerState, request: &Command) -> Command {
    let query = match ConsumeStatsQuery::decode(&request.ext) {
        Ok(query) => query,
        Err(error) => return bad_request(request, &error),
    };
    let group = &query.consumer_group;
    let mut topics = match query.topic {
        Some(topic) if !topic.trim().is_empty() => BTreeSet::from([topic]),
        _ => topics_with_offsets(broker, group),
    };
    // While members are there, other topics than theirs do not count.
    if let Some(members) = broker.members.connections(group) {
        let subscribed = members.subscription_table;
        topics.retain(|topic| subscribed.is_empty() || subscribed.contains_key(topic));
    }
    let queues = topics.iter().flat_map(|topic| {
        let found = broker.topics.find(topic, broker.index);
        let count = found.map_or(0, |(_, config)| config.read_queues);
        (0..count).map(|id| queue_stats(broker, group, topic, id))
    });
    let stats = ConsumeStats {
        consume_tps: 0.0,
        offset_table: queues.collect(),
    };
    Command::response_to(request, response::SUCCESS).with_body(stats.encode())
}

fn queue_stats(
    broker: &BrokerState,
    group: &str,
    topic: &str,
    id: i32,
) -> (MessageQueue, QueueStats) {
    let queue = broker.queue(topic, id);
    let (_, end) = broker.store.bounds(queue);
    let committed = broker.offsets.query(&QueueKey::new(group, topic, id));
    let consumed = committed.unwrap_or(0);
    let last = match consumed {
        ..=0 => Vec::new(),
        _ => broker.store.read(queue, consumed - 1, 1, 0),
    };
    let stats = QueueStats {
        broker_offset: end,
        consumer_offset: consumed,
        last_timestamp: last.first().map_or(0, |last| last.store_timestamp()),
        pull_offset: consumed,
    };
    (MessageQueue::new(topic, &*broker.name, id), stats)
}

/// The topics of which a group has offsets (343).
pub(in crate::embedded) fn topics_of_group(broker: &BrokerState, request: &Command) -> Command {
    let GroupTopicsQuery { group } = match GroupTopicsQuery::decode(&request.ext) {
        Ok(query) => query,
        Err(error) => return bad_request(request, &error),
    };
    let topics = TopicList {
        broker_addr: broker.address.to_string(),
        topic_list: topics_with_offsets(broker, &group).into_iter().collect(),
    };
    Command::response_to(request, response::SUCCESS).with_body(topics.encode())
}

fn topics_with_offsets(broker: &BrokerState, group: &str) -> BTreeSet<String> {
    let offsets = broker.offsets.of(group).into_iter();
    offsets.map(|(key, _)| key.topic).collect()
}

/// Resets the offsets of a group (222). Brokers 5.x do it themselves, and the next pull gets the offset.
/// Brokers 4.x only notify the members; they know neither the field `queueId` nor `offset`.
pub(in crate::embedded) fn reset_group(broker: &BrokerState, request: &Command) -> Command {
    let reset = match ResetOffsets::decode(&request.ext) {
        Ok(reset) => reset,
        Err(error) => return bad_request(request, &error),
    };
    let offsets = match broker.settings.release.is_5() {
        true => reset_here(broker, &reset),
        false => reset_at_members(broker, &reset),
    };
    match offsets {
        Ok(offsets) => {
            let body = OffsetTable(offsets).encode();
            Command::response_to(request, response::SUCCESS).with_body(body)
        }
        Err(refused) => refused.answer(broker, request),
    }
}

type Offsets = BTreeMap<MessageQueue, i64>;

fn reset_here(broker: &BrokerState, reset: &ResetOffsets) -> Result<Offsets, Refused> {
    let (topic, group) = (&reset.topic, &reset.group);
    let Some((_, config)) = broker.topics.find(topic, broker.index) else {
        let remark = format!("Topic {topic} does not exist");
        return Err(Refused::new(response::TOPIC_NOT_EXIST, remark));
    };
    if !broker.configs.contains(group) {
        let remark = format!("Group {group} does not exist");
        let code = response::SUBSCRIPTION_GROUP_NOT_EXIST;
        return Err(Refused::new(code, remark));
    }
    let of_time = |id| at_time(broker, topic, id, reset.timestamp);
    let offsets: Vec<(i32, i64)> = match (reset.queue_id, reset.offset) {
        (Some(id @ 0..), Some(offset)) if offset != -1 => {
            let (min, max) = broker.store.bounds(broker.queue(topic, id));
            if offset < min || offset > max + 1 {
                let remark =
                    format!("Target offset {offset} not in consume queue range [{min}-{max}]");
                return Err(Refused::new(response::SYSTEM_ERROR, remark));
            }
            vec![(id, offset)]
        }
        (Some(id @ 0..), _) => vec![(id, of_time(id))],
        _ => (0..config.read_queues)
            .map(|id| (id, of_time(id)))
            .collect(),
    };
    let now = broker.clock.now();
    for (id, offset) in &offsets {
        let key = QueueKey::new(group, topic, *id);
        broker.offsets.reset(&key, *offset, now);
    }
    broker.changes.note();
    Ok(by_queue(broker, topic, offsets))
}

fn reset_at_members(broker: &BrokerState, reset: &ResetOffsets) -> Result<Offsets, Refused> {
    let (topic, group) = (&reset.topic, &reset.group);
    let Some((_, config)) = broker.topics.find(topic, broker.index) else {
        let remark =
            format!("[reset-offset] reset offset failed, no topic in this broker. topic={topic}");
        return Err(Refused::new(response::SYSTEM_ERROR, remark));
    };
    let mut offsets = Vec::new();
    for id in 0..config.write_queues {
        let key = QueueKey::new(group, topic, id);
        let Some(committed) = broker.offsets.query(&key) else {
            let remark = format!("THe consumer group <{group}> not exist");
            return Err(Refused::new(response::SYSTEM_ERROR, remark));
        };
        let wanted = at_time(broker, topic, id, reset.timestamp);
        let offset = match reset.is_force {
            true => wanted,
            false => wanted.min(committed),
        };
        offsets.push((id, offset));
    }
    let offsets = by_queue(broker, topic, offsets);
    if broker.members.of(Kind::Consumer, group).is_empty() {
        let remark = format!(
            "Consumer not online, so can not reset offset, Group: {group} Topic: {topic} Timestamp: {}",
            reset.timestamp
        );
        return Err(Refused::new(response::CONSUMER_NOT_ONLINE, remark));
    }
    push_reset(broker, group, topic, reset.timestamp, &offsets);
    Ok(offsets)
}

/// Notifies the members of a group of a reset (220). Returns their number.
pub(in crate::embedded) fn push_reset(
    broker: &BrokerState,
    group: &str,
    topic: &str,
    timestamp: i64,
    offsets: &Offsets,
) -> usize {
    let reset = ResetOffsets {
        topic: topic.to_owned(),
        group: group.to_owned(),
        timestamp,
        is_force: true,
        queue_id: None,
        offset: None,
    };
    let body = OffsetTable(offsets.clone()).encode();
    let members = broker.members.of(Kind::Consumer, group);
    let told = members.iter().filter(|member| {
        let push = Command::request(request::RESET_CONSUMER_CLIENT_OFFSET).with_fields(&reset);
        let push = push.with_body(body.clone()).oneway();
        broker.push(member.origin.connection, push)
    });
    told.count()
}

/// The offset of a time in a queue; its end for a negative time.
fn at_time(broker: &BrokerState, topic: &str, id: i32, timestamp: i64) -> i64 {
    let queue = broker.queue(topic, id);
    let (_, end) = broker.store.bounds(queue);
    match timestamp {
        ..0 => end,
        _ => {
            let first = broker.store.first_since(queue, timestamp);
            first.map_or(end, |first| first.queue_offset())
        }
    }
}

fn by_queue(broker: &BrokerState, topic: &str, offsets: Vec<(i32, i64)>) -> Offsets {
    let name: Arc<str> = broker.name.clone();
    let offsets = offsets.into_iter();
    offsets
        .map(|(id, offset)| (MessageQueue::new(topic, &*name, id), offset))
        .collect()
}
