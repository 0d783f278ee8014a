//! Headers in any JSON, read by way of serde.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::fastjson::Object;
use super::{Command, ExtFields, Language, ProtocolError};

pub(super) fn decode(header: &[u8]) -> Result<Command, ProtocolError> {
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
