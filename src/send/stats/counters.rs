//! The counters of a producer. Sending threads share no lock here: a send makes two atomic
//! additions at its beginning, two at its end, and one for the answer of each attempt.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result, SendFate};

/// The most brokers with separate counters. They stay when a broker has left all routes, so that no
/// number ever decreases.
pub(super) const MOST_BROKERS: usize = 64;

/// The name under which all others are counted.
pub(super) const OTHERS: &str = "(others)";

/// The size of a call.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    messages: u32,
    bytes: u32,
}

impl Size {
    /// Values that are counted elsewhere.
    pub(crate) const NOTHING: Size = Size::of(0, 0);

    /// A number of messages, and the bytes of their bodies. (No frame has more than 32 bits can count.)
    pub(crate) const fn of(messages: usize, bytes: usize) -> Size {
        const fn cut(n: usize) -> u32 {
            if n < u32::MAX as usize {
                n as u32
            } else {
                u32::MAX
            }
        }
        Size {
            messages: cut(messages),
            bytes: cut(bytes),
        }
    }
}

/// The counters of one producer.
pub(crate) struct Counters {
    pub(super) begun: Padded<Tally>,
    pub(super) sent: Padded<Tally>,
    pub(super) failed: Padded<Failed>,
    pub(super) brokers: [OnceLock<Box<Broker>>; MOST_BROKERS],
    pub(super) others: OnceLock<Box<Broker>>,
}

/// On separate cache lines: threads that count different things do not slow each other down.
#[repr(align(128))]
#[derive(Default)]
pub(super) struct Padded<T>(pub(super) T);

#[derive(Default)]
pub(super) struct Tally {
    pub(super) messages: AtomicU64,
    pub(super) bytes: AtomicU64,
}

#[derive(Default)]
pub(super) struct Failed {
    pub(super) by_kind: [AtomicU64; ErrorKind::ALL.len()],
    pub(super) maybe_stored: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) retries: AtomicU64,
}

pub(super) struct Broker {
    pub(super) name: Arc<str>,
    pub(super) latency: Histogram,
    pub(super) refused: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) accepted: AtomicU64,
}

/// A send is added where it begins before it is added where it ends: a reader that finds the end (`Acquire`)
/// finds the beginning too, so that there are never more ends than beginnings.
fn add(to: &AtomicU64, n: u32) {
    to.fetch_add(u64::from(n), Release);
}

pub(super) fn read(from: &AtomicU64) -> u64 {
    from.load(Acquire)
}

impl Tally {
    fn add(&self, size: Size) {
        add(&self.messages, size.messages);
        add(&self.bytes, size.bytes);
    }
}

impl Counters {
    pub(crate) fn new() -> Counters {
        Counters {
            begun: Padded::default(),
            sent: Padded::default(),
            failed: Padded::default(),
            brokers: [const { OnceLock::new() }; MOST_BROKERS],
            others: OnceLock::new(),
        }
    }

    pub(crate) fn begin(&self, size: Size) {
        self.begun.0.add(size);
    }

    /// Once for each [`begin`](Counters::begin), before the result is delivered.
    pub(crate) fn end<T>(&self, size: Size, result: &Result<T>) {
        let error = match result {
            Ok(_) => return self.sent.0.add(size),
            Err(error) => error,
        };
        let failed = &self.failed.0;
        add(&failed.bytes, size.bytes);
        add(&failed.by_kind[error.kind() as usize], size.messages);
        if error.fate() == SendFate::MaybeStored {
            add(&failed.maybe_stored, size.messages);
        }
    }

    /// Counts a call from its beginning to its end.
    pub(crate) fn count<T>(&self, size: Size, call: impl FnOnce() -> Result<T>) -> Result<T> {
        self.begin(size);
        let result = call();
        self.end(size, &result);
        result
    }

    pub(crate) fn retry(&self) {
        add(&self.failed.0.retries, 1);
    }

    /// An attempt that brought a receipt.
    pub(crate) fn answered(&self, broker: &Arc<str>, took: Duration) {
        self.broker(broker).latency.add(took);
    }

    /// One that did not.
    pub(crate) fn not_stored(&self, broker: &Arc<str>, error: &Error, took: Duration) {
        let broker = self.broker(broker);
        if error.kind() == ErrorKind::Broker {
            broker.latency.add(took);
            add(&broker.refused, 1);
        } else {
            add(&broker.unanswered, 1);
        }
    }

    /// A oneway one that the connection has accepted.
    pub(crate) fn accepted(&self, broker: &Arc<str>) {
        add(&self.broker(broker).accepted, 1);
    }

    /// The counters of a broker, which are made at its first attempt.
    fn broker(&self, name: &Arc<str>) -> &Broker {
        // Brokers' names differ at their ends, if they differ little: most are found at once.
        let first = match name.as_bytes() {
            [.., a, b] => usize::from(*a) * 10 + usize::from(*b),
            _ => 0,
        };
        for i in 0..MOST_BROKERS {
            let place = &self.brokers[(first + i) % MOST_BROKERS];
            // If two threads find the same free entry, one searches on.
            let broker = place.get_or_init(|| Broker::new(name));
            // The texts only where there are several topics, which name their brokers each for itself.
            if Arc::ptr_eq(&broker.name, name) || broker.name == *name {
                return broker;
            }
        }
        self.others.get_or_init(|| Broker::new(&OTHERS.into()))
    }
}

impl Broker {
    fn new(name: &Arc<str>) -> Box<Broker> {
        Box::new(Broker {
            name: name.clone(),
            latency: Histogram::new(),
            refused: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
        })
    }
}

/// Buckets of the same width in each power of two: what a bucket holds differs by less than
/// 1/16.
const STEPS: u64 = 16;
const STEP_BITS: u32 = STEPS.ilog2();

/// Buckets count in units of 1,024 ns.
pub(super) const UNIT_BITS: u32 = 10;

/// The last bucket, from 133 s on, has what takes longer too.
pub(super) const LONGEST: u64 = (1 << 27) - 1;

pub(super) const BUCKETS: usize = bucket(LONGEST) + 1;

/// A log-linear histogram that any number of threads fill: 3 KiB.
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    /// In nanoseconds.
    longest: AtomicU64,
}

impl Histogram {
    pub(super) fn new() -> Histogram {
        Histogram {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            longest: AtomicU64::new(0),
        }
    }

    pub(super) fn add(&self, took: Duration) {
        // Almost six centuries fit.
        let nanos = took.as_secs() * 1_000_000_000 + u64::from(took.subsec_nanos());
        // First, so that a reader that finds it counted finds the longest time no shorter.
        if nanos > self.longest.load(Relaxed) {
            self.longest.fetch_max(nanos, Relaxed);
        }
        self.buckets[bucket((nanos >> UNIT_BITS).min(LONGEST))].fetch_add(1, Release);
    }

    /// The counts of the buckets, and the longest time in nanoseconds.
    pub(super) fn read(&self) -> (Box<[u64]>, u64) {
        let buckets = self.buckets.iter().map(|n| n.load(Acquire)).collect();
        (buckets, self.longest.load(Relaxed))
    }
}

pub(super) const fn bucket(units: u64) -> usize {
    if units < STEPS {
        return units as usize;
    }
    let power = units.ilog2() - STEP_BITS;
    // The leading bit counts as one more power.
    ((power as u64 * STEPS) + (units >> power)) as usize
}

/// The shortest time of a bucket, in units.
pub(super) fn first_of(bucket: usize) -> u64 {
    let (power, within) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match power {
        0 => within,
        _ => (STEPS + within) << (power - 1),
    }
}

#[cfg(test)]
mod tests;
