//! Headers as JSON.

use std::borrow::Cow;
use std::fmt;

use byteorder::{ByteOrder, LittleEndian};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::fastjson::Object;
use super::send::{Constants, Memo};
use super::{Command, ExtFields, FieldSink, Fields, Head, Language, ProtocolError, plain};

pub(super) fn encode(head: &Head<'_>, out: &mut Vec<u8>, write: impl FnOnce(&mut Sink<'_>)) {
    out.extend_from_slice(b"{\"code\":");
    value(out, &head.code);
    out.extend_from_slice(b",\"extFields\":{");
    write(&mut Sink { out, fields: 0 });
    out.extend_from_slice(b"},\"flag\":");
    value(out, &head.flag);
    out.extend_from_slice(b",\"language\":");
    text(out, head.language.name());
    out.extend_from_slice(b",\"opaque\":");
    value(out, &head.opaque);
    if let Some(remark) = head.remark {
        out.extend_from_slice(b",\"remark\":");
        text(out, remark);
    }
    out.extend_from_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    value(out, &head.version);
    out.push(b'}');
}

/// A text in quotes. Most texts of headers are plain; those that are not (properties have two control
/// characters each) are so in few places. Looking at many bytes at once, and copying what lies between
/// such places, is what makes this faster than serde's way, byte by byte.
fn text(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = first_special(rest) {
        out.extend_from_slice(&rest[..at]);
        escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The position of the first byte that needs an escape in JSON.
fn first_special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = ONES << 7;
    let words = bytes.chunks_exact(8);
    let rest = words.remainder();
    for (i, word) in words.enumerate() {
        let word = LittleEndian::read_u64(word);
        // The top bit of each byte that is zero, or below 0x20; a false positive can only follow a
        // true one, since borrows go upwards.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quote | backslash | control) & TOPS;
        if found != 0 {
            return Some(i * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    let in_rest = rest.iter().position(is_special)?;
    Some(bytes.len() - rest.len() + in_rest)
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        _ => {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digits[0], digits[1]]);
        }
    }
}

/// A whole number, in quotes.
fn quoted_number(out: &mut Vec<u8>, number: i64) {
    if let digit @ 0..=9 = number {
        return out.extend_from_slice(&[b'"', b'0' + digit as u8, b'"']);
    }
    out.push(b'"');
    value(out, &number);
    out.push(b'"');
}

/// Any other value, by way of serde.
fn value<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Serialising to memory fails only if a Display implementation does, and none of ours does.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "{written:?}");
}

pub(super) fn decode(header: &[u8], spare: ExtFields) -> Result<Command, ProtocolError> {
    match plain::decode(header, spare) {
        Some(command) => Ok(command),
        None => decode_any(header),
    }
}

pub(super) fn decode_any(header: &[u8]) -> Result<Command, ProtocolError> {
    let Object(header): Object<Incoming<'_>> = serde_json::from_slice(header)
        .map_err(|e| ProtocolError::new(format!("bad JSON header: {e}")))?;
    Ok(Command {
        code: header.code,
        flag: header.flag,
        opaque: header.opaque,
        language: header
            .language
            .as_deref()
            .map_or(Language::OTHER, Language::from_name),
        version: header.version,
        remark: header.remark,
        ext: header.ext.unwrap_or_default(),
        body: Vec::new(),
    })
}

/// Writes the fields as they are visited, escaping on the way: no text is built for a field.
pub(super) struct Sink<'a> {
    out: &'a mut Vec<u8>,
    fields: usize,
}

impl Sink<'_> {
    /// The first fields, copied from the last time if they are the same.
    pub(super) fn repeat(&mut self, memo: &mut Memo, fields: &Constants<'_>) {
        let write = |out: &mut Vec<u8>| fields.visit(&mut Sink { out, fields: 0 });
        self.out.extend_from_slice(memo.written(fields, write));
        // More than none, which is all that counts.
        self.fields = 1;
    }

    fn name(&mut self, name: &str) {
        if self.fields > 0 {
            self.out.push(b',');
        }
        self.fields += 1;
        match name.as_bytes() {
            // The names of the most common fields.
            [letter @ b'a'..=b'z'] => self.out.extend_from_slice(&[b'"', *letter, b'"', b':']),
            _ => {
                text(self.out, name);
                self.out.push(b':');
            }
        }
    }
}

