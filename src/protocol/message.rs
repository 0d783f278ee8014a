//! Messages as bodies carry them: the batch encoding and the stored form.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use byteorder::{BigEndian, ByteOrder};

use super::{ProtocolError, compress, properties, sys_flag};
use crate::message::MessageView;

/// Marks a stored message with a one-byte topic length.
const MAGIC_V1: i32 = -626_843_481;
/// Marks a stored message with a two-byte topic length.
const MAGIC_V2: i32 = -626_843_477;

/// About what a property takes in memory, which may be four bytes in a message.
const PROPERTY: usize = 128;

/// Appends one message of a batch:
/// `i32 size | i32 0 | i32 0 | i32 flag | i32 length, body | i16 length, properties`.
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
    let size = len32(4 * 5 + body.len() + 2 + properties.len())?;
    out.extend_from_slice(&size);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&flag.to_be_bytes());
    out.extend_from_slice(&body_len);
    out.extend_from_slice(body);
    out.extend_from_slice(&properties_len);
    out.extend_from_slice(properties.as_bytes());
    Ok(())
}

/// One message of a batch, as it stands in the batch's body.
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
    let mut entries = Vec::new();
    let mut rest = Rest(body);
    while !rest.0.is_empty() {
        let size = rest.len32()?;
        let size = size
            .checked_sub(4)
            .ok_or_else(|| ProtocolError::new("batch entry too short"))?;
        let mut entry = Rest(rest.take(size)?);
        entry.take(8)?;
        let flag = entry.i32()?;
        let body_len = entry.len32()?;
        let body = entry.take(body_len)?;
        let properties_len = entry.len16()?;
        let properties = entry.text(properties_len)?;
        entry.end()?;
        entries.push(BatchEntry {
            flag,
            body,
            properties,
        });
    }
    Ok(entries)
}

/// Reads one stored message, decompressing its body up to `limit` bytes.
///
/// # Errors
/// A length that lies, a magic number that is none, or a damaged body.
pub fn decode(bytes: &[u8], limit: usize) -> Result<MessageView, ProtocolError> {
    let mut message = decode_packed(bytes)?;
    unpack(&mut message, limit)?;
    Ok(message)
}

/// Undoes the compression of a body that [`decode_packed`] left as it was, up to `limit` bytes.
///
/// # Errors
/// A damaged body.
pub fn unpack(message: &mut MessageView, limit: usize) -> Result<(), ProtocolError> {
    if message.sys_flag & sys_flag::COMPRESSED != 0 {
        message.body = compress::decompress(&message.body, message.sys_flag, limit)?;
    }
    Ok(())
}

/// Reads one stored message and leaves its body as it is stored: cheap, whatever is in it.
///
/// # Errors
/// A length that lies, or a magic number that is none.
pub fn decode_packed(bytes: &[u8]) -> Result<MessageView, ProtocolError> {
    let mut rest = Rest(bytes);
    let total = rest.len32()?;
    if total != bytes.len() {
        return Err(ProtocolError::new(
            "stored message has another length than it says",
        ));
    }
    let magic = rest.i32()?;
    if magic != MAGIC_V1 && magic != MAGIC_V2 {
        return Err(ProtocolError::new(format!("unknown magic number {magic}")));
    }
    let _body_crc = rest.i32()?;
    let queue_id = rest.i32()?;
    let flag = rest.i32()?;
    let queue_offset = rest.i64()?;
    let commit_log_offset = rest.i64()?;
    let sys_flag = rest.i32()?;
    let born_timestamp = rest.i64()?;
    let born_host = rest.address(sys_flag & sys_flag::BORN_HOST_V6 != 0)?;
    let store_timestamp = rest.i64()?;
    let store_host = rest.address(sys_flag & sys_flag::STORE_HOST_V6 != 0)?;
    let reconsume_times = rest.i32()?;
    let prepared_transaction_offset = rest.i64()?;
    let body_len = rest.len32()?;
    let body = rest.take(body_len)?.to_vec();
    let topic_len = match magic {
        MAGIC_V1 => usize::from(rest.take(1)?[0]),
        _ => rest.len16()?,
    };
    let topic = rest.stored_text(topic_len)?.into_owned();
    let properties_len = rest.len16()?;
    let properties = properties::decode(&rest.stored_text(properties_len)?);
    rest.end()?;
    Ok(MessageView {
        topic,
        body,
        flag,
        properties,
        sys_flag,
        queue_id,
        queue_offset,
        commit_log_offset,
        born_timestamp,
        born_host,
        store_timestamp,
        store_host,
        reconsume_times,
        prepared_transaction_offset,
    })
}

