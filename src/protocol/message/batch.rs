//! Several messages as the body of one request, or of one stored message (an inner batch):
//! `i32 size | i32 0 | i32 0 | i32 flag | i32 length, body | i16 length, properties`, repeated.

use std::ops::Range;

use super::layout::{Rest, len16, len32};
use crate::protocol::ProtocolError;

/// The length of an entry beside body and properties.
const OVERHEAD: usize = 22;

/// Appends one message of a batch.
///
/// `properties` is the [text form](super::properties).
///
/// # Errors
/// A part is longer than its length field can say; nothing is appended then.
pub fn encode_batch_entry(
    flag: i32,
    body: &[u8],
    properties: &str,
    out: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    let properties_len = len16(properties.len())?;
    let body_len = len32(body.len())?;
    let size = len32(OVERHEAD + body.len() + properties.len())?;
    out.extend_from_slice(&size);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&flag.to_be_bytes());
    out.extend_from_slice(&body_len);
    out.extend_from_slice(body);
    out.extend_from_slice(&properties_len);
    out.extend_from_slice(properties.as_bytes());
    Ok(())
}

/// One message of a batch, as the batch's body has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchEntry<'a> {
    /// The user's flag.
    pub flag: i32,
    /// The body.
    pub body: &'a [u8],
    /// The properties in their text form.
    pub properties: &'a str,
}

/// The messages of a batch's body.
///
/// # Errors
/// A length that lies.
pub fn decode_batch(body: &[u8]) -> Result<Vec<BatchEntry<'_>>, ProtocolError> {
    let read = |place: Result<Place, BadEntry>| {
        let place = place.map_err(|bad| bad.error)?;
        let properties = std::str::from_utf8(&body[place.properties])
            .map_err(|_| ProtocolError::new("not UTF-8"))?;
        Ok(BatchEntry {
            flag: place.flag,
            body: &body[place.body],
            properties,
        })
    };
    places(body).map(read).collect()
}

/// The places of an entry's parts in a batch's body.
pub(super) struct Place {
    pub(super) flag: i32,
    pub(super) body: Range<usize>,
    pub(super) properties: Range<usize>,
}

/// An entry that cannot be read.
pub(super) struct BadEntry {
    pub(super) error: ProtocolError,
    /// Its size is wrong, so that the start of the next entry is unknown.
    pub(super) hides_rest: bool,
}

/// The entries of a batch's body. An unreadable entry does not hide those behind it, unless its
/// size is wrong.
pub(super) fn places(body: &[u8]) -> impl Iterator<Item = Result<Place, BadEntry>> {
    let mut rest = Rest::new(body);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let start = rest.at;
        let framed = rest.len32().and_then(|size| {
            let len = size.checked_sub(4).filter(|_| size >= OVERHEAD);
            rest.skip(len.ok_or_else(|| ProtocolError::new("batch entry too short"))?)
        });
        Some(match framed {
            Ok(range) => place(&body[..range.end], start + 4).map_err(|error| BadEntry {
                error,
                hides_rest: false,
            }),
            Err(error) => {
                rest.at = body.len();
                Err(BadEntry {
                    error,
                    hides_rest: true,
                })
            }
        })
    })
}

/// Reads an entry behind its size.
fn place(bytes: &[u8], at: usize) -> Result<Place, ProtocolError> {
    let mut entry = Rest { bytes, at };
    entry.skip(8)?;
    let flag = entry.i32()?;
    let body_len = entry.len32()?;
    let body = entry.skip(body_len)?;
    let properties_len = entry.len16()?;
    let properties = entry.skip(properties_len)?;
    entry.end()?;
    Ok(Place {
        flag,
        body,
        properties,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_entries_read_back_and_lies_are_errors() {
        let mut body = Vec::new();
        encode_batch_entry(7, b"one", "a\u{1}b\u{2}", &mut body).unwrap();
        encode_batch_entry(0, b"two", "", &mut body).unwrap();
        let entries = decode_batch(&body).unwrap();
        assert_eq!(entries.len(), 2);
        let one = BatchEntry {
            flag: 7,
            body: b"one",
            properties: "a\u{1}b\u{2}",
        };
        assert_eq!(entries[0], one);
        for cut in 1..body.len() {
            let whole = cut == one.body.len() + one.properties.len() + 22;
            assert_eq!(decode_batch(&body[..cut]).is_ok(), whole, "{cut}");
        }
        for size in [-1i32, 0, 3, 1000] {
            let mut bad = body.clone();
            bad[..4].copy_from_slice(&size.to_be_bytes());
            assert!(decode_batch(&bad).is_err(), "{size}");
        }
    }

    #[test]
    fn a_bad_entry_hides_no_other_one() {
        let mut body = Vec::new();
        for text in ["one", "two", "six"] {
            encode_batch_entry(0, text.as_bytes(), "", &mut body).unwrap();
        }
        // The length of the first body.
        body[19] = 200;
        let read: Vec<bool> = places(&body).map(|place| place.is_ok()).collect();
        assert_eq!(read, [false, true, true]);
    }
}
