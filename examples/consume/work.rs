//! What the handler does with a message, and who is told of it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rocketmq_blocking::MessageView;

use crate::args::Args;
use crate::report::Report;
use crate::until::End;

/// What a handler decided.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    Later,
    Dead,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Later => "later",
            Outcome::Dead => "dead",
        }
    }
}

/// The work of all handlers.
pub struct Work {
    takes: Duration,
    fail_first: i32,
    fail_body: Option<Vec<u8>>,
    refused_is: Outcome,
    /// Stop at this count of handled messages.
    count: Option<u64>,
    pub report: Report,
    handled: AtomicU64,
    refused: AtomicU64,
    /// Handlers at work.
    running: AtomicUsize,
    /// When a message last came or was done with.
    active: Mutex<Instant>,
    end: Sender<End>,
}

impl Work {
    pub fn new(args: &Args, report: Report, end: Sender<End>) -> Work {
        Work {
            takes: args.work(),
            fail_first: args.fail_first,
            fail_body: args.fail_body.clone().map(String::into_bytes),
            refused_is: args.refused_is(),
            count: args.count(),
            report,
            handled: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            active: Mutex::new(Instant::now()),
            end,
        }
    }

    /// Does the work for one message, prints it, and says what is to become of it.
    pub fn handle(&self, message: &MessageView) -> Outcome {
        self.running.fetch_add(1, SeqCst);
        *self.active.lock() = Instant::now();
        if !self.takes.is_zero() {
            thread::sleep(self.takes);
        }
        let fails = message.reconsume_times() < self.fail_first
            || self.fail_body.as_deref() == Some(message.body());
        let outcome = if fails { self.refused_is } else { Outcome::Ok };
        let counter = match outcome {
            Outcome::Ok => &self.handled,
            _ => &self.refused,
        };
        // Whoever sees the line finds it counted.
        let count = counter.fetch_add(1, SeqCst) + 1;
        self.report.message(message, outcome);
        if outcome == Outcome::Ok && self.count == Some(count) {
            self.end(End::Asked);
        }
        *self.active.lock() = Instant::now();
        self.running.fetch_sub(1, SeqCst);
        outcome
    }

    /// Messages can come from now on.
    pub fn begins(&self) {
        *self.active.lock() = Instant::now();
    }

    /// Has the program end.
    pub fn end(&self, end: End) {
        let _ = self.end.send(end);
    }

    /// Prints the last line.
    pub fn finish(&self, clean: bool) {
        self.report.finish(self.handled(), self.refused(), clean);
    }

    /// Whether as many messages are handled as were asked for.
    pub fn is_done(&self) -> bool {
        self.count.is_some_and(|count| self.handled() >= count)
    }

    /// How many more messages are to be handled well, if there is a limit.
    pub fn wanted(&self) -> Option<u64> {
        self.count.map(|count| count.saturating_sub(self.handled()))
    }

    /// For how long nothing came and no handler was at work.
    pub fn idle_since(&self) -> Instant {
        match self.running.load(SeqCst) {
            0 => *self.active.lock(),
            _ => Instant::now(),
        }
    }

    pub fn handled(&self) -> u64 {
        self.handled.load(SeqCst)
    }

    pub fn refused(&self) -> u64 {
        self.refused.load(SeqCst)
    }
}
