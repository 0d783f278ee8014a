//! Consumers. So far the decisions that they stand on: functions of values, without sockets,
//! threads, locks or randomness. Time is an argument. Only `offset::disk` touches the file system.
//!
//! In reading order:
//! - `subscription`: which messages of a topic a consumer wants;
//! - `rebalance`: which queues are ours, and which we take and give up;
//! - `offset`: where a queue starts, what is committed, and the offset file of broadcasting;
//! - `fetch`: what the answer to a pull means; the deadlines of a popped message;
//! - `queue`: what one assigned queue holds, how much it may hold, and its lock at the broker;
//! - `consume`: what follows from a handler's result;
//! - `rate`: the limit of messages per second.

#![allow(
    dead_code,
    unused_imports,
    reason = "the consumers that use these parts are not built yet"
)]

mod consume;
mod fetch;
mod offset;
mod queue;
mod rate;
mod rebalance;
mod subscription;

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
