//! Transactions: messages that consumers see only if a local transaction was carried out.
//!
//! - `transaction_producer`: the half message, the local transaction (on the caller's thread), and telling the broker its end;
//! - `half`: what a local transaction sees, and what became of it;
//! - `builder`: how a transaction producer is set up;
//! - `checks`: the brokers' check-backs: questions about transactions whose end they do not know. They
//!   come through `members::inbound` and `producer::member`, and are answered on `rmq-check`.

mod builder;
mod checks;
mod half;
mod transaction_producer;

pub use builder::TransactionProducerBuilder;
pub(super) use checks::Running as RunningChecks;
pub use half::{HalfMessage, TransactionReceipt};
pub use transaction_producer::TransactionProducer;
