//! The stored form of a message, which brokers also send: `i32 size | i32 magic | i32 body CRC |
//! i32 queue | i32 flag | i64 queue offset | i64 commit log offset | i32 system flag | i64 born |
//! address | i64 stored | address | i32 reconsume times | i64 prepared offset | i32 length, body |
//! i8 length (i16 with the second magic), topic | i16 length, properties`; an address is 4 or 16
//! bytes and an `i32` port.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};

use super::sys_flag;
use crate::message::{Fixed, StoredParts};
use crate::protocol::ProtocolError;

/// Marks a stored message with a one-byte topic length.
pub(super) const MAGIC_V1: i32 = -626_843_481;
/// Marks a stored message with a two-byte topic length.
pub(super) const MAGIC_V2: i32 = -626_843_477;

/// The shortest stored message: IPv4 addresses, nothing in it.
pub(super) const SHORTEST: usize = 91;

/// The places of a stored message's parts, and its checksum.
pub(super) struct Layout {
    pub(super) parts: StoredParts,
    pub(super) crc: i32,
}

impl Layout {
    /// The message that takes all of this range.
    pub(super) fn read(bytes: &Arc<Vec<u8>>, range: Range<usize>) -> Result<Layout, ProtocolError> {
        let mut rest = Rest {
            bytes: &bytes[..range.end],
            at: range.start,
        };
        let _size = rest.i32()?;
        let magic = rest.i32()?;
        if magic != MAGIC_V1 && magic != MAGIC_V2 {
            return Err(ProtocolError::new(format!("unknown magic number {magic}")));
        }
        let crc = rest.i32()?;
        let queue_id = rest.i32()?;
        let flag = rest.i32()?;
        let queue_offset = rest.i64()?;
        let commit_log_offset = rest.i64()?;
        let sys_flag = rest.i32()?;
        let born_timestamp = rest.i64()?;
        let born_host = address(&mut rest, sys_flag & sys_flag::BORN_HOST_V6 != 0)?;
        let store_timestamp = rest.i64()?;
        let store_host = address(&mut rest, sys_flag & sys_flag::STORE_HOST_V6 != 0)?;
        let reconsume_times = rest.i32()?;
        let prepared_transaction_offset = rest.i64()?;
        let body_len = rest.len32()?;
        let body = rest.skip(body_len)?;
        let topic_len = match magic {
            MAGIC_V1 => usize::from(rest.u8()?),
            _ => rest.len16()?,
        };
        let topic = rest.skip(topic_len)?;
        let properties_len = rest.len16()?;
        let properties = rest.skip(properties_len)?;
        rest.end()?;
        Ok(Layout {
            crc,
            parts: StoredParts {
                bytes: Arc::clone(bytes),
                body,
                topic,
                properties,
                fixed: Fixed {
                    flag,
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
                },
            },
        })
    }
}

fn address(rest: &mut Rest<'_>, v6: bool) -> Result<SocketAddr, ProtocolError> {
    let ip = rest.take(if v6 { 16 } else { 4 })?;
    let ip = match (<[u8; 4]>::try_from(ip), <[u8; 16]>::try_from(ip)) {
        (Ok(v4), _) => IpAddr::from(v4),
        (_, Ok(v6)) => IpAddr::from(v6),
        _ => return Err(ProtocolError::new("not an address")),
    };
    // Java stores the port as an int; one that does not fit is a damaged message.
    let port = u16::try_from(rest.i32()?).map_err(|_| ProtocolError::new("not a port"))?;
    Ok(SocketAddr::new(ip, port))
}

/// The checksum of a stored body. Brokers keep 31 bits of a CRC-32.
pub(super) fn checksum(body: &[u8]) -> i32 {
    let mut crc = flate2::Crc::new();
    crc.update(body);
    (crc.sum() & 0x7FFF_FFFF) as i32
}

/// Java reads all lengths as signed.
pub(super) fn len32(len: usize) -> Result<[u8; 4], ProtocolError> {
    i32::try_from(len)
        .map(i32::to_be_bytes)
        .map_err(|_| ProtocolError::new(format!("{len} bytes are too long for a message")))
}

pub(super) fn len16(len: usize) -> Result<[u8; 2], ProtocolError> {
    i16::try_from(len)
        .map(i16::to_be_bytes)
        .map_err(|_| ProtocolError::new(format!("{len} bytes of topic or properties are too long")))
}

/// The unread rest of some bytes, and its position. Every length is checked against it.
pub(super) struct Rest<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Rest<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Rest<'a> {
        Rest { bytes, at: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The place of the next `len` bytes.
    pub(super) fn skip(&mut self, len: usize) -> Result<Range<usize>, ProtocolError> {
        let end = self.at.checked_add(len);
        match end.filter(|end| *end <= self.bytes.len()) {
            Some(end) => {
                let skipped = self.at..end;
                self.at = end;
                Ok(skipped)
            }
            None => Err(ProtocolError::new("message is cut short")),
        }
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], ProtocolError> {
        self.skip(len).map(|range| &self.bytes[range])
    }

    pub(super) fn u8(&mut self) -> Result<u8, ProtocolError> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn i32(&mut self) -> Result<i32, ProtocolError> {
        Ok(BigEndian::read_i32(self.take(4)?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, ProtocolError> {
        Ok(BigEndian::read_i64(self.take(8)?))
    }

    pub(super) fn len32(&mut self) -> Result<usize, ProtocolError> {
        usize::try_from(self.i32()?).map_err(|_| ProtocolError::new("negative length"))
    }

    pub(super) fn len16(&mut self) -> Result<usize, ProtocolError> {
        let len = BigEndian::read_i16(self.take(2)?);
        usize::try_from(len).map_err(|_| ProtocolError::new("negative length"))
    }

    /// Unread bytes mean that something was read wrongly.
    pub(super) fn end(&self) -> Result<(), ProtocolError> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(ProtocolError::new("bytes after the end of a message")),
        }
    }
}
