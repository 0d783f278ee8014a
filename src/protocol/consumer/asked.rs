//! Requests of brokers to a consumer, and its answers. (The notification that the members of a group have
//! changed, 40, is a [`GroupName`](super::member::GroupName).)

mod running;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{optional, queues};
use crate::message::MessageQueue;
use crate::protocol::fastjson::{self, few, objects};
use crate::protocol::{ExtFields, FieldSink, Fields, ProtocolError};

pub use running::{ConsumeStatus, PopQueueInfo, QueueInfo, RunningInfo};

/// Resets the offsets of a consumer (220, oneway; brokers from 5.2 on do not send it), with an
/// [`OffsetTable`] as its body. An administrator's request to a broker to reset a group (222) has the same
/// header and no body; the answer has the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetOffsets {
    /// The topic.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// The time of the reset, epoch milliseconds; -1 without one.
    pub timestamp: i64,
    /// Whether offsets may move forward too.
    pub is_force: bool,
    /// The queue (brokers from 5.x on); -1 for all.
    pub queue_id: Option<i32>,
    /// The offset, if one was given (brokers from 5.x on).
    pub offset: Option<i64>,
}

impl ResetOffsets {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<ResetOffsets, ProtocolError> {
        Ok(ResetOffsets {
            topic: ext.must("topic")?,
            group: ext.must("group")?,
            timestamp: ext.must("timestamp")?,
            is_force: ext.must("isForce")?,
            queue_id: ext.parse("queueId")?,
            offset: ext.parse("offset")?,
        })
    }
}

impl Fields for ResetOffsets {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("topic", &self.topic);
        sink.text("group", &self.group);
        sink.number("timestamp", self.timestamp);
        sink.display("isForce", &self.is_force);
        if let Some(queue_id) = self.queue_id {
            sink.number("queueId", queue_id.into());
        }
        if let Some(offset) = self.offset {
            sink.number("offset", offset);
        }
    }
}

/// Offsets by queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetTable(pub BTreeMap<MessageQueue, i64>);

impl OffsetTable {
    /// The body, with objects as keys.
    pub fn encode(&self) -> Vec<u8> {
        format!("{{\"offsetTable\":{}}}", queues::map_part(&self.0)).into_bytes()
    }

    /// The body as clients in other languages than Java get it: a list.
    pub fn encode_list(&self) -> Vec<u8> {
        let list = self.0.iter().map(|(queue, offset)| Entry {
            broker_name: queue.broker(),
            offset: *offset,
            queue_id: queue.id(),
            topic: queue.topic(),
        });
        let list: Vec<_> = list.collect();
        format!("{{\"offsetTable\":{}}}", fastjson::part(&list)).into_bytes()
    }

    /// Reads the body in either form.
    ///
    /// # Errors
    /// The body has neither form.
    pub fn decode(body: &[u8]) -> Result<OffsetTable, ProtocolError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Map {
            #[serde(default, deserialize_with = "queues::map")]
            offset_table: BTreeMap<MessageQueue, i64>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct List {
            #[serde(deserialize_with = "objects")]
            offset_table: Vec<Entry<String>>,
        }
        let map = fastjson::decode::<Map>("offset table", body);
        match map {
            Ok(map) => Ok(OffsetTable(map.offset_table)),
            Err(error) => {
                let list: List = fastjson::decode("offset table", body).map_err(|_| error)?;
                let entries = list.offset_table.into_iter();
                let pair = |e: Entry<String>| {
                    let queue = MessageQueue::new(e.topic, e.broker_name, e.queue_id);
                    (queue, e.offset)
                };
                Ok(OffsetTable(entries.map(pair).collect()))
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<S> {
    broker_name: S,
    offset: i64,
    queue_id: i32,
    topic: S,
}

/// Asks for the offsets that a consumer has in memory (221). The answer is a [`ConsumerOffsets`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetsQuery {
    /// The topic.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// The client's address.
    pub client_address: Option<String>,
}

impl OffsetsQuery {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing.
    pub fn decode(ext: &ExtFields) -> Result<OffsetsQuery, ProtocolError> {
        Ok(OffsetsQuery {
            topic: ext.must("topic")?,
            group: ext.must("group")?,
            client_address: ext.text("clientAddr"),
        })
    }
}

impl Fields for OffsetsQuery {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("topic", &self.topic);
        sink.text("group", &self.group);
        optional(sink, "clientAddr", self.client_address.as_deref());
    }
}

/// The offsets that a consumer has in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerOffsets {
    /// The first offsets that are not consumed.
    #[serde(default, deserialize_with = "queues::map")]
    pub message_queue_table: BTreeMap<MessageQueue, i64>,
}

impl ConsumerOffsets {
    /// The body. The table of other clients, which brokers fill, is empty.
    pub fn encode(&self) -> Vec<u8> {
        let table = queues::map_part(&self.message_queue_table);
        format!("{{\"consumerTable\":{{}},\"messageQueueTable\":{table}}}").into_bytes()
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<ConsumerOffsets, ProtocolError> {
        fastjson::decode("status of a consumer", body)
    }
}

/// Asks for the state of a consumer (307). The answer is a [`RunningInfo`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningInfoQuery {
    /// The consumer group.
    pub consumer_group: String,
    /// The client's id.
    pub client_id: Option<String>,
    /// Whether to include stacks of threads.
    pub jstack: bool,
}

impl RunningInfoQuery {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<RunningInfoQuery, ProtocolError> {
        Ok(RunningInfoQuery {
            consumer_group: ext.must("consumerGroup")?,
            client_id: ext.text("clientId"),
            jstack: ext.parse("jstackEnable")?.unwrap_or(false),
        })
    }
}

impl Fields for RunningInfoQuery {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("consumerGroup", &self.consumer_group);
        optional(sink, "clientId", self.client_id.as_deref());
        sink.display("jstackEnable", &self.jstack);
    }
}

