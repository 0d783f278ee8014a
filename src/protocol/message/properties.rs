//! The text form of message properties: `name \x01 value \x02`, repeated.

use crate::message::{self, Properties};

/// Between a name and its value.
pub const NAME_END: char = message::NAME_END as char;
/// After each value. Clients from 5.2.0 on write it after the last one too; every decoder takes
/// both.
pub const VALUE_END: char = message::VALUE_END as char;

/// The longest text form, in bytes, that the broker's store can hold.
pub const MAX_LEN: usize = 32_767;

/// Appends the text form of some properties. Those with an empty name or value are left out, since
/// every decoder drops them.
pub fn append<'a>(properties: impl Iterator<Item = (&'a str, &'a str)> + Clone, text: &mut String) {
    // Reserves the exact size: the text stays in memory while its message is in flight.
    let lengths = properties
        .clone()
        .map(|(name, value)| name.len() + value.len() + 2);
    text.reserve_exact(lengths.sum());
    // Not a loop: internal iteration over a chain of many parts is faster.
    properties.for_each(|(name, value)| {
        if !name.is_empty() && !value.is_empty() {
            text.push_str(name);
            text.push(NAME_END);
            text.push_str(value);
            text.push(VALUE_END);
        }
    });
}

/// The text form of some properties.
pub fn encode<'a>(properties: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> String {
    let mut text = String::new();
    append(properties, &mut text);
    text
}

/// Reads the text form. As in Java, a piece that has no separator, no name or no value is dropped.
pub fn decode(text: &str) -> Properties {
    let bytes = text.as_bytes();
    // The separators are ASCII, so the parts between them are UTF-8 too.
    let own = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let places = message::places(bytes).into_iter();
    Properties::from_distinct(places.map(|place| (own(place.name(bytes)), own(place.value(bytes)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_endings_are_read_and_broken_pieces_are_dropped() {
        for text in [
            "a\u{1}1\u{2}b\u{1}2\u{2}",
            "a\u{1}1\u{2}b\u{1}2",
            "a\u{1}1\u{2}x\u{2}\u{1}y\u{2}z\u{1}\u{2}b\u{1}2",
        ] {
            let properties = decode(text);
            assert_eq!(
                properties.iter().collect::<Vec<_>>(),
                [("a", "1"), ("b", "2")],
                "{text:?}"
            );
        }
    }
}
