//! `--kind push`: a handler on consume threads.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rocketmq_blocking::consumer::{Deliveries, ShutdownReport};
use rocketmq_blocking::{Client, Error, MessageView, PushConsumer, Retry};

use crate::args::Args;
use crate::kind::{Consumer, lag_of};
use crate::work::{Outcome, Work};

/// A running consumer.
pub struct Push(PushConsumer);

/// What handlers do.
struct Handler {
    work: Arc<Work>,
    /// What they say of a refused message.
    retry: Retry,
    /// Their own consumer, once it is started.
    consumer: OnceLock<PushConsumer>,
}

impl Push {
    pub fn start(args: &Args, client: &Client, work: &Arc<Work>) -> Result<Push, Error> {
        let listener = work.clone();
        let mut builder = PushConsumer::builder(&args.group)
            .client(client)
            .start_from(args.from)
            .consume_threads(args.threads())
            .allocation(args.allocation())
            .events(move |event| listener.report.event(event));
        for topic in &args.topics {
            builder = builder.subscribe(topic.as_str(), args.filter());
        }
        if args.trace {
            builder = builder.trace();
        }
        if let Some(times) = args.max_reconsume {
            builder = builder.max_reconsume(times);
        }
        if args.broadcast {
            builder = builder.broadcast().offset_dir(args.offset_dir());
        }
        let handler = Arc::new(Handler {
            work: work.clone(),
            retry: args.retry(),
            consumer: OnceLock::new(),
        });
        let own = handler.clone();
        let consumer = match args.batch() {
            _ if args.orderly => builder.start_ordered(move |message| own.handle(message))?,
            1 => builder.start(move |message| own.handle(message))?,
            most => builder.start_batch(most, move |batch| own.handle_all(batch))?,
        };
        let _ = handler.consumer.set(consumer.clone());
        handler.stop_when_done();
        Ok(Push(consumer))
    }
}

impl Consumer for Push {
    fn lag(&self) -> Option<u64> {
        lag_of(&self.0.describe())
    }

    fn end(&self, within: Duration) -> ShutdownReport {
        self.0.shutdown_within(within)
    }
}

impl Handler {
    fn handle(&self, message: &MessageView) -> Result<(), Retry> {
        let outcome = self.work.handle(message);
        self.stop_when_done();
        match outcome {
            Outcome::Ok => Ok(()),
            Outcome::Later | Outcome::Dead => Err(self.retry.clone()),
        }
    }

    /// Says of each message alone what becomes of it.
    fn handle_all(&self, batch: &mut Deliveries<'_>) -> Result<(), Retry> {
        for place in 0..batch.len() {
            match self.handle(&batch[place]) {
                Ok(()) => batch.done(place),
                Err(retry) => batch.retry(place, retry),
            }
        }
        Ok(())
    }

    /// Nothing more is handed out from here on, so that not many more come than were asked for.
    fn stop_when_done(&self) {
        if let Some(consumer) = self.consumer.get().filter(|_| self.work.is_done()) {
            consumer.pause();
        }
    }
}
