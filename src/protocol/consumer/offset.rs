//! The progress of a group in a queue. Its ends are asked for by [`QueueQuery`](crate::protocol::admin::QueueQuery).

use super::optional;
use crate::protocol::{ExtFields, FieldSink, Fields, ProtocolError};

/// Asks for the committed offset (14). The answer is an
/// [`OffsetAnswer`](crate::protocol::admin::OffsetAnswer), or `QUERY_NOT_FOUND`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryOffset {
    /// The consumer group.
    pub consumer_group: String,
    /// The topic.
    pub topic: String,
    /// The queue's number.
    pub queue_id: i32,
    /// `Some(false)`: answer "not found" even if the queue still begins with offset 0 (brokers from
    /// 5.x on).
    pub set_zero_if_not_found: Option<bool>,
    /// The broker's name.
    pub broker_name: Option<String>,
}

impl QueryOffset {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<QueryOffset, ProtocolError> {
        Ok(QueryOffset {
            consumer_group: ext.must("consumerGroup")?,
            topic: ext.must("topic")?,
            queue_id: ext.must("queueId")?,
            set_zero_if_not_found: ext.parse("setZeroIfNotFound")?,
            broker_name: ext.text("bname"),
        })
    }
}

impl Fields for QueryOffset {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("consumerGroup", &self.consumer_group);
        sink.text("topic", &self.topic);
        sink.number("queueId", self.queue_id.into());
        if let Some(set) = &self.set_zero_if_not_found {
            sink.display("setZeroIfNotFound", set);
        }
        optional(sink, "bname", self.broker_name.as_deref());
    }
}

/// Commits an offset (15): the first one that is not consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOffset {
    /// The consumer group.
    pub consumer_group: String,
    /// The topic.
    pub topic: String,
    /// The queue's number.
    pub queue_id: i32,
    /// The offset.
    pub commit_offset: i64,
    /// The broker's name.
    pub broker_name: Option<String>,
}

impl CommitOffset {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<CommitOffset, ProtocolError> {
        Ok(CommitOffset {
            consumer_group: ext.must("consumerGroup")?,
            topic: ext.must("topic")?,
            queue_id: ext.must("queueId")?,
            commit_offset: ext.must("commitOffset")?,
            broker_name: ext.text("bname"),
        })
    }
}

impl Fields for CommitOffset {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("consumerGroup", &self.consumer_group);
        sink.text("topic", &self.topic);
        sink.number("queueId", self.queue_id.into());
        sink.number("commitOffset", self.commit_offset);
        optional(sink, "bname", self.broker_name.as_deref());
    }
}
