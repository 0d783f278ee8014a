//! Send requests and their responses.

use super::code::{request, response};
use super::{ExtFields, FieldSink, Fields, ProtocolError};
use crate::message::{DEFAULT_REGION, Extras, OwnExtras, SendStatus, name};
use std::borrow::Cow;

/// The header of a send, borrowed from wherever its parts are.
///
/// [`Fields`] writes it with V2 names (one letter each); [`V1`] writes the long names.
#[derive(Clone, Copy)]
pub struct SendHeader<'a> {
    /// The producer's group.
    pub producer_group: &'a str,
    /// The topic, as the broker knows it.
    pub topic: &'a str,
    /// The topic whose settings a new topic inherits.
    pub default_topic: &'a str,
    /// How many queues a new topic gets.
    pub default_topic_queue_nums: i32,
    /// The queue's number on the broker.
    pub queue_id: i32,
    /// See [`sys_flag`](super::sys_flag).
    pub sys_flag: i32,
    /// Epoch milliseconds.
    pub born_timestamp: i64,
    /// The user's flag.
    pub flag: i32,
    /// The properties in their [text form](super::properties).
    pub properties: &'a str,
    /// How often consumers sent the message back.
    pub reconsume_times: i32,
    /// Whether the client belongs to a unit.
    pub unit_mode: bool,
    /// The most times a consumer may give it back.
    pub max_reconsume_times: Option<i32>,
    /// Whether the body is a batch.
    pub batch: bool,
    /// The broker's name.
    pub broker_name: Option<&'a str>,
}

/// The fields of every send: V2 name, V1 name.
mod field {
    pub type Names = (&'static str, &'static str);
    pub const PRODUCER_GROUP: Names = ("a", "producerGroup");
    pub const TOPIC: Names = ("b", "topic");
    pub const DEFAULT_TOPIC: Names = ("c", "defaultTopic");
    pub const DEFAULT_TOPIC_QUEUE_NUMS: Names = ("d", "defaultTopicQueueNums");
    pub const QUEUE_ID: Names = ("e", "queueId");
    pub const SYS_FLAG: Names = ("f", "sysFlag");
    pub const BORN_TIMESTAMP: Names = ("g", "bornTimestamp");
    pub const FLAG: Names = ("h", "flag");
    pub const PROPERTIES: Names = ("i", "properties");
    pub const RECONSUME_TIMES: Names = ("j", "reconsumeTimes");
    pub const UNIT_MODE: Names = ("k", "unitMode");
    pub const MAX_RECONSUME_TIMES: Names = ("l", "maxReconsumeTimes");
    pub const BATCH: Names = ("m", "batch");
    pub const BROKER_NAME: Names = ("n", "bname");
}

/// The fields of a send that are likely to be those of the send before it.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::protocol) struct Constants<'a> {
    /// With the long names of request code 10.
    v1: bool,
    producer_group: &'a str,
    topic: &'a str,
    default_topic: &'a str,
    default_topic_queue_nums: i32,
    sys_flag: i32,
    flag: i32,
    reconsume_times: i32,
    unit_mode: bool,
    max_reconsume_times: Option<i32>,
    batch: bool,
}

impl Fields for Constants<'_> {
    fn visit(&self, sink: &mut dyn FieldSink) {
        let name = |names: field::Names| if self.v1 { names.1 } else { names.0 };
        let flag = |set: bool| if set { "true" } else { "false" };
        let queues = self.default_topic_queue_nums;
        sink.text(name(field::PRODUCER_GROUP), self.producer_group);
        sink.text(name(field::TOPIC), self.topic);
        sink.text(name(field::DEFAULT_TOPIC), self.default_topic);
        sink.number(name(field::DEFAULT_TOPIC_QUEUE_NUMS), queues.into());
        sink.number(name(field::SYS_FLAG), self.sys_flag.into());
        sink.number(name(field::FLAG), self.flag.into());
        sink.number(name(field::RECONSUME_TIMES), self.reconsume_times.into());
        sink.text(name(field::UNIT_MODE), flag(self.unit_mode));
        if let Some(times) = self.max_reconsume_times {
            sink.number(name(field::MAX_RECONSUME_TIMES), times.into());
        }
        sink.text(name(field::BATCH), flag(self.batch));
    }
}

