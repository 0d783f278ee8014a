//! What a broker does with the requests of administrators.

use super::broker::{BrokerService, bad_request};
use super::stored::StoredMessage;
use crate::protocol::Command;
use crate::protocol::admin::{
    CreateTopic, OffsetAnswer, QueryMessage, QueueQuery, StoreTimeAnswer, ViewMessage,
};
use crate::protocol::code::{request, response};

impl BrokerService {
    pub(super) fn create_topic(&self, request: &Command) -> Command {
        let header = match CreateTopic::decode(&request.ext) {
            Ok(header) => header,
            Err(error) => return bad_request(request, &error),
        };
        self.topics.change(&header.topic, self.index, |config| {
            config.read_queues = header.read_queue_nums;
            config.write_queues = header.write_queue_nums;
            config.perm = header.perm;
        });
        Command::response_to(request, response::SUCCESS)
    }

    pub(super) fn view_message(&self, request: &Command) -> Command {
        let header = match ViewMessage::decode(&request.ext) {
            Ok(header) => header,
            Err(error) => return bad_request(request, &error),
        };
        match self.store.at(&self.name, header.offset) {
            Some(message) => hand_out(request, &[message]),
            None => {
                let remark = format!("can not find message by the offset, {}", header.offset);
                Command::response_to(request, response::SYSTEM_ERROR).with_remark(remark)
            }
        }
    }

    pub(super) fn query_message(&self, request: &Command) -> Command {
        let query = match QueryMessage::decode(&request.ext) {
            Ok(query) => query,
            Err(error) => return bad_request(request, &error),
        };
        let times = query.begin_timestamp..=query.end_timestamp;
        let has_key = |m: &StoredMessage| match query.unique {
            true => m.unique_key() == Some(&query.key),
            false => m.keys().any(|key| key == query.key),
        };
        let mut found = self.messages(&query.topic);
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

    pub(super) fn query_queue(&self, request: &Command) -> Command {
        let query = match QueueQuery::decode(&request.ext) {
            Ok(query) => query,
            Err(error) => return bad_request(request, &error),
        };
        let end = self
            .store
            .queue_end(self.index, &query.topic, query.queue_id);
        let mut messages = self.messages(&query.topic);
        messages.retain(|m| m.queue_id() == query.queue_id);
        let answer = Command::response_to(request, response::SUCCESS);
        let offset = match request.code {
            request::GET_MAX_OFFSET => end,
            request::GET_MIN_OFFSET => 0,
            request::SEARCH_OFFSET_BY_TIMESTAMP => {
                let time = query.timestamp.unwrap_or(i64::MAX);
                let first = messages.iter().find(|m| m.store_timestamp() >= time);
                first.map_or(end, StoredMessage::queue_offset)
            }
            _ => {
                let first = messages.first().map(StoredMessage::store_timestamp);
                let timestamp = first.unwrap_or(-1);
                return answer.with_fields(&StoreTimeAnswer { timestamp });
            }
        };
        answer.with_fields(&OffsetAnswer { offset })
    }

    /// The messages of a topic on this broker.
    fn messages(&self, topic: &str) -> Vec<StoredMessage> {
        let mut messages = self.store.messages(topic);
        messages.retain(|m| m.broker() == &*self.name);
        messages
    }
}

fn hand_out(request: &Command, messages: &[StoredMessage]) -> Command {
    let mut body = Vec::new();
    for message in messages {
        match message.encode() {
            Ok(bytes) => body.extend(bytes),
            Err(error) => return bad_request(request, &error),
        }
    }
    Command::response_to(request, response::SUCCESS).with_body(body)
}
