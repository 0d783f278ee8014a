//! Properties in their text form, without building the whole map.

use crate::protocol::properties::{NAME_END, VALUE_END};

/// One property. The last one of its name counts, as in a map.
pub(in crate::embedded) fn find_property<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut pieces = text
        .rsplit(VALUE_END)
        .filter_map(|p| p.split_once(NAME_END));
    let (_, value) = pieces.find(|(n, value)| *n == name && !value.is_empty())?;
    Some(value)
}

pub(in crate::embedded) fn append_property(name: &str, value: &str, text: &mut String) {
    // Clients before 5.2.0 leave out the last separator.
    if !text.is_empty() && !text.ends_with(VALUE_END) {
        text.push(VALUE_END);
    }
    text.push_str(name);
    text.push(NAME_END);
    text.push_str(value);
    text.push(VALUE_END);
}

/// Replaces a property, or adds it.
pub(in crate::embedded) fn set_property(name: &str, value: &str, text: &mut String) {
    remove_property(name, text);
    append_property(name, value, text);
}

/// Removes all properties of a name.
pub(super) fn remove_property(name: &str, text: &mut String) {
    if find_property(text, name).is_some() {
        let others = text.split(VALUE_END).filter(|piece| {
            let named = piece.split_once(NAME_END).map(|(n, _)| n);
            !piece.is_empty() && named != Some(name)
        });
        *text = others.flat_map(|piece| [piece, END]).collect();
    }
}

/// [`VALUE_END`] as a text.
const END: &str = "\u{2}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_property_of_a_name_counts_and_a_separator_is_never_missing() {
        let mut text = "a\u{1}1".to_owned();
        append_property("b", "2", &mut text);
        append_property("a", "3", &mut text);
        assert_eq!(text, "a\u{1}1\u{2}b\u{1}2\u{2}a\u{1}3\u{2}");
        assert_eq!(find_property(&text, "a"), Some("3"));
        assert_eq!(find_property(&text, "b"), Some("2"));
        assert_eq!(find_property(&text, "c"), None);
    }

    #[test]
    fn a_property_is_set_in_the_place_of_all_of_its_name() {
        let mut text = "a\u{1}1\u{2}b\u{1}2\u{2}a\u{1}3".to_owned();
        set_property("a", "4", &mut text);
        assert_eq!(text, "b\u{1}2\u{2}a\u{1}4\u{2}");
        set_property("c", "5", &mut text);
        assert_eq!(text, "b\u{1}2\u{2}a\u{1}4\u{2}c\u{1}5\u{2}");
        assert_eq!(END.chars().collect::<Vec<_>>(), [VALUE_END]);
    }
}
