//! One request or response: what its header says, and its body; and what is written into a header.

use std::collections::BTreeMap;
use std::fmt;

use super::ProtocolError;

/// One request or response, decoded: the header's fields and the body.
///
/// Java's `RemotingCommand`. The frame's form is in `docs/protocol` of this module:
/// `total length | format and header length | header | body`.
#[derive(Clone, PartialEq)]
#[doc(alias = "RemotingCommand")]
pub struct Command {
    /// Request code or response code, see [`code`](crate::protocol::code).
    pub code: i32,
    /// Bit 0: a response; bit 1: oneway.
    pub flag: i32,
    /// Matches a response to its request.
    pub opaque: i32,
    /// The peer's language.
    pub language: Language,
    /// The peer's version (Java's `MQVersion` ordinal).
    pub version: i32,
    /// A text for people, mostly the cause of an error.
    pub remark: Option<String>,
    /// The header's own fields.
    pub ext: ExtFields,
    /// The body.
    pub body: Vec<u8>,
}

impl Command {
    pub(crate) const RESPONSE: i32 = 1;
    pub(crate) const ONEWAY: i32 = 1 << 1;

    /// A request with no fields and no body yet; transport numbers it.
    pub fn request(code: i32) -> Command {
        Command {
            code,
            flag: 0,
            opaque: 0,
            language: Language::RUST,
            version: VERSION,
            remark: None,
            ext: ExtFields::new(),
            body: Vec::new(),
        }
    }

    /// The answer to this request.
    pub fn response_to(request: &Command, code: i32) -> Command {
        Command {
            flag: Command::RESPONSE,
            opaque: request.opaque,
            ..Command::request(code)
        }
    }

    /// With these header fields.
    pub fn with_fields(mut self, fields: &dyn Fields) -> Command {
        fields.visit(&mut self.ext);
        self
    }

    /// With this body.
    pub fn with_body(mut self, body: Vec<u8>) -> Command {
        self.body = body;
        self
    }

    /// With this remark.
    pub fn with_remark(mut self, remark: impl Into<String>) -> Command {
        self.remark = Some(remark.into());
        self
    }

    /// Leaves an empty command behind.
    pub(crate) fn take(&mut self) -> Command {
        std::mem::replace(self, Command::request(self.code))
    }

    /// Marks a request as oneway: it gets no answer.
    pub fn oneway(mut self) -> Command {
        self.flag |= Command::ONEWAY;
        self
    }

    /// Whether this answers a request.
    pub fn is_response(&self) -> bool {
        self.flag & Command::RESPONSE != 0
    }

    /// Whether the request is oneway.
    pub fn is_oneway(&self) -> bool {
        self.flag & Command::ONEWAY != 0
    }
}

impl fmt::Debug for Command {
    /// Names the fields but never prints the body or the values, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("code", &self.code)
            .field("flag", &self.flag)
            .field("opaque", &self.opaque)
            .field("remark", &self.remark)
            .field("ext", &self.ext)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The fields of a header: names and texts, kept in two allocations however many there are.
#[derive(Clone, Default)]
pub struct ExtFields {
    text: String,
    /// End of the name and end of the value in `text`, for each field.
    ends: Vec<(u32, u32)>,
}

impl ExtFields {
    /// No fields.
    pub const fn new() -> ExtFields {
        ExtFields {
            text: String::new(),
            ends: Vec::new(),
        }
    }

    /// Appends a field. Of equal names the last one counts, as in Java's map.
    pub fn push(&mut self, name: &str, value: &str) {
        self.push_with(|text| text.push_str(name), |text| text.push_str(value));
    }

    /// Sets a field, in place of any of the same name.
    pub fn set(&mut self, name: &str, value: &str) {
        if self.iter().any(|(known, _)| known == name) {
            *self = self.iter().filter(|(known, _)| *known != name).collect();
        }
        self.push(name, value);
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .filter(|(n, _)| *n == name)
            .last()
            .map(|(_, value)| value)
    }

    /// The value of a field as a number (or a `bool`, or whatever else parses); `None` without it.
    ///
    /// # Errors
    /// The value is no such thing.
    pub fn parse<T: std::str::FromStr>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, ProtocolError> {
        match self.get(name) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(ProtocolError::new(format!(
                    "field {name} is not valid: {text}"
                ))),
            },
        }
    }

    /// The value of a field that must be there, as a number or whatever else parses.
    ///
    /// # Errors
    /// It is not there, or is no such thing.
    pub fn must<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, ProtocolError> {
        self.parse(name)?.ok_or_else(|| missing(name))
    }

    /// The text of a field that must be there.
    ///
    /// # Errors
    /// It is not there.
    pub fn must_text(&self, name: &'static str) -> Result<&str, ProtocolError> {
        self.get(name).ok_or_else(|| missing(name))
    }

    /// A copy of a field's text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// All names and values, in the order of the header.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, value_end)| {
            let (name_end, value_end) = (name_end as usize, value_end as usize);
            let field = (&self.text[start..name_end], &self.text[name_end..value_end]);
            start = value_end;
            field
        })
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Appends a field whose name and value are written by functions.
    pub(super) fn push_with(
        &mut self,
        name: impl FnOnce(&mut String),
        value: impl FnOnce(&mut String),
    ) {
        name(&mut self.text);
        let name_end = self.text.len();
        value(&mut self.text);
        self.push_ends(name_end);
    }

    /// The text buffer, for a decoder that appends a name, notes its end, and appends the value.
    pub(super) fn text_mut(&mut self) -> &mut String {
        &mut self.text
    }

    pub(super) fn push_ends(&mut self, name_end: usize) {
        // A frame is at most 16 MiB, and no other source of fields comes near 4 GiB.
        let end = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.ends.push((end(name_end), end(self.text.len())));
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// The memory that they hold, in bytes.
    pub fn capacity(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<(u32, u32)>()
    }

    pub(super) fn reserve(&mut self, text: usize, fields: usize) {
        self.text.reserve(text);
        self.ends.reserve(fields);
    }
}