/// Asks a consumer to handle one message now (309). The body is the message as it is stored, the answer a
/// [`DirectResult`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumeDirectly {
    /// The consumer group.
    pub consumer_group: String,
    /// The client's id.
    pub client_id: Option<String>,
    /// The message's id.
    pub message_id: Option<String>,
    /// The name of the broker that stores the message.
    pub broker_name: Option<String>,
    /// The topic (brokers from 5.x on).
    pub topic: Option<String>,
    /// Flags of the topic (brokers from 5.x on).
    pub topic_sys_flag: Option<i32>,
    /// Flags of the group (brokers from 5.x on).
    pub group_sys_flag: Option<i32>,
}

impl ConsumeDirectly {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<ConsumeDirectly, ProtocolError> {
        Ok(ConsumeDirectly {
            consumer_group: ext.must("consumerGroup")?,
            client_id: ext.text("clientId"),
            message_id: ext.text("msgId"),
            broker_name: ext.text("brokerName"),
            topic: ext.text("topic"),
            topic_sys_flag: ext.parse("topicSysFlag")?,
            group_sys_flag: ext.parse("groupSysFlag")?,
        })
    }
}

impl Fields for ConsumeDirectly {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("consumerGroup", &self.consumer_group);
        optional(sink, "clientId", self.client_id.as_deref());
        optional(sink, "msgId", self.message_id.as_deref());
        optional(sink, "brokerName", self.broker_name.as_deref());
        optional(sink, "topic", self.topic.as_deref());
        for (name, flag) in [
            ("topicSysFlag", self.topic_sys_flag),
            ("groupSysFlag", self.group_sys_flag),
        ] {
            if let Some(flag) = flag {
                sink.number(name, flag.into());
            }
        }
    }
}

/// The result of consuming one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DirectResult {
    /// Whether the consumer commits automatically.
    #[serde(default)]
    pub auto_commit: bool,
    /// The handler's decision.
    pub consume_result: ConsumeResult,
    /// Whether the consumer is an ordered one.
    #[serde(default)]
    pub order: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// How long the handler took, in milliseconds.
    #[serde(default)]
    pub spent_time_mills: i64,
}

/// A handler's decision (Java's `CMResult`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ConsumeResult {
    /// The message is consumed.
    CrSuccess,
    /// The message comes again later.
    CrLater,
    /// Rollback (ordered consumers that commit by hand).
    CrRollback,
    /// Commit of this message and all before it (ordered consumers that commit by hand).
    CrCommit,
    /// The handler threw an exception.
    CrThrowException,
    /// The handler returned no decision.
    CrReturnNull,
}

impl DirectResult {
    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        fastjson::encode(self)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<DirectResult, ProtocolError> {
        fastjson::decode("result of consuming", body)
    }
}
