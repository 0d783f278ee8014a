//! The producer: what users call, and the one flow that every send takes.

mod accumulate;
mod asynchronous;
mod auto_batch;
mod builder;
mod config;
mod core;
mod fault;
mod handle;
pub mod hook;
mod outgoing;
mod prepared;
#[allow(clippy::module_inception)]
mod producer;
mod retry;
mod select;
mod send;
mod trace;
mod validate;
mod watch;

pub use auto_batch::AutoBatch;
pub use builder::ProducerBuilder;
pub use fault::FaultStrategy;
pub use handle::SendHandle;
pub use prepared::PreparedSend;
pub use producer::Producer;
