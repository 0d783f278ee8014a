//! When to rebalance: often enough, and never more than once a second.

use std::time::{Duration, Instant};

/// The shortest time from one rebalance to the next, whatever the reason.
const LEAST: Duration = Duration::from_secs(1);

/// The times of the rebalances of one group. Requests that come while a round runs, or too early,
/// are not lost: they lead to one round as soon as a round may start.
#[derive(Debug)]
pub(crate) struct Pace {
    started: Option<Instant>,
    due: Instant,
    /// A rebalance happens this often without a reason, in case a notification was lost.
    most: Duration,
}

impl Pace {
    /// The first round is due at once.
    pub(crate) fn new(now: Instant, most: Duration) -> Pace {
        Pace {
            started: None,
            due: now,
            most,
        }
    }

    /// Something changed: a notification, a route, a connection, a resume.
    pub(crate) fn ask(&mut self, now: Instant) {
        let earliest = self.started.map_or(now, |at| now.max(at + LEAST));
        self.due = self.due.min(earliest);
    }

    /// The last round was in doubt, or queues were not free: the next round is in a second.
    pub(crate) fn ask_again(&mut self, now: Instant) {
        self.ask(now + LEAST);
    }

    /// When the next round is due.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Whether a round is due; if so, it counts as started.
    pub(crate) fn start(&mut self, now: Instant) -> bool {
        if now < self.due {
            return false;
        }
        self.started = Some(now);
        self.due = now + self.most;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_round_comes_every_20_s_and_on_request_after_a_second() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let mut pace = Pace::new(zero, Duration::from_secs(20));
        assert!(pace.start(at(0)));
        assert_eq!(pace.due(), at(20_000));
        pace.ask(at(200));
        pace.ask(at(300));
        assert!(!pace.start(at(999)) && pace.start(at(1_000)) && !pace.start(at(1_001)));
        pace.ask_again(at(5_000));
        assert_eq!(pace.due(), at(6_000));
        pace.ask(at(5_500));
        assert!(pace.start(at(5_500)));
        assert!(!pace.start(at(25_499)) && pace.start(at(25_500)));
    }

    proptest! {
        #[test]
        fn rounds_are_a_second_apart_and_no_request_waits_longer(
            steps in prop::collection::vec((0u64..400, any::<bool>()), 1..200)
        ) {
            let mut now = Instant::now();
            let mut pace = Pace::new(now, Duration::from_secs(20));
            let (mut last, mut asked): (Option<Instant>, Option<Instant>) = (None, None);
            for (ms, asks) in steps {
                now += Duration::from_millis(ms);
                if asks {
                    pace.ask(now);
                    asked.get_or_insert(now);
                }
                if pace.start(now) {
                    prop_assert!(last.is_none_or(|at| now - at >= LEAST));
                    (last, asked) = (Some(now), None);
                }
                let waits = asked.map_or(Duration::ZERO, |at| now - at);
                prop_assert!(waits < LEAST);
            }
        }
    }
}
