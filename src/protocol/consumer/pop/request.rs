use super::super::optional;
use crate::protocol::{ExtFields, FieldSink, Fields, ProtocolError};

/// Asks for messages (200050). No heartbeat is needed: the broker learns group and filter from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PopRequest {
    /// The consumer group.
    pub consumer_group: String,
    /// The topic.
    pub topic: String,
    /// The queue's number; -1 for any queue of the broker.
    pub queue_id: i32,
    /// The most messages, 1 to 32.
    pub max_messages: i32,
    /// How long the messages are hidden from others, in milliseconds.
    pub invisible_time: i64,
    /// How long the request may be parked, in milliseconds; 0: not at all.
    pub poll_time: i64,
    /// The time of the request, epoch milliseconds. If the broker's clock is ahead by more than the poll time,
    /// it answers at once.
    pub born_time: i64,
    /// Where a group without an offset starts: 0 with the oldest message, 1 with the newest.
    pub init_mode: i32,
    /// [`TAG`](super::super::subscription::TAG) or [`SQL92`](super::super::subscription::SQL92).
    pub expression_type: Option<String>,
    /// The filter expression; without one all messages match.
    pub expression: Option<String>,
    /// Whether messages come in order: a queue returns none while an earlier batch is not acknowledged.
    pub order: bool,
    /// For ordered pops: a repeated id gets the same batch again.
    pub attempt_id: Option<String>,
    /// The broker's name.
    pub broker_name: Option<String>,
}

impl PopRequest {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<PopRequest, ProtocolError> {
        Ok(PopRequest {
            consumer_group: ext.must("consumerGroup")?,
            topic: ext.must("topic")?,
            queue_id: ext.must("queueId")?,
            max_messages: ext.must("maxMsgNums")?,
            invisible_time: ext.must("invisibleTime")?,
            poll_time: ext.must("pollTime")?,
            born_time: ext.must("bornTime")?,
            init_mode: ext.must("initMode")?,
            expression_type: ext.text("expType"),
            expression: ext.text("exp"),
            order: ext.parse("order")?.unwrap_or(false),
            attempt_id: ext.text("attemptId"),
            broker_name: ext.text("bname"),
        })
    }
}

impl Fields for PopRequest {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("consumerGroup", &self.consumer_group);
        sink.text("topic", &self.topic);
        sink.number("queueId", self.queue_id.into());
        sink.number("maxMsgNums", self.max_messages.into());
        sink.number("invisibleTime", self.invisible_time);
        sink.number("pollTime", self.poll_time);
        sink.number("bornTime", self.born_time);
        sink.number("initMode", self.init_mode.into());
        optional(sink, "expType", self.expression_type.as_deref());
        optional(sink, "exp", self.expression.as_deref());
        sink.display("order", &self.order);
        optional(sink, "attemptId", self.attempt_id.as_deref());
        optional(sink, "bname", self.broker_name.as_deref());
    }
}

/// The header fields of a pop's answer. Its body is a sequence of stored messages, from several
/// queues and retry topics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PopAnswer {
    /// When the broker handed the messages out, by its clock, epoch milliseconds.
    pub pop_time: i64,
    /// How long they are hidden, in milliseconds.
    pub invisible_time: i64,
    /// The queue of the broker's own log that has their records.
    pub revive_queue: i32,
    /// How many messages are left.
    pub rest: i64,
    /// `mark queue offset;..`: where each queue's messages begin.
    pub start_offsets: Option<String>,
    /// `mark queue offset,offset;..`: the offsets of each queue's messages.
    pub message_offsets: Option<String>,
    /// `mark queue count;..`, `mark qo<queue>%<offset> count;..`: how often they were delivered, in order.
    pub order_counts: Option<String>,
}

impl PopAnswer {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<PopAnswer, ProtocolError> {
        let text = |name| ext.text(name).filter(|text: &String| !text.is_empty());
        Ok(PopAnswer {
            pop_time: ext.must("popTime")?,
            invisible_time: ext.must("invisibleTime")?,
            revive_queue: ext.must("reviveQid")?,
            rest: ext.must("restNum")?,
            start_offsets: text("startOffsetInfo"),
            message_offsets: text("msgOffsetInfo"),
            order_counts: text("orderCountInfo"),
        })
    }
}

impl Fields for PopAnswer {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.number("popTime", self.pop_time);
        sink.number("invisibleTime", self.invisible_time);
        sink.number("reviveQid", self.revive_queue.into());
        sink.number("restNum", self.rest);
        optional(sink, "startOffsetInfo", self.start_offsets.as_deref());
        optional(sink, "msgOffsetInfo", self.message_offsets.as_deref());
        optional(sink, "orderCountInfo", self.order_counts.as_deref());
    }
}
