//! A message that was read: a view into the received bytes.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::str::Utf8Error;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::offset_message_id;
use super::properties::{Place, Properties, places};
use super::{MessageQueue, name};

/// A stored message, as consumers, transaction checks, replies and [`Admin`](crate::Admin) return
/// it.
///
/// It is cheap to clone, and clones share everything. Body and properties are parts of the bytes
/// that the broker sent. Those bytes stay in memory as long as any message of the same answer is
/// alive: copy the body of a message that you keep for long. The body is already decompressed.
///
/// Times are [`SystemTime`]s ([`born_at`](MessageView::born_at), [`stored_at`](MessageView::stored_at));
/// as epoch milliseconds, as they are on the wire, they are [`born_timestamp`](MessageView::born_timestamp)
/// and [`store_timestamp`](MessageView::store_timestamp).
#[derive(Clone)]
#[doc(alias = "MessageExt")]
pub struct MessageView(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    bytes: Arc<Vec<u8>>,
    body: Body,
    topic: Topic,
    properties: Range<usize>,
    /// Parsed on first use: many messages are only passed on.
    parsed: OnceLock<Parsed>,
    fixed: Fixed,
    came: Came,
}

/// The numbers and addresses of a stored message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) flag: i32,
    pub(crate) sys_flag: i32,
    pub(crate) queue_id: i32,
    pub(crate) queue_offset: i64,
    pub(crate) commit_log_offset: i64,
    pub(crate) born_timestamp: i64,
    pub(crate) born_host: SocketAddr,
    pub(crate) store_timestamp: i64,
    pub(crate) store_host: SocketAddr,
    pub(crate) reconsume_times: i32,
    pub(crate) prepared_transaction_offset: i64,
}

/// How a message reached its consumer: not part of its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Came {
    queue: Option<MessageQueue>,
    possibly_repeated: bool,
}

#[derive(Clone)]
enum Body {
    Shared(Range<usize>),
    Own(Arc<Vec<u8>>),
}

#[derive(Clone)]
enum Topic {
    /// A part of the bytes, which is valid UTF-8.
    Shared(Range<usize>),
    Own(Arc<str>),
}

#[derive(Debug, Clone)]
struct Parsed {
    /// A text form of its own, in which invalid UTF-8 is replaced.
    text: Option<Box<str>>,
    places: Box<[Place]>,
}

/// The places of a message's parts in some bytes. The ranges lie within the bytes.
pub(crate) struct StoredParts {
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) body: Range<usize>,
    pub(crate) topic: Range<usize>,
    pub(crate) properties: Range<usize>,
    pub(crate) fixed: Fixed,
}

impl MessageView {
    /// The topic. For a redelivered message it is the original topic, not the retry topic.
    pub fn topic(&self) -> &str {
        match &self.0.topic {
            // It was checked to be UTF-8.
            Topic::Shared(range) => utf8(&self.0.bytes[range.clone()]),
            Topic::Own(topic) => topic,
        }
    }

    /// The body, decompressed.
    #[doc(alias = "getBody")]
    pub fn body(&self) -> &[u8] {
        match &self.0.body {
            Body::Shared(range) => &self.0.bytes[range.clone()],
            Body::Own(body) => body,
        }
    }

