//! Headers of the requests by which topics are made and messages are looked up, and of their
//! answers.

use super::{ExtFields, FieldSink, Fields, ProtocolError};

/// Makes a topic on one broker, or changes one that is there (`UPDATE_AND_CREATE_TOPIC`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTopic {
    /// The topic.
    pub topic: String,
    /// The topic, or cluster, by whose route the broker was found.
    pub default_topic: String,
    /// Queues that can be read.
    pub read_queue_nums: i32,
    /// Queues that can be written.
    pub write_queue_nums: i32,
    /// See [`perm`](super::route::perm).
    pub perm: i32,
    /// The topic's own flags.
    pub topic_sys_flag: i32,
    /// Whether the topic is globally ordered.
    pub order: bool,
}

impl CreateTopic {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<CreateTopic, ProtocolError> {
        Ok(CreateTopic {
            topic: ext.must("topic")?,
            default_topic: ext.must("defaultTopic")?,
            read_queue_nums: ext.must("readQueueNums")?,
            write_queue_nums: ext.must("writeQueueNums")?,
            perm: ext.must("perm")?,
            topic_sys_flag: ext.parse("topicSysFlag")?.unwrap_or(0),
            order: ext.must("order")?,
        })
    }
}

impl Fields for CreateTopic {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("topic", &self.topic);
        sink.text("defaultTopic", &self.default_topic);
        sink.display("readQueueNums", &self.read_queue_nums);
        sink.display("writeQueueNums", &self.write_queue_nums);
        sink.display("perm", &self.perm);
        // The only type that brokers have had for long.
        sink.text("topicFilterType", "SINGLE_TAG");
        sink.display("topicSysFlag", &self.topic_sys_flag);
        sink.display("order", &self.order);
    }
}

/// Asks about one queue: its highest offset (`GET_MAX_OFFSET`), its lowest (`GET_MIN_OFFSET`), the
/// time of its first message (`GET_EARLIEST_MSG_STORETIME`), or the offset of a time
/// (`SEARCH_OFFSET_BY_TIMESTAMP`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueQuery {
    /// The topic.
    pub topic: String,
    /// The queue's number.
    pub queue_id: i32,
    /// The broker's name.
    pub broker_name: Option<String>,
    /// The time that is searched for, epoch milliseconds; in that request only.
    pub timestamp: Option<i64>,
}

impl QueueQuery {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<QueueQuery, ProtocolError> {
        Ok(QueueQuery {
            topic: ext.must("topic")?,
            queue_id: ext.must("queueId")?,
            broker_name: ext.get("bname").map(str::to_owned),
            timestamp: ext.parse("timestamp")?,
        })
    }
}

impl Fields for QueueQuery {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("topic", &self.topic);
        sink.display("queueId", &self.queue_id);
        if let Some(broker) = &self.broker_name {
            sink.text("bname", broker);
        }
        if let Some(timestamp) = &self.timestamp {
            sink.display("timestamp", timestamp);
        }
    }
}

/// The answer to a question for an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetAnswer {
    /// The offset in the queue.
    pub offset: i64,
}

impl OffsetAnswer {
    /// Reads the header.
    ///
    /// # Errors
    /// There is no offset in it.
    pub fn decode(ext: &ExtFields) -> Result<OffsetAnswer, ProtocolError> {
        let offset = ext.must("offset")?;
        Ok(OffsetAnswer { offset })
    }
}

impl Fields for OffsetAnswer {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.display("offset", &self.offset);
    }
}

/// The answer to `GET_EARLIEST_MSG_STORETIME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreTimeAnswer {
    /// Epoch milliseconds; negative if the queue is empty.
    pub timestamp: i64,
}

impl StoreTimeAnswer {
    /// Reads the header.
    ///
    /// # Errors
    /// There is no time in it.
    pub fn decode(ext: &ExtFields) -> Result<StoreTimeAnswer, ProtocolError> {
        let timestamp = ext.must("timestamp")?;
        Ok(StoreTimeAnswer { timestamp })
    }
}

impl Fields for StoreTimeAnswer {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.display("timestamp", &self.timestamp);
    }
}

/// Asks for the message at an offset of the commit log (`VIEW_MESSAGE_BY_ID`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewMessage {
    /// The topic; brokers 4.x do not look at it.
    pub topic: Option<String>,
    /// The commit log offset.
    pub offset: i64,
}

