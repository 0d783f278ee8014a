//! The remoting protocol: bytes to values and back, and nothing else.
//!
//! No sockets, threads, clocks, randomness or locks in here: everything is a function of its
//! arguments. Every length that a peer sends is checked before anything is allocated for it.
//!
//! Not yet covered by semantic versioning.
//!
//! In reading order:
//!
//! - [`frame`]: frames, commands, and headers in both forms
//! - [`code`]: what a request asks for, and what an answer means
//! - [`message`]: messages as bodies carry them, with properties, ids and compression
//! - [`route`], [`heartbeat`], [`admin`]: requests of every client to name servers and brokers
//! - `producer` ([`send`], [`reply`], [`transaction`], [`recall`]): requests of producers
//! - [`consumer`]: requests of consumers, and requests of brokers to them
//! - [`trace`]: the records of message trace
//! - [`namespace`], `acl`: names in a namespace; signatures
//! - `fastjson`, `base64`: the dialects of Java's bodies

#[cfg(feature = "acl")]
pub(crate) mod acl;
pub mod admin;
mod base64;
pub mod code;
pub mod consumer;
mod fastjson;
pub mod frame;
pub mod heartbeat;
pub mod message;
pub mod namespace;
mod producer;
pub mod route;
pub mod trace;

use std::borrow::Cow;
use std::fmt;

pub use frame::{Command, ExtFields, FieldSink, Fields, Head, HeaderFormat, Language};
pub use message::{compress, id, properties, sys_flag};
pub use producer::{recall, reply, send, transaction};

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