    /// The body as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(self.body())
    }

    /// The sender's flag.
    pub fn flag(&self) -> i32 {
        self.0.fixed.flag
    }

    /// The value of a property, system properties included.
    #[doc(alias = "getUserProperty")]
    pub fn property(&self, name: &str) -> Option<&str> {
        let (text, parsed) = self.parsed();
        let place = parsed
            .places
            .iter()
            .find(|place| place.name(text) == name.as_bytes())?;
        Some(utf8(place.value(text)))
    }

    /// All properties, system properties included, in order.
    /// [`to_properties`](MessageView::to_properties) makes a copy to keep.
    #[doc(alias = "getProperties")]
    pub fn properties(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let (text, parsed) = self.parsed();
        parsed
            .places
            .iter()
            .map(|place| (utf8(place.name(text)), utf8(place.value(text))))
    }

    /// A copy of all properties, which does not keep the received bytes in memory.
    ///
    /// ```
    /// use rocketmq_blocking::{MessageView, message::Properties};
    ///
    /// /// What is left of a message when its bytes are no longer needed.
    /// fn kept(message: MessageView) -> Properties {
    ///     message.to_properties()
    /// }
    /// ```
    pub fn to_properties(&self) -> Properties {
        let pairs = self.properties();
        Properties::from_distinct(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    /// The tag.
    #[doc(alias = "getTags")]
    pub fn tag(&self) -> Option<&str> {
        self.property(name::TAGS)
    }

    /// The business keys: the stored text, split at spaces.
    #[doc(alias = "getKeys")]
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let keys = self.property(name::KEYS);
        keys.into_iter()
            .flat_map(|keys| keys.split(' '))
            .filter(|key| !key.is_empty())
    }

    /// The id that the sender gave the message. Retries and redeliveries keep it.
    pub fn unique_key(&self) -> Option<&str> {
        self.property(name::UNIQ_KEY)
    }

    /// The unique key, or the offset id of a message without one: the id in the sender's receipt.
    #[doc(alias = "getMsgId")]
    pub fn message_id(&self) -> Cow<'_, str> {
        match self.unique_key() {
            Some(key) => Cow::Borrowed(key),
            None => Cow::Owned(self.offset_message_id()),
        }
    }

    /// The id by which the broker finds the message: its address and the commit log offset.
    #[doc(alias = "getOffsetMsgId")]
    pub fn offset_message_id(&self) -> String {
        offset_message_id(self.store_host(), self.commit_log_offset())
    }

    /// The queue from which a consumer got the message; `None` if it was not consumed.
    pub fn queue(&self) -> Option<&MessageQueue> {
        self.0.came.queue.as_ref()
    }

    /// The queue's number on its broker.
    pub fn queue_id(&self) -> i32 {
        self.0.fixed.queue_id
    }

    /// The position in the queue.
    pub fn queue_offset(&self) -> i64 {
        self.0.fixed.queue_offset
    }

    /// The position in the broker's commit log.
    pub fn commit_log_offset(&self) -> i64 {
        self.0.fixed.commit_log_offset
    }

    /// When the sender created the message, by the sender's clock.
    pub fn born_at(&self) -> SystemTime {
        system_time(self.born_timestamp())
    }

    /// The same as epoch milliseconds.
    pub fn born_timestamp(&self) -> i64 {
        self.0.fixed.born_timestamp
    }

    /// The sender's address as the broker saw it.
    #[doc(alias = "getBornHost")]
    pub fn born_host(&self) -> SocketAddr {
        self.0.fixed.born_host
    }

    /// When the broker stored the message, by the broker's clock.
    pub fn stored_at(&self) -> SystemTime {
        system_time(self.store_timestamp())
    }

    /// The same as epoch milliseconds.
    #[doc(alias = "getStoreTimestamp")]
    pub fn store_timestamp(&self) -> i64 {
        self.0.fixed.store_timestamp
    }

    /// The broker's own address.
    pub fn store_host(&self) -> SocketAddr {
        self.0.fixed.store_host
    }

    /// How often consumers sent the message back: 0 at the first delivery.
    pub fn reconsume_times(&self) -> i32 {
        self.0.fixed.reconsume_times
    }

    /// The system flag as stored: compression, transaction state, address families.
    pub fn sys_flag(&self) -> i32 {
        self.0.fixed.sys_flag
    }

    /// Commit log offset of the half message, for a committed one.
    pub fn prepared_transaction_offset(&self) -> i64 {
        self.0.fixed.prepared_transaction_offset
    }

    /// The id of the message's transaction, if it has one: its unique key.
    pub fn transaction_id(&self) -> Option<&str> {
        let marker = self.property(name::TRANSACTION_PREPARED)?;
        marker.eq_ignore_ascii_case("true").then_some(())?;
        self.unique_key()
    }

    /// Whether this consumer group may have received the message before: its queue came to this member, and
    /// nothing shows that the member before has handed it over.
    pub fn possibly_repeated(&self) -> bool {
        self.0.came.possibly_repeated
    }

    fn parsed(&self) -> (&[u8], &Parsed) {
        let inner = &*self.0;
        let shared = &inner.bytes[inner.properties.clone()];
        let parsed = inner.parsed.get_or_init(|| Parsed::new(shared));
        match &parsed.text {
            Some(text) => (text.as_bytes(), parsed),
            None => (shared, parsed),
        }
    }
}

/// For decoders.
impl MessageView {
    /// A view of parts of some bytes, with the body as it is there. Invalid UTF-8 is replaced, as
    /// in Java.
    pub(crate) fn new(parts: StoredParts) -> MessageView {
        let topic = match std::str::from_utf8(&parts.bytes[parts.topic.clone()]) {
            Ok(_) => Topic::Shared(parts.topic),
            Err(_) => Topic::Own(String::from_utf8_lossy(&parts.bytes[parts.topic]).into()),
        };
        MessageView(Arc::new(Inner {
            bytes: parts.bytes,
            body: Body::Shared(parts.body),
            topic,
            properties: parts.properties,
            parsed: OnceLock::new(),
            fixed: parts.fixed,
            came: Came::default(),
        }))
    }

