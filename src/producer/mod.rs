// The producer: what users call, and the one flow that every send takes.

mod accumulate;
mod asynchronous;
mod attempt;
mod auto_batch;
mod builder;
mod checks;
mod config;
mod core;
mod counters;
mod fault;
mod handle;
pub(crate) mod hook;
mod latency;
mod members;
mod outgoing;
mod past;
mod prepared;
#[allow(clippy::module_inception)]
mod producer;
mod request;
mod retry;
mod select;
mod send;
mod spares;
mod stats;
mod target;
mod trace;
mod transaction;
mod transaction_builder;
mod turn;
mod validate;
mod watch;

pub use auto_batch::AutoBatch;
pub use builder::ProducerBuilder;
pub use fault::FaultStrategy;
pub use handle::SendHandle;
pub use latency::Latency;
pub use prepared::PreparedSend;
pub use producer::Producer;
pub use stats::{BrokerStats, ProducerStats};
pub use transaction::{HalfMessage, TransactionProducer, TransactionReceipt};
pub use transaction_builder::TransactionProducerBuilder;

#[cfg(feature = "internals")]
pub(crate) use select::{by_key, round_robin};

/// The target of what is logged here: a name to filter by, which stays when files move.
pub(crate) const LOG: &str = "rocketmq_blocking::producer";
