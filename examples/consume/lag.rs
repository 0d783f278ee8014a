//! `--lag`: how far the group is, asked of the brokers.

use rocketmq_blocking::{Client, Error};

use crate::args::Args;
use crate::report::{Lag, Report};

/// Prints the offsets of each queue of the topics.
pub fn print(args: &Args, client: &Client, report: &Report) -> Result<(), Error> {
    let admin = client.admin();
    for topic in &args.topics {
        let mut queues = admin.subscribe_queues(topic)?;
        queues.sort();
        for queue in &queues {
            let committed = admin.committed_offset(&args.group, queue)?;
            let newest = admin.max_offset(queue)?;
            // Without an offset, everything that is there counts.
            let from = match committed {
                Some(offset) => offset,
                None => admin.min_offset(queue)?,
            };
            report.lag(&Lag {
                topic,
                broker: queue.broker(),
                queue_id: queue.id(),
                committed,
                newest,
                lag: (newest - from).max(0),
            });
        }
    }
    Ok(())
}
