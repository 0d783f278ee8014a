//! The two kinds of message id.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::message::{self, push_hex, push_ip};
use crate::protocol::ProtocolError;

/// The ids that a client gives its messages (Java's `MessageClientIDSetter`, property `UNIQ_KEY`):
/// upper-case hexadecimal of `ip | i16 process | i32 salt | i32 time | i16 counter`, 32 digits
/// with an IPv4 address and 56 with an IPv6 one.
///
/// Java puts a class loader's hash where the salt is; we put random bits there, since process ids
/// and addresses repeat between containers.
#[derive(Debug, Clone)]
pub struct UniqueKeys {
    /// The digits that all of them begin with.
    head: String,
}

impl UniqueKeys {
    /// Those of one client.
    pub fn new(ip: IpAddr, process: u16, salt: u32) -> UniqueKeys {
        let mut head = String::new();
        push_ip(ip, &mut head);
        push_hex::<4>(process.into(), &mut head);
        push_hex::<8>(salt.into(), &mut head);
        UniqueKeys { head }
    }

    /// The lengths of keys.
    #[expect(clippy::len_without_is_empty, reason = "none is empty")]
    pub fn len(&self) -> usize {
        self.head.len() + KEY_TAIL
    }

    /// The key of a message made at this [time](millis_of_month).
    pub fn key(&self, time: u32, counter: u16) -> String {
        let mut key = String::with_capacity(self.len());
        self.push(time, counter, &mut key);
        key
    }

    /// Appends the key of a message made at this [time](millis_of_month).
    pub fn push(&self, time: u32, counter: u16, text: &mut String) {
        text.push_str(&self.head);
        push_hex::<KEY_TAIL>(u64::from(time) << 16 | u64::from(counter), text);
    }
}

/// Digits of time and counter.
const KEY_TAIL: usize = 12;

/// The time part of a unique key: milliseconds since the month began (UTC; Java takes its own time
/// zone).
pub fn millis_of_month(epoch_millis: i64) -> u32 {
    const DAY: i64 = 24 * 3600 * 1000;
    let days = epoch_millis.div_euclid(DAY);
    // Days to civil date, in years that begin on 1 March, after Howard Hinnant's algorithm.
    let shifted = days + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5;
    let millis = day_of_month * DAY + epoch_millis.rem_euclid(DAY);
    // At most 31 days, which 32 bits hold.
    u32::try_from(millis).unwrap_or(0)
}

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
    fn a_unique_key_has_javas_layout() {
        let ip = IpAddr::from([192, 0, 2, 2]);
        let key = UniqueKeys::new(ip, 0x62E9, 0x3094_6E09).key(0x6B29_6325, 1);
        assert_eq!(key, "C000020262E930946E096B2963250001");
        assert_eq!(
            UniqueKeys::new(IpAddr::from([0u8; 16]), 0, 0)
                .key(0, 0)
                .len(),
            56
        );
    }

    #[test]
    fn the_time_part_begins_anew_each_month() {
        for (epoch_seconds, second_of_month) in [
            (0, 0),
            (86_399, 86_399),
            (951_782_400, 28 * 86_400),       // 29 February 2000
            (951_868_800, 0),                 // 1 March 2000
            (1_798_761_599, 31 * 86_400 - 1), // the last second of 2026
        ] {
            let millis = millis_of_month(epoch_seconds * 1000 + 7);
            assert_eq!(millis, second_of_month * 1000 + 7, "{epoch_seconds}");
        }
    }

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
