//! The brokers of a cluster: sends and everything that belongs to them. Consumers' requests are in
//! `consume`, the dispatch of requests is in `service`.
//!
//! In reading order:
//! - `state`: the state of one broker; every handler is a function of it and a request
//! - `parts`: the parts of a queue, which of a static topic may be on several brokers
//! - `knobs`, `asked`, `parked`: parts of it: settings of tests, requests to clients, long polls
//! - `refusal`: how a broker refuses to store a message
//! - `text`: properties in their text form
//! - `sends`: sends, and messages that wait for the clock
//! - `transactions`: half messages, their states and ends
//! - `replies`: pushed to the client that asked
//! - `groups`: heartbeats, and notifications of changed groups
//! - `admin`: topics, offsets, messages by id and by key
//! - `control`: what a test does with one broker

mod admin;
mod asked;
mod control;
mod groups;
mod knobs;
mod parked;
mod parts;
mod refusal;
mod replies;
mod sends;
mod state;
mod text;
mod transactions;

pub(super) use admin::{create_topic, query_message, query_queue, view_message};
pub(super) use asked::Asked;
pub use control::Broker;
pub(super) use groups::{disconnected, heartbeat, make_retry_topic, notify_group, unregister};
pub(super) use knobs::Knobs;
pub(super) use parked::Parked;
pub(super) use parts::Parts;
pub(super) use replies::reply;
pub(super) use sends::{Delays, dead_letter_topic, hold_back, recall, send};
pub(super) use state::{BrokerState, Settings};
pub(super) use text::{find_property, set_property};
pub use transactions::Transaction;
pub(super) use transactions::{Transactions, end_transaction};
