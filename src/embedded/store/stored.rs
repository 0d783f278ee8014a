//! A message that is stored.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use super::parts::{Encoded, Parts, Place};
use crate::message::{MessageView, Properties, name};
use crate::protocol::id::OffsetMessageId;
use crate::protocol::{ProtocolError, compress, message, properties, sys_flag};

/// The most that a stored body may inflate to: what a frame can carry, several times over.
const MAX_BODY: usize = 256 << 20;

/// A message that one of the brokers stored. Cheap to clone.
///
/// Its properties are those that the sender wrote. Those that a broker adds (`MSG_REGION`,
/// `TRACE_ON` and `CLUSTER`) are in its [`view`](StoredMessage::view) only.
#[derive(Clone)]
pub struct StoredMessage(Arc<Stored>);

pub(super) struct Stored {
    broker: Arc<str>,
    topic: Arc<str>,
    producer_group: Arc<str>,
    encoded: Encoded,
    queue_id: i32,
    place: Place,
    flag: i32,
    sys_flag: i32,
    reconsume_times: i32,
    born_timestamp: i64,
    born_host: SocketAddr,
    store_host: SocketAddr,
    /// Decoded on first use: most messages are only counted.
    decoded: OnceLock<Properties>,
}

impl Stored {
    /// Encodes a message; its place is not known yet.
    pub(super) fn new(parts: &Parts<'_>) -> Stored {
        Stored {
            broker: Arc::clone(parts.broker),
            topic: Arc::clone(parts.topic),
            producer_group: Arc::clone(parts.producer_group),
            encoded: parts.encode(),
            queue_id: parts.queue_id,
            place: Place::default(),
            flag: parts.flag,
            sys_flag: parts.sys_flag,
            reconsume_times: parts.reconsume_times,
            born_timestamp: parts.born_timestamp,
            born_host: parts.born_host,
            store_host: parts.store_host,
            decoded: OnceLock::new(),
        }
    }

    pub(super) fn placed(mut self, place: Place) -> StoredMessage {
        self.place = place;
        self.encoded.place(place);
        StoredMessage(Arc::new(self))
    }
}

impl StoredMessage {
    /// The form in which brokers store messages and hand them out, with the properties that they
    /// add. It is made once, when the message is stored.
    pub(in crate::embedded) fn encoded(&self) -> &[u8] {
        &self.0.encoded.bytes
    }

    /// Its parts, to store it again elsewhere.
    pub(in crate::embedded) fn parts(&self) -> Parts<'_> {
        let stored = &*self.0;
        Parts {
            broker: &stored.broker,
            topic: &stored.topic,
            producer_group: &stored.producer_group,
            queue_id: stored.queue_id,
            body: self.raw_body(),
            properties: self.raw_properties(),
            flag: stored.flag,
            sys_flag: stored.sys_flag,
            reconsume_times: stored.reconsume_times,
            born_timestamp: stored.born_timestamp,
            born_host: stored.born_host,
            store_host: stored.store_host,
            prepared_offset: 0,
        }
    }

    /// The same message with this topic and queue, and otherwise as it is stored.
    pub(in crate::embedded) fn encoded_for(&self, topic: &Arc<str>, queue_id: i32) -> Vec<u8> {
        let parts = Parts {
            topic,
            queue_id,
            ..self.parts()
        };
        self.encoded_as(&parts)
    }

    /// The stored form of these parts, at the place of this message.
    pub(in crate::embedded) fn encoded_as(&self, parts: &Parts<'_>) -> Vec<u8> {
        let mut moved = parts.encode();
        moved.place(self.0.place);
        moved.bytes
    }

    /// The message as a consumer gets it: with the properties that the broker adds, and its body
    /// decompressed.
    ///
    /// # Panics
    /// If it cannot be decompressed.
    #[track_caller]
    pub fn view(&self) -> MessageView {
        match message::decode(self.encoded().to_vec(), MAX_BODY) {
            Ok(view) => view,
            Err(error) => panic!("stored message of topic {}: {error}", self.topic()),
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
        self.0.place.queue_offset
    }

    /// The position in the broker's commit log, in bytes.
    pub fn commit_log_offset(&self) -> i64 {
        self.0.place.commit_log_offset
    }

    /// The id that the send was answered with: the broker's address and the commit log offset.
    pub fn offset_message_id(&self) -> String {
        let id = OffsetMessageId {
            address: self.0.store_host,
            commit_log_offset: self.0.place.commit_log_offset,
        };
        id.encode()
    }

    /// The body, decompressed.
    ///
    /// # Panics
    /// If it cannot be decompressed; [`try_body`](StoredMessage::try_body) returns an error
    /// instead.
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
            return Ok(Cow::Borrowed(self.raw_body()));
        }
        compress::decompress(self.raw_body(), self.0.sys_flag, MAX_BODY).map(Cow::Owned)
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
        let encoded = &self.0.encoded;
        &encoded.bytes[encoded.body.clone()]
    }

    /// The properties, the system's included.
    pub fn properties(&self) -> &Properties {
        let decode = || properties::decode(self.raw_properties());
        self.0.decoded.get_or_init(decode)
    }

    /// One property.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties().get(name)
    }

    /// The properties in the text form in which they were sent.
    pub fn raw_properties(&self) -> &str {
        let encoded = &self.0.encoded;
        let text = &encoded.bytes[encoded.properties.clone()];
        // They were text when they were put there.
        std::str::from_utf8(text).unwrap_or_default()
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

    /// How often consumers sent it back, according to the sender.
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

    /// When the broker stored it, epoch milliseconds by the cluster's
    /// [clock](crate::embedded#the-clock).
    pub fn store_timestamp(&self) -> i64 {
        self.0.place.store_timestamp
    }

    /// The broker's own address.
    pub fn store_host(&self) -> SocketAddr {
        self.0.store_host
    }
}

impl fmt::Debug for StoredMessage {
    /// Never prints the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredMessage")
            .field("broker", &self.0.broker)
            .field("topic", &self.0.topic)
            .field("queue_id", &self.0.queue_id)
            .field("queue_offset", &self.queue_offset())
            .field("body_len", &self.raw_body().len())
            .field("properties", self.properties())
            .finish_non_exhaustive()
    }
}