    /// Approximate memory of a view, without the bytes that it shows.
    pub(crate) const SIZE: usize = size_of::<Inner>() + 2 * size_of::<usize>();

    pub(crate) fn fixed(&self) -> &Fixed {
        &self.0.fixed
    }

    /// With its own body, instead of the one in the bytes.
    pub(crate) fn with_body(mut self, body: Vec<u8>) -> MessageView {
        self.inner().body = Body::Own(Arc::new(body));
        self
    }

    /// The bytes of the body, to be shared.
    pub(crate) fn shared_body(&self) -> (Arc<Vec<u8>>, Range<usize>) {
        match &self.0.body {
            Body::Shared(range) => (Arc::clone(&self.0.bytes), range.clone()),
            Body::Own(body) => (Arc::clone(body), 0..body.len()),
        }
    }

    /// With another topic than the stored one: without its namespace, or the original one of a retry.
    pub(crate) fn with_topic(mut self, topic: impl Into<Arc<str>>) -> MessageView {
        self.inner().topic = Topic::Own(topic.into());
        self
    }

    /// Changes a view in place, or a copy if it is shared: other clones stay as they are.
    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }
}

/// For consumers: properties of a message that are not in its bytes.
impl MessageView {
    /// As received from this queue.
    pub(crate) fn of_queue(mut self, queue: &MessageQueue) -> MessageView {
        let inner = self.inner();
        inner.came.queue = Some(queue.clone());
        inner.fixed.queue_id = queue.id();
        self
    }

    /// At an offset that is higher by `delta`.
    pub(crate) fn shifted(mut self, delta: i64) -> MessageView {
        if delta != 0 {
            let fixed = &mut self.inner().fixed;
            fixed.queue_offset = fixed.queue_offset.saturating_add(delta);
        }
        self
    }

    /// As redelivered this many times.
    pub(crate) fn with_reconsume_times(mut self, times: i32) -> MessageView {
        self.inner().fixed.reconsume_times = times;
        self
    }

    /// As one that the group may have received before.
    pub(crate) fn maybe_repeated(mut self) -> MessageView {
        self.inner().came.possibly_repeated = true;
        self
    }
}

impl PartialEq for MessageView {
    /// Equal if all getters return equal values.
    fn eq(&self, other: &MessageView) -> bool {
        self.0.fixed == other.0.fixed
            && self.0.came == other.0.came
            && self.topic() == other.topic()
            && self.body() == other.body()
            && self.properties().eq(other.properties())
    }
}

impl fmt::Display for MessageView {
    /// Its id and its place, as a receipt shows them. Never prints the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "msg_id={} queue=", self.message_id())?;
        match self.queue() {
            Some(queue) => write!(f, "{queue}")?,
            None => write!(f, "{}:{}", self.topic(), self.queue_id())?,
        }
        write!(f, " offset={}", self.queue_offset())
    }
}

impl fmt::Debug for MessageView {
    /// Never prints the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Map<'a>(&'a MessageView);
        impl fmt::Debug for Map<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_map().entries(self.0.properties()).finish()
            }
        }
        f.debug_struct("MessageView")
            .field("topic", &self.topic())
            .field("body_len", &self.body().len())
            .field("queue_id", &self.queue_id())
            .field("queue_offset", &self.queue_offset())
            .field("properties", &Map(self))
            .finish_non_exhaustive()
    }
}

impl Parsed {
    fn new(bytes: &[u8]) -> Parsed {
        match String::from_utf8_lossy(bytes) {
            Cow::Borrowed(text) => Parsed {
                text: None,
                places: places(text.as_bytes()).into(),
            },
            Cow::Owned(text) => Parsed {
                places: places(text.as_bytes()).into(),
                text: Some(text.into()),
            },
        }
    }
}

/// Bytes that are known to be UTF-8.
fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// The epoch if the time is out of range.
fn system_time(epoch_millis: i64) -> SystemTime {
    let distance = Duration::from_millis(epoch_millis.unsigned_abs());
    let time = match epoch_millis {
        0.. => UNIX_EPOCH.checked_add(distance),
        _ => UNIX_EPOCH.checked_sub(distance),
    };
    time.unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
