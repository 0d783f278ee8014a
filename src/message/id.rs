//! The two kinds of message id, as text: one that the client gives a message, and one by which a broker
//! finds it.

use std::net::{IpAddr, SocketAddr};

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

/// Upper-case hexadecimal of `ip | i32 port | i64 commit log offset` of the broker that stored a message.
pub(crate) fn offset_message_id(broker: SocketAddr, commit_log_offset: i64) -> String {
    let mut text = String::with_capacity(if broker.is_ipv4() { 32 } else { 56 });
    push_ip(broker.ip(), &mut text);
    push_hex::<8>(broker.port().into(), &mut text);
    push_hex::<16>(commit_log_offset as u64, &mut text);
    text
}

/// Appends an address: 8 digits, or 32 of an IPv6 one.
pub(crate) fn push_ip(ip: IpAddr, text: &mut String) {
    match ip {
        IpAddr::V4(ip) => push_hex::<8>(ip.to_bits().into(), text),
        IpAddr::V6(ip) => {
            for part in ip.segments() {
                push_hex::<4>(part.into(), text);
            }
        }
    }
}

/// Appends the last `DIGITS` digits of a number.
pub(crate) fn push_hex<const DIGITS: usize>(number: u64, text: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digits: [u8; DIGITS] =
        std::array::from_fn(|i| HEX[(number >> (4 * (DIGITS - 1 - i)) & 15) as usize]);
    text.push_str(std::str::from_utf8(&digits).unwrap_or_default());
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
}
