//! TLS over the connections' sockets. In reading order:
//!
//! - `config`: what a user sets; `any`: accepts any certificate
//! - `handshake`: how a session begins
//! - `session`: reading; `outgoing`: writing

mod any;
mod config;
mod handshake;
mod outgoing;
mod session;

pub use config::TlsConfig;
pub(crate) use handshake::Tls;
pub(super) use session::Session;
