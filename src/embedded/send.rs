//! What a broker does with a send.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use super::broker::{BrokerService, bad_request};
use super::server::Peer;
use super::store::{Appended, Draft};
use super::stored::{self, Stored, StoredMessage};
use super::topics::TopicConfig;
use super::transactions::HALF_TOPIC;
use crate::message::name;
use crate::protocol::code::response;
use crate::protocol::id::{OffsetMessageId, UniqueKeys};
use crate::protocol::message::decode_batch;
use crate::protocol::properties::{self, NAME_END, VALUE_END};
use crate::protocol::send::{SendRequest, SendResponse};
use crate::protocol::{Command, FieldSink, Fields, sys_flag};

const MAX_TOPIC_LEN: usize = 127;
/// Topics of the broker's own that nobody may send to.
const FORBIDDEN_TOPICS: [&str; 6] = [
    "SCHEDULE_TOPIC_XXXX",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
];

/// A code other than success, and its remark.
pub(super) struct Refusal(pub(super) i32, pub(super) String);

impl BrokerService {
    pub(super) fn send(&self, request: &Command, peer: &Peer) -> Command {
        let header = match SendRequest::decode(request.code, &request.ext) {
            Ok(header) => header,
            Err(error) => return bad_request(request, &error),
        };
        if request.body.is_empty() {
            // Java's decoder makes a null of an empty body, and the broker stumbles over it.
            let remark = "java.lang.NullPointerException: the message has no body";
            return Command::response_to(request, response::SYSTEM_ERROR).with_remark(remark);
        }
        match self.try_send(&header, &request.body, peer) {
            Ok(stored) => Command::response_to(request, response::SUCCESS).with_fields(&stored),
            Err(Refusal(code, remark)) => Command::response_to(request, code)
                .with_fields(&Region)
                .with_remark(remark),
        }
    }

    pub(super) fn try_send(
        &self,
        header: &SendRequest,
        body: &[u8],
        peer: &Peer,
    ) -> Result<SendResponse<'static>, Refusal> {
        let (topic, config) = self.topic_of(header)?;
        if header.queue_id >= config.read_queues.max(config.write_queues) {
            let remark = format!(
                "request queueId[{}] is illegal, TopicConfig [topicName={topic}, {config}] \
                 Producer: {}",
                header.queue_id, peer.address
            );
            return Err(Refusal(response::INVALID_PARAMETER, remark));
        }
        if body.len() > self.max_message_size {
            return Err(self.illegal());
        }
        let sent_key = find_property(&header.properties, name::UNIQ_KEY);
        let key = sent_key.map_or_else(|| self.make_key(), str::to_owned);
        let queue_id = match header.queue_id {
            0.. => header.queue_id,
            _ => self.any_queue(config.write_queues),
        };
        let place = Place {
            broker: self,
            header,
            topic: &topic,
            queue_id,
            group: Arc::from(&*header.producer_group),
            peer: peer.address,
            now: now_ms(),
        };
        let mut drafts = Vec::new();
        if header.batch {
            let entries = decode_batch(body)
                .map_err(|error| Refusal(response::SYSTEM_ERROR, error.to_string()))?;
            for entry in entries {
                drafts.push(place.draft(entry.flag, entry.body, entry.properties)?);
            }
        } else {
            let mut properties = Cow::Borrowed(header.properties.as_str());
            if sent_key.is_none() {
                append_property(name::UNIQ_KEY, &key, properties.to_mut());
            }
            if find_property(&properties, name::TRANSACTION_PREPARED) == Some("true") {
                let appended = place.half(body, &properties)?;
                return Ok(self.answer(&appended, queue_id, key));
            }
            if let Some(held) = self.hold(&place, body, &properties)? {
                return Ok(SendResponse {
                    recall_handle: self.recall_handle(&held, &topic, &key).map(Into::into),
                    ..self.answer(&held.appended, held.queue_id, key)
                });
            }
            drafts.push(place.draft(header.flag, body, &properties)?);
        }
        let appended = self.store.append(self.index, &topic, queue_id, drafts);
        Ok(self.answer(&appended, queue_id, key))
    }

    fn topic_of(&self, header: &SendRequest) -> Result<(Arc<str>, TopicConfig), Refusal> {
        let topic = header.topic.as_str();
        if let Some(found) = self.topics.find(topic, self.index) {
            if !FORBIDDEN_TOPICS.contains(&topic) {
                return Ok(found);
            }
        }
        check_topic(topic)?;
        let made = self.topics.create_on_demand(
            topic,
            &header.default_topic,
            header.default_topic_queue_nums,
            self.index,
        );
        made.ok_or_else(|| {
            let remark = format!(
                "topic[{topic}] not exist, apply first please!\nSee \
                 https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
            );
            Refusal(response::TOPIC_NOT_EXIST, remark)
        })
    }

    fn answer(&self, appended: &Appended, queue_id: i32, key: String) -> SendResponse<'static> {
        let id = |offset: &i64| {
            let id = OffsetMessageId {
                address: self.address,
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

    fn illegal(&self) -> Refusal {
        let remark = format!(
            "the message is illegal, maybe msg body or properties length not matched. msg body \
             length limit {}B, msg properties length limit 32KB.",
            self.max_message_size
        );
        Refusal(response::MESSAGE_ILLEGAL, remark)
    }

    fn any_queue(&self, queues: i32) -> i32 {
        let next = self.counter.fetch_add(1, Ordering::Relaxed);
        // Less than `queues`, so it fits.
        (next % queues.max(1).unsigned_abs()) as i32
    }

    fn make_key(&self) -> String {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id() as u16;
        let keys = UniqueKeys::new(self.address.ip(), process, counter >> 16);
        keys.key(now_ms() as u32, counter as u16)
    }
}

/// What the messages of one send have in common.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) broker: &'a BrokerService,
    pub(super) header: &'a SendRequest,
    pub(super) topic: &'a Arc<str>,
    pub(super) queue_id: i32,
    pub(super) group: Arc<str>,
    pub(super) peer: SocketAddr,
    pub(super) now: i64,
}

