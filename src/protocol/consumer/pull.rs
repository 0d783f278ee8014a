//! Asking a queue for messages, and the answer.

use std::borrow::Cow;

use super::optional;
use crate::protocol::code::response;
use crate::protocol::{ExtFields, FieldSink, Fields, ProtocolError};

/// Bits of [`PullRequest::sys_flag`] (Java's `PullSysFlag`).
pub mod flag {
    /// The broker commits [`commit_offset`](super::PullRequest::commit_offset).
    pub const COMMIT_OFFSET: i32 = 1;
    /// The request may be parked until there is a message.
    pub const SUSPEND: i32 = 1 << 1;
    /// The subscription is in the request, and replaces that of the heartbeat.
    pub const SUBSCRIPTION: i32 = 1 << 2;
    /// Filtering by a class at the server.
    pub const CLASS_FILTER: i32 = 1 << 3;
    /// From a pull consumer.
    pub const LITE_PULL: i32 = 1 << 4;
}

/// Asks a queue for messages (11, or 361 by pull consumers at brokers from 5.0 on). Its texts are borrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest<'a> {
    /// The consumer group.
    pub consumer_group: Cow<'a, str>,
    /// The topic.
    pub topic: Cow<'a, str>,
    /// The queue's number.
    pub queue_id: i32,
    /// The offset of the first message to return.
    pub queue_offset: i64,
    /// The most messages; brokers return at most 32 by default.
    pub max_messages: i32,
    /// See [`flag`].
    pub sys_flag: i32,
    /// The offset to commit with this request.
    pub commit_offset: i64,
    /// How long the request may be parked, in milliseconds.
    pub suspend_millis: i64,
    /// The filter expression, if it is in the request.
    pub subscription: Option<Cow<'a, str>>,
    /// The version of the subscription, compared with that of the heartbeat.
    pub sub_version: i64,
    /// [`TAG`](super::subscription::TAG) or [`SQL92`](super::subscription::SQL92).
    pub expression_type: Option<Cow<'a, str>>,
    /// The most bytes (brokers from 5.x on).
    pub max_bytes: Option<i32>,
    /// The broker's name.
    pub broker_name: Option<Cow<'a, str>>,
}

impl PullRequest<'_> {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<PullRequest<'_>, ProtocolError> {
        let text = |name| ext.get(name).map(Cow::Borrowed);
        Ok(PullRequest {
            consumer_group: ext.must_text("consumerGroup")?.into(),
            topic: ext.must_text("topic")?.into(),
            queue_id: ext.must("queueId")?,
            queue_offset: ext.must("queueOffset")?,
            max_messages: ext.must("maxMsgNums")?,
            sys_flag: ext.must("sysFlag")?,
            commit_offset: ext.must("commitOffset")?,
            suspend_millis: ext.must("suspendTimeoutMillis")?,
            subscription: text("subscription"),
            sub_version: ext.must("subVersion")?,
            expression_type: text("expressionType"),
            max_bytes: ext.parse("maxMsgBytes")?,
            broker_name: text("bname"),
        })
    }
}

impl Fields for PullRequest<'_> {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("consumerGroup", &self.consumer_group);
        sink.text("topic", &self.topic);
        sink.number("queueId", self.queue_id.into());
        sink.number("queueOffset", self.queue_offset);
        sink.number("maxMsgNums", self.max_messages.into());
        sink.number("sysFlag", self.sys_flag.into());
        sink.number("commitOffset", self.commit_offset);
        sink.number("suspendTimeoutMillis", self.suspend_millis);
        optional(sink, "subscription", self.subscription.as_deref());
        sink.number("subVersion", self.sub_version);
        optional(sink, "expressionType", self.expression_type.as_deref());
        if let Some(bytes) = self.max_bytes {
            sink.number("maxMsgBytes", bytes.into());
        }
        optional(sink, "bname", self.broker_name.as_deref());
    }
}

/// The header fields of a pull's answer. Its body is a sequence of stored messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullAnswer {
    /// The id of the broker that should be asked next: 0 is the master.
    pub suggested_broker_id: i64,
    /// The offset to ask for next.
    pub next_offset: i64,
    /// The offset of the oldest message.
    pub min_offset: i64,
    /// The offset that the next message will have.
    pub max_offset: i64,
    /// Static topics: what to add to the offsets of messages (brokers from 5.x on).
    pub offset_delta: Option<i64>,
    /// Flags of the topic (brokers from 5.x on).
    pub topic_sys_flag: Option<i32>,
    /// Flags of the group (brokers from 5.x on).
    pub group_sys_flag: Option<i32>,
    /// The kind of prohibition, with `NO_PERMISSION` (brokers from 5.x on).
    pub forbidden_type: Option<i32>,
}

impl PullAnswer {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<PullAnswer, ProtocolError> {
        Ok(PullAnswer {
            suggested_broker_id: ext.must("suggestWhichBrokerId")?,
            next_offset: ext.must("nextBeginOffset")?,
            min_offset: ext.must("minOffset")?,
            max_offset: ext.must("maxOffset")?,
            offset_delta: ext.parse("offsetDelta")?,
            topic_sys_flag: ext.parse("topicSysFlag")?,
            group_sys_flag: ext.parse("groupSysFlag")?,
            forbidden_type: ext.parse("forbiddenType")?,
        })
    }

    /// What to add to the offsets of its messages.
    pub(crate) fn delta(&self) -> i64 {
        self.offset_delta.unwrap_or(0)
    }
}

impl Fields for PullAnswer {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.number("suggestWhichBrokerId", self.suggested_broker_id);
        sink.number("nextBeginOffset", self.next_offset);
        sink.number("minOffset", self.min_offset);
        sink.number("maxOffset", self.max_offset);
        let optional = [
            ("offsetDelta", self.offset_delta),
            ("topicSysFlag", self.topic_sys_flag.map(i64::from)),
            ("groupSysFlag", self.group_sys_flag.map(i64::from)),
            ("forbiddenType", self.forbidden_type.map(i64::from)),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                sink.number(name, value);
            }
        }
    }
}

/// The meaning of a pull's answer that is not a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PullStatus {
    /// There are messages.
    Found,
    /// No message at the offset yet.
    NoNewMessage,
    /// The messages that the broker scanned do not match: ask again at once, after them.
    NoMatchedMessage,
    /// The offset is outside of the queue, or was reset: the answer has the next offset.
    OffsetMoved,
}

impl PullStatus {
    /// What this response code means; `None` for a refusal.
    pub fn of_code(code: i32) -> Option<PullStatus> {
        Some(match code {
            response::SUCCESS => PullStatus::Found,
            response::PULL_NOT_FOUND => PullStatus::NoNewMessage,
            response::PULL_RETRY_IMMEDIATELY => PullStatus::NoMatchedMessage,
            response::PULL_OFFSET_MOVED => PullStatus::OffsetMoved,
            _ => return None,
        })
    }

    /// The response code with this meaning.
    pub fn code(self) -> i32 {
        match self {
            PullStatus::Found => response::SUCCESS,
            PullStatus::NoNewMessage => response::PULL_NOT_FOUND,
            PullStatus::NoMatchedMessage => response::PULL_RETRY_IMMEDIATELY,
            PullStatus::OffsetMoved => response::PULL_OFFSET_MOVED,
        }
    }
}
