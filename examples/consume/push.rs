//! `--kind push`: a handler on consume threads.

use std::sync::Arc;
use std::time::Duration;

use rocketmq_blocking::{Client, Error, PushConsumer, Retry};

use crate::args::Args;
use crate::work::{Outcome, Work};

/// A running consumer.
pub struct Push(PushConsumer);

impl Push {
    pub fn start(args: &Args, client: &Client, work: &Arc<Work>) -> Result<Push, Error> {
        let mut builder = PushConsumer::builder(&args.group)
            .client(client)
            .start_from(args.from)
            .consume_threads(args.threads())
            .allocation(args.allocation());
        for topic in &args.topics {
            builder = builder.subscribe(topic.as_str(), args.filter());
        }
        let work = work.clone();
        let consumer = builder.start(move |message| match work.handle(message) {
            Outcome::Ok => Ok(()),
            Outcome::Later => Err(Retry::later()),
            Outcome::Dead => Err(Retry::dead_letter()),
        })?;
        Ok(Push(consumer))
    }

    /// Messages that are not consumed, as far as is known.
    pub fn lag(&self) -> Option<u64> {
        None
    }

    /// Ends it; whether it ended in time, with all progress stored.
    pub fn shutdown(self, within: Duration) -> Result<(), String> {
        let report = self.0.shutdown_within(within);
        match report.is_clean() {
            true => Ok(()),
            false => Err(report.to_string()),
        }
    }
}