impl ViewMessage {
    /// Reads the header.
    ///
    /// # Errors
    /// There is no offset in it.
    pub fn decode(ext: &ExtFields) -> Result<ViewMessage, ProtocolError> {
        Ok(ViewMessage {
            topic: ext.get("topic").map(str::to_owned),
            offset: ext.must("offset")?,
        })
    }
}

impl Fields for ViewMessage {
    fn visit(&self, sink: &mut dyn FieldSink) {
        if let Some(topic) = &self.topic {
            sink.text("topic", topic);
        }
        sink.display("offset", &self.offset);
    }
}

/// Asks for the messages of a key (`QUERY_MESSAGE`). A broker finds them by hashes, so that others
/// can be among the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryMessage {
    /// The topic.
    pub topic: String,
    /// A business key, or a unique key if the flag below is set.
    pub key: String,
    /// The most messages to return.
    pub max_num: i32,
    /// Stored from this time on, epoch milliseconds.
    pub begin_timestamp: i64,
    /// Stored until this time, epoch milliseconds.
    pub end_timestamp: i64,
    /// Whether the key is a unique key.
    pub unique: bool,
}

impl QueryMessage {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<QueryMessage, ProtocolError> {
        Ok(QueryMessage {
            topic: ext.must("topic")?,
            key: ext.must("key")?,
            max_num: ext.must("maxNum")?,
            begin_timestamp: ext.must("beginTimestamp")?,
            end_timestamp: ext.must("endTimestamp")?,
            unique: ext.parse(UNIQUE_KEY_QUERY)?.unwrap_or(false),
        })
    }
}

impl Fields for QueryMessage {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("topic", &self.topic);
        sink.text("key", &self.key);
        sink.display("maxNum", &self.max_num);
        sink.display("beginTimestamp", &self.begin_timestamp);
        sink.display("endTimestamp", &self.end_timestamp);
        // Left out unless set: brokers 4.x do not include it in the signature.
        if self.unique {
            sink.display(UNIQUE_KEY_QUERY, &true);
        }
    }
}

/// Says which kind of key a query is for (Java's `UNIQUE_MSG_QUERY_FLAG`).
const UNIQUE_KEY_QUERY: &str = "_UNIQUE_KEY_QUERY";

/// Takes a timer message back (`RECALL_MESSAGE`, brokers from 5.3.2 on).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallMessage {
    /// The group of the producer that asks.
    pub producer_group: Option<String>,
    /// The topic.
    pub topic: String,
    /// See [`RecallHandle`](super::recall::RecallHandle).
    pub recall_handle: String,
    /// The broker's name.
    pub broker_name: Option<String>,
}

impl RecallMessage {
    /// Reads the header.
    ///
    /// # Errors
    /// There is no topic or no handle in it.
    pub fn decode(ext: &ExtFields) -> Result<RecallMessage, ProtocolError> {
        Ok(RecallMessage {
            producer_group: ext.get("producerGroup").map(str::to_owned),
            topic: ext.must("topic")?,
            recall_handle: ext.must("recallHandle")?,
            broker_name: ext.get("bname").map(str::to_owned),
        })
    }
}

impl Fields for RecallMessage {
    fn visit(&self, sink: &mut dyn FieldSink) {
        if let Some(group) = &self.producer_group {
            sink.text("producerGroup", group);
        }
        sink.text("topic", &self.topic);
        sink.text("recallHandle", &self.recall_handle);
        if let Some(broker) = &self.broker_name {
            sink.text("bname", broker);
        }
    }
}

/// The answer to `RECALL_MESSAGE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallAnswer {
    /// The unique key of the message that was taken back.
    pub message_id: String,
}

impl RecallAnswer {
    /// Reads the header.
    ///
    /// # Errors
    /// There is no id in it.
    pub fn decode(ext: &ExtFields) -> Result<RecallAnswer, ProtocolError> {
        let message_id = ext.must("msgId")?;
        Ok(RecallAnswer { message_id })
    }
}

impl Fields for RecallAnswer {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("msgId", &self.message_id);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    type Decode<T> = fn(&ExtFields) -> Result<T, ProtocolError>;

