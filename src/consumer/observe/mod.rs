// The reports of a consumer about itself.
//
// - `stats`: its counters
// - `rates`: counters and rates by topic
// - `events`: its events, and `rmq-events`, the thread that calls the listener
// - `state`: its state at one moment
// - `lag`: how far it is behind
// - `report`: the result of its shutdown

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
pub(crate) use stats::{Count, Counters, numbers, write_numbers};
