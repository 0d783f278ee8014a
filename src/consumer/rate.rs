//! The limit of messages per second. Pure: time is an argument.

use std::time::{Duration, Instant};

/// A limit of messages per second: a token bucket, kept as the time at which it is full again.
///
/// After a pause, the messages of a twentieth of a second may start at once (at least one).
#[derive(Debug, Clone)]
pub(crate) struct RateLimit {
    /// The time between two messages, in picoseconds, so that fast rates are exact.
    interval: u128,
    start: Instant,
    /// In picoseconds from `start`.
    full_at: u128,
}

const SECOND: u128 = 1_000_000_000_000;
const BURST: u128 = SECOND / 20;

impl RateLimit {
    /// `per_second` is at least one.
    pub(crate) fn new(per_second: u32, now: Instant) -> RateLimit {
        RateLimit {
            interval: interval(per_second),
            start: now,
            full_at: 0,
        }
    }

    /// Takes capacity for one message.
    ///
    /// # Errors
    /// The time of the next attempt.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.take_many(1, now)
    }

    /// `more` messages were taken than asked for: the next message waits for longer.
    pub(crate) fn charge(&mut self, more: u32) {
        self.full_at += self.interval * u128::from(more);
    }

    /// Returns the capacity that was taken last.
    pub(crate) fn give_back(&mut self) {
        self.full_at = self.full_at.saturating_sub(self.interval);
    }

    /// Takes capacity for several messages at once, even if they exceed it: the next message then waits for
    /// longer.
    pub(crate) fn take_many(&mut self, count: u32, now: Instant) -> Result<(), Instant> {
        let time = now.saturating_duration_since(self.start).as_nanos() * 1_000;
        let burst = BURST.max(self.interval) - self.interval;
        let due = self.full_at.saturating_sub(burst);
        if time < due {
            let nanos = due.div_ceil(1_000).try_into().unwrap_or(u64::MAX);
            let until = self.start.checked_add(Duration::from_nanos(nanos));
            return Err(until.unwrap_or(now + Duration::from_secs(1)));
        }
        self.full_at = self.full_at.max(time) + self.interval * u128::from(count);
        Ok(())
    }
}

fn interval(per_second: u32) -> u128 {
    SECOND / u128::from(per_second.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn after_the_first_ones_they_are_evenly_spaced() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let mut limit = RateLimit::new(100, zero);
        for _ in 0..5 {
            assert_eq!(limit.take(zero), Ok(()));
        }
        assert_eq!(limit.take(zero), Err(at(10)));
        assert_eq!(limit.take(at(9)), Err(at(10)));
        assert_eq!(
            (limit.take(at(10)), limit.take(at(10))),
            (Ok(()), Err(at(20)))
        );
        assert_eq!(limit.take_many(10, at(20)), Ok(()));
        assert_eq!(limit.take(at(20)), Err(at(120)));
    }

    #[test]
    fn a_slow_rate_lets_the_first_one_pass() {
        let zero = Instant::now();
        let mut limit = RateLimit::new(1, zero);
        assert_eq!(limit.take(zero), Ok(()));
        assert_eq!(limit.take(zero), Err(zero + Duration::from_secs(1)));
        assert_eq!(RateLimit::new(0, zero).take(zero), Ok(()));
    }

    proptest! {
        #![proptest_config(crate::consumer::cases(50, 5_000))]
        /// A message at the returned time passes. In any span of time the number of messages is at
        /// most that of the rate, and one burst.
        #[test]
        fn the_rate_holds_and_is_used_up(
            per_second in prop_oneof![1u32..200, 1000u32..5_000_000],
            waits in prop::collection::vec(0u64..200_000_000, 0..200),
        ) {
            let zero = Instant::now();
            let mut now = zero;
            let mut limit = RateLimit::new(per_second, zero);
            let mut passed = 0u32;
            for wait in waits {
                now += Duration::from_nanos(wait / (1 + u64::from(per_second) / 100));
                while limit.take(now).is_ok() {
                    passed += 1;
                    prop_assert!(f64::from(passed) <= f64::from(per_second) * ((now - zero).as_secs_f64() + 0.05) + 1.0);
                }
            }
            // From here on as fast as the limit allows, for ten messages.
            let begin = now;
            for _ in 0..10 {
                match limit.take(now) {
                    Ok(()) => {}
                    Err(until) => {
                        prop_assert!(until > now);
                        now = until;
                        prop_assert_eq!(limit.take(now), Ok(()));
                    }
                }
            }
            let needed = 10.0 / f64::from(per_second) + 1e-6;
            prop_assert!((now - begin).as_secs_f64() <= needed, "{:?}", now - begin);
        }
    }
}
