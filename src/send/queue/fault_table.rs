//! Latency fault tolerance: which brokers to avoid for a while, and which queue to take then. Time is an
//! argument.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::PublishInfo;
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::message::MessageQueue;
use crate::send::LOG;
use crate::sync::Mutex;
use crate::transport::Deadline;

/// The time for which a broker is avoided after an attempt of a given latency.
///
/// The default is Java's of 5.x; [`FaultStrategy::v4`] is that of 4.x.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "MQFaultStrategy")]
#[must_use]
pub struct FaultStrategy {
    /// (latency threshold, how long to avoid the broker), sorted by threshold.
    levels: Vec<(Duration, Duration)>,
    failure_counts_as: Duration,
    detector: Option<Detector>,
}

/// Probing of brokers that refused or did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Detector {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
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

    pub(in crate::send) fn check(&self) -> Result<()> {
        match self.detector {
            Some(d) if d.interval.is_zero() || d.timeout.is_zero() => {
                let text = "the detector's interval and timeout must not be zero";
                Err(Error::new(ErrorKind::Config, text))
            }
            _ => Ok(()),
        }
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

/// Latency fault tolerance of one engine: the configured and the learnt part.
pub(in crate::send) struct Faults {
    strategy: FaultStrategy,
    table: Mutex<FaultTable>,
}

impl Faults {
    pub(in crate::send) fn new(strategy: FaultStrategy) -> Faults {
        Faults {
            strategy,
            table: Mutex::default(),
        }
    }

    pub(in crate::send) fn record(&self, broker: &Arc<str>, report: Report, now: Instant) {
        let mut table = self.table.lock();
        table.record(broker, report, &self.strategy, now);
    }

    /// The next queue in turn, if possible not at a broker to avoid: the last one, and slow or failed
    /// ones.
    pub(in crate::send) fn next_queue<'a>(
        &self,
        info: &'a PublishInfo,
        last: Option<&str>,
    ) -> &'a MessageQueue {
        let usable = |queue: &MessageQueue| info.is_reachable(queue);
        let mut table = self.table.lock();
        info.in_turn(|first| table.pick(&info.queues, first, last, Instant::now(), &usable))
    }

    pub(in crate::send) fn detector(&self) -> Option<Detector> {
        self.strategy.detector
    }

    /// Probes the brokers that refused or did not answer. `ask` returns whether one answers, or
    /// `None` if no route names it any more.
    pub(in crate::send) fn probe(&self, ask: impl Fn(&str) -> Option<bool>) {
        let unreachable = self.table.lock().unreachable();
        for broker in unreachable {
            match ask(&broker) {
                Some(true) => {
                    logging::info!(target: LOG, "{broker}: answers again");
                    self.table.lock().probed(&broker);
                }
                Some(false) => {}
                None => self.table.lock().forget(&broker),
            }
        }
    }
}

/// The result of an attempt for its broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::send) enum Report {
    /// It stored the message, after this time.
    Stored(Duration),
    /// It could not be reached, or did not answer.
    Unreachable,
    /// It answered, and refused.
    Refused,
}

/// The state of brokers: Java's `LatencyFaultTolerance`.
#[derive(Debug, Default)]
struct FaultTable {
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
    fn record(
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
    fn unreachable(&self) -> Vec<Arc<str>> {
        let unreachable = self.items.iter().filter(|(_, item)| !item.reachable);
        unreachable.map(|(broker, _)| broker.clone()).collect()
    }

    fn probed(&mut self, broker: &str) {
        if let Some(item) = self.items.get_mut(broker) {
            item.reachable = true;
        }
    }

    fn forget(&mut self, broker: &str) {
        self.items.remove(broker);
    }

    /// The index of the queue to use; `start` is the next in turn. Of an available broker,
    /// otherwise of a reachable one, otherwise of one of the best bad ones, otherwise any; of the
    /// broker that just failed only if there is no other.
    fn pick(
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

    /// If all are bad: in turn, one of the better half of those that have queues of this topic.
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
mod tests;
