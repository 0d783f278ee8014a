//! The choice of the queue for a message.
//!
//! - `choice`: the caller's choice, and Java's hash of a key; without one, queues take turns
//!   ([`PublishInfo`](crate::client::PublishInfo));
//! - `fault_table`: which brokers to avoid for a while, if latency fault tolerance is on.

mod choice;
mod fault_table;

pub use fault_table::FaultStrategy;

pub(crate) use choice::QueueChoice;
#[cfg(feature = "internals")]
pub(crate) use choice::by_key;
pub(crate) use fault_table::Detector;
pub(super) use fault_table::{Faults, Report};
