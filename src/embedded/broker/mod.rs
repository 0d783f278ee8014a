//! The brokers of a cluster: sends and all that belongs to them. What consumers ask is in `consume`;
//! which request goes where is in `service`.
//!
//! In reading order:
//! - `state`: what one broker has; every handler is a function of that and a request
//! - `knobs`, `asked`, `parked`: parts of it: what tests have set, questions to clients, long polls
//! - `refusal`: how a broker refuses to store a message
//! - `send`: sends, and the checks before a message is stored
//! - `text`: properties in their text form
//! - `dead_letters`: sends to a retry topic that end there
//! - `delays`, `hold_back`: messages that wait for the clock
//! - `recall`: takes them back
//! - `transactions`: half messages and what is known of them
//! - `ends`: the ends of transactions, and the broker's own questions about them
//! - `replies`: pushed to the client that asked
//! - `groups`: heartbeats, and who is told of a changed group
//! - `admin`: topics, offsets, messages by id and by key
//! - `control`: what a test does with one broker

mod admin;
mod asked;
mod control;
mod dead_letters;
mod delays;
mod ends;
mod groups;
mod hold_back;
mod knobs;
mod parked;
mod recall;
mod refusal;
mod replies;
mod send;
mod state;
mod text;
mod transactions;

pub(super) use asked::Asked;
pub(super) use admin::{create_topic, query_message, query_queue, view_message};
pub use control::Broker;
pub(super) use delays::Delays;
pub(super) use ends::end_transaction;
pub(super) use dead_letters::dead_letter_topic;
pub(super) use hold_back::hold_back;
pub(super) use groups::{disconnected, heartbeat, make_retry_topic, notify_group, unregister};
pub(super) use knobs::Knobs;
pub(super) use parked::{Parked, ParkedPoll};
pub(super) use recall::recall;
pub(super) use replies::reply;
pub(super) use send::send;
pub(super) use state::{BrokerState, Settings};
pub(super) use text::{append_property, find_property, set_property};
pub use transactions::Transaction;
pub(super) use transactions::Transactions;
