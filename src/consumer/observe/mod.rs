// What a consumer says of itself.
//
// - `stats`: what it counts
// - `rates`: what it counts of each topic
// - `events`: what happens to it
// - `state`: what it has at one moment
// - `lag`: how far it is behind
// - `report`: what its shutdown achieved

mod events;
mod lag;
mod rates;
mod report;
mod state;
mod stats;

pub use events::{Event, MoveReason};
pub(crate) use events::{Events, Listener};
pub use lag::{Lag, QueueLag};
pub(crate) use rates::{History, TopicCounts};
pub use report::ShutdownReport;
pub use state::{ConsumerState, Doing, QueueState};
pub use stats::ConsumerStats;
pub(crate) use stats::Counters;
