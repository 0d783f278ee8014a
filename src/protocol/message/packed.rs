//! A stored message with its body in the stored form, or the reason why it cannot be read.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};

use super::layout::{Layout, MAGIC_V1, MAGIC_V2, checksum};
use super::{batch, compress, sys_flag};
use crate::message::{Fixed, MessageView, StoredParts};
use crate::protocol::ProtocolError;

/// A stored message that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its position in the queue, where that much can be read.
    pub queue_offset: Option<i64>,
    /// Whether messages behind it have no result of their own: the rest of the answer, or, if the
    /// queue offset is known, the rest of its inner batch. The start of the next message is unknown
    /// then, or the memory limit is reached.
    pub hides_rest: bool,
    /// The defect.
    pub error: ProtocolError,
}

impl Unreadable {
    pub(super) fn rest(error: ProtocolError) -> Unreadable {
        Unreadable {
            queue_offset: None,
            hides_rest: true,
            error,
        }
    }

    pub(super) fn stored(error: ProtocolError, bytes: &[u8]) -> Unreadable {
        const MAGIC_AT: usize = 4;
        const QUEUE_OFFSET_AT: usize = 20;
        let magic = BigEndian::read_i32(&bytes[MAGIC_AT..]);
        let known = magic == MAGIC_V1 || magic == MAGIC_V2;
        Unreadable {
            queue_offset: known.then(|| BigEndian::read_i64(&bytes[QUEUE_OFFSET_AT..])),
            hides_rest: false,
            error,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.queue_offset {
            Some(offset) => write!(f, "message at queue offset {offset}: {}", self.error),
            None => self.error.fmt(f),
        }
    }
}

impl std::error::Error for Unreadable {}

impl From<Unreadable> for ProtocolError {
    fn from(unreadable: Unreadable) -> ProtocolError {
        match unreadable.queue_offset {
            Some(_) => ProtocolError::new(unreadable.to_string()),
            None => unreadable.error,
        }
    }
}

impl From<Unreadable> for crate::Error {
    fn from(unreadable: Unreadable) -> crate::Error {
        ProtocolError::from(unreadable).into()
    }
}

/// A stored message with its body in the stored form: possibly compressed or a batch, and not yet
/// verified.
#[derive(Clone, PartialEq)]
pub struct Packed {
    /// Its body is the stored one.
    message: MessageView,
    /// The stored checksum, 0 if there is none.
    crc: i32,
}

impl Packed {
    pub(super) fn new(layout: Layout) -> Packed {
        Packed {
            message: MessageView::new(layout.parts),
            crc: layout.crc,
        }
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        self.message.topic()
    }

    /// The value of a property.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.message.property(name)
    }

    /// The queue's number on its broker.
    pub fn queue_id(&self) -> i32 {
        self.message.queue_id()
    }

    /// The position in the queue.
    pub fn queue_offset(&self) -> i64 {
        self.message.queue_offset()
    }

    /// See [`sys_flag`].
    pub fn sys_flag(&self) -> i32 {
        self.message.sys_flag()
    }

    /// The body as it is stored.
    pub fn stored_body(&self) -> &[u8] {
        self.message.body()
    }

    /// When the broker stored it, epoch milliseconds.
    pub(crate) fn store_timestamp(&self) -> i64 {
        self.message.store_timestamp()
    }

    /// The message with its body as it is stored: neither checked nor decompressed.
    pub(crate) fn as_stored(&self) -> &MessageView {
        &self.message
    }

    /// Whether the body is a batch whose messages were stored as one: those after the first have the
    /// queue offsets that follow.
    pub fn is_inner_batch(&self) -> bool {
        const BOTH: i32 = sys_flag::INNER_BATCH | sys_flag::NEED_UNWRAP;
        self.sys_flag() & BOTH == BOTH
    }

    /// The same at an offset that is higher by `delta`: a logical one, of a static topic.
    pub(crate) fn shifted(self, delta: i64) -> Packed {
        Packed {
            message: self.message.shifted(delta),
            ..self
        }
    }

    /// The same under another topic.
    pub(crate) fn with_topic(self, topic: impl Into<Arc<str>>) -> Packed {
        Packed {
            message: self.message.with_topic(topic),
            ..self
        }
    }

    /// The message with its body verified and decompressed, up to `limit` bytes. The body of an
    /// inner batch is the batch.
    ///
    /// # Errors
    /// A wrong checksum, or a body that is damaged, too large, or of a compression that is not built in.
    pub fn unpack(self, limit: usize) -> Result<MessageView, Unreadable> {
        let body = self.stored_body();
        // Messages that brokers 5.x put together anew have no checksum.
        if self.crc != 0 && self.crc & 0x7FFF_FFFF != checksum(body) {
            return Err(self.unreadable(ProtocolError::new("wrong checksum of the body")));
        }
        if self.sys_flag() & sys_flag::COMPRESSED == 0 {
            return Ok(self.message);
        }
        match compress::decompress(body, self.sys_flag(), limit) {
            Ok(body) => Ok(self.message.with_body(body)),
            Err(error) => Err(self.unreadable(error)),
        }
    }

    /// The message, or each of an inner batch, as [`decode_all`](super::decode_all) reads them.
    /// `limit` is the memory that they may take; it decreases by what they take.
    pub fn unpack_all(
        self,
        limit: &mut usize,
        mut each: impl FnMut(Result<MessageView, Unreadable>),
    ) {
        let (is_batch, is_compressed) = (
            self.is_inner_batch(),
            self.sys_flag() & sys_flag::COMPRESSED != 0,
        );
        let message = match self.unpack(*limit) {
            Ok(message) => message,
            Err(error) => return each(Err(error)),
        };
        if is_compressed {
            *limit = limit.saturating_sub(message.body().len());
        }
        if !is_batch {
            return each(Ok(message));
        }
        let (bytes, range) = message.shared_body();
        let start = range.start;
        let topic: Arc<str> = message.topic().into();
        for (i, place) in batch::places(&bytes[range]).enumerate() {
            let queue_offset = message.queue_offset().saturating_add(i as i64);
            let unreadable = |error, hides_rest| Unreadable {
                queue_offset: Some(queue_offset),
                hides_rest,
                error,
            };
            // A parsed message may be much larger than its entry in the batch.
            let Some(left) = limit.checked_sub(MessageView::SIZE) else {
                let text = "too many messages in a batch";
                return each(Err(unreadable(ProtocolError::new(text), true)));
            };
            *limit = left;
            let place = match place {
                Ok(place) => place,
                Err(bad) => {
                    each(Err(unreadable(bad.error, bad.hides_rest)));
                    continue;
                }
            };
            let moved = |range: Range<usize>| range.start + start..range.end + start;
            let child = MessageView::new(StoredParts {
                bytes: Arc::clone(&bytes),
                body: moved(place.body),
                topic: 0..0,
                properties: moved(place.properties),
                fixed: Fixed {
                    flag: place.flag,
                    queue_offset,
                    reconsume_times: 0,
                    ..*message.fixed()
                },
            });
            each(Ok(child.with_topic(Arc::clone(&topic))));
        }
    }

    fn unreadable(&self, error: ProtocolError) -> Unreadable {
        Unreadable {
            queue_offset: Some(self.queue_offset()),
            hides_rest: false,
            error,
        }
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Packed").field(&self.message).finish()
    }
}
