// The producers: what users call. Every send goes through `crate::send`.
//
// In reading order:
//
// - `producer`: `Producer` and its calls;
// - `builder`, `config`: how one is set up;
// - `prepared`: one send with its own settings, in each mode;
// - `lifecycle`: what a producer owns, its start and its shutdown;
// - `trace`: records of what it stored;
// - `member`: the producer as its client and the brokers see it;
// - `gather`: single sends that leave as batches;
// - `request`: messages that are answered by another;
// - `transaction`: messages that are shown if a local transaction was carried out.

mod builder;
mod config;
mod gather;
mod lifecycle;
mod member;
mod prepared;
#[allow(clippy::module_inception)]
mod producer;
mod request;
mod trace;
mod transaction;

pub use crate::send::FaultStrategy;
pub use builder::ProducerBuilder;
pub use gather::AutoBatch;
pub use prepared::PreparedSend;
pub use producer::Producer;
pub use transaction::{
    HalfMessage, TransactionProducer, TransactionProducerBuilder, TransactionReceipt,
};
