//! Latency fault tolerance: which brokers to avoid for a while, and which queue to take then. Pure:
//! time is an argument.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::message::MessageQueue;
use crate::transport::Deadline;

/// How long a broker is avoided after an attempt of a given latency.
///
/// The default is Java's of 5.x; [`FaultStrategy::v4`] is that of 4.x.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "MQFaultStrategy")]
#[must_use]
pub struct FaultStrategy {
    /// From this latency on, avoid it for so long. Sorted.
    levels: Vec<(Duration, Duration)>,
    failure_counts_as: Duration,
    detector: Option<Detector>,
}

/// Probing of brokers that refused or did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Detector {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

impl Default for FaultStrategy {
    /// Java's of 5.x: from 50, 100, 550, 1800, 3000, 5000, 15000 ms of latency on, avoid the broker
    /// for 0, 0, 2, 5, 6, 10, 30 s. A failure counts as 10 s of latency.
    fn default() -> FaultStrategy {
        FaultStrategy::new(
            &[
                (50, 0),
                (100, 0),
                (550, 2),
                (1800, 5),
                (3000, 6),
                (5000, 10),
                (15000, 30),
            ],
            Duration::from_secs(10),
        )
    }
}

impl FaultStrategy {
    /// Java's of 4.x: from 50, 100, 550, 1000, 2000, 3000, 15000 ms of latency on, avoid the broker
    /// for 0, 0, 30, 60, 120, 180, 600 s. A failure counts as 30 s of latency.
    pub fn v4() -> FaultStrategy {
        FaultStrategy::new(
            &[
                (50, 0),
                (100, 0),
                (550, 30),
                (1000, 60),
                (2000, 120),
                (3000, 180),
                (15000, 600),
            ],
            Duration::from_secs(30),
        )
    }

    /// Other levels: pairs of a latency and how long to avoid the broker from that latency on.
    #[doc(alias = "setLatencyMax")]
    #[doc(alias = "setNotAvailableDuration")]
    pub fn levels(mut self, levels: impl IntoIterator<Item = (Duration, Duration)>) -> Self {
        self.levels = levels.into_iter().collect();
        self.levels.sort();
        self
    }

    /// The latency that a failed attempt counts as (default 10 s).
    pub fn failure_counts_as(mut self, latency: Duration) -> Self {
        self.failure_counts_as = latency;
        self
    }

