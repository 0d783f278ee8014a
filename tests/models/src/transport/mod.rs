//! Waiters, budgets, workers and peers: the library's files, and stand-ins for what has sockets.

#[path = "../../../../src/transport/budget.rs"]
mod budget;
#[path = "../../../../src/transport/deadline.rs"]
mod deadline;
#[path = "../../../../src/transport/peer.rs"]
mod peer;
#[path = "../../../../src/transport/pending.rs"]
mod pending;
#[path = "../../../../src/transport/slot.rs"]
mod slot;

mod work;

mod stand_ins;
use stand_ins::{backoff, connection, dial, outbox, shared};

pub mod budgets;
pub mod handovers;
pub mod peers;
pub mod pools;
pub mod waiters;

use std::time::{Duration, Instant};

use connection::Connection;
use deadline::Deadline;
use work::{Deferred, Job, Pool, Promise, Role, SingleFlight, Threads, Timer, catch_bug};

const LOG: &str = "models";

/// A deadline that never comes: who waits for it and is not woken is found as a deadlock.
fn never() -> Deadline {
    Deadline::after(Instant::now(), Duration::MAX)
}

/// One that has passed already.
fn passed() -> Deadline {
    Deadline::after(Instant::now(), Duration::ZERO)
}