impl Place<'_> {
    pub(super) fn draft(&self, flag: i32, body: &[u8], properties: &str) -> Result<Draft, Refusal> {
        if properties.len() > properties::MAX_LEN {
            return Err(self.broker.illegal());
        }
        let size = stored::size(body.len(), self.topic.len(), properties.len());
        let wanted = self.broker.store.wants_messages();
        let message = wanted.then(|| self.message(flag, body, properties));
        Ok(Draft { size, message })
    }

    fn message(&self, flag: i32, body: &[u8], properties: &str) -> Stored {
        Stored {
            broker: Arc::clone(&self.broker.name),
            topic: Arc::clone(self.topic),
            producer_group: Arc::clone(&self.group),
            queue_id: self.queue_id,
            queue_offset: 0,
            commit_log_offset: 0,
            body: body.to_vec(),
            properties: properties.to_owned(),
            flag,
            sys_flag: self.header.sys_flag,
            reconsume_times: self.header.reconsume_times,
            born_timestamp: self.header.born_timestamp,
            born_host: self.peer,
            store_timestamp: self.now,
            store_host: self.broker.address,
            prepared_offset: 0,
            decoded: OnceLock::new(),
        }
    }

    /// Stores the first half of a transaction where no consumer looks.
    fn half(&self, body: &[u8], properties: &str) -> Result<Appended, Refusal> {
        let Draft { size, .. } = self.draft(self.header.flag, body, properties)?;
        let message = None; // Whoever looks at messages must not see it.
        let topic = Arc::from(HALF_TOPIC);
        let drafts = vec![Draft { size, message }];
        let appended = self
            .broker
            .store
            .append(self.broker.index, &topic, 0, drafts);
        let half = StoredMessage::new(Stored {
            topic,
            queue_id: 0,
            queue_offset: appended.queue_offset,
            commit_log_offset: appended.commit_log_offsets[0],
            sys_flag: self.header.sys_flag & !sys_flag::TRANSACTION_ROLLBACK,
            ..self.message(self.header.flag, body, properties)
        });
        let transactions = &self.broker.transactions;
        transactions.add(half, self.topic, self.queue_id);
        Ok(appended)
    }
}

pub(super) const REGION: &str = "DefaultRegion";

/// The fields that refused sends are answered with too.
pub(super) struct Region;

impl Fields for Region {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text(name::MSG_REGION, REGION);
        sink.text(name::TRACE_ON, "true");
    }
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
    if topic.len() > MAX_TOPIC_LEN {
        return invalid(format!(
            "The specified topic: {topic}, is longer than topic max length: {MAX_TOPIC_LEN}"
        ));
    }
    if FORBIDDEN_TOPICS.contains(&topic) {
        let remark = format!("Sending message to topic[{topic}] is forbidden.");
        return Err(Refusal(response::NO_PERMISSION, remark));
    }
    Ok(())
}

/// A property of the text form, without building the whole map. As in a map, the last one wins.
pub(super) fn find_property<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut pieces = text
        .rsplit(VALUE_END)
        .filter_map(|p| p.split_once(NAME_END));
    let (_, value) = pieces.find(|(n, value)| *n == name && !value.is_empty())?;
    Some(value)
}

pub(super) fn append_property(name: &str, value: &str, text: &mut String) {
    // Clients before 5.2.0 leave out the last separator.
    if !text.is_empty() && !text.ends_with(VALUE_END) {
        text.push(VALUE_END);
    }
    text.push_str(name);
    text.push(NAME_END);
    text.push_str(value);
    text.push(VALUE_END);
}

pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}
