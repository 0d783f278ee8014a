//! How long attempts took, in little memory however many they are.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

/// Each power of two has so many buckets of the same width: what a bucket holds differs by less than
/// 1/16.
const STEPS: u64 = 16;
const STEP_BITS: u32 = STEPS.ilog2();

/// Buckets count in units of 1,024 ns.
const UNIT_BITS: u32 = 10;

/// The last bucket, from 133 s on, has what takes longer too.
const LONGEST: u64 = (1 << 27) - 1;

const BUCKETS: usize = bucket(LONGEST) + 1;

/// A log-linear histogram that any number of threads fill: 3 KiB.
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    /// In nanoseconds.
    longest: AtomicU64,
}

/// How long answered attempts took: a histogram.
///
/// Quantiles are rounded up: at most 1/16 and 1 us too long, never too short, and never longer than the
/// [longest](Latency::max) time, which is exact. (Of times over 133 s only that one is known.) It has
/// 3 KiB, whatever it counts.
#[derive(Clone, PartialEq, Eq)]
pub struct Latency {
    buckets: Box<[u64]>,
    longest: Duration,
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
        // First, so that whoever finds it counted finds the longest time no shorter.
        if nanos > self.longest.load(Relaxed) {
            self.longest.fetch_max(nanos, Relaxed);
        }
        self.buckets[bucket((nanos >> UNIT_BITS).min(LONGEST))].fetch_add(1, Release);
    }

    pub(super) fn read(&self) -> Latency {
        Latency {
            buckets: self.buckets.iter().map(|n| n.load(Acquire)).collect(),
            longest: Duration::from_nanos(self.longest.load(Relaxed)),
        }
    }
}

impl Latency {
    /// How many attempts were answered.
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

    /// What was counted since an earlier look. Only of what was counted before is the longest time
    /// exact: here it is rounded up like a quantile.
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

const fn bucket(units: u64) -> usize {
    if units < STEPS {
        return units as usize;
    }
    let power = units.ilog2() - STEP_BITS;
    // The leading bit counts as one more power.
    ((power as u64 * STEPS) + (units >> power)) as usize
}

/// The shortest time of a bucket, in units.
fn first_of(bucket: usize) -> u64 {
    let (power, within) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match power {
        0 => within,
        _ => (STEPS + within) << (power - 1),
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARTS: [f64; 6] = [0.0, 0.5, 0.9, 0.99, 0.999, 1.0];

    fn filled(nanos: &[u64]) -> Latency {
        let histogram = Histogram::new();
        for nanos in nanos {
            histogram.add(Duration::from_nanos(*nanos));
        }
        histogram.read()
    }

    #[track_caller]
    fn check(nanos: &[u64]) {
        let latency = filled(nanos);
        let mut sorted = nanos.to_vec();
        sorted.sort_unstable();
        assert_eq!(latency.count(), nanos.len() as u64);
        assert_eq!(latency.max(), Duration::from_nanos(*sorted.last().unwrap()));
        for part in PARTS {
            let place = ((sorted.len() as f64 * part).ceil() as usize).max(1);
            let exact = Duration::from_nanos(sorted[place - 1]);
            let found = latency.quantile(part).unwrap();
            let most = exact + exact / 16 + Duration::from_nanos(1 << UNIT_BITS);
            let most = match exact.as_nanos() >> UNIT_BITS >= u128::from(first_of(BUCKETS - 1)) {
                true => latency.max(),
                false => most,
            };
            assert!(
                exact <= found && found <= most,
                "{part}: {found:?} for {exact:?}"
            );
        }
    }

    #[test]
    fn quantiles_are_at_most_a_sixteenth_too_long() {
        const SECOND: u64 = 1_000_000_000;
        check(&[0]);
        check(&[1, 1023, 1024, 1025]);
        check(&(0..2000).map(|i| i * 1000).collect::<Vec<_>>());
        check(&[3, 700 * SECOND, 800 * SECOND]);
        check(&(0..35).map(|bits| 1 << bits).collect::<Vec<_>>());
        check(&(1..35).map(|bits| (1 << bits) - 1).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn quantiles_of_anything_are_those_of_the_sorted_times(
            nanos in prop::collection::vec((0u64..40, any::<u64>()).prop_map(|(bits, n)| n & ((1 << bits) - 1)), 1..300)
        ) {
            check(&nanos);
        }
    }

    #[test]
    fn every_bucket_ends_where_the_next_one_begins() {
        for index in 0..BUCKETS {
            assert_eq!(bucket(first_of(index)), index);
            assert_eq!(bucket((first_of(index + 1) - 1).min(LONGEST)), index);
        }
    }

    #[test]
    fn without_answers_there_is_no_quantile() {
        let none = filled(&[]);
        assert_eq!((none.quantile(0.5), none.max()), (None, Duration::ZERO));
        assert_eq!(none.to_string(), "no answers");
    }

    #[test]
    fn an_interval_has_the_times_of_that_interval() {
        let histogram = Histogram::new();
        (0..9).for_each(|_| histogram.add(Duration::from_secs(1)));
        let before = histogram.read();
        histogram.add(Duration::from_millis(2));
        let since = histogram.read().since(&before);
        assert_eq!(
            (since.count(), since.max() < Duration::from_micros(2126)),
            (1, true)
        );
        assert_eq!(since.quantile(0.5), Some(since.max()));
        let nothing = histogram.read().since(&histogram.read());
        assert_eq!((nothing.count(), nothing.max()), (0, Duration::ZERO));
    }

    #[test]
    fn it_prints_what_an_operator_looks_for() {
        let nanos: Vec<u64> = (1..=1000).map(|i| i * 10_000).collect();
        let text = filled(&nanos).to_string();
        assert_eq!(
            text,
            "p50 5.2ms, p90 9.4ms, p99 10.0ms, p99.9 10.0ms, max 10.0ms"
        );
    }
}
