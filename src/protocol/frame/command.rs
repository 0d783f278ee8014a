use std::fmt;

use super::header::VERSION;
use super::{ExtFields, Fields, Language};

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