/// Reads stored messages that stand one after the other, as a query is answered. Their bodies
/// and properties together take at most about `limit` bytes, however small they are in the answer.
///
/// # Errors
/// Those of [`decode`], for any of them.
pub fn decode_all(bytes: &[u8], limit: usize) -> Result<Vec<MessageView>, ProtocolError> {
    let mut messages = Vec::new();
    let (mut bytes, mut limit) = (bytes, limit);
    while !bytes.is_empty() {
        let len = Rest(bytes).len32()?;
        let (first, rest) = match bytes.split_at_checked(len) {
            Some(parts) if len > 0 => parts,
            _ => return Err(ProtocolError::new("message is cut short")),
        };
        let message = decode(first, limit)?;
        let properties = message.properties.len() * PROPERTY;
        if properties > limit {
            return Err(ProtocolError::new("too many properties"));
        }
        // The body was within the limit, unless it was not compressed at all.
        limit = limit.saturating_sub(properties + message.body.len());
        messages.push(message);
        bytes = rest;
    }
    Ok(messages)
}

/// Writes the stored form. `body` is what is stored, already compressed if the message's system
/// flag says so; the view's own body is not looked at.
///
/// # Errors
/// A part is longer than its length field can say.
pub fn encode(message: &MessageView, body: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    let properties = properties::encode(message.properties.iter());
    let mut flags = message.sys_flag & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6);
    if message.born_host.is_ipv6() {
        flags |= sys_flag::BORN_HOST_V6;
    }
    if message.store_host.is_ipv6() {
        flags |= sys_flag::STORE_HOST_V6;
    }
    let mut crc = flate2::Crc::new();
    crc.update(body);
    let mut out = vec![0; 4];
    let long_topic = message.topic.len() > usize::from(u8::MAX >> 1);
    let magic = if long_topic { MAGIC_V2 } else { MAGIC_V1 };
    out.extend_from_slice(&magic.to_be_bytes());
    // The broker keeps 31 bits of the checksum.
    out.extend_from_slice(&(crc.sum() & 0x7FFF_FFFF).to_be_bytes());
    out.extend_from_slice(&message.queue_id.to_be_bytes());
    out.extend_from_slice(&message.flag.to_be_bytes());
    out.extend_from_slice(&message.queue_offset.to_be_bytes());
    out.extend_from_slice(&message.commit_log_offset.to_be_bytes());
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(&message.born_timestamp.to_be_bytes());
    put_address(message.born_host, &mut out);
    out.extend_from_slice(&message.store_timestamp.to_be_bytes());
    put_address(message.store_host, &mut out);
    out.extend_from_slice(&message.reconsume_times.to_be_bytes());
    out.extend_from_slice(&message.prepared_transaction_offset.to_be_bytes());
    out.extend_from_slice(&len32(body.len())?);
    out.extend_from_slice(body);
    let topic_len = len16(message.topic.len())?;
    out.extend_from_slice(&topic_len[usize::from(!long_topic)..]);
    out.extend_from_slice(message.topic.as_bytes());
    out.extend_from_slice(&len16(properties.len())?);
    out.extend_from_slice(properties.as_bytes());
    let total = len32(out.len())?;
    out[..4].copy_from_slice(&total);
    Ok(out)
}

/// Java reads all lengths as signed.
fn len32(len: usize) -> Result<[u8; 4], ProtocolError> {
    i32::try_from(len)
        .map(i32::to_be_bytes)
        .map_err(|_| ProtocolError::new(format!("{len} bytes are too long for a message")))
}

fn len16(len: usize) -> Result<[u8; 2], ProtocolError> {
    i16::try_from(len)
        .map(i16::to_be_bytes)
        .map_err(|_| ProtocolError::new(format!("{len} bytes of topic or properties are too long")))
}

fn put_address(address: SocketAddr, out: &mut Vec<u8>) {
    match address.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&u32::from(address.port()).to_be_bytes());
}

