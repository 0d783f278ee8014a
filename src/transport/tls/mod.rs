//! TLS over the connections' sockets: what a user sets, how a session begins, and its two ends.

mod any;
mod config;
mod handshake;
mod outgoing;
mod session;

pub use config::TlsConfig;
pub(crate) use handshake::Tls;
pub(super) use session::Session;
