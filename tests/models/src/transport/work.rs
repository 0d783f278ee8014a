//! The files of the library's `transport::work` that have interleavings.

#[path = "../../../../src/transport/work/deferred.rs"]
mod deferred;
#[path = "../../../../src/transport/work/pool.rs"]
mod pool;
#[path = "../../../../src/transport/work/single_flight.rs"]
mod single_flight;
#[path = "../../../../src/transport/work/threads.rs"]
mod threads;
#[path = "../../../../src/transport/work/timer.rs"]
mod timer;
#[path = "../../../../src/transport/work/wait.rs"]
mod wait;

pub(super) use deferred::Deferred;
pub(super) use pool::{Job, Pool};
pub(super) use single_flight::{Lead, Role, SingleFlight};
pub(super) use threads::{Threads, catch_bug};
pub(super) use timer::{Scheduled, Timer};
pub(super) use wait::{Claim, Deadline, Promise};

use super::LOG;
