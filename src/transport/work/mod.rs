//! Who does things, and when: threads, timed work, and the ways in which threads wait for each other.
//! Nothing here knows sockets, requests or the client. In reading order:
//!
//! - `threads`: all threads of a client, joined at its end; panics of our own that must not spread
//! - `pool`: named workers that run jobs
//! - `timer`: one thread that runs short work at given times; work can be cancelled
//! - `workers`: the threads that every client has: timer, callback workers, retry workers
//! - `promise`: one result, waited for until a deadline
//! - `deferred`: one value that the first of two takes, or the timer
//! - `single_flight`: one lookup per key, shared by all that ask for it meanwhile
//! - `ticker`: a thread that does something at intervals, and on demand
//! - `throttle`: keeps warnings from flooding the log

mod deferred;
mod pool;
mod promise;
mod single_flight;
mod threads;
mod throttle;
mod ticker;
mod timer;
mod workers;

pub(crate) use deferred::Deferred;
pub(crate) use pool::{Job, Pool};
pub(crate) use promise::Promise;
pub(crate) use single_flight::{Lead, Role, SingleFlight};
pub(crate) use threads::{Threads, catch_bug};
pub(crate) use throttle::Throttle;
pub(crate) use ticker::Ticker;
pub(crate) use timer::{Scheduled, Timer};
pub(crate) use workers::Workers;

use super::{Deadline, LOG};
