//! The statistics of sends.
//!
//! - `counters`: what sends add to, without a lock, and the histogram of their answers;
//! - `latency`: a histogram as it is read;
//! - `report`: all of it as it is read.

mod counters;
mod latency;
mod report;

pub use latency::Latency;
pub use report::{BrokerStats, ProducerStats};

pub(crate) use counters::{Counters, Size};
