//! The sender of a figure: this client, or another one in the same scenario.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::{ClientOptions, Error, ErrorKind, Message, Producer, SendReceipt};

use super::flood::resident;
use super::script::Signal;
use super::watch;
use super::*;

/// The largest body of a figure.
pub const HUGE: usize = 15 << 20;

/// One producer at a time, of the topic `Figures`.
pub trait Sender {
    /// Stands before its figures.
    fn name(&self) -> &'static str;

    fn start(&mut self, bench: &Bench, setup: Setup);

    /// Begins this many sends with bodies of this size and long deadlines. A synchronous send has
    /// ended when this returns.
    fn begin(&mut self, mode: Mode, count: usize, bytes: usize);

    /// When the last of those that were begun was over, and how many of them failed.
    fn over(&mut self) -> (Instant, usize);

    /// So many sends at once, in these modes by turns: how much later than this each of them ends.
    fn wave(&mut self, modes: &[Mode], count: usize, bytes: usize, timeout: Duration) -> Vec<Late>;

    /// So many threads send until they are served. Meanwhile something else is done. When the first of
    /// them was served.
    fn first_of(&mut self, threads: usize, meanwhile: &mut dyn FnMut()) -> Instant;

    /// So many sends, with their numbers as unique keys, and at most this many of them in flight;
    /// something is done again and again until they are over.
    fn keyed(&mut self, count: usize, window: usize, meanwhile: &mut dyn FnMut()) -> Called;

    /// The threads and files of its process.
    fn left(&self) -> Left;

    /// The duration of the shutdown, which should end within this time.
    fn stop(&mut self, within: Duration) -> Duration;

    /// Starts, sends one message, and stops.
    fn cycle(&mut self, bench: &Bench) {
        self.start(bench, Setup::default());
        self.begin(Mode::Sync, 1, 1);
        assert_eq!(self.over().1, 0, "nothing is in its way");
        self.stop(PATIENCE);
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub retries: u32,
    pub route_interval: Duration,
    /// The client's own requests, such as heartbeats.
    pub api_timeout: Duration,
    pub tls: bool,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            retries: 0,
            route_interval: Duration::from_secs(30),
            api_timeout: Duration::from_secs(3),
            tls: false,
        }
    }
}

/// The end of a send that could not succeed.
pub struct Late {
    /// Nothing for one that is given up long before, as another's timeout ended its connection.
    pub late: Option<Duration>,
    pub error: String,
}

impl Late {
    /// So long before its deadline an end has another reason.
    pub const EARLY: Duration = Duration::from_millis(50);
}

/// The number of calls of each send's callback.
#[derive(Default)]
pub struct Called {
    pub lost: usize,
    pub doubled: usize,
    pub confirmed: Vec<bool>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    pub threads: usize,
    pub files: usize,
    pub bytes: usize,
}

/// This client.
#[derive(Default)]
pub struct Ours {
    producer: Option<Producer>,
    begun: usize,
    ended: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    last: Signal,
}

impl Ours {
    fn producer(&self) -> &Producer {
        self.producer.as_ref().expect("it was started")
    }
}

