//! The common parts of name servers and brokers: a port, connections, requests and answers.
//!
//! In reading order:
//! - `service`: the trait that a kind of server implements
//! - `call`: a request and its answer, now or later
//! - `connection`: one accepted socket; a writer thread for the frames of other threads
//! - `effect`: what a scripted fault makes of an answer
//! - `request_log`: the received requests
//! - `common`: what all servers of a cluster share
//! - `worker`: the thread of a connection: frames in, faults, the service, answers out
//! - `connections`: the open connections of one server
//! - `listener`: one server: accept, kill, restart

mod call;
mod common;
mod connection;
mod connections;
mod effect;
mod listener;
mod request_log;
mod service;
mod worker;

pub(super) use call::{Call, Responder};
pub(super) use common::Common;
#[cfg(test)]
pub(super) use common::MAX_HELD;
pub(super) use connection::Peer;
pub(super) use connections::Connections;
pub use listener::Accept;
pub(super) use listener::{Server, bind};
pub use request_log::ReceivedRequest;
pub(super) use service::{Answer, Service, bad_request, not_supported};