impl FieldSink for Sink<'_> {
    fn text(&mut self, name: &str, shown: &str) {
        self.name(name);
        text(self.out, shown);
    }

    fn number(&mut self, name: &str, number: i64) {
        self.name(name);
        quoted_number(self.out, number);
    }

    fn display(&mut self, name: &str, shown: &dyn fmt::Display) {
        self.name(name);
        value(self.out, &Displayed(shown));
    }
}

struct Displayed<'a>(&'a dyn fmt::Display);

impl Serialize for Displayed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

#[derive(Deserialize)]
struct Incoming<'a> {
    code: i32,
    #[serde(default)]
    flag: i32,
    opaque: i32,
    #[serde(default, borrow)]
    language: Option<Cow<'a, str>>,
    #[serde(default)]
    version: i32,
    #[serde(default)]
    remark: Option<String>,
    #[serde(default, rename = "extFields")]
    ext: Option<ExtFields>,
}

impl<'de> Deserialize<'de> for ExtFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ExtFields, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = ExtFields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ExtFields, A::Error> {
                let mut fields = ExtFields::new();
                fields.reserve(192, 8);
                let mut start = 0;
                while map.next_key_seed(Append(fields.text_mut()))?.is_some() {
                    let name_end = fields.text_mut().len();
                    if map.next_value_seed(Append(fields.text_mut()))? {
                        fields.push_ends(name_end);
                        start = fields.text_mut().len();
                    } else {
                        fields.text_mut().truncate(start);
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// Appends a scalar's text to a buffer, and returns whether it was one (null is not). Java sends
/// only texts; numbers and flags are read as their text.
struct Append<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Append<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, number or flag")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
        self.0.push_str(text);
        Ok(true)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<bool, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<bool, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<bool, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_unit<E: de::Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        // Nothing of the protocol nests here; skipping keeps one odd field from costing the rest.
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(header: &[u8]) -> Result<Command, ProtocolError> {
        super::decode(header, ExtFields::new())
    }

    #[track_caller]
    fn fields(header: &str) -> Vec<(String, String)> {
        let command = decode(header.as_bytes()).unwrap();
        command
            .ext
            .iter()
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn odd_fields_are_taken_as_text_or_left_out() {
        let header = r#"{"code":0,"opaque":7,"extFields":{"a":"x","b":null,"c":4,"d":true,"e":{"f":1},"h":[[1],2],"g":"\u0001"}}"#;
        let texts = [("a", "x"), ("c", "4"), ("d", "true"), ("g", "\u{1}")];
        assert_eq!(
            fields(header),
            texts.map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
    }

    #[test]
    fn every_text_is_written_as_serde_reads_it() {
        let all: String = (0..0x300u32).filter_map(char::from_u32).collect();
        for start in all.char_indices().map(|(i, _)| i) {
            for len in [0, 1, 15, 16, 17, 33] {
                let piece: String = all[start..].chars().take(len).collect();
                let mut out = Vec::new();
                text(&mut out, &piece);
                assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), piece);
            }
        }
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_and_never_a_panic() {
        for bad in [
            "",
            "{",
            "[]",
            "null",
            r#"{"code":"0","opaque":1}"#,
            r#"{"code":0}"#,
            r#"{"code":0,"opaque":99999999999}"#,
            r#"{"code":0,"opaque":1}x"#,
            r#"{"code":0,"opaque":1,"extFields":[]}"#,
            r#"[0,0,1,"JAVA",493]"#,
        ] {
            assert!(decode(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(decode(&[b'{', 0xFF, b'}']).is_err());
        assert!(decode("[".repeat(1_000_000).as_bytes()).is_err());
    }

    #[test]
    fn absent_fields_have_defaults_and_an_unknown_language_is_other() {
        let command = decode(br#"{"code":0,"opaque":1,"language":"COBOL"}"#).unwrap();
        assert_eq!(
            (command.flag, command.version, command.language),
            (0, 0, Language::OTHER)
        );
        assert!(command.ext.is_empty());
    }
}