impl Sender for Ours {
    fn name(&self) -> &'static str {
        ""
    }

    fn start(&mut self, bench: &Bench, setup: Setup) {
        let made = bench.setup("figures").send_timeout(LONG);
        let made = made.retries(setup.retries).async_retries(setup.retries);
        let made = made.options(ClientOptions::new().route_interval(setup.route_interval));
        let made = made.options(ClientOptions::new().api_timeout(setup.api_timeout));
        let made = made.max_message_size(HUGE).compress_over(usize::MAX);
        #[cfg(feature = "tls")]
        let made = match setup.tls {
            true => made.tls(rocketmq_blocking::TlsConfig::new()),
            false => made,
        };
        self.producer = Some(made.start().expect("a producer"));
    }

    fn begin(&mut self, mode: Mode, count: usize, bytes: usize) {
        let producer = self.producer().clone();
        (self.begun, self.last) = (count, Signal::new());
        (self.ended, self.failed) = Default::default();
        let message = Message::new("Figures", vec![7; bytes]);
        for _ in 0..count {
            let (ended, failed) = (self.ended.clone(), self.failed.clone());
            let last = self.last.clone();
            let note = move |outcome: Result<SendReceipt, Error>| {
                failed.fetch_add(usize::from(outcome.is_err()), SeqCst);
                if ended.fetch_add(1, SeqCst) + 1 == count {
                    last.raise();
                }
            };
            match mode {
                Mode::Sync => note(producer.send(&message)),
                Mode::Async => producer.send_async(message.clone(), note),
            }
        }
    }

    fn over(&mut self) -> (Instant, usize) {
        (self.last.wait(), self.failed.load(SeqCst))
    }

    fn wave(&mut self, modes: &[Mode], count: usize, bytes: usize, timeout: Duration) -> Vec<Late> {
        let (producer, message) = (self.producer(), Message::new("Figures", vec![7; bytes]));
        let (send, sent) = mpsc::channel();
        thread::scope(|scope| {
            for i in 0..count {
                let (message, send) = (&message, send.clone());
                scope.spawn(move || {
                    let prepared = producer.prepare(message).timeout(timeout);
                    let mode = modes[i % modes.len()];
                    let due = Instant::now() + timeout;
                    let note = move |outcome: Result<SendReceipt, Error>| {
                        let now = Instant::now();
                        let kind = outcome.expect_err("no server answers").kind();
                        let soon = due.saturating_duration_since(now) > Late::EARLY;
                        let in_time = soon || kind != ErrorKind::Timeout;
                        let late = now.saturating_duration_since(due);
                        let _ = send.send(Late {
                            late: (!in_time).then_some(late),
                            error: format!("{kind:?}"),
                        });
                    };
                    match mode {
                        Mode::Sync => note(prepared.send()),
                        Mode::Async => prepared.send_async(note),
                    }
                });
            }
        });
        let outcome = |_| sent.recv_timeout(PATIENCE).expect("an outcome");
        (0..count).map(outcome).collect()
    }

    fn first_of(&mut self, threads: usize, meanwhile: &mut dyn FnMut()) -> Instant {
        let (producer, message) = (self.producer(), Message::new("Figures", "x"));
        thread::scope(|scope| {
            let send = || {
                let _ = producer.send(&message).expect("stored");
                Instant::now()
            };
            let senders: Vec<_> = (0..threads).map(|_| scope.spawn(send)).collect();
            meanwhile();
            let ends = senders.into_iter().map(|s| s.join().expect("no panic"));
            ends.min().expect("one")
        })
    }

    fn keyed(&mut self, count: usize, window: usize, meanwhile: &mut dyn FnMut()) -> Called {
        let producer = self.producer();
        let counters = || (0..count).map(|_| AtomicU8::new(0)).collect();
        let (called, confirmed): (Arc<[AtomicU8]>, Arc<[AtomicU8]>) = (counters(), counters());
        let done = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                for i in 0..count {
                    while i - done.load(SeqCst).min(i) >= window {
                        thread::yield_now();
                    }
                    let message = Message::new("Figures", "x").unique_key(format!("{i:032X}"));
                    let (called, confirmed) = (called.clone(), confirmed.clone());
                    let done = done.clone();
                    producer.send_async(message, move |outcome| {
                        called[i].fetch_add(1, SeqCst);
                        confirmed[i].fetch_add(u8::from(outcome.is_ok()), SeqCst);
                        done.fetch_add(1, SeqCst);
                    });
                }
            });
            while done.load(SeqCst) < count && start.elapsed() < LONG * 60 {
                meanwhile();
            }
        });
        producer.flush(PATIENCE).expect("all are answered");
        Called {
            lost: called.iter().filter(|n| n.load(SeqCst) == 0).count(),
            doubled: called.iter().filter(|n| n.load(SeqCst) > 1).count(),
            confirmed: confirmed.iter().map(|n| n.load(SeqCst) > 0).collect(),
        }
    }

    fn left(&self) -> Left {
        let (threads, files) = watch::resources().unwrap_or_default();
        Left {
            threads,
            files,
            bytes: resident(),
        }
    }

    fn stop(&mut self, within: Duration) -> Duration {
        let producer = self.producer.take().expect("it was started");
        let begun = Instant::now();
        let _ = producer.shutdown_within(within);
        begun.elapsed()
    }
}
