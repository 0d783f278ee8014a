//! Stored messages, read from the body of an answer without copying it.
//!
//! Reading has two steps, so that each runs where it belongs: finding the messages is cheap
//! ([`Messages`]), unpacking their bodies is not ([`Packed::unpack`]). A message that cannot be read does
//! not hide the others.

use std::ops::Range;
use std::sync::Arc;

use super::layout::{Layout, Rest, SHORTEST};
use super::packed::{Packed, Unreadable};
use crate::message::MessageView;
use crate::protocol::ProtocolError;

/// Reads one stored message, decompressing its body up to `limit` bytes.
///
/// # Errors
/// A wrong length, magic number or checksum, or a damaged body.
pub fn decode(bytes: impl Into<Arc<Vec<u8>>>, limit: usize) -> Result<MessageView, ProtocolError> {
    let packed = decode_packed(bytes)?;
    Ok(packed.unpack(limit)?)
}

/// Reads one stored message and leaves its body as it is stored: cheap, whatever is in it.
///
/// # Errors
/// A wrong length or magic number.
pub fn decode_packed(bytes: impl Into<Arc<Vec<u8>>>) -> Result<Packed, ProtocolError> {
    let bytes = bytes.into();
    if Rest::new(&bytes).len32()? != bytes.len() {
        let text = "stored message has another length than it says";
        return Err(ProtocolError::new(text));
    }
    let all = 0..bytes.len();
    Layout::read(&bytes, all).map(Packed::new)
}

/// Reads a sequence of stored messages, as pulls and queries are answered. Inner batches are split.
/// All messages together take about `limit` bytes of memory besides `bytes`; a message that would
/// exceed that is an error.
pub fn decode_all(
    bytes: impl Into<Arc<Vec<u8>>>,
    limit: usize,
) -> Vec<Result<MessageView, Unreadable>> {
    let (mut all, mut limit) = (Vec::new(), limit);
    for message in Messages::new(bytes) {
        match message {
            Ok(packed) => packed.unpack_all(&mut limit, |read| all.push(read)),
            Err(error) => all.push(Err(error)),
        }
    }
    all
}

/// The stored messages of an answer's body, found one by one, their bodies not yet unpacked.
#[derive(Debug, Clone)]
pub struct Messages {
    bytes: Arc<Vec<u8>>,
    at: usize,
}

impl Messages {
    /// Those of this body.
    pub fn new(bytes: impl Into<Arc<Vec<u8>>>) -> Messages {
        let bytes = bytes.into();
        Messages { bytes, at: 0 }
    }

    /// The place of the next message, by its size.
    fn next_range(&self) -> Result<Range<usize>, ProtocolError> {
        let rest = &self.bytes[self.at..];
        let size = Rest::new(rest).len32()?;
        if size < SHORTEST || size > rest.len() {
            return Err(ProtocolError::new("message is cut short"));
        }
        Ok(self.at..self.at + size)
    }
}

impl Iterator for Messages {
    type Item = Result<Packed, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.bytes.len() {
            return None;
        }
        let range = match self.next_range() {
            Ok(range) => range,
            Err(error) => {
                self.at = self.bytes.len();
                return Some(Err(Unreadable::rest(error)));
            }
        };
        self.at = range.end;
        let read = Layout::read(&self.bytes, range.clone()).map(Packed::new);
        Some(read.map_err(|error| Unreadable::stored(error, &self.bytes[range])))
    }
}

#[cfg(test)]
mod tests;
