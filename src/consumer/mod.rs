// Consumers. `rebalance` and `fetch`, and most of `offset`, `queue` and `consume`, are functions of values,
// without sockets, threads or locks. One thread of each consumer, in `control`, puts them together. In
// reading order:
//
// - `subscription`: which messages of a topic a consumer wants; `topics`: those of a started consumer
// - `rebalance`: how queues are divided: a calculation, on which `control::group` acts
// - `offset`: where a queue starts, what is to be committed (`control::stages::commits` sends it), and the
//   offset file of broadcasting
// - `fetch`: what the answer to a pull means; the deadlines of a popped message
// - `queue`: what one assigned queue holds, how much it may hold, and its lock at the broker
// - `consume`: consume threads, the user's code, and what follows from its result
// - `hooks`: user code around calls of the handler
// - `rate`: the limit of messages per second
// - `control`: the control thread
// - `ends`: where queues end, and how far the consumer is behind
// - `member`: a consumer as its client and brokers see it; `questions`: what these ask
// - `observe`: what a consumer says of itself
// - `config`: settings; `shared`: what all threads of a consumer share
// - `gather`: requests of a thread that may wait; `admission`: what brokers say before a consumer joins
// - `running`: its start, in which it joins the client, and its end
// - `push`: `PushConsumer`; `pull`: `PullConsumer`

mod admission;
mod config;
mod consume;
mod control;
mod ends;
mod fetch;
mod gather;
pub(crate) mod hooks;
mod member;
mod observe;
mod offset;
mod pull;
mod push;
mod questions;
mod queue;
mod rate;
mod rebalance;
mod running;
mod shared;
mod subscription;
mod topics;

pub use config::OnCorrupt;
pub use consume::{Deliveries, OrderedMessage, Retry};
pub use fetch::OffsetMoved;
pub use observe::{
    ConsumerState, ConsumerStats, Doing, Event, Lag, MoveReason, QueueLag, QueueState,
    ShutdownReport,
};
pub use offset::StartFrom;
pub use pull::{Messages, PullConsumer, PullConsumerBuilder, PulledMessage, Seek};
pub use push::{PushConsumer, PushConsumerBuilder};
pub use rebalance::{Allocation, Division};
pub use subscription::Filter;

/// The target of what is logged here: a name to filter by, which stays when files move.
pub(crate) const LOG: &str = "rocketmq_blocking::consumer";

/// How many cases a property test runs: many where the code is optimized.
#[cfg(test)]
fn cases(debug: u32, optimized: u32) -> proptest::test_runner::Config {
    let cases = if cfg!(debug_assertions) {
        debug
    } else {
        optimized
    };
    proptest::test_runner::Config::with_cases(cases)
}
