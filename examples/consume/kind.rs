//! A running consumer, of whatever kind.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rocketmq_blocking::Client;
use rocketmq_blocking::consumer::{ConsumerState, ShutdownReport};

use crate::args::{Args, Kind};
use crate::pull::Pull;
use crate::push::Push;
use crate::work::Work;

pub trait Consumer {
    /// What it has at this moment.
    fn state(&self) -> ConsumerState;

    /// Ends it: what it is at is done, and its progress is stored.
    fn end(&self, within: Duration) -> ShutdownReport;

    /// Messages that are not consumed, as far as is known.
    fn lag(&self) -> Option<u64> {
        let queues = self.state().queues;
        queues.iter().map(|queue| queue.lag()).sum()
    }
}

/// Starts the consumer that the command line asks for.
pub fn start(
    args: &Args,
    client: &Client,
    work: &Arc<Work>,
) -> Result<Box<dyn Consumer>, Box<dyn Error>> {
    Ok(match args.kind {
        Kind::Pull => Box::new(Pull::start(args, client, work)?),
        Kind::Push | Kind::Simple => Box::new(Push::start(args, client, work)?),
    })
}
