//! The limit of a run, and its results.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::histogram::Histogram;

/// Runs until a time, or for a number of messages.
pub struct Limit {
    pub start: Instant,
    end: Option<Instant>,
    left: Option<AtomicI64>,
}

impl Limit {
    pub fn time(most: Duration) -> Limit {
        let start = Instant::now();
        Limit {
            start,
            end: start.checked_add(most),
            left: None,
        }
    }

    pub fn count(messages: u64) -> Limit {
        let left = i64::try_from(messages).unwrap_or(i64::MAX);
        Limit {
            start: Instant::now(),
            end: None,
            left: Some(AtomicI64::new(left)),
        }
    }

    /// Whether this many more messages may be sent; `now` is the caller's last reading of the
    /// clock.
    pub fn allows(&self, messages: u64, now: Instant) -> bool {
        let messages = messages as i64;
        match &self.left {
            Some(left) => left.fetch_sub(messages, Relaxed) >= messages,
            None => self.end.is_none_or(|end| now < end),
        }
    }
}

/// The results of a run; filled by all its threads.
pub struct Tally {
    /// The latencies of successful calls, each for one message or one batch.
    pub latencies: Histogram,
    messages: AtomicU64,
    errors: AtomicU64,
    first_error: OnceLock<String>,
}

impl Tally {
    pub fn new() -> Tally {
        Tally {
            latencies: Histogram::new(),
            messages: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            first_error: OnceLock::new(),
        }
    }

    /// Adds a call with this many messages.
    pub fn add(&self, messages: u64, took: Duration, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.messages.fetch_add(messages, Relaxed);
                self.latencies.add(took);
            }
            Err(error) => self.add_error(error),
        }
    }

    pub fn add_error(&self, error: String) {
        self.errors.fetch_add(1, Relaxed);
        self.first_error.get_or_init(|| error);
    }

    pub fn messages(&self) -> u64 {
        self.messages.load(Relaxed)
    }

    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    pub fn first_error(&self) -> Option<&String> {
        self.first_error.get()
    }
}
