//! The brokers of a cluster: sends and everything that belongs to them. Consumers' requests are in
//! `consume`, the dispatch of requests is in `service`.
//!
//! In reading order:
//! - `state`: the state of one broker; every handler is a function of it and a request
//! - `refusal`: how a broker refuses to store a message
//! - `send`: sends, and the checks before a message is stored
//! - `text`: properties in their text form
//! - `delays`: messages that wait for the clock
//! - `recall`: takes them back
//! - `transactions`: half messages and their states
//! - `ends`: the ends of transactions, and the broker's own questions about them
//! - `replies`: pushed to the client that asked
//! - `groups`: heartbeats, and notifications of changed groups
//! - `admin`: topics, offsets, messages by id and by key
//! - `control`: what a test does with one broker

mod admin;
mod control;
mod delays;
mod ends;
mod groups;
mod recall;
mod refusal;
mod replies;
mod send;
mod state;
mod text;
mod transactions;

pub(super) use admin::{create_topic, query_message, query_queue, view_message};
pub use control::Broker;
pub(super) use delays::Delays;
pub(super) use ends::end_transaction;
pub(super) use groups::{disconnected, heartbeat, unregister};
pub(super) use recall::recall;
pub(super) use replies::reply;
pub(super) use send::send;
pub(super) use state::BrokerState;
pub use transactions::Transaction;
pub(super) use transactions::Transactions;