impl SendHeader<'_> {
    /// The fields that come first.
    pub(in crate::protocol) fn constants(&self, v1: bool) -> Constants<'_> {
        Constants {
            v1,
            producer_group: self.producer_group,
            topic: self.topic,
            default_topic: self.default_topic,
            default_topic_queue_nums: self.default_topic_queue_nums,
            sys_flag: self.sys_flag,
            flag: self.flag,
            reconsume_times: self.reconsume_times,
            unit_mode: self.unit_mode,
            max_reconsume_times: self.max_reconsume_times,
            batch: self.batch,
        }
    }

    /// The fields behind them, which differ from send to send.
    pub(in crate::protocol) fn visit_rest(&self, v1: bool, sink: &mut dyn FieldSink) {
        let name = |names: field::Names| if v1 { names.1 } else { names.0 };
        sink.number(name(field::QUEUE_ID), self.queue_id.into());
        sink.number(name(field::BORN_TIMESTAMP), self.born_timestamp);
        sink.text(name(field::PROPERTIES), self.properties);
        if let Some(broker) = self.broker_name {
            sink.text(name(field::BROKER_NAME), broker);
        }
    }

    fn visit_all(&self, v1: bool, sink: &mut dyn FieldSink) {
        self.constants(v1).visit(sink);
        self.visit_rest(v1, sink);
    }
}

/// The last written [`Constants`], and their encoding.
#[derive(Default)]
pub(in crate::protocol) struct Memo {
    producer_group: String,
    topic: String,
    default_topic: String,
    /// The other fields; the texts in here are empty.
    others: Option<Constants<'static>>,
    written: Vec<u8>,
}

impl Memo {
    /// These fields as they are written: as the last time if they are the same.
    pub(in crate::protocol) fn written(
        &mut self,
        fields: &Constants<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> &[u8] {
        let others = Some(fields.without_texts());
        let same = self.others == others
            && self.producer_group == fields.producer_group
            && self.topic == fields.topic
            && self.default_topic == fields.default_topic;
        if !same {
            let texts = [
                (&mut self.producer_group, fields.producer_group),
                (&mut self.topic, fields.topic),
                (&mut self.default_topic, fields.default_topic),
            ];
            for (own, text) in texts {
                own.clear();
                own.push_str(text);
            }
            self.others = others;
            self.written.clear();
            write(&mut self.written);
        }
        &self.written
    }
}

impl Constants<'_> {
    fn without_texts(&self) -> Constants<'static> {
        let (producer_group, topic, default_topic) = ("", "", "");
        Constants {
            v1: self.v1,
            producer_group,
            topic,
            default_topic,
            default_topic_queue_nums: self.default_topic_queue_nums,
            sys_flag: self.sys_flag,
            flag: self.flag,
            reconsume_times: self.reconsume_times,
            unit_mode: self.unit_mode,
            max_reconsume_times: self.max_reconsume_times,
            batch: self.batch,
        }
    }
}

impl Fields for SendHeader<'_> {
    fn visit(&self, sink: &mut dyn FieldSink) {
        self.visit_all(false, sink);
    }
}

/// A send header with the long names of request code 10 (Java with `sendSmartMsg` off).
pub struct V1<'a>(pub &'a SendHeader<'a>);

impl Fields for V1<'_> {
    fn visit(&self, sink: &mut dyn FieldSink) {
        self.0.visit_all(true, sink);
    }
}

/// A send header as a broker decodes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendRequest {
    /// See [`SendHeader::producer_group`].
    pub producer_group: String,
    /// See [`SendHeader::topic`].
    pub topic: String,
    /// See [`SendHeader::default_topic`].
    pub default_topic: String,
    /// See [`SendHeader::default_topic_queue_nums`].
    pub default_topic_queue_nums: i32,
    /// See [`SendHeader::queue_id`].
    pub queue_id: i32,
    /// See [`SendHeader::sys_flag`].
    pub sys_flag: i32,
    /// See [`SendHeader::born_timestamp`].
    pub born_timestamp: i64,
    /// See [`SendHeader::flag`].
    pub flag: i32,
    /// The properties in their [text form](super::properties).
    pub properties: String,
    /// See [`SendHeader::reconsume_times`].
    pub reconsume_times: i32,
    /// See [`SendHeader::unit_mode`].
    pub unit_mode: bool,
    /// See [`SendHeader::max_reconsume_times`].
    pub max_reconsume_times: Option<i32>,
    /// See [`SendHeader::batch`].
    pub batch: bool,
    /// See [`SendHeader::broker_name`].
    pub broker_name: Option<String>,
}

