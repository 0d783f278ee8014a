//! The one send flow of all messages: of producers, of message trace, and of the copies that a consumer
//! sends when no broker takes a message back (`consumer::control::backs`).
//!
//! An [`Engine`] and a [`SendCall`] are all that a send needs: [`send`], [`send_oneway`] and
//! [`send_async`]. In reading order:
//!
//! - `config`: the settings of sends;
//! - `engine`: what all sends of one group share, and when it takes no more;
//! - `prepared_message`: a message that is checked, keyed and compressed, once for all attempts; its requests
//!   are built by `flow`, their frames by `transport::request`;
//! - `queue`: which queue gets it, and which brokers to avoid;
//! - `flow`: one send: where it goes, its attempts on the wire, the receipt; its children: `next_attempt` (what
//!   follows a failed one, as `retry` decides; after a refusal of its queue the route is looked up again) and `refusal` (the error of an answer without a receipt);
//! - `retry`: `judge` decides whether a send is tried again: a table. (A request that a dying connection never
//!   took goes over the next connection without `judge`: see `transport::remoting`, and `flow::exchange`.)
//! - `history`: the attempts that did not end a send;
//! - `continuation`: the same flow without a thread that waits;
//! - `handle`: what [`Producer::submit`](crate::Producer::submit) returns;
//! - `hooks`, `hook_calls`: user code around attempts, and its calls before one (after it: `flow`);
//! - `tracer`: sends the records of message trace, which producers and consumers write;
//! - `stats`: statistics.

mod config;
mod continuation;
mod engine;
mod flow;
mod handle;
mod history;
mod hook_calls;
pub mod hooks;
mod prepared_message;
mod queue;
mod retry;
mod stats;
mod tracer;

pub use handle::SendHandle;
pub use queue::FaultStrategy;
pub use stats::{BrokerStats, Latency, ProducerStats};

pub(crate) use config::SendConfig;
pub(crate) use continuation::{AsyncSend, Listener, Recipient, SendListener, launch, send_async};
pub(crate) use engine::Engine;
pub(crate) use flow::{SendFlow, check_open_to_send, send, send_oneway, send_uncounted};
pub(crate) use prepared_message::{
    Content, MAX_PROPERTIES, PreparedMessage, SendCall, Start, check_message, topic_names,
    unique_key,
};
#[cfg(feature = "internals")]
pub(crate) use queue::by_key;
pub(crate) use queue::{Detector, QueueChoice};
pub(crate) use tracer::{Loss, Traced, Tracer};

/// The target of what is logged here: a name to filter by, which stays when files move.
pub(crate) const LOG: &str = "rocketmq_blocking::producer";
