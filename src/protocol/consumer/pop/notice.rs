//! Whether there is a message to pop.

use super::super::optional;
use crate::protocol::{ExtFields, FieldSink, Fields, ProtocolError};

/// Asks whether there is a message to pop (200054). Without one, the broker holds the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRequest {
    /// The consumer group.
    pub consumer_group: String,
    /// The topic.
    pub topic: String,
    /// The queue's number; -1 for any of the broker.
    pub queue_id: i32,
    /// How long the request may be held, in milliseconds; 0 not at all.
    pub poll_time: i64,
    /// Now, epoch milliseconds; 0: the broker takes its own time.
    pub born_time: i64,
    /// Whether messages come in order: a queue counts only if no earlier batch of it is open.
    pub order: bool,
    /// In order: a queue whose open batch has this id counts.
    pub attempt_id: Option<String>,
    /// The broker's name.
    pub broker_name: Option<String>,
}

impl NoticeRequest {
    /// Reads the header.
    ///
    /// # Errors
    /// A field that must be there is not, or is not valid.
    pub fn decode(ext: &ExtFields) -> Result<NoticeRequest, ProtocolError> {
        Ok(NoticeRequest {
            consumer_group: ext.must("consumerGroup")?,
            topic: ext.must("topic")?,
            queue_id: ext.must("queueId")?,
            poll_time: ext.must("pollTime")?,
            born_time: ext.must("bornTime")?,
            order: ext.parse("order")?.unwrap_or(false),
            attempt_id: ext.text("attemptId"),
            broker_name: ext.text("bname"),
        })
    }
}

impl Fields for NoticeRequest {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("consumerGroup", &self.consumer_group);
        sink.text("topic", &self.topic);
        sink.number("queueId", self.queue_id.into());
        sink.number("pollTime", self.poll_time);
        sink.number("bornTime", self.born_time);
        sink.display("order", &self.order);
        optional(sink, "attemptId", self.attempt_id.as_deref());
        optional(sink, "bname", self.broker_name.as_deref());
    }
}

/// The answer to [`NoticeRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notice {
    /// Whether there is a message.
    pub has_message: bool,
    /// The broker holds too many requests, and has not held this one.
    pub polling_full: bool,
}

impl Notice {
    /// Reads the header.
    ///
    /// # Errors
    /// A field that must be there is not, or is not valid.
    pub fn decode(ext: &ExtFields) -> Result<Notice, ProtocolError> {
        Ok(Notice {
            has_message: ext.must("hasMsg")?,
            polling_full: ext.parse("pollingFull")?.unwrap_or(false),
        })
    }
}

impl Fields for Notice {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.display("hasMsg", &self.has_message);
        sink.display("pollingFull", &self.polling_full);
    }
}

/// Asks how many pops of a queue the broker holds (200055).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollingQuery {
    /// The consumer group.
    pub consumer_group: String,
    /// The topic.
    pub topic: String,
    /// The queue's number; -1 for those that are for any queue of the broker.
    pub queue_id: i32,
    /// The broker's name.
    pub broker_name: Option<String>,
}

impl PollingQuery {
    /// Reads the header.
    ///
    /// # Errors
    /// A field that must be there is not, or is not valid.
    pub fn decode(ext: &ExtFields) -> Result<PollingQuery, ProtocolError> {
        Ok(PollingQuery {
            consumer_group: ext.must("consumerGroup")?,
            topic: ext.must("topic")?,
            queue_id: ext.must("queueId")?,
            broker_name: ext.text("bname"),
        })
    }
}

impl Fields for PollingQuery {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("consumerGroup", &self.consumer_group);
        sink.text("topic", &self.topic);
        sink.number("queueId", self.queue_id.into());
        optional(sink, "bname", self.broker_name.as_deref());
    }
}

/// The answer to [`PollingQuery`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Polling {
    /// How many are held.
    pub polling: i32,
}

impl Polling {
    /// Reads the header.
    ///
    /// # Errors
    /// A field that must be there is not, or is not valid.
    pub fn decode(ext: &ExtFields) -> Result<Polling, ProtocolError> {
        Ok(Polling {
            polling: ext.must("pollingNum")?,
        })
    }
}

impl Fields for Polling {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.number("pollingNum", self.polling.into());
    }
}