impl SendRequest {
    /// Decodes the header of a send of this request code.
    ///
    /// # Errors
    /// A required field is missing or not a number.
    pub fn decode(code: i32, ext: &ExtFields) -> Result<SendRequest, ProtocolError> {
        let v1 = matches!(code, request::SEND_MESSAGE | request::SEND_REPLY_MESSAGE);
        let name = |names: field::Names| if v1 { names.1 } else { names.0 };
        let text = |names| ext.get(name(names)).map(str::to_owned);
        let must = |names| {
            let missing = || ProtocolError::new(format!("send header has no {}", name(names)));
            text(names).ok_or_else(missing)
        };
        Ok(SendRequest {
            producer_group: must(field::PRODUCER_GROUP)?,
            topic: must(field::TOPIC)?,
            default_topic: must(field::DEFAULT_TOPIC)?,
            default_topic_queue_nums: number(ext, name(field::DEFAULT_TOPIC_QUEUE_NUMS))?,
            queue_id: number(ext, name(field::QUEUE_ID))?,
            sys_flag: number(ext, name(field::SYS_FLAG))?,
            born_timestamp: number(ext, name(field::BORN_TIMESTAMP))?,
            flag: number(ext, name(field::FLAG))?,
            properties: text(field::PROPERTIES).unwrap_or_default(),
            reconsume_times: ext.parse(name(field::RECONSUME_TIMES))?.unwrap_or(0),
            unit_mode: ext.parse(name(field::UNIT_MODE))?.unwrap_or(false),
            max_reconsume_times: ext.parse(name(field::MAX_RECONSUME_TIMES))?,
            batch: ext.parse(name(field::BATCH))?.unwrap_or(false),
            broker_name: text(field::BROKER_NAME),
        })
    }

    /// The same as a header that can be written.
    pub fn header(&self) -> SendHeader<'_> {
        SendHeader {
            producer_group: &self.producer_group,
            topic: &self.topic,
            default_topic: &self.default_topic,
            default_topic_queue_nums: self.default_topic_queue_nums,
            queue_id: self.queue_id,
            sys_flag: self.sys_flag,
            born_timestamp: self.born_timestamp,
            flag: self.flag,
            properties: &self.properties,
            reconsume_times: self.reconsume_times,
            unit_mode: self.unit_mode,
            max_reconsume_times: self.max_reconsume_times,
            batch: self.batch,
            broker_name: self.broker_name.as_deref(),
        }
    }
}

/// The header fields of a send's response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SendResponse<'a> {
    /// Address and commit log offset; several, joined by commas, for a batch.
    pub message_id: Cow<'a, str>,
    /// The queue in which the message was stored.
    pub queue_id: i32,
    /// The position in that queue.
    pub queue_offset: i64,
    /// Brokers from 5.x on send the message's unique key.
    pub transaction_id: Option<Cow<'a, str>>,
    /// The key of a batch that was stored as one.
    pub batch_unique_key: Option<Cow<'a, str>>,
    /// The handle that recalls a timer message.
    pub recall_handle: Option<Cow<'a, str>>,
    /// The broker's region.
    pub region: Option<Cow<'a, str>>,
    /// Whether the broker wants the message traced.
    pub trace_on: bool,
}

impl SendResponse<'_> {
    /// Reads the header fields. Absent fields stay empty: the message is stored in any case.
    ///
    /// # Errors
    /// A field is not a number.
    pub fn decode(ext: &ExtFields) -> Result<SendResponse<'_>, ProtocolError> {
        let mut response = SendResponse {
            trace_on: true,
            ..SendResponse::default()
        };
        for (field, value) in ext.iter() {
            match field {
                "msgId" => response.message_id = value.into(),
                "queueId" => response.queue_id = parse(field, value)?,
                "queueOffset" => response.queue_offset = parse(field, value)?,
                "transactionId" => response.transaction_id = Some(value.into()),
                "batchUniqId" => response.batch_unique_key = Some(value.into()),
                "recallHandle" => response.recall_handle = Some(value.into()),
                name::MSG_REGION => response.region = Some(value.into()),
                name::TRACE_ON => response.trace_on = value != "false",
                _ => {}
            }
        }
        Ok(response)
    }
}

