//! The four ways to send, each as a run that lasts until its limit.

use std::iter;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::{Batch, Error, Message, Producer, SendReceipt, SendStatus};

use crate::measure::{Limit, Tally};
use crate::permits::Permits;
use crate::{Args, Mode};

/// Longer than any send may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Work {
    producer: Producer,
    topic: Arc<str>,
    body: Vec<u8>,
    mode: Mode,
    threads: usize,
    inflight: usize,
    batch: usize,
}

/// What the threads and callbacks of one run share.
struct Run {
    limit: Limit,
    tally: Tally,
    permits: Permits,
}

impl Work {
    pub fn new(args: &Args, producer: Producer) -> Work {
        Work {
            producer,
            topic: args.topic.as_str().into(),
            body: vec![b'a'; args.body],
            mode: args.mode,
            threads: args.threads.get(),
            inflight: args.inflight.get(),
            batch: args.batch.get(),
        }
    }

    /// Works until the limit, and until everything that was begun has come to its end. Returns what
    /// that gave, and how long it took.
    pub fn run(&self, limit: Limit) -> (&'static Tally, Duration) {
        // A process has two runs: leaking them spares each callback a counted reference.
        let run: &'static Run = Box::leak(Box::new(Run {
            limit,
            tally: Tally::new(),
            permits: Permits::new(self.inflight),
        }));
        match self.mode {
            Mode::Sync => self.run_calls(run, 1, || self.send()),
            Mode::Batch => self.run_calls(run, self.batch as u64, || self.send_batch()),
            Mode::Oneway => self.run_oneway(run),
            Mode::Async => self.run_async(run),
        }
        (&run.tally, run.limit.start.elapsed())
    }

    pub fn send(&self) -> Result<(), String> {
        stored(self.producer.send(&self.message()))
    }

    fn send_batch(&self) -> Result<(), String> {
        let messages = iter::repeat_with(|| self.message()).take(self.batch);
        let batch = Batch::new(messages).map_err(|error| error.to_string())?;
        stored(self.producer.send_batch(&batch))
    }

    fn send_oneway(&self) -> Result<(), String> {
        let sent = self.producer.send_oneway(&self.message());
        sent.map_err(|error| error.to_string())
    }

    fn message(&self) -> Message {
        Message::new(self.topic.clone(), self.body.clone())
    }

    /// Each thread makes one call after the other.
    fn run_calls(&self, run: &Run, messages: u64, call: impl Fn() -> Result<(), String> + Sync) {
        self.on_threads(|| {
            let mut before = Instant::now();
            while run.limit.allows(messages, before) {
                let result = call();
                let after = Instant::now();
                run.tally.add(messages, after - before, result);
                before = after;
            }
        });
    }

    /// The run ends when a synchronous send behind all the others is answered: nothing is gained by
    /// queueing messages.
    fn run_oneway(&self, run: &Run) {
        self.run_calls(run, 1, || self.send_oneway());
        let flushed = self.producer.flush(PATIENCE);
        let flushed = flushed.map_err(|error| error.to_string());
        if let Err(error) = flushed.and_then(|()| self.send()) {
            run.tally.add_error(error);
        }
    }

    /// Each thread sends as long as there are permits, which the callbacks give back.
    fn run_async(&self, run: &'static Run) {
        self.on_threads(|| {
            while run.permits.take() {
                let start = Instant::now();
                if !run.limit.allows(1, start) {
                    return run.permits.give_back();
                }
                self.producer.send_async(self.message(), move |receipt| {
                    run.tally.add(1, start.elapsed(), stored(receipt));
                    run.permits.give_back();
                });
            }
        });
        // When all permits are back, all callbacks have run.
        if !(0..self.inflight).all(|_| run.permits.take()) {
            run.tally.add_error("a callback never came".to_owned());
        }
    }

    fn on_threads(&self, run: impl Fn() + Sync) {
        thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(&run);
            }
        });
    }
}

fn stored(result: Result<SendReceipt, Error>) -> Result<(), String> {
    match result {
        Ok(receipt) if receipt.status() == SendStatus::Ok => Ok(()),
        Ok(receipt) => Err(receipt.status().to_string()),
        Err(error) => Err(error.to_string()),
    }
}
