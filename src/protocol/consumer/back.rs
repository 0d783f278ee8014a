//! Giving a message back.

use super::optional;
use crate::protocol::{ExtFields, FieldSink, Fields, ProtocolError};

/// Gives a message back (36), so that it comes again later, or goes to the dead letter topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendBack {
    /// The message's position in the commit log.
    pub offset: i64,
    /// The consumer group.
    pub group: String,
    /// When it comes again: a delay level, 0 for the broker's choice, or -1 for the dead letter topic.
    pub delay_level: i32,
    /// The first id of the message.
    pub origin_message_id: Option<String>,
    /// The topic in which it was stored.
    pub origin_topic: Option<String>,
    /// Whether the client belongs to a unit.
    pub unit_mode: bool,
    /// The number of retries after which it goes to the dead letter topic.
    pub max_reconsume_times: Option<i32>,
    /// The broker's name.
    pub broker_name: Option<String>,
}

impl SendBack {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<SendBack, ProtocolError> {
        Ok(SendBack {
            offset: ext.must("offset")?,
            group: ext.must("group")?,
            delay_level: ext.must("delayLevel")?,
            origin_message_id: ext.text("originMsgId"),
            origin_topic: ext.text("originTopic"),
            unit_mode: ext.parse("unitMode")?.unwrap_or(false),
            max_reconsume_times: ext.parse("maxReconsumeTimes")?,
            broker_name: ext.text("bname"),
        })
    }
}

impl Fields for SendBack {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.number("offset", self.offset);
        sink.text("group", &self.group);
        sink.number("delayLevel", self.delay_level.into());
        optional(sink, "originMsgId", self.origin_message_id.as_deref());
        optional(sink, "originTopic", self.origin_topic.as_deref());
        sink.display("unitMode", &self.unit_mode);
        if let Some(times) = self.max_reconsume_times {
            sink.number("maxReconsumeTimes", times.into());
        }
        optional(sink, "bname", self.broker_name.as_deref());
    }
}
