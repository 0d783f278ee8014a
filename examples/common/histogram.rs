//! A histogram of durations, in constant memory.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Each power of two of nanoseconds has this many buckets: an error under 1.6 %.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.ilog2();

/// A log-linear histogram that any number of threads fill.
pub struct Histogram(Box<[AtomicU64]>);

impl Histogram {
    pub fn new() -> Histogram {
        let buckets = bucket(u64::MAX) + 1;
        Histogram((0..buckets).map(|_| AtomicU64::new(0)).collect())
    }

    pub fn add(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0[bucket(nanos)].fetch_add(1, Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.0.iter().map(|n| n.load(Relaxed)).sum()
    }

    /// The time that a part of all stayed under: 0.5 is the median, 1.0 the longest.
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = ((self.count() as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.0.iter().position(|n| {
            seen += n.load(Relaxed);
            seen >= wanted
        });
        Duration::from_nanos(found.map_or(0, lowest_of))
    }
}

fn bucket(nanos: u64) -> usize {
    let index = match nanos.checked_ilog2() {
        Some(log) if log >= STEP_BITS => {
            let within = (nanos >> (log - STEP_BITS)) & (STEPS - 1);
            u64::from(log - STEP_BITS + 1) * STEPS + within
        }
        _ => nanos,
    };
    index as usize
}

fn lowest_of(bucket: usize) -> u64 {
    let (power, within) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match power {
        0 => within,
        _ => (STEPS + within) << (power - 1),
    }
}
