//! `--kind simple`: a thread that receives, does the work, and acknowledges each message.
//!
//! A message that is refused is not acknowledged: it comes again when its invisible time is over, with a
//! higher reconsume count.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rocketmq_blocking::consumer::{AckStatus, ReceivedMessage, ShutdownReport};
use rocketmq_blocking::{Client, SimpleConsumer};

use crate::args::Args;
use crate::kind::Consumer;
use crate::polls::{Polls, TheEnd};
use crate::work::{Outcome, Work};

/// A running consumer.
pub struct Simple {
    consumer: SimpleConsumer,
    polls: Polls,
}

/// What the thread that receives has.
struct Receiver {
    consumer: SimpleConsumer,
    work: Arc<Work>,
    batch: usize,
    invisible: Duration,
    acks: bool,
}

impl Simple {
    pub fn start(args: &Args, client: &Client, work: &Arc<Work>) -> Result<Simple, Box<dyn Error>> {
        let mut builder = SimpleConsumer::builder(&args.group)
            .client(client)
            .start_from(args.from);
        for topic in &args.topics {
            builder = builder.subscribe(topic.as_str(), args.filter());
        }
        if args.trace {
            builder = builder.trace();
        }
        if let Some(times) = args.max_reconsume {
            builder = builder.max_attempts(times.saturating_add(1));
        }
        let consumer = builder.start()?;
        let receiver = Receiver {
            consumer: consumer.clone(),
            work: work.clone(),
            batch: args.batch(),
            invisible: args.invisible(),
            acks: !args.no_ack,
        };
        let polls = Polls::start(work, move |end| receiver.receive(end))?;
        Ok(Simple { consumer, polls })
    }
}

impl Consumer for Simple {
    /// It has no queues of its own.
    fn lag(&self) -> Option<u64> {
        None
    }

    fn end(&self, within: Duration) -> ShutdownReport {
        let shut_down = || self.consumer.shutdown_within(within);
        self.polls.end(within, shut_down)
    }
}

impl Receiver {
    fn receive(&self, end: &TheEnd) -> rocketmq_blocking::Result<()> {
        // Those that are not wanted would be hidden from everybody for a while.
        let most = self.work.wanted().map_or(self.batch, |wanted| {
            self.batch.min(wanted.try_into().unwrap_or(usize::MAX))
        });
        let received = match self.consumer.receive(most.max(1), self.invisible) {
            Ok(received) => received,
            // A broker that is down may be back soon.
            Err(error) if error.is_retryable() => {
                self.work.report.error(&error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for message in received {
            if end.has_come() {
                break;
            }
            self.handle(&message);
        }
        Ok(())
    }

    fn handle(&self, message: &ReceivedMessage) {
        let settled = match self.work.handle(message) {
            Outcome::Ok if self.acks => message.ack(),
            Outcome::Dead => message.dead_letter(),
            Outcome::Ok | Outcome::Later => return,
        };
        let report = &self.work.report;
        match settled {
            Ok(AckStatus::Confirmed) => {}
            Ok(status) => {
                let text = format!("{message}: its ack is {status:?}: it may come again");
                report.trouble("ack", None, &text);
            }
            Err(error) => report.error(&error),
        }
    }
}
