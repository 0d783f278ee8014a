//! `--lag`: how far the group is, asked of the brokers.

use rocketmq_blocking::{Client, Error};

use crate::args::Args;
use crate::report::{Lag, Report};

/// Prints the offsets of each queue of the topics.
pub fn print(args: &Args, client: &Client, report: &Report) -> Result<(), Error> {
    let group = client.admin().group(&*args.group);
    for topic in &args.topics {
        for queue in &group.progress(topic)?.queues {
            report.lag(&Lag {
                topic,
                broker: queue.queue.broker(),
                queue_id: queue.queue.id(),
                committed: queue.committed,
                newest: queue.end,
                // Without an offset, everything that is there counts.
                lag: queue.lag().try_into().unwrap_or(i64::MAX),
            });
        }
    }
    Ok(())
}