    /// Probes brokers that refused or did not answer, every `interval` (Java: 2 s), giving each
    /// probe `timeout` (Java: 200 ms); one that answers is reachable again. Off by default; neither
    /// may be zero.
    #[doc(alias = "setStartDetectorEnable")]
    #[doc(alias = "setDetectInterval")]
    #[doc(alias = "setDetectTimeout")]
    pub fn detector(mut self, interval: Duration, timeout: Duration) -> Self {
        self.detector = Some(Detector { interval, timeout });
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        match self.detector {
            Some(d) if d.interval.is_zero() || d.timeout.is_zero() => {
                let text = "the detector's interval and timeout must not be zero";
                Err(Error::new(ErrorKind::Config, text))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn probing(&self) -> Option<Detector> {
        self.detector
    }

    fn new(levels: &[(u64, u64)], failure_counts_as: Duration) -> FaultStrategy {
        let level = |&(ms, s): &(u64, u64)| (Duration::from_millis(ms), Duration::from_secs(s));
        let levels = levels.iter().map(level).collect();
        FaultStrategy {
            levels,
            failure_counts_as,
            detector: None,
        }
    }

    fn avoid_for(&self, latency: Duration) -> Duration {
        let level = self.levels.iter().rev().find(|(from, _)| latency >= *from);
        level.map_or(Duration::ZERO, |(_, avoid)| *avoid)
    }
}

/// What an attempt said about its broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// It stored the message, after this time.
    Stored(Duration),
    /// It could not be reached, or did not answer.
    Unreachable,
    /// It answered, and refused.
    Refused,
}

/// What is known of brokers: Java's `LatencyFaultTolerance`.
#[derive(Debug, Default)]
pub(super) struct FaultTable {
    items: HashMap<Arc<str>, Item>,
    turn: usize,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    latency: Duration,
    available_from: Instant,
    reachable: bool,
}

impl FaultTable {
    pub(super) fn record(
        &mut self,
        broker: &Arc<str>,
        report: Report,
        strategy: &FaultStrategy,
        now: Instant,
    ) {
        let (latency, reachable) = match report {
            Report::Stored(latency) => (latency, true),
            // With a detector, only a probe makes it reachable again.
            Report::Unreachable => (strategy.failure_counts_as, strategy.detector.is_none()),
            Report::Refused => (strategy.failure_counts_as, false),
        };
        let fresh = Item {
            latency,
            available_from: now,
            reachable,
        };
        let item = self.items.entry(broker.clone()).or_insert(fresh);
        item.latency = latency;
        item.reachable = reachable;
        let until = Deadline::after(now, strategy.avoid_for(latency)).instant();
        item.available_from = item.available_from.max(until);
    }

    /// The brokers that a probe should ask.
    pub(super) fn unreachable(&self) -> Vec<Arc<str>> {
        let unreachable = self.items.iter().filter(|(_, item)| !item.reachable);
        unreachable.map(|(broker, _)| broker.clone()).collect()
    }

    pub(super) fn probed(&mut self, broker: &str) {
        if let Some(item) = self.items.get_mut(broker) {
            item.reachable = true;
        }
    }

    pub(super) fn forget(&mut self, broker: &str) {
        self.items.remove(broker);
    }

    /// The index of the queue to take, `start` being the one whose turn it is: of an available
    /// broker, else a reachable one, else the best of the bad, else any; the broker that has just
    /// failed only if there is no other.
    pub(super) fn pick(
        &mut self,
        queues: &[MessageQueue],
        start: usize,
        last: Option<&str>,
        now: Instant,
        usable: &dyn Fn(&MessageQueue) -> bool,
    ) -> usize {
        let turn = || (start..start + queues.len()).map(|at| at % queues.len());
        let in_turn = |good: &dyn Fn(&str) -> bool| {
            let mut turn = turn().filter(|at| Some(queues[*at].broker()) != last);
            turn.find(|at| usable(&queues[*at]) && good(queues[*at].broker()))
        };
        in_turn(&|broker| self.is_available(broker, now))
            .or_else(|| in_turn(&|broker| self.is_reachable(broker)))
            .or_else(|| {
                let best = self.at_least_one(queues, last, now)?;
                in_turn(&|broker| *broker == *best)
            })
            .or_else(|| turn().find(|at| usable(&queues[*at])))
            .unwrap_or(start % queues.len())
    }

    fn is_available(&self, broker: &str, now: Instant) -> bool {
        self.items
            .get(broker)
            .is_none_or(|item| now >= item.available_from)
    }

    fn is_reachable(&self, broker: &str) -> bool {
        self.items.get(broker).is_none_or(|item| item.reachable)
    }

    /// When all are bad: in turn, one of the better half of those that have queues of this topic.
    fn at_least_one(
        &mut self,
        queues: &[MessageQueue],
        last: Option<&str>,
        now: Instant,
    ) -> Option<Arc<str>> {
        let usable = |broker: &str| {
            Some(broker) != last && queues.iter().any(|queue| queue.broker() == broker)
        };
        let mut order: Vec<_> = self
            .items
            .iter()
            .filter(|(broker, _)| usable(broker))
            .collect();
        order.sort_by_key(|(broker, item)| {
            let unavailable = now < item.available_from;
            (
                unavailable,
                item.latency,
                item.available_from,
                (*broker).clone(),
            )
        });
        let half = (order.len() / 2).max(1);
        let chosen = order
            .get(self.turn % half)
            .map(|(broker, _)| (*broker).clone());
        self.turn = self.turn.wrapping_add(1);
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(brokers: &str) -> Vec<MessageQueue> {
        let queue = |(i, b): (usize, char)| MessageQueue::new("T", b.to_string(), i as i32);
        brokers.chars().enumerate().map(queue).collect()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A table after these reports at time `now`.
    fn table(now: Instant, reports: &[(&str, Report)]) -> FaultTable {
        let mut table = FaultTable::default();
        for (broker, report) in reports {
            table.record(&(*broker).into(), *report, &FaultStrategy::default(), now);
        }
        table
    }

    /// The brokers chosen when each of the queues in turn is the first to be looked at.
    #[track_caller]
    fn check(table: &mut FaultTable, brokers: &str, last: Option<&str>, now: Instant, want: &str) {
        let queues = queues(brokers);
        let got: String = (0..want.len())
            .map(|i| queues[table.pick(&queues, i, last, now, &|_| true)].broker())
            .collect();
        assert_eq!(got, want);
    }

    #[test]
    fn latency_has_the_levels_of_java() {
        let five = FaultStrategy::default();
        let four = FaultStrategy::v4();
        for (latency, secs5, secs4) in [
            (0, 0, 0),
            (549, 0, 0),
            (550, 2, 30),
            (1800, 5, 60),
            (3000, 6, 180),
            (10_000, 10, 180),
            (15_000, 30, 600),
            (1_000_000, 30, 600),
        ] {
            assert_eq!(
                five.avoid_for(ms(latency)),
                Duration::from_secs(secs5),
                "{latency}"
            );
            assert_eq!(
                four.avoid_for(ms(latency)),
                Duration::from_secs(secs4),
                "{latency}"
            );
        }
        assert_eq!(
            five.avoid_for(five.failure_counts_as),
            Duration::from_secs(10)
        );
        assert_eq!(
            four.avoid_for(four.failure_counts_as),
            Duration::from_secs(600)
        );
        let own = FaultStrategy::default().levels([(ms(9), ms(90)), (ms(5), ms(50))]);
        assert_eq!(
            [4, 5, 9].map(|l| own.avoid_for(ms(l))),
            [ms(0), ms(50), ms(90)]
        );
    }

    #[test]
    fn available_brokers_come_first_and_time_makes_them_available_again() {
        let now = Instant::now();
        let mut table = table(
            now,
            &[("a", Report::Unreachable), ("b", Report::Stored(ms(600)))],
        );
        check(&mut table, "abc", None, now, "ccc");
        check(&mut table, "abc", None, now + Duration::from_secs(2), "bbc");
        check(
            &mut table,
            "abc",
            None,
            now + Duration::from_secs(10),
            "abc",
        );
    }

    #[test]
    fn reachable_ones_come_next_and_the_last_broker_is_avoided() {
        let now = Instant::now();
        let reports = [("a", Report::Unreachable), ("b", Report::Refused)];
        let mut table = table(now, &reports);
        check(&mut table, "aabb", None, now, "aaa");
        check(&mut table, "aabb", Some("a"), now, "bbbb");
        check(&mut table, "a", Some("a"), now, "a");
    }

    #[test]
    fn when_all_are_bad_the_better_half_takes_turns() {
        let now = Instant::now();
        let mut table = FaultTable::default();
        for (broker, counts) in [
            ("a", 5000),
            ("b", 1800),
            ("c", 15_000),
            ("d", 3000),
            ("x", 1),
        ] {
            let strategy = FaultStrategy::default().failure_counts_as(ms(counts));
            table.record(&broker.into(), Report::Refused, &strategy, now);
        }
        // Of b, d, a, c (x has no queue of this topic) the better half is b and d.
        check(&mut table, "abcd", None, now, "bdbd");
        check(&mut table, "abcd", Some("b"), now, "ddd");
    }

    #[test]
    fn a_probe_makes_a_broker_reachable_and_the_detector_leaves_that_to_it() {
        let now = Instant::now();
        let mut table = FaultTable::default();
        let strategy = FaultStrategy::default().detector(ms(1), ms(1));
        table.record(&"a".into(), Report::Unreachable, &strategy, now);
        assert_eq!(table.unreachable(), ["a".into()]);
        table.probed("a");
        assert!(table.unreachable().is_empty());
        table.forget("a");
        assert!(table.is_available("a", now));
    }

    #[test]
    fn an_index_near_the_end_of_its_type_is_no_problem_once_reduced() {
        let queues = queues("aab");
        let place = usize::MAX % queues.len();
        let mut table = FaultTable::default();
        assert_eq!(
            table.pick(&queues, place, Some("a"), Instant::now(), &|_| true),
            2
        );
    }
}