fn missing(name: &str) -> ProtocolError {
    ProtocolError::new(format!("the header has no {name}"))
}

impl Fields for ExtFields {
    fn visit(&self, sink: &mut dyn FieldSink) {
        for (name, value) in self.iter() {
            sink.text(name, value);
        }
    }
}

impl FieldSink for ExtFields {
    fn text(&mut self, name: &str, value: &str) {
        self.push(name, value);
    }

    fn display(&mut self, name: &str, value: &dyn fmt::Display) {
        use fmt::Write;
        self.push_with(
            |text| text.push_str(name),
            |text| {
                // Writing to a String fails only if the value's own Display does.
                let _ = write!(text, "{value}");
            },
        );
    }
}

impl PartialEq for ExtFields {
    /// Equal as maps: the order does not count.
    fn eq(&self, other: &ExtFields) -> bool {
        self.iter().collect::<BTreeMap<_, _>>() == other.iter().collect::<BTreeMap<_, _>>()
    }
}

impl fmt::Debug for ExtFields {
    /// Prints the names only: values may be signatures or tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for ExtFields {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(items: I) -> ExtFields {
        let mut fields = ExtFields::new();
        for (name, value) in items {
            fields.push(name, value);
        }
        fields
    }
}

/// A peer's language, by the protocol's number (Java's `LanguageCode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language(u8);

impl Language {
    /// Java.
    pub const JAVA: Language = Language(0);
    /// Any language without its own number; the best choice for brokers before 4.9.4.
    pub const OTHER: Language = Language(7);
    /// Go.
    pub const GO: Language = Language(9);
    /// Rust (brokers know it from 4.9.4 on).
    pub const RUST: Language = Language(12);

    #[rustfmt::skip]
    const NAMES: [&'static str; 14] = [
        "JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO", "PHP",
        "OMS", "RUST", "NODE_JS",
    ];

    /// The name that a JSON header carries.
    pub fn name(self) -> &'static str {
        Language::NAMES
            .get(usize::from(self.0))
            .copied()
            .unwrap_or("OTHER")
    }

    /// The number that a binary header carries.
    pub fn number(self) -> u8 {
        self.0
    }

    /// An unknown number counts as [`Language::OTHER`].
    pub fn from_number(number: u8) -> Language {
        if usize::from(number) < Language::NAMES.len() {
            Language(number)
        } else {
            Language::OTHER
        }
    }

    /// An unknown name counts as [`Language::OTHER`].
    pub fn from_name(name: &str) -> Language {
        let number = Language::NAMES.iter().position(|n| *n == name);
        number
            .and_then(|n| u8::try_from(n).ok())
            .map_or(Language::OTHER, Language)
    }
}

/// The version that we announce: Java's 5.4.0.
pub const VERSION: i32 = 493;

/// How a frame's header is written (Java's `SerializeType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HeaderFormat {
    /// JSON, the default of all clients.
    #[default]
    Json,
    /// RocketMQ's own binary form.
    #[doc(alias = "ROCKETMQ")]
    Binary,
}

/// The fixed part of a header that is about to be written.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Request or response code.
    pub code: i32,
    /// Bit 0: a response; bit 1: oneway.
    pub flag: i32,
    /// Matches a response to its request.
    pub opaque: i32,
    /// The language to announce.
    pub language: Language,
    /// The version to announce.
    pub version: i32,
    /// A text for people.
    pub remark: Option<&'a str>,
    /// How to write the header. A header that does not fit the binary form (a code or version
    /// beyond 16 bits, a name beyond 32,767 bytes) is written as JSON.
    pub format: HeaderFormat,
}

/// A source of header fields, written without copying them first.
pub trait Fields {
    /// Hands every field to the sink. A field that is absent is not handed over.
    fn visit(&self, sink: &mut dyn FieldSink);
}

/// Takes header fields: an encoder, or an [`ExtFields`].
pub trait FieldSink {
    /// A field that is text already.
    fn text(&mut self, name: &str, value: &str);
    /// A field that is a number, written in decimal.
    fn number(&mut self, name: &str, number: i64) {
        self.display(name, &number);
    }
    /// A field that is written by its `Display`: other numbers, flags, property lists.
    fn display(&mut self, name: &str, value: &dyn fmt::Display);
}

/// No fields at all.
impl Fields for () {
    fn visit(&self, _: &mut dyn FieldSink) {}
}
