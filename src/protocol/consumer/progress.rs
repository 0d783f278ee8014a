//! The progress of a group on one broker, and its topics. (An administrator's reset, 222, has the header and
//! the body of [`ResetOffsets`](super::asked::ResetOffsets).)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{optional, queues};
use crate::message::MessageQueue;
use crate::protocol::fastjson::{self, list, null_as_default};
use crate::protocol::{ExtFields, FieldSink, Fields, ProtocolError};

/// Asks for the progress of a group on a broker (208). The answer is a [`ConsumeStats`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumeStatsQuery {
    /// The consumer group.
    pub consumer_group: String,
    /// The topic; all topics of which the group has offsets without one. While the group has members, only
    /// topics that they subscribe.
    pub topic: Option<String>,
}

impl ConsumeStatsQuery {
    /// Reads the header.
    ///
    /// # Errors
    /// The group is missing.
    pub fn decode(ext: &ExtFields) -> Result<ConsumeStatsQuery, ProtocolError> {
        Ok(ConsumeStatsQuery {
            consumer_group: ext.must("consumerGroup")?,
            topic: ext.text("topic"),
        })
    }
}

impl Fields for ConsumeStatsQuery {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("consumerGroup", &self.consumer_group);
        optional(sink, "topic", self.topic.as_deref());
    }
}

/// The progress of a group on a broker.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumeStats {
    /// Messages consumed a second.
    #[serde(default)]
    pub consume_tps: f64,
    /// The readable queues of each topic.
    #[serde(default, deserialize_with = "queues::map")]
    pub offset_table: BTreeMap<MessageQueue, QueueStats>,
}

/// The progress of a group in one queue (Java's `OffsetWrapper`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueStats {
    /// The end of the queue.
    pub broker_offset: i64,
    /// The committed offset. 0 also without one.
    pub consumer_offset: i64,
    /// When the last consumed message was stored, epoch milliseconds; 0 if it is not known.
    pub last_timestamp: i64,
    /// The offset of the last pull (brokers from 5.x on).
    pub pull_offset: i64,
}

impl ConsumeStats {
    /// The body, with objects as keys.
    pub fn encode(&self) -> Vec<u8> {
        let tps = fastjson::part(&self.consume_tps);
        let table = queues::map_part(&self.offset_table);
        format!("{{\"consumeTps\":{tps},\"offsetTable\":{table}}}").into_bytes()
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<ConsumeStats, ProtocolError> {
        fastjson::decode("progress of a group", body)
    }
}

/// Asks for the topics of which a group has offsets on a broker (343, brokers from 5.x on). The answer is a
/// [`TopicList`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupTopicsQuery {
    /// The consumer group.
    pub group: String,
}

impl GroupTopicsQuery {
    /// Reads the header.
    ///
    /// # Errors
    /// The group is missing.
    pub fn decode(ext: &ExtFields) -> Result<GroupTopicsQuery, ProtocolError> {
        let group = ext.must("group")?;
        Ok(GroupTopicsQuery { group })
    }
}

impl Fields for GroupTopicsQuery {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("group", &self.group);
    }
}

/// Names of topics.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicList {
    /// The address of the broker.
    #[serde(default, deserialize_with = "null_as_default")]
    pub broker_addr: String,
    /// The topics.
    #[serde(default, deserialize_with = "list")]
    pub topic_list: Vec<String>,
}

impl TopicList {
    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        fastjson::encode(self)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<TopicList, ProtocolError> {
        fastjson::decode("list of topics", body)
    }
}
