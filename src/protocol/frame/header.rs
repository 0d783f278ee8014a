use std::fmt;

use super::Language;

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

/// Takes header fields: an encoder, or an [`ExtFields`](super::ExtFields).
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
