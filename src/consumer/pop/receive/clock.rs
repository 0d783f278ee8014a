//! The clock of a broker, as its answers show it: when a message was popped, by our own clock.
//!
//! An answer may have waited here before it was read (this process was suspended, or its threads had no
//! turn), while the message's time ran. The answer's own time tells: it is compared with that of the
//! quickest answer of the last minutes.

use std::time::{Duration, Instant};

/// How long an answer counts as one of the last.
const KEPT: Duration = Duration::from_secs(60);

/// Brokers' times are cut to milliseconds; answers seem to be that much too early.
const ROUNDING: i64 = 5;

#[derive(Debug)]
pub(super) struct BrokerClock {
    /// Our times are milliseconds since then.
    zero: Instant,
    /// How far the broker's time is behind ours, plus the way of the quickest answer: of this period, and of
    /// the one before.
    behind: [Option<i64>; 2],
    since: Instant,
}

impl BrokerClock {
    pub(super) fn new(now: Instant) -> BrokerClock {
        BrokerClock {
            zero: now,
            behind: [None; 2],
            since: now,
        }
    }

    /// When the broker answered by its `time` (epoch milliseconds), by our clock; never later than it
    /// arrived. The first answer tells nothing: one that was not held counts from its request on.
    pub(super) fn answered_at(
        &mut self,
        time: i64,
        sent: Instant,
        arrived: Instant,
        may_be_held: bool,
    ) -> Instant {
        let here = self.millis(arrived);
        let behind = here.saturating_sub(time);
        let known = self.least();
        if arrived.saturating_duration_since(self.since) > KEPT {
            self.behind = [None, self.behind[0]];
            self.since = arrived;
        }
        let current = &mut self.behind[0];
        *current = Some(current.map_or(behind, |least| least.min(behind)));
        let late = match known {
            Some(known) => behind.saturating_sub(known).max(0),
            None if may_be_held => 0,
            None => return sent,
        };
        let most = here - self.millis(sent);
        if late > most.saturating_add(ROUNDING) {
            // It cannot have answered before it was asked: its clock was set back.
            self.behind = [Some(behind), None];
            return sent;
        }
        let late = Duration::from_millis(late.unsigned_abs());
        arrived.checked_sub(late).unwrap_or(arrived).max(sent)
    }

    /// The broker's time now, if it is known.
    pub(super) fn time(&self, now: Instant) -> Option<i64> {
        let behind = self.least()?;
        Some(self.millis(now).saturating_sub(behind))
    }

    fn least(&self) -> Option<i64> {
        self.behind.iter().flatten().min().copied()
    }

    fn millis(&self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.zero).as_millis();
        i64::try_from(since).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Our times in milliseconds, and the broker's.
    fn answered(clock: &mut BrokerClock, time: i64, sent: u64, arrived: u64) -> u64 {
        let zero = clock.zero;
        let at = |ms| zero + Duration::from_millis(ms);
        let at = clock.answered_at(time, at(sent), at(arrived), true);
        u64::try_from(at.duration_since(zero).as_millis()).expect("small")
    }

    #[test]
    fn an_answer_that_lay_here_is_as_old_as_it_is() {
        let mut clock = BrokerClock::new(Instant::now());
        assert_eq!(clock.time(clock.zero), None);
        let at = |ms| clock.zero + Duration::from_millis(ms);
        let mut first = BrokerClock::new(clock.zero);
        assert_eq!(first.answered_at(1_000_010, at(2), at(12), false), at(2));
        assert_eq!(answered(&mut clock, 1_000_010, 0, 12), 12, "the first one");
        assert_eq!(
            answered(&mut clock, 1_000_100, 50, 101),
            101,
            "a quicker one"
        );
        assert_eq!(answered(&mut clock, 1_000_200, 150, 231), 201);
        let now = clock.zero + Duration::from_millis(500);
        assert_eq!(clock.time(now), Some(1_000_499));
        // A process that was stopped for a minute while its request was held.
        assert_eq!(answered(&mut clock, 1_001_000, 600, 61_000), 1_001);
        assert_eq!(answered(&mut clock, 1_061_500, 61_450, 61_510), 61_501);
    }

    #[test]
    fn a_clock_that_is_set_back_counts_from_the_request_on_once() {
        let mut clock = BrokerClock::new(Instant::now());
        assert_eq!(answered(&mut clock, 1_000_000, 0, 10), 10);
        assert_eq!(answered(&mut clock, 900_500, 500, 510), 500, "set back");
        assert_eq!(answered(&mut clock, 900_600, 600, 610), 610);
        assert_eq!(
            answered(&mut clock, 2_000_000, 700, 710),
            710,
            "set forward"
        );
        assert_eq!(answered(&mut clock, 2_000_100, 800, 815), 810);
    }

    #[test]
    fn old_answers_do_not_count_for_ever() {
        let mut clock = BrokerClock::new(Instant::now());
        assert_eq!(answered(&mut clock, 10, 0, 10), 10);
        // A clock that is slower than ours, by a millisecond a second.
        for n in 1..1000_u64 {
            let here = n * 1000;
            let time = i64::try_from(here - n).expect("small");
            let at = answered(&mut clock, time, here - 500, here);
            assert!(here - at <= 130, "{n}: {at}");
        }
    }

    proptest! {
        #![proptest_config(crate::consumer::cases(256, 5_000))]

        /// Whatever clocks and ways are: never later than it arrived or earlier than it was asked for, and
        /// with steady clocks never later than the truth by more than the quickest way.
        #[test]
        fn the_time_lies_between_request_and_arrival(
            offset in -1_000_000_000_i64..1_000_000_000,
            answers in prop::collection::vec((0_u64..5_000, 0_u64..20_000, 0_u64..100_000), 1..40),
        ) {
            let mut clock = BrokerClock::new(Instant::now());
            let (mut now, mut quickest) = (0, u64::MAX);
            for (pause, held, way) in answers {
                let sent = now + pause;
                let popped = sent + held;
                now = popped + way;
                quickest = quickest.min(way);
                let time = i64::try_from(popped).expect("small") + offset;
                let at = answered(&mut clock, time, sent, now);
                prop_assert!((sent..=now).contains(&at));
                prop_assert!(at >= popped, "never too early");
                let is_recent = now < 60_000;
                prop_assert!(!is_recent || at <= popped + quickest, "{at} {popped} {quickest}");
            }
        }
    }
}
