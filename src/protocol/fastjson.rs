//! The dialect of Java's fastjson: numbers and whole objects as keys, without quotes.
//!
//! `{"offsetTable":{{"brokerName":"a","queueId":0,"topic":"T"}:5}}` is what brokers send, and
//! `{0:"10.0.0.1:10911"}` what older name servers do. [`standard`] turns it into JSON; [`Object`] and the
//! list types bound what a peer can make of few bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::ProtocolError;

/// Deeper nesting is no body of this protocol.
const DEEPEST: usize = 64;

/// Reads a body. `what` names it in errors.
pub(super) fn decode<T: DeserializeOwned>(what: &str, body: &[u8]) -> Result<T, ProtocolError> {
    let bad = |why: String| ProtocolError::new(format!("bad {what}: {why}"));
    let text = std::str::from_utf8(body).map_err(|_| bad("not UTF-8".into()))?;
    let text = standard(text).ok_or_else(|| bad("nested too deeply".into()))?;
    serde_json::from_str(&text)
        .map(|Object(value)| value)
        .map_err(|e| bad(e.to_string()))
}

/// Writes a body without keys that are objects.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Serialising plain data to memory does not fail.
    serde_json::to_vec(value).unwrap_or_default()
}

/// The JSON of a value, as a part of a larger text.
pub(super) fn part<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A map with objects as keys, as fastjson writes it.
pub(super) fn map<K: Serialize, V: Serialize>(pairs: impl Iterator<Item = (K, V)>) -> String {
    let pairs: Vec<String> = pairs
        .map(|(key, value)| format!("{}:{}", part(&key), part(&value)))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

/// JSON of the same meaning: keys that are numbers or flat objects become texts. Takes linear time.
/// `None` if it is nested too deeply. Other invalid JSON stays invalid.
pub(super) fn standard(text: &str) -> Option<Cow<'_, str>> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    // For each open bracket, whether it opens an object.
    let mut open: Vec<bool> = Vec::new();
    let mut key_may_follow = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let key_end = match byte {
            b'{' if key_may_follow => Some(end_of_flat_object(bytes, at)),
            b'0'..=b'9' | b'-' if key_may_follow => Some(end_of_number(bytes, at)),
            _ => None,
        };
        if let Some(end) = key_end {
            out.push_str(&text[copied..at]);
            quote(&text[at..end], &mut out);
            (copied, at, key_may_follow) = (end, end, false);
            continue;
        }
        match byte {
            b'"' => {
                at = end_of_string(bytes, at);
                key_may_follow = false;
                continue;
            }
            b'{' | b'[' => {
                open.push(byte == b'{');
                key_may_follow = byte == b'{';
                if open.len() > DEEPEST {
                    return None;
                }
            }
            b'}' | b']' => {
                open.pop();
                key_may_follow = false;
            }
            b',' => key_may_follow = open.last() == Some(&true),
            _ => key_may_follow &= byte.is_ascii_whitespace(),
        }
        at += 1;
    }
    if copied == 0 {
        return Some(Cow::Borrowed(text));
    }
    out.push_str(&text[copied..]);
    Some(Cow::Owned(out))
}

/// The end of the string that starts at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_number(bytes: &[u8], at: usize) -> usize {
    let is_part = |byte: &&u8| byte.is_ascii_digit() || **byte == b'-';
    at + bytes[at..].iter().take_while(is_part).count()
}

/// The end of the flat object that starts at `at`.
fn end_of_flat_object(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'}' => return at + 1,
            // Not flat: the text read so far is not a key. Serde reports it.
            b'{' => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Appends a text of JSON as a string of JSON.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // White space between the parts of a key.
            c if c < ' ' => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A value that is written as a JSON object. Serde alone would also accept an array of the fields,
/// which no peer sends.
pub(super) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct Map<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Map<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Map(PhantomData))
    }
}

/// fastjson may write null for a missing value.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A list of objects; null is an empty one.
pub(super) fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list: Bounded<Object<T>> = null_as_default(deserializer)?;
    Ok(list.0.into_iter().map(|Object(item)| item).collect())
}

/// A list of anything; null is an empty one.
pub(super) fn list<'de, D, T, C>(deserializer: D) -> Result<C, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
    C: FromIterator<T> + IntoIterator<Item = T>,
{
    let list: Bounded<T> = null_as_default(deserializer)?;
    Ok(list.0.into_iter().collect())
}

/// A map of no more entries than a list may have; null is an empty one.
pub(super) fn few<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    null_as_default(deserializer).map(|Few(map)| map)
}

/// More entries than any topic, group or client has, but few enough to bound memory: a parsed entry
/// takes several times its size on the wire.
pub(super) const MOST_ENTRIES: usize = 16 * 1024;
const TOO_MANY: &str = "too many entries";

struct Bounded<T>(Vec<T>);

impl<T> Default for Bounded<T> {
    fn default() -> Bounded<T> {
        Bounded(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bounded<T>, D::Error> {
        struct List<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = Bounded<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bounded<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if list.len() == MOST_ENTRIES {
                        return Err(de::Error::custom(TOO_MANY));
                    }
                    list.push(item);
                }
                Ok(Bounded(list))
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}

struct Few<K, V>(BTreeMap<K, V>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Few<K, V> {
        Few(BTreeMap::new())
    }
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Deserialize<'de> for Few<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Few<K, V>, D::Error> {
        struct Entries<K, V>(PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de> for Entries<K, V> {
            type Value = Few<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Few<K, V>, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    if entries.len() == MOST_ENTRIES {
                        return Err(de::Error::custom(TOO_MANY));
                    }
                    entries.insert(key, value);
                }
                Ok(Few(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(standard(text).as_deref(), Some(expected));
    }

    #[test]
    fn keys_that_are_numbers_or_objects_become_texts_and_nothing_else_changes() {
        check(
            r#"{"a":[1,-2,{"b":{}}],"c":3}"#,
            r#"{"a":[1,-2,{"b":{}}],"c":3}"#,
        );
        check(r#"{0:"x", -12 : {1:2}}"#, r#"{"0":"x", "-12" : {"1":2}}"#);
        check(
            r#"{{"q":1}:5,{"q":2}:6}"#,
            r#"{"{\"q\":1}":5,"{\"q\":2}":6}"#,
        );
        check(
            r#"{ {"a":"}\"\\"} :{"b":1}}"#,
            r#"{ "{\"a\":\"}\\\"\\\\\"}" :{"b":1}}"#,
        );
        check("{\n\t{\n\t\t\"a\":1}:2}", "{\n\t\"{   \\\"a\\\":1}\":2}");
        check(r#"[{"a":1},{"b":2}]"#, r#"[{"a":1},{"b":2}]"#);
        check(
            r#"{"a":"{0:","b":{"c":[{}]}}"#,
            r#"{"a":"{0:","b":{"c":[{}]}}"#,
        );
        for cut in [
            "{{",
            "{{\"",
            "{{\"a",
            "{{\"a\":1}",
            "{{{",
            "{1",
            "{-",
            "\"\\",
        ] {
            assert!(standard(cut).is_some(), "{cut}");
        }
        assert_eq!(standard(&"[".repeat(DEEPEST + 1)), None);
        assert!(standard(&"[]".repeat(DEEPEST + 1)).is_some());
    }

    #[test]
    fn quoting_a_hostile_text_takes_linear_time() {
        for piece in ["1 ", "{", "{1,", "\"\\", "{\"a\":", "{{"] {
            let hostile = format!("{{{}", piece.repeat(500_000));
            let _ = standard(&hostile);
        }
    }
}
