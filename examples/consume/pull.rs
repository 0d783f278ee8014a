//! `--kind pull`: a thread that polls, does the work, and commits after each batch.
//!
//! A message that is refused is not marked as consumed. So it is not committed, nor is what follows it in
//! its queue, and all of that comes again in the next run, or to the next member that has the queue. Within
//! this run it does not come again.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rocketmq_blocking::consumer::ShutdownReport;
use rocketmq_blocking::{Client, ErrorKind, MessageQueue, PullConsumer};

use crate::args::Args;
use crate::kind::{Consumer, lag_of};
use crate::polls::{Polls, TheEnd};
use crate::work::{Outcome, Work};

/// The longest wait of one poll. The end does not wait for it.
const POLL: Duration = Duration::from_secs(60);

/// A running consumer.
pub struct Pull {
    consumer: PullConsumer,
    polls: Polls,
}

impl Pull {
    pub fn start(args: &Args, client: &Client, work: &Arc<Work>) -> Result<Pull, Box<dyn Error>> {
        let listener = work.clone();
        let mut builder = PullConsumer::builder(&args.group)
            .client(client)
            .start_from(args.from)
            .poll_batch(args.batch())
            .auto_commit(!args.no_commit)
            .allocation(args.allocation())
            .events(move |event| listener.report.event(event));
        if args.trace {
            builder = builder.trace();
        }
        if args.broadcast {
            builder = builder.broadcast().offset_dir(args.offset_dir());
        }
        if args.assign.is_empty() {
            for topic in &args.topics {
                builder = builder.subscribe(topic.as_str(), args.filter());
            }
        } else {
            let queue = |(broker, id): &(String, i32)| {
                MessageQueue::new(args.topics[0].as_str(), broker.as_str(), *id)
            };
            builder = builder
                .assign(args.assign.iter().map(queue))
                .assign_filter(args.filter());
        }
        let consumer = builder.start()?;
        let (polled, own, commits) = (consumer.clone(), work.clone(), !args.no_commit);
        let polls = Polls::start(work, move |end| {
            poll(&polled, &own, end)?;
            if commits {
                commit(&polled, &own);
            }
            Ok(())
        })?;
        Ok(Pull { consumer, polls })
    }
}

impl Consumer for Pull {
    fn lag(&self) -> Option<u64> {
        lag_of(&self.consumer.describe())
    }

    fn end(&self, within: Duration) -> ShutdownReport {
        let shut_down = || self.consumer.shutdown_within(within);
        self.polls.end(within, shut_down)
    }
}

fn poll(consumer: &PullConsumer, work: &Work, end: &TheEnd) -> rocketmq_blocking::Result<()> {
    for message in consumer.poll(POLL)? {
        // What is left of the batch comes again.
        if end.has_come() {
            break;
        }
        match work.handle(&message) {
            Outcome::Ok => drop(message.done()),
            Outcome::Later | Outcome::Dead => drop(message),
        }
    }
    Ok(())
}

/// What fails is tried again in the background. Of queues that went elsewhere an event tells.
fn commit(consumer: &PullConsumer, work: &Work) {
    match consumer.commit() {
        Err(error) if !matches!(error.kind(), ErrorKind::Closed | ErrorKind::Disconnected) => {
            work.report.error(&error);
        }
        _ => {}
    }
}
