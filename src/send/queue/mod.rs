//! The choice of the queue for a message.
//!
//! - `choice`: the caller's choice, the next in turn, Java's hash of a key;
//! - `fault_table`: which brokers to avoid for a while, if latency fault tolerance is on.

mod choice;
mod fault_table;

pub use fault_table::FaultStrategy;

pub(crate) use choice::QueueChoice;
pub(super) use choice::next_queue;
#[cfg(feature = "internals")]
pub(crate) use choice::{by_key, round_robin};
pub(crate) use fault_table::Detector;
pub(super) use fault_table::{Faults, Report};
