//! The committed offsets of groups.

use crate::embedded::broker::BrokerState;
use crate::embedded::groups::QueueKey;
use crate::embedded::server::bad_request;
use crate::protocol::Command;
use crate::protocol::admin::OffsetAnswer;
use crate::protocol::code::response;
use crate::protocol::consumer::offset::{CommitOffset, QueryOffset};

/// The committed offset of a group (14).
///
/// For a group without an offset, brokers answer 0 if the queue still has its first message in memory: the
/// group then gets all messages of a young topic, despite its start rule. Brokers from 5.x on do not if the
/// request has `setZeroIfNotFound=false`.
pub(in crate::embedded) fn query_offset(broker: &BrokerState, request: &Command) -> Command {
    let query = match QueryOffset::decode(&request.ext) {
        Ok(query) => query,
        Err(error) => return bad_request(request, &error),
    };
    let parts = match broker.parts(request, &query.topic, query.queue_id) {
        Ok(parts) => parts,
        Err(elsewhere) => return elsewhere,
    };
    let key = QueueKey::new(&query.consumer_group, &query.topic, query.queue_id);
    let found = |offset| {
        Command::response_to(request, response::SUCCESS).with_fields(&OffsetAnswer { offset })
    };
    if let Some(offset) = broker.offsets.query(&key) {
        return found(offset);
    }
    let not_found =
        |remark| Command::response_to(request, response::QUERY_NOT_FOUND).with_remark(remark);
    let is_5 = broker.settings.release.is_5();
    if is_5 && query.set_zero_if_not_found == Some(false) {
        return not_found("Not found, do not set to zero, maybe this group boot first");
    }
    let (min, _) = parts.bounds();
    let has_first = || has_first_message(broker, &key);
    // 4.9 checks that the first message is not only on the disk, which is true for an empty queue too.
    if min <= 0 && (!is_5 || has_first()) {
        return found(0);
    }
    not_found("Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first")
}

/// Whether the queue still has its first message, which is then in memory.
pub(super) fn has_first_message(broker: &BrokerState, key: &QueueKey) -> bool {
    let queue = broker.queue(&key.topic, key.queue_id);
    !broker.store.read(queue, 0, 1, 0).is_empty()
}

/// Commits an offset (15). A lower one than before is accepted too.
pub(in crate::embedded) fn commit_offset(broker: &BrokerState, request: &Command) -> Command {
    let commit = match CommitOffset::decode(&request.ext) {
        Ok(commit) => commit,
        Err(error) => return bad_request(request, &error),
    };
    let (group, topic) = (&commit.consumer_group, &commit.topic);
    if let Err(elsewhere) = broker.parts(request, topic, commit.queue_id) {
        return elsewhere;
    }
    let answer = |code, remark: String| Command::response_to(request, code).with_remark(remark);
    if broker.settings.release.is_5() {
        if !broker.configs.contains(group) {
            let remark = format!("Group {group} not exist!");
            return answer(response::SUBSCRIPTION_GROUP_NOT_EXIST, remark);
        }
        if broker.topics.find(topic, broker.index).is_none() {
            let remark = format!("Topic {topic} not exist!");
            return answer(response::TOPIC_NOT_EXIST, remark);
        }
    }
    let key = QueueKey::new(group, topic, commit.queue_id);
    if broker.offsets.is_reset(&key) {
        let remark = "Offset has been previously reset".to_owned();
        return answer(response::SUCCESS, remark);
    }
    let now = broker.clock.now();
    broker.offsets.commit(&key, commit.commit_offset, now);
    broker.changes.note();
    Command::response_to(request, response::SUCCESS)
}
