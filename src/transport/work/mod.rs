//! Threads, timed work, and waits between threads. Nothing here knows sockets, requests or the
//! client. In reading order:
//!
//! - `wait`: one deadline per call; one result, waited for until then; how long to wait without sleep; and
//!   the clock that is not for waiting
//! - `threads`: all threads of a client, joined at its end; panics of the library that must not
//!   spread
//! - `pool`: named workers that run jobs
//! - `timer`: one thread that runs short work at given times; work can be cancelled
//! - `workers`: the threads that every client has: timer, callback workers, retry workers
//! - `deferred`: one value that the first of two takes, or the timer
//! - `single_flight`: one lookup per key, shared by all callers that need it at the time
//! - `ticker`: a thread that does something at intervals, and on demand
//! - `throttle`: keeps warnings from flooding the log

mod deferred;
mod pool;
mod single_flight;
mod threads;
mod throttle;
mod ticker;
mod timer;
mod wait;
mod workers;

pub(crate) use deferred::Deferred;
pub(crate) use pool::{Job, Pool};
pub(crate) use single_flight::{Lead, Role, SingleFlight};
pub(crate) use threads::{Threads, catch_bug, log_bug};
pub(crate) use throttle::Throttle;
pub(crate) use ticker::Ticker;
pub(crate) use timer::{Scheduled, Timer};
pub(crate) use wait::{Claim, Deadline, Promise, Spin, epoch_millis};
pub(crate) use workers::Workers;

use super::LOG;
