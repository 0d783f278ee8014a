//! The id by which a broker finds a message.

use std::net::{IpAddr, SocketAddr};

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
