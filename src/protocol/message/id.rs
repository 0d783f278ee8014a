//! The two kinds of message id.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::message;
use crate::protocol::ProtocolError;

pub use crate::message::id::{UniqueKeys, millis_of_month};

/// The id by which a broker finds a message: upper-case hexadecimal of `ip | i32 port | i64 commit
/// log offset` of the broker that stored it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetMessageId {
    /// The broker's address.
    pub address: SocketAddr,
    /// The position in its commit log.
    pub commit_log_offset: i64,
}

impl OffsetMessageId {
    /// The id's text.
    pub fn encode(&self) -> String {
        message::offset_message_id(self.address, self.commit_log_offset)
    }

    /// Reads an id's text.
    ///
    /// # Errors
    /// It is not hexadecimal of the right length.
    pub fn decode(text: &str) -> Result<OffsetMessageId, ProtocolError> {
        let bad = || ProtocolError::new("not an offset message id");
        let bytes = unhex(text).ok_or_else(bad)?;
        let (ip, rest): (IpAddr, &[u8]) = match bytes.len() {
            16 => (
                Ipv4Addr::from(array::<4>(&bytes).ok_or_else(bad)?).into(),
                &bytes[4..],
            ),
            28 => (
                Ipv6Addr::from(array::<16>(&bytes).ok_or_else(bad)?).into(),
                &bytes[16..],
            ),
            _ => return Err(bad()),
        };
        let port = u32::from_be_bytes(array(rest).ok_or_else(bad)?);
        let port = u16::try_from(port).map_err(|_| bad())?;
        let offset = i64::from_be_bytes(array(&rest[4..]).ok_or_else(bad)?);
        Ok(OffsetMessageId {
            address: SocketAddr::new(ip, port),
            commit_log_offset: offset,
        })
    }
}

fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.get(..N)?.try_into().ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let digits = text.as_bytes();
    if digits.len() % 2 != 0 || digits.len() > 56 {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_message_id_reads_back() {
        let text = "7F00000100002AA90000000000001AF6";
        let id = OffsetMessageId::decode(text).unwrap();
        assert_eq!(id.address, "127.0.0.1:10921".parse().unwrap());
        assert_eq!(id.commit_log_offset, 0x1AF6);
        assert_eq!(id.encode(), text);
        for bad in [
            "",
            "7F",
            "zz000000000000000000000000000000",
            "7F000001FFFFFFFF0000000000001AF6",
        ] {
            assert!(OffsetMessageId::decode(bad).is_err(), "{bad}");
        }
    }
}
