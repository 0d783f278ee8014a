//! A histogram of latencies, in constant memory.

use std::fmt;
use std::time::Duration;

use super::counters::{BUCKETS, Histogram, UNIT_BITS, first_of};

/// A histogram of the latencies of answered attempts.
///
/// Quantiles are rounded up: at most 1/16 and 1 us too long, never too short, and never longer than the
/// [longest](Latency::max) time, which is exact. (Of times over 133 s only that one is known.) It has
/// 3 KiB, whatever it counts.
#[derive(Clone, PartialEq, Eq)]
pub struct Latency {
    buckets: Box<[u64]>,
    longest: Duration,
}

impl Latency {
    pub(super) fn of(histogram: &Histogram) -> Latency {
        let (buckets, longest) = histogram.read();
        Latency {
            buckets,
            longest: Duration::from_nanos(longest),
        }
    }

    /// The number of answered attempts.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The time that this part of all took at most: 0.5 for the median, 0.999 for p99.9. `None` if
    /// there was none.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        let wanted = ((count as f64 * part).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        let found = self.buckets.iter().position(|n| {
            seen += n;
            seen >= wanted
        });
        found.map(|bucket| self.end_of(bucket))
    }

    /// The longest time; zero if there was none.
    pub fn max(&self) -> Duration {
        self.longest
    }

    /// The counts since an earlier snapshot. The longest time is exact only in a whole histogram:
    /// here it is rounded up like a quantile.
    pub(super) fn since(&self, earlier: &Latency) -> Latency {
        let pairs = self.buckets.iter().zip(&earlier.buckets);
        let buckets: Box<[u64]> = pairs.map(|(now, then)| now.saturating_sub(*then)).collect();
        let last = buckets.iter().rposition(|n| *n > 0);
        Latency {
            longest: last.map_or(Duration::ZERO, |bucket| self.end_of(bucket)),
            buckets,
        }
    }

    /// A time that nothing in the bucket exceeds.
    fn end_of(&self, bucket: usize) -> Duration {
        match bucket + 1 {
            BUCKETS => self.longest,
            next => Duration::from_nanos(first_of(next) << UNIT_BITS).min(self.longest),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")];
        for (part, name) in parts {
            match self.quantile(part) {
                Some(took) => write!(f, "{name} {took:.1?}, ")?,
                None => return f.write_str("no answers"),
            }
        }
        write!(f, "max {:.1?}", self.longest)
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Latency({} answers: {self})", self.count())
    }
}

#[cfg(test)]
mod tests;
