// Consumers. `rebalance` and `fetch`, and most of `offset`, `queue` and `consume`, are functions of values,
// without sockets, threads or locks. Each push or pull consumer has a control thread, in `control`, that
// uses them. In reading order:
//
// - `subscription`: which messages of a topic a consumer gets; `topics`: those of a started consumer
// - `rebalance`: computes the division of queues, which `control::group` carries out
// - `offset`: start offsets, the offsets to commit (`control::stages::commits` sends them), and the offset
//   file of broadcasting
// - `fetch`: what the answer to a pull means
// - `pop`: receiving and settling messages by POP, for the two kinds of consumers that do so
// - `queue`: what one assigned queue holds, how much it may hold, and its lock at the broker
// - `consume`: consume threads, handlers, and the outcome of each message
// - `popping`: the topics of a push consumer that are popped
// - `hooks`: hooks around calls of the handler, and local filters; `consume::worker` and `consume::unpack`
//   call them
// - `rate`: the limit of messages per second
// - `control`: the control thread
// - `ends`: the ends of queues, and how far the consumer is behind
// - `member`: a consumer as a member of its client (heartbeats, needed topics, changed routes); hands the
//   brokers' requests, which `questions` reads, to `control::asked` or `consume::direct`
// - `observe`: counters, events, state and reports
// - `config`: settings; its fields `mode` (`consume::outcome::Mode`), `sharing` and `is_pull` say what kind of
//   consumer it is; `shared`: what all threads of a consumer share
// - `admission`: checks before a consumer joins its group
// - `running`: the start of every kind with a control thread, in which it joins the client, and its end
// - `push`: `PushConsumer`; `pull`: `PullConsumer`; `simple`: `SimpleConsumer`, which has no control thread
//
// A new kind of consumer is a handle beside `push` and `pull`, which sets what `config` says of kinds and
// calls `Running::start`; its closure starts the threads that take messages, which return once
// `shared.dispatcher` is closed. One without a control thread does as `simple::running` does: it has a `Member`,
// and calls `ClientCore::join`, `Routes::listen`, and at its end `Membership::unregister`. A new kind of handler
// is one more `consume::handler::Handler`.

mod admission;
mod config;
mod consume;
mod control;
mod ends;
mod fetch;
pub(crate) mod hooks;
mod member;
mod observe;
mod offset;
mod pop;
mod popping;
mod pull;
mod push;
mod questions;
mod queue;
mod rate;
mod rebalance;
mod running;
mod shared;
mod simple;
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
pub use pop::AckStatus;
pub use pull::{Messages, PullConsumer, PullConsumerBuilder, PulledMessage, Seek};
pub use push::{PushConsumer, PushConsumerBuilder};
pub use rebalance::{Allocation, Division};
pub use simple::{ReceivedMessage, SimpleConsumer, SimpleConsumerBuilder, SimpleConsumerStats};
pub use subscription::Filter;

/// The target of the log lines of consumers. It does not depend on the names of files.
pub(crate) const LOG: &str = "rocketmq_blocking::consumer";

/// How many cases a property test runs: many if the code is optimized.
#[cfg(test)]
fn cases(debug: u32, optimized: u32) -> proptest::test_runner::Config {
    let cases = if cfg!(debug_assertions) {
        debug
    } else {
        optimized
    };
    proptest::test_runner::Config::with_cases(cases)
}