/// What is left to read; every length is checked against it.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], ProtocolError> {
        match self.0.split_at_checked(len) {
            Some((taken, rest)) => {
                self.0 = rest;
                Ok(taken)
            }
            None => Err(ProtocolError::new("message is cut short")),
        }
    }

    fn i32(&mut self) -> Result<i32, ProtocolError> {
        Ok(BigEndian::read_i32(self.take(4)?))
    }

    fn i64(&mut self) -> Result<i64, ProtocolError> {
        Ok(BigEndian::read_i64(self.take(8)?))
    }

    fn len32(&mut self) -> Result<usize, ProtocolError> {
        usize::try_from(self.i32()?).map_err(|_| ProtocolError::new("negative length"))
    }

    fn len16(&mut self) -> Result<usize, ProtocolError> {
        let len = BigEndian::read_i16(self.take(2)?);
        usize::try_from(len).map_err(|_| ProtocolError::new("negative length"))
    }

    /// Bytes that nobody accounted for mean that something was read wrongly.
    fn end(&self) -> Result<(), ProtocolError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(ProtocolError::new("bytes after the end of a message")),
        }
    }

    fn text(&mut self, len: usize) -> Result<&'a str, ProtocolError> {
        std::str::from_utf8(self.take(len)?).map_err(|_| ProtocolError::new("not UTF-8"))
    }

    /// Text of any client, whose carelessness must not hide the other messages of an answer: what is
    /// not UTF-8 is replaced, as in Java.
    fn stored_text(&mut self, len: usize) -> Result<Cow<'a, str>, ProtocolError> {
        Ok(String::from_utf8_lossy(self.take(len)?))
    }

    fn address(&mut self, v6: bool) -> Result<SocketAddr, ProtocolError> {
        let ip = self.take(if v6 { 16 } else { 4 })?;
        let ip = match (<[u8; 4]>::try_from(ip), <[u8; 16]>::try_from(ip)) {
            (Ok(v4), _) => IpAddr::from(v4),
            (_, Ok(v6)) => IpAddr::from(v6),
            _ => return Err(ProtocolError::new("not an address")),
        };
        // Java stores the port as an int; one that does not fit is a damaged message.
        let port = u16::try_from(self.i32()?).map_err(|_| ProtocolError::new("not a port"))?;
        Ok(SocketAddr::new(ip, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(body: &str) -> MessageView {
        MessageView {
            topic: "T".into(),
            body: body.into(),
            flag: 0,
            properties: crate::message::Properties::new(),
            sys_flag: 0,
            queue_id: 0,
            queue_offset: 0,
            commit_log_offset: 0,
            born_timestamp: 0,
            born_host: ([127, 0, 0, 1], 1).into(),
            store_timestamp: 0,
            store_host: ([127, 0, 0, 1], 2).into(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
        }
    }

    #[test]
    fn stored_messages_stand_one_after_the_other() {
        let (one, two) = (view("one"), view("three"));
        let mut bytes = encode(&one, &one.body).unwrap();
        let first = bytes.len();
        bytes.extend(encode(&two, &two.body).unwrap());
        assert_eq!(decode_all(&[], 0).unwrap(), []);
        assert_eq!(decode_all(&bytes, 100).unwrap(), [one, two]);
        for cut in 1..bytes.len() {
            assert_eq!(
                decode_all(&bytes[..cut], 100).is_ok(),
                cut == first,
                "{cut}"
            );
        }
        assert!(decode_all(&[0; 8], 100).is_err());

        let packed = compress::zlib(&[0; 600], 5);
        let mut bomb = view("");
        bomb.sys_flag = sys_flag::COMPRESSED;
        let bomb = encode(&bomb, &packed).unwrap();
        assert!(decode_all(&bomb, 600).is_ok());
        assert!(decode_all(&[&bomb[..], &bomb].concat(), 1000).is_err());

        let mut many = view("");
        (0..10).for_each(|i| many.properties.set(i.to_string(), "x"));
        let many = encode(&many, &[]).unwrap();
        assert!(decode_all(&many, 10 * PROPERTY).is_ok());
        assert!(decode_all(&[&many[..], &many].concat(), 15 * PROPERTY).is_err());
    }

    #[test]
    fn a_stored_message_with_text_that_is_not_utf_8_is_readable_still() {
        let mut message = view("one");
        message.properties.set("a", "b");
        let mut bytes = encode(&message, &message.body).unwrap();
        let at = bytes.iter().rposition(|byte| *byte == b'b').unwrap();
        bytes[at] = 0xff;
        let read = decode_all(&bytes, 1000).unwrap();
        assert_eq!(read[0].properties.get("a"), Some("\u{fffd}"));
        assert_eq!(read[0].topic, "T");
    }

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
}
