//! A running consumer, of whatever kind.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rocketmq_blocking::Client;
use rocketmq_blocking::consumer::{ConsumerState, ShutdownReport};

use crate::args::{Args, Kind};
use crate::pull::Pull;
use crate::push::Push;
use crate::simple::Simple;
use crate::work::Work;

pub trait Consumer {
    /// Messages that are not consumed, as far as is known.
    fn lag(&self) -> Option<u64>;

    /// Ends it: what it is at is done, and its progress is stored.
    fn end(&self, within: Duration) -> ShutdownReport;
}

/// The lag of a consumer that has queues.
pub fn lag_of(state: &ConsumerState) -> Option<u64> {
    state.queues.iter().map(|queue| queue.lag()).sum()
}

/// Starts the consumer that the command line asks for.
pub fn start(
    args: &Args,
    client: &Client,
    work: &Arc<Work>,
) -> Result<Box<dyn Consumer>, Box<dyn Error>> {
    Ok(match args.kind {
        Kind::Push => Box::new(Push::start(args, client, work)?),
        Kind::Pull => Box::new(Pull::start(args, client, work)?),
        Kind::Simple => Box::new(Simple::start(args, client, work)?),
    })
}