impl Fields for SendResponse<'_> {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("msgId", &self.message_id);
        sink.display("queueId", &self.queue_id);
        sink.display("queueOffset", &self.queue_offset);
        let optional = [
            ("transactionId", self.transaction_id.as_deref()),
            ("batchUniqId", self.batch_unique_key.as_deref()),
            ("recallHandle", self.recall_handle.as_deref()),
            (name::MSG_REGION, self.region.as_deref()),
        ];
        for (field, value) in optional {
            if let Some(value) = value {
                sink.text(field, value);
            }
        }
        sink.text(name::TRACE_ON, if self.trace_on { "true" } else { "false" });
    }
}

/// The rest of the receipt of the message with this id: values that take no memory if they are the usual
/// ones.
pub(crate) fn extras(
    message_id: &str,
    transaction_id: Option<&str>,
    region: Option<&str>,
    recall_handle: Option<&str>,
) -> Extras {
    let usual = transaction_id.is_none_or(|id| id == message_id)
        && region.is_none_or(|region| region == DEFAULT_REGION)
        && recall_handle.is_none();
    match usual {
        true => Extras::Usual {
            has_transaction_id: transaction_id.is_some(),
            has_region: region.is_some(),
        },
        false => Extras::Own(Box::new(OwnExtras {
            transaction_id: transaction_id.map(Into::into),
            region: region.map(Into::into),
            recall_handle: recall_handle.map(Into::into),
        })),
    }
}

/// The response code of a status.
pub fn code(status: SendStatus) -> i32 {
    match status {
        SendStatus::Ok => response::SUCCESS,
        SendStatus::FlushDiskTimeout => response::FLUSH_DISK_TIMEOUT,
        SendStatus::FlushSlaveTimeout => response::FLUSH_SLAVE_TIMEOUT,
        SendStatus::SlaveNotAvailable => response::SLAVE_NOT_AVAILABLE,
    }
}

/// The status that a response code means, if the message was stored.
pub fn status(code: i32) -> Option<SendStatus> {
    match code {
        response::SUCCESS => Some(SendStatus::Ok),
        response::FLUSH_DISK_TIMEOUT => Some(SendStatus::FlushDiskTimeout),
        response::FLUSH_SLAVE_TIMEOUT => Some(SendStatus::FlushSlaveTimeout),
        response::SLAVE_NOT_AVAILABLE => Some(SendStatus::SlaveNotAvailable),
        _ => None,
    }
}

fn number<T: std::str::FromStr>(ext: &ExtFields, name: &'static str) -> Result<T, ProtocolError> {
    ext.parse(name)?
        .ok_or_else(|| ProtocolError::new(format!("send header has no {name}")))
}

fn parse<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, ProtocolError> {
    value
        .parse()
        .map_err(|_| ProtocolError::new(format!("field {name} is not valid: {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{MessageQueue, SendReceipt};

    #[test]
    fn usual_and_unusual_answers_read_back_from_the_receipt() {
        let mut usual = 0;
        for transaction_id in [None, Some("K"), Some("other"), Some("")] {
            for region in [None, Some(DEFAULT_REGION), Some("elsewhere")] {
                for recall_handle in [None, Some("handle")] {
                    let receipt = SendReceipt {
                        status: SendStatus::Ok,
                        message_id: "K".into(),
                        offset_message_id: "".into(),
                        queue: MessageQueue::new("T", "b", 0),
                        queue_offset: 0,
                        trace_on: true,
                        extras: extras("K", transaction_id, region, recall_handle),
                        attempts: 1,
                    };
                    let read = (
                        receipt.transaction_id(),
                        receipt.region(),
                        receipt.recall_handle(),
                    );
                    assert_eq!(read, (transaction_id, region, recall_handle));
                    usual += usize::from(matches!(receipt.extras, Extras::Usual { .. }));
                }
            }
        }
        assert_eq!(usual, 4, "no region or the default one, without a handle");
    }
}
