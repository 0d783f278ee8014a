use std::fmt;
use std::net::SocketAddr;

use super::{Properties, name};

/// A message as a broker stores it.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
#[doc(alias = "MessageExt")]
pub struct MessageView {
    /// The topic.
    pub topic: String,
    /// The body, decompressed.
    #[doc(alias = "getBody")]
    pub body: Vec<u8>,
    /// The sender's flag.
    pub flag: i32,
    /// All properties, the system's included.
    #[doc(alias = "getUserProperty")]
    pub properties: Properties,
    /// The system flag as stored: compression, transaction state, address families.
    pub sys_flag: i32,
    /// The queue's number.
    pub queue_id: i32,
    /// Position in the queue.
    pub queue_offset: i64,
    /// Position in the broker's commit log.
    pub commit_log_offset: i64,
    /// When the sender made it, epoch milliseconds.
    pub born_timestamp: i64,
    /// The sender's address as the broker saw it.
    #[doc(alias = "getBornHost")]
    pub born_host: SocketAddr,
    /// When the broker stored it, epoch milliseconds.
    #[doc(alias = "getStoreTimestamp")]
    pub store_timestamp: i64,
    /// The broker's own address.
    pub store_host: SocketAddr,
    /// How often a consumer gave it back.
    pub reconsume_times: i32,
    /// Commit log offset of the half message, for a committed one.
    pub prepared_transaction_offset: i64,
}

impl MessageView {
    /// The id that the sender gave the message.
    pub fn unique_key(&self) -> Option<&str> {
        self.properties.get(name::UNIQ_KEY)
    }

    /// The tag.
    #[doc(alias = "getTags")]
    pub fn tag(&self) -> Option<&str> {
        self.properties.get(name::TAGS)
    }

    /// The business keys: the stored text, cut at its spaces.
    #[doc(alias = "getKeys")]
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.properties
            .get(name::KEYS)
            .into_iter()
            .flat_map(|keys| keys.split(' '))
            .filter(|key| !key.is_empty())
    }
}

impl fmt::Debug for MessageView {
    /// Never prints the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageView")
            .field("topic", &self.topic)
            .field("body_len", &self.body.len())
            .field("queue_id", &self.queue_id)
            .field("queue_offset", &self.queue_offset)
            .field("properties", &self.properties)
            .finish_non_exhaustive()
    }
}
