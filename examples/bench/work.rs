//! The four ways to send, each as a run that lasts until its limit.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::{Batch, Error, Message, Producer, SendReceipt, SendStatus};

use crate::args::{Args, Mode};
use crate::measure::{Limit, Tally};
use crate::permits::Permits;
use crate::producers::Producers;

/// Longer than any send may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Work {
    producers: Producers,
    topics: Vec<Arc<str>>,
    next_topic: AtomicUsize,
    body: Vec<u8>,
    mode: Mode,
    threads: usize,
    inflight: usize,
    batch: usize,
}

/// Shared by the threads and callbacks of one run.
struct Run {
    limit: Limit,
    tally: Tally,
    permits: Permits,
}

impl Work {
    pub fn new(args: &Args, producers: Producers) -> Work {
        Work {
            producers,
            topics: args.topics().into_iter().map(Arc::from).collect(),
            next_topic: AtomicUsize::new(0),
            body: vec![b'a'; args.body],
            mode: args.mode,
            threads: args.threads.get(),
            inflight: args.inflight.get(),
            batch: args.batch.get(),
        }
    }

    /// Makes a send with each producer and to each topic: this fetches the routes and connects.
    pub fn connect(&self) -> Result<(), String> {
        let sends = self.producers.len().max(self.topics.len());
        (0..sends).try_for_each(|i| self.send(self.producers.of_thread(i)))
    }

    /// Works until the limit, and until everything in flight has ended. Returns the results and the
    /// duration.
    pub fn run(&self, limit: Limit) -> (&'static Tally, Duration) {
        // A process has two runs: leaking them saves each callback a counted reference.
        let run: &'static Run = Box::leak(Box::new(Run {
            limit,
            tally: Tally::new(),
            permits: Permits::new(self.inflight),
        }));
        match self.mode {
            Mode::Sync => self.run_calls(run, 1, |producer| self.send(producer)),
            Mode::Batch => {
                let messages = self.batch as u64;
                self.run_calls(run, messages, |producer| self.send_batch(producer));
            }
            Mode::Oneway => self.run_oneway(run),
            Mode::Async => self.run_async(run),
        }
        (&run.tally, run.limit.start.elapsed())
    }

    fn send(&self, producer: &Producer) -> Result<(), String> {
        stored(producer.send(&self.message(self.topic())))
    }

    fn send_batch(&self, producer: &Producer) -> Result<(), String> {
        // All messages of a batch go to one topic.
        let topic = self.topic();
        let messages = iter::repeat_with(|| self.message(topic)).take(self.batch);
        let batch = Batch::new(messages).map_err(|error| error.to_string())?;
        stored(producer.send_batch(&batch))
    }

    fn send_oneway(&self, producer: &Producer) -> Result<(), String> {
        let sent = producer.send_oneway(&self.message(self.topic()));
        sent.map_err(|error| error.to_string())
    }

    /// The next topic in turn.
    fn topic(&self) -> &Arc<str> {
        match &self.topics[..] {
            // The usual case costs the threads no shared counter.
            [only] => only,
            topics => &topics[self.next_topic.fetch_add(1, Relaxed) % topics.len()],
        }
    }

    fn message(&self, topic: &Arc<str>) -> Message {
        Message::new(topic.clone(), self.body.clone())
    }

    /// Each thread makes one call after the other.
    fn run_calls<F>(&self, run: &Run, messages: u64, call: F)
    where
        F: Fn(&Producer) -> Result<(), String> + Sync,
    {
        self.on_threads(|producer| {
            let mut before = Instant::now();
            while run.limit.allows(messages, before) {
                let result = call(producer);
                let after = Instant::now();
                run.tally.add(messages, after - before, result);
                before = after;
            }
        });
    }

    /// The run ends when a synchronous send behind all the others is answered: nothing is gained by
    /// queueing messages.
    fn run_oneway(&self, run: &Run) {
        self.run_calls(run, 1, |producer| self.send_oneway(producer));
        let flushed = self.producers.flush(PATIENCE);
        let flushed = flushed.map_err(|error| error.to_string());
        if let Err(error) = flushed.and_then(|()| self.send(self.producers.of_thread(0))) {
            run.tally.add_error(error);
        }
    }

    /// Each thread sends while there are permits; callbacks return them.
    fn run_async(&self, run: &'static Run) {
        self.on_threads(|producer| {
            while run.permits.take() {
                let start = Instant::now();
                if !run.limit.allows(1, start) {
                    return run.permits.give_back();
                }
                let message = self.message(self.topic());
                producer.send_async(message, move |receipt| {
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

    fn on_threads(&self, run: impl Fn(&Producer) + Sync) {
        thread::scope(|scope| {
            for thread in 0..self.threads {
                let run = &run;
                scope.spawn(move || run(self.producers.of_thread(thread)));
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
