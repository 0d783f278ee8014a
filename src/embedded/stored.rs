use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use super::send::REGION;
use super::topics::CLUSTER_NAME;
use crate::message::{MessageView, Properties, name};
use crate::protocol::id::OffsetMessageId;
use crate::protocol::message::Record;
use crate::protocol::{ProtocolError, compress, properties, sys_flag};

/// The most that a stored body may inflate to: what a frame can carry, several times over.
const MAX_BODY: usize = 256 << 20;

/// What a stored message takes in the commit log beside body, topic and properties.
const OVERHEAD: usize = 91;

/// A message that one of the brokers stored. Cheap to clone.
///
/// Its properties are those that the sender wrote. Those that a broker adds (`MSG_REGION`,
/// `TRACE_ON` and `CLUSTER`) are in its [`view`](StoredMessage::view) only.
#[derive(Clone)]
pub struct StoredMessage(Arc<Stored>);

pub(super) struct Stored {
    pub(super) broker: Arc<str>,
    pub(super) topic: Arc<str>,
    pub(super) producer_group: Arc<str>,
    pub(super) queue_id: i32,
    pub(super) queue_offset: i64,
    pub(super) commit_log_offset: i64,
    pub(super) body: Vec<u8>,
    pub(super) properties: String,
    pub(super) flag: i32,
    pub(super) sys_flag: i32,
    pub(super) reconsume_times: i32,
    pub(super) born_timestamp: i64,
    pub(super) born_host: SocketAddr,
    pub(super) store_timestamp: i64,
    pub(super) store_host: SocketAddr,
    /// Where the half message was, for a committed one.
    pub(super) prepared_offset: i64,
    /// Decoded when first asked for: most messages are only counted.
    pub(super) decoded: OnceLock<Properties>,
}

/// How much of the commit log a message takes.
pub(super) fn size(body: usize, topic: usize, properties: usize) -> usize {
    OVERHEAD + body + topic + properties
}

impl StoredMessage {
    pub(super) fn new(stored: Stored) -> StoredMessage {
        StoredMessage(Arc::new(stored))
    }

    /// The message that a committed half message becomes.
    pub(super) fn committed(&self, topic: &Arc<str>, queue_id: i32) -> Stored {
        let half = &*self.0;
        Stored {
            broker: Arc::clone(&half.broker),
            topic: Arc::clone(topic),
            producer_group: Arc::clone(&half.producer_group),
            queue_id,
            queue_offset: 0,
            commit_log_offset: 0,
            body: half.body.clone(),
            properties: half.properties.clone(),
            flag: half.flag,
            sys_flag: half.sys_flag | sys_flag::TRANSACTION_COMMIT,
            born_timestamp: half.born_timestamp,
            born_host: half.born_host,
            store_timestamp: half.store_timestamp,
            store_host: half.store_host,
            prepared_offset: half.commit_log_offset,
            reconsume_times: half.reconsume_times,
            decoded: OnceLock::new(),
        }
    }

    /// The message as a consumer gets it: with the properties that the broker adds, and its body
    /// decompressed.
    ///
    /// # Panics
    /// If it cannot be decompressed.
    #[track_caller]
    pub fn view(&self) -> MessageView {
        let properties = self.handed_out_properties();
        match self.record(&properties).view(MAX_BODY) {
            Ok(view) => view,
            Err(error) => panic!("stored body of topic {}: {error}", self.topic()),
        }
    }

    /// The properties that the sender wrote, and those that the broker adds.
    pub(super) fn handed_out_properties(&self) -> String {
        let mut properties = self.properties().clone();
        properties.set(name::MSG_REGION, REGION);
        properties.set(name::TRACE_ON, "true");
        properties.set(name::CLUSTER, CLUSTER_NAME);
        properties::encode(properties.iter())
    }

    /// All of it with these properties, its body as it was sent.
    pub(super) fn record<'a>(&'a self, properties: &'a str) -> Record<'a> {
        let stored = &*self.0;
        Record {
            topic: &stored.topic,
            body: &stored.body,
            properties,
            flag: stored.flag,
            sys_flag: stored.sys_flag,
            queue_id: stored.queue_id,
            queue_offset: stored.queue_offset,
            commit_log_offset: stored.commit_log_offset,
            born_timestamp: stored.born_timestamp,
            born_host: stored.born_host,
            store_timestamp: stored.store_timestamp,
            store_host: stored.store_host,
            reconsume_times: stored.reconsume_times,
            prepared_transaction_offset: stored.prepared_offset,
        }
    }

