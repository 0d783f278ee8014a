//! `--kind pull`: a thread that polls, does the work, and commits after each batch.
//!
//! A message that is refused is not marked as consumed. So it is not committed, nor is what follows it in
//! its queue, and all of that comes again in the next run, or to the next member that has the queue. Within
//! this run it does not come again.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::consumer::{ConsumerState, PulledMessage, ShutdownReport};
use rocketmq_blocking::{Client, ErrorKind, MessageQueue, PullConsumer};

use crate::args::Args;
use crate::kind::Consumer;
use crate::until::End;
use crate::work::{Outcome, Work};

/// The longest wait of one poll. The end does not wait for it.
const POLL: Duration = Duration::from_secs(60);

/// A running consumer.
pub struct Pull {
    consumer: PullConsumer,
    is_ending: Arc<AtomicBool>,
    /// Disconnected when the thread that polls has ended.
    polls: Receiver<()>,
}

/// What the thread that polls has.
struct Poller {
    consumer: PullConsumer,
    work: Arc<Work>,
    commits: bool,
    is_ending: Arc<AtomicBool>,
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
        let is_ending = Arc::new(AtomicBool::new(false));
        let poller = Poller {
            consumer: consumer.clone(),
            work: work.clone(),
            commits: !args.no_commit,
            is_ending: is_ending.clone(),
        };
        let (polling, polls) = mpsc::channel();
        let run = move || {
            poller.run();
            drop(polling);
        };
        let named = thread::Builder::new().name("poll".to_owned());
        named.spawn(run)?;
        Ok(Pull {
            consumer,
            is_ending,
            polls,
        })
    }
}

impl Consumer for Pull {
    fn state(&self) -> ConsumerState {
        self.consumer.describe()
    }

    fn end(&self, within: Duration) -> ShutdownReport {
        let until = Instant::now() + within;
        self.is_ending.store(true, Ordering::Relaxed);
        let report = self.consumer.shutdown_within(within);
        // Nothing is printed behind the summary.
        let left = until.saturating_duration_since(Instant::now());
        let _ = self.polls.recv_timeout(left);
        report
    }
}

impl Poller {
    /// The life of the thread.
    fn run(&self) {
        while !self.is_over() {
            match self.consumer.poll(POLL) {
                Ok(batch) => self.handle_all(batch),
                Err(error) if error.kind() == ErrorKind::Closed => return,
                Err(error) => {
                    self.work.report.error(&error);
                    return self.work.end(End::Failed);
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed) || self.work.is_done()
    }

    fn handle_all(&self, batch: Vec<PulledMessage>) {
        for message in batch {
            // What is left of the batch comes again.
            if self.is_over() {
                break;
            }
            match self.work.handle(&message) {
                Outcome::Ok => drop(message.done()),
                Outcome::Later | Outcome::Dead => drop(message),
            }
        }
        if self.commits {
            self.commit();
        }
    }

    /// What fails is tried again in the background. Of queues that went elsewhere an event tells.
    fn commit(&self) {
        match self.consumer.commit() {
            Err(error) if !matches!(error.kind(), ErrorKind::Closed | ErrorKind::Disconnected) => {
                self.work.report.error(&error);
            }
            _ => {}
        }
    }
}