    /// It reads back, says what Java says, and misses what it needs.
    #[track_caller]
    fn check<T: Fields + PartialEq + Debug>(
        value: &T,
        decode: Decode<T>,
        java: &[(&str, &str)],
        optional: &[&str],
    ) {
        let mut ext = ExtFields::new();
        value.visit(&mut ext);
        assert_eq!(ext, java.iter().copied().collect::<ExtFields>());
        assert_eq!(&decode(&ext).unwrap(), value);
        for (name, _) in java {
            let rest: ExtFields = ext.iter().filter(|(n, _)| n != name).collect();
            assert_eq!(decode(&rest).is_ok(), optional.contains(name), "{name}");
        }
    }

    #[test]
    fn every_header_reads_back_and_needs_its_fields() {
        let create = CreateTopic {
            topic: "New".into(),
            default_topic: "DefaultCluster".into(),
            read_queue_nums: 4,
            write_queue_nums: 8,
            perm: 6,
            topic_sys_flag: 1,
            order: false,
        };
        let java = [
            ("topic", "New"),
            ("defaultTopic", "DefaultCluster"),
            ("readQueueNums", "4"),
            ("writeQueueNums", "8"),
            ("perm", "6"),
            ("topicFilterType", "SINGLE_TAG"),
            ("topicSysFlag", "1"),
            ("order", "false"),
        ];
        let optional = ["topicFilterType", "topicSysFlag"];
        // An absent flag is 0, which `check` would take for another header.
        let plain = CreateTopic {
            topic_sys_flag: 0,
            ..create.clone()
        };
        check(&create, CreateTopic::decode, &java, &optional);
        assert_eq!(CreateTopic::decode(&fields(&plain)), Ok(plain));

        let query = QueueQuery {
            topic: "T".into(),
            queue_id: 3,
            broker_name: Some("broker-a".into()),
            timestamp: Some(1_700_000_000_000),
        };
        let java = [
            ("topic", "T"),
            ("queueId", "3"),
            ("bname", "broker-a"),
            ("timestamp", "1700000000000"),
        ];
        check(&query, QueueQuery::decode, &java, &["bname", "timestamp"]);

        let view = ViewMessage {
            topic: Some("T".into()),
            offset: 1 << 40,
        };
        let java = [("topic", "T"), ("offset", "1099511627776")];
        check(&view, ViewMessage::decode, &java, &["topic"]);

        let query = QueryMessage {
            topic: "T".into(),
            key: "k".into(),
            max_num: 32,
            begin_timestamp: 0,
            end_timestamp: i64::MAX,
            unique: true,
        };
        let java = [
            ("topic", "T"),
            ("key", "k"),
            ("maxNum", "32"),
            ("beginTimestamp", "0"),
            ("endTimestamp", "9223372036854775807"),
            ("_UNIQUE_KEY_QUERY", "true"),
        ];
        check(&query, QueryMessage::decode, &java, &["_UNIQUE_KEY_QUERY"]);

        let recall = RecallMessage {
            producer_group: Some("g".into()),
            topic: "T".into(),
            recall_handle: "djE=".into(),
            broker_name: Some("broker-a".into()),
        };
        let java = [
            ("producerGroup", "g"),
            ("topic", "T"),
            ("recallHandle", "djE="),
            ("bname", "broker-a"),
        ];
        check(
            &recall,
            RecallMessage::decode,
            &java,
            &["producerGroup", "bname"],
        );
    }

    #[test]
    fn every_answer_reads_back() {
        let offset = OffsetAnswer { offset: -1 };
        check(&offset, OffsetAnswer::decode, &[("offset", "-1")], &[]);
        let time = StoreTimeAnswer { timestamp: 5 };
        check(&time, StoreTimeAnswer::decode, &[("timestamp", "5")], &[]);
        let message_id = "K".to_owned();
        let recalled = RecallAnswer { message_id };
        check(&recalled, RecallAnswer::decode, &[("msgId", "K")], &[]);
        let none = ExtFields::from_iter([("offset", "x")]);
        assert!(OffsetAnswer::decode(&none).is_err());
    }

    fn fields(value: &dyn Fields) -> ExtFields {
        let mut ext = ExtFields::new();
        value.visit(&mut ext);
        ext
    }
}