    /// The name of the broker that has it.
    pub fn broker(&self) -> &str {
        &self.0.broker
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// The group of the producer that sent it.
    pub fn producer_group(&self) -> &str {
        &self.0.producer_group
    }

    /// The queue's number on its broker.
    pub fn queue_id(&self) -> i32 {
        self.0.queue_id
    }

    /// The position in the queue, from 0.
    pub fn queue_offset(&self) -> i64 {
        self.0.queue_offset
    }

    /// The position in the broker's commit log, in bytes.
    pub fn commit_log_offset(&self) -> i64 {
        self.0.commit_log_offset
    }

    /// The id that the send was answered with: the broker's address and the commit log offset.
    pub fn offset_message_id(&self) -> String {
        let id = OffsetMessageId {
            address: self.0.store_host,
            commit_log_offset: self.0.commit_log_offset,
        };
        id.encode()
    }

    /// The body, decompressed.
    ///
    /// # Panics
    /// If it cannot be decompressed; [`try_body`](StoredMessage::try_body) says so instead.
    #[track_caller]
    pub fn body(&self) -> Cow<'_, [u8]> {
        match self.try_body() {
            Ok(body) => body,
            Err(error) => panic!("stored body of topic {}: {error}", self.topic()),
        }
    }

    /// The body, decompressed.
    ///
    /// # Errors
    /// It is damaged, inflates to more than 256 MiB, or is of a compression that is not built in.
    pub fn try_body(&self) -> Result<Cow<'_, [u8]>, ProtocolError> {
        if self.0.sys_flag & sys_flag::COMPRESSED == 0 {
            return Ok(Cow::Borrowed(&self.0.body));
        }
        compress::decompress(&self.0.body, self.0.sys_flag, MAX_BODY).map(Cow::Owned)
    }

    /// The body as text, for texts to compare.
    ///
    /// # Panics
    /// It is not UTF-8, or cannot be decompressed.
    #[track_caller]
    pub fn text(&self) -> String {
        match String::from_utf8(self.body().into_owned()) {
            Ok(text) => text,
            Err(_) => panic!("a stored body of topic {} is no text", self.topic()),
        }
    }

    /// The body as it was sent, compressed if [`sys_flag`](StoredMessage::sys_flag) says so.
    pub fn raw_body(&self) -> &[u8] {
        &self.0.body
    }

    /// The properties, the system's included.
    pub fn properties(&self) -> &Properties {
        let decode = || properties::decode(&self.0.properties);
        self.0.decoded.get_or_init(decode)
    }

    /// One property.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties().get(name)
    }

    /// The properties in the text form in which they were sent.
    pub fn raw_properties(&self) -> &str {
        &self.0.properties
    }

    /// The tag.
    pub fn tag(&self) -> Option<&str> {
        self.property(name::TAGS)
    }

    /// The business keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let keys = self.property(name::KEYS);
        keys.into_iter()
            .flat_map(|keys| keys.split(' '))
            .filter(|key| !key.is_empty())
    }

    /// The id that the sender gave the message; it stays the same when a send is retried.
    pub fn unique_key(&self) -> Option<&str> {
        self.property(name::UNIQ_KEY)
    }

    /// The sender's flag.
    pub fn flag(&self) -> i32 {
        self.0.flag
    }

    /// The system flag, see [`sys_flag`](crate::protocol::sys_flag).
    pub fn sys_flag(&self) -> i32 {
        self.0.sys_flag
    }

    /// How often a consumer gave it back, as the sender says.
    pub fn reconsume_times(&self) -> i32 {
        self.0.reconsume_times
    }

    /// When the sender made it, epoch milliseconds by the sender's clock.
    pub fn born_timestamp(&self) -> i64 {
        self.0.born_timestamp
    }

    /// The sender's address as the broker saw it.
    pub fn born_host(&self) -> SocketAddr {
        self.0.born_host
    }

    /// When the broker stored it, epoch milliseconds.
    pub fn store_timestamp(&self) -> i64 {
        self.0.store_timestamp
    }

    /// The broker's own address.
    pub fn store_host(&self) -> SocketAddr {
        self.0.store_host
    }
}

impl StoredMessage {
    /// The form in which brokers hand messages out.
    pub(super) fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        let mut bytes = Vec::new();
        let record = Record {
            prepared_transaction_offset: 0,
            ..self.record(self.raw_properties())
        };
        record.encode(&mut bytes)?;
        Ok(bytes)
    }
}

impl fmt::Debug for StoredMessage {
    /// Never prints the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredMessage")
            .field("broker", &self.0.broker)
            .field("topic", &self.0.topic)
            .field("queue_id", &self.0.queue_id)
            .field("queue_offset", &self.0.queue_offset)
            .field("body_len", &self.0.body.len())
            .field("properties", self.properties())
            .finish_non_exhaustive()
    }
}
