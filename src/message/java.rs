//! Java's string functions.

use std::cmp::Ordering;

/// `String.hashCode`: over UTF-16 units, wrapping.
pub(crate) fn string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

/// `String.compareTo`: by UTF-16 units. It differs from the order of `str` between characters
/// beyond the basic plane and those at its end.
pub(crate) fn string_order(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() {
        return a.cmp(b);
    }
    a.encode_utf16().cmp(b.encode_utf16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_codes_are_those_that_java_prints() {
        for (text, hash) in [
            ("", 0),
            ("TagA", 2_598_919),
            ("TagB", 2_598_920),
            ("标签", 857_175),
            ("Aa", 2112),
            ("BB", 2112),
        ] {
            assert_eq!(string_hash(text), hash, "{text}");
        }
    }

    #[test]
    fn texts_are_ordered_by_utf_16_units() {
        let (beyond, last) = ("\u{1f600}", "\u{ff5e}");
        assert_eq!(string_order(beyond, last), Ordering::Less);
        assert!(beyond > last);
        assert_eq!(string_order("broker-10", "broker-2"), Ordering::Less);
        assert_eq!(string_order("a", "a"), Ordering::Equal);
    }
}
