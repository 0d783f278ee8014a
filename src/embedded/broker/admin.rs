//! A broker's handlers for administration requests.

use super::state::BrokerState;
use crate::embedded::server::bad_request;
use crate::embedded::store::StoredMessage;
use crate::protocol::Command;
use crate::protocol::admin::{
    CreateTopic, OffsetAnswer, QueryMessage, QueueQuery, StoreTimeAnswer, ViewMessage,
};
use crate::protocol::code::{request, response};

pub(in crate::embedded) fn create_topic(broker: &BrokerState, request: &Command) -> Command {
    let header = match CreateTopic::decode(&request.ext) {
        Ok(header) => header,
        Err(error) => return bad_request(request, &error),
    };
    broker.topics.change(&header.topic, broker.index, |config| {
        config.read_queues = header.read_queue_nums;
        config.write_queues = header.write_queue_nums;
        config.perm = header.perm;
    });
    Command::response_to(request, response::SUCCESS)
}

pub(in crate::embedded) fn view_message(broker: &BrokerState, request: &Command) -> Command {
    let header = match ViewMessage::decode(&request.ext) {
        Ok(header) => header,
        Err(error) => return bad_request(request, &error),
    };
    match broker.store.at(broker.index, header.offset) {
        Some(message) => hand_out(request, &[message]),
        None => {
            let remark = format!("can not find message by the offset, {}", header.offset);
            Command::response_to(request, response::SYSTEM_ERROR).with_remark(remark)
        }
    }
}

pub(in crate::embedded) fn query_message(broker: &BrokerState, request: &Command) -> Command {
    let query = match QueryMessage::decode(&request.ext) {
        Ok(query) => query,
        Err(error) => return bad_request(request, &error),
    };
    let times = query.begin_timestamp..=query.end_timestamp;
    let has_key = |m: &StoredMessage| match query.unique {
        true => m.unique_key() == Some(&query.key),
        false => m.keys().any(|key| key == query.key),
    };
    let mut found = broker.store.messages(&query.topic);
    found.retain(|m| m.broker() == &*broker.name);
    found.retain(|m| has_key(m) && times.contains(&m.store_timestamp()));
    // A broker's index goes from the newest to the oldest.
    found.reverse();
    found.truncate(usize::try_from(query.max_num).unwrap_or(0));
    if found.is_empty() {
        let remark = "can not find message, maybe time range not correct";
        return Command::response_to(request, response::QUERY_NOT_FOUND).with_remark(remark);
    }
    hand_out(request, &found)
}

pub(in crate::embedded) fn query_queue(broker: &BrokerState, request: &Command) -> Command {
    let query = match QueueQuery::decode(&request.ext) {
        Ok(query) => query,
        Err(error) => return bad_request(request, &error),
    };
    let parts = match broker.parts(request, &query.topic, query.queue_id) {
        Ok(parts) => parts,
        Err(elsewhere) => return elsewhere,
    };
    let (start, end) = parts.bounds();
    let first_since = |time| parts.first_since(time);
    let answer = Command::response_to(request, response::SUCCESS);
    let offset = match request.code {
        request::GET_MAX_OFFSET => end,
        request::GET_MIN_OFFSET => start,
        request::SEARCH_OFFSET_BY_TIMESTAMP => {
            let time = query.timestamp.unwrap_or(i64::MAX);
            let boundary = request.ext.get("boundaryType").unwrap_or_default();
            let is_upper = boundary.eq_ignore_ascii_case("UPPER");
            let since = |time| first_since(time).map_or(end, |(offset, _)| offset);
            match is_upper && broker.settings.release.is_5() {
                // The last message of that time or before.
                true => (since(time.saturating_add(1)) - 1).max(0),
                false => since(time),
            }
        }
        _ => {
            let first = first_since(i64::MIN);
            let timestamp = first.map_or(-1, |(_, first)| first.store_timestamp());
            return answer.with_fields(&StoreTimeAnswer { timestamp });
        }
    };
    answer.with_fields(&OffsetAnswer { offset })
}

fn hand_out(request: &Command, messages: &[StoredMessage]) -> Command {
    let encoded: Vec<&[u8]> = messages.iter().map(StoredMessage::encoded).collect();
    Command::response_to(request, response::SUCCESS).with_body(encoded.concat())
}
