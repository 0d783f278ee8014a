//! The remoting protocol: bytes to values and back, and nothing else.
//!
//! No sockets, threads, clocks, randomness or locks in here: everything is a function of its
//! arguments. Every length that a peer sends is checked before anything is allocated for it.
//!
//! Not yet covered by semantic versioning.

#[cfg(feature = "acl")]
pub(crate) mod acl;
pub mod admin;
mod base64;
mod binary;
pub mod code;
mod command;
pub mod consumer;
mod fastjson;
pub mod frame;
mod header;
pub mod heartbeat;
mod json;
pub mod message;
pub mod namespace;
mod plain;
pub mod recall;
pub mod reply;
pub mod route;
pub mod send;
pub mod trace;
pub mod transaction;

use std::borrow::Cow;
use std::fmt;

pub use command::{Command, ExtFields, Language};
pub use header::{FieldSink, Fields, Head, HeaderFormat};
pub use message::{compress, id, properties, sys_flag};

/// The bytes do not follow the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolError(Cow<'static, str>);

impl ProtocolError {
    pub(crate) fn new(what: impl Into<Cow<'static, str>>) -> ProtocolError {
        ProtocolError(what.into())
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::error::Printable(&self.0).fmt(f)
    }
}

impl std::error::Error for ProtocolError {}

impl From<ProtocolError> for crate::Error {
    fn from(error: ProtocolError) -> crate::Error {
        crate::Error::new(crate::ErrorKind::Protocol, error.to_string()).caused_by(error)
    }
}
