//! The producer: what users call, and the one flow that every send takes.

mod accumulate;
mod asynchronous;
mod auto_batch;
mod builder;
mod config;
mod core;
mod handle;
mod outgoing;
mod prepared;
#[allow(clippy::module_inception)]
mod producer;
mod retry;
mod select;
mod send;
mod validate;

pub use auto_batch::AutoBatch;
pub use builder::ProducerBuilder;
pub use handle::SendHandle;
pub use prepared::PreparedSend;
pub use producer::Producer;
