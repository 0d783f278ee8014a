//! Push over POP: the topics for which brokers say so are popped, and not pulled. In reading order:
//!
//! - `modes`: asks brokers, at the start, which topics these are
//! - `retry`: when a failed message comes again
//! - `running`: the messages with handlers, and when each is renewed: pure
//! - `shared`: the state that all threads share
//! - `turns`: the turns of a thread, one after the other
//! - `receiver`: the thread that pops messages for the consume threads
//! - `keeper`: the thread that acknowledges messages, and renews those with handlers
//!
//! The control thread asks for the assigned sources (`control::group::sources`). Consume threads take popped
//! messages as they take pulled ones (`consume::popped`).

mod keeper;
mod modes;
mod receiver;
mod retry;
mod running;
mod shared;
mod turns;

pub(crate) use modes::{Told, find, query, read};
pub(crate) use retry::pause;
pub(crate) use shared::Popping;

use std::io;
use std::sync::Arc;

use crate::transport::Threads;

/// Starts the threads.
pub(crate) fn start_threads(popping: &Arc<Popping>, threads: &Threads) -> io::Result<()> {
    let own = popping.clone();
    threads.spawn("rmq-pop", move || receiver::run(&own))?;
    let own = popping.clone();
    threads.spawn("rmq-pop-acks", move || keeper::run(&own))
}
