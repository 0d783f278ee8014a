//! Waiters, budgets, workers and peers: the library's files, and stand-ins for what has sockets.

#[path = "../../../../src/transport/budget.rs"]
mod budget;

mod connection;
mod dial;
mod work;

pub mod budgets;
pub mod handovers;
pub mod peers;
pub mod pools;
pub mod waiters;

use std::time::{Duration, Instant};

use work::{
    Claim, Deadline, Deferred, Job, Lead, Pool, Promise, Role, SingleFlight, Threads, Timer,
    catch_bug,
};

const LOG: &str = "models";

/// A deadline that never passes: a waiter that is not woken shows as a deadlock.
fn never() -> Deadline {
    Deadline::after(Instant::now(), Duration::MAX)
}

/// One that has passed already.
fn passed() -> Deadline {
    Deadline::after(Instant::now(), Duration::ZERO)
}
