//! What is counted of each topic, and how much of it there was in the last minute and hour, as Java's tools
//! show it. Pure: time is an argument.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::protocol::consumer::asked::ConsumeStatus;

/// A look is kept this often, and so long.
const MINUTE: Span = Span {
    each: Duration::from_secs(10),
    most: 7,
};
const HOUR: Span = Span {
    each: Duration::from_secs(600),
    most: 7,
};

/// What was counted of one topic since the start, by many threads.
#[derive(Debug, Default)]
pub(crate) struct TopicCounts {
    pulls: AtomicU64,
    pull_nanos: AtomicU64,
    pulled: AtomicU64,
    calls: AtomicU64,
    call_nanos: AtomicU64,
    handled: AtomicU64,
    failed: AtomicU64,
}

/// The same at one moment.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    pulls: u64,
    pull_nanos: u64,
    pulled: u64,
    calls: u64,
    call_nanos: u64,
    handled: u64,
    failed: u64,
}

impl TopicCounts {
    /// A request brought so many messages.
    pub(crate) fn pulled(&self, messages: usize, took: Duration) {
        add(&self.pulls, 1);
        add(&self.pull_nanos, nanos(took));
        add(&self.pulled, messages as u64);
    }

    /// A handler was called, and ended well with some messages and not with others.
    pub(crate) fn called(&self, handled: usize, failed: usize, took: Duration) {
        add(&self.calls, 1);
        add(&self.call_nanos, nanos(took));
        add(&self.handled, handled as u64);
        add(&self.failed, failed as u64);
    }

    fn read(&self) -> Totals {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Totals {
            pulls: get(&self.pulls),
            pull_nanos: get(&self.pull_nanos),
            pulled: get(&self.pulled),
            calls: get(&self.calls),
            call_nanos: get(&self.call_nanos),
            handled: get(&self.handled),
            failed: get(&self.failed),
        }
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// Earlier looks at the counts of a topic.
#[derive(Debug)]
pub(crate) struct History {
    minute: Looks,
    hour: Looks,
}

impl History {
    /// Nothing is counted yet.
    pub(crate) fn new(now: Instant) -> History {
        History {
            minute: Looks::new(MINUTE, now),
            hour: Looks::new(HOUR, now),
        }
    }

    /// Keeps a look if it is time.
    pub(crate) fn note(&mut self, counts: &TopicCounts, now: Instant) {
        let totals = counts.read();
        self.minute.note(totals, now);
        self.hour.note(totals, now);
    }

    /// The rates of the last minute, and the failures of the last hour.
    pub(crate) fn status(&self, counts: &TopicCounts, now: Instant) -> ConsumeStatus {
        let totals = counts.read();
        let (minute, hour) = (self.minute.since(totals, now), self.hour.since(totals, now));
        // As in Java: a handler that was not called for a minute still has a time.
        let calls = if minute.of.calls > 0 { &minute } else { &hour };
        ConsumeStatus {
            pull_rt: millis(minute.of.pull_nanos, minute.of.pulls),
            pull_tps: minute.rate(minute.of.pulled),
            consume_rt: millis(calls.of.call_nanos, calls.of.calls),
            consume_ok_tps: minute.rate(minute.of.handled),
            consume_failed_tps: minute.rate(minute.of.failed),
            consume_failed_msgs: hour.of.failed.try_into().unwrap_or(i64::MAX),
        }
    }
}

/// Milliseconds of each one.
fn millis(nanos: u64, count: u64) -> f64 {
    match count {
        0 => 0.0,
        count => nanos as f64 / count as f64 / 1e6,
    }
}

#[derive(Debug, Clone, Copy)]
struct Span {
    each: Duration,
    most: usize,
}

/// Looks of a span of time, the oldest one first.
#[derive(Debug)]
struct Looks {
    span: Span,
    looks: VecDeque<(Instant, Totals)>,
}

/// What was counted in a time.
struct Counted {
    of: Totals,
    time: Duration,
}

impl Looks {
    fn new(span: Span, now: Instant) -> Looks {
        Looks {
            span,
            looks: VecDeque::from([(now, Totals::default())]),
        }
    }

    fn note(&mut self, totals: Totals, now: Instant) {
        let last = self.looks.back();
        if last.is_some_and(|(at, _)| now.saturating_duration_since(*at) < self.span.each) {
            return;
        }
        self.looks.push_back((now, totals));
        while self.looks.len() > self.span.most {
            self.looks.pop_front();
        }
    }

    /// From the oldest look on.
    fn since(&self, now_is: Totals, now: Instant) -> Counted {
        let (at, was) = self.looks.front().copied().unwrap_or((now, now_is));
        Counted {
            of: Totals {
                pulls: now_is.pulls - was.pulls,
                pull_nanos: now_is.pull_nanos - was.pull_nanos,
                pulled: now_is.pulled - was.pulled,
                calls: now_is.calls - was.calls,
                call_nanos: now_is.call_nanos - was.call_nanos,
                handled: now_is.handled - was.handled,
                failed: now_is.failed - was.failed,
            },
            time: now.saturating_duration_since(at),
        }
    }
}

impl Counted {
    /// How many in a second; the first second counts as a whole one.
    fn rate(&self, count: u64) -> f64 {
        count as f64 / self.time.as_secs_f64().max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_minute_and_failures_those_of_the_last_hour() {
        let zero = Instant::now();
        let at = |seconds| zero + Duration::from_secs(seconds);
        let ms = Duration::from_millis;
        let (counts, mut history) = (TopicCounts::default(), History::new(zero));
        assert_eq!(history.status(&counts, zero), ConsumeStatus::default());
        counts.pulled(20, ms(4));
        counts.pulled(20, ms(8));
        counts.called(9, 1, ms(2));
        counts.called(10, 0, ms(4));
        history.note(&counts, at(5));
        let expected = ConsumeStatus {
            pull_rt: 6.0,
            pull_tps: 4.0,
            consume_rt: 3.0,
            consume_ok_tps: 1.9,
            consume_failed_tps: 0.1,
            consume_failed_msgs: 1,
        };
        assert_eq!(history.status(&counts, at(10)), expected);
        for seconds in (10..=100).step_by(5) {
            history.note(&counts, at(seconds));
        }
        let expected = ConsumeStatus {
            consume_rt: 3.0,
            consume_failed_msgs: 1,
            ..ConsumeStatus::default()
        };
        assert_eq!(history.status(&counts, at(100)), expected);
        counts.called(0, 1, ms(1));
        for minutes in 2..=70 {
            history.note(&counts, at(60 * minutes));
        }
        let long_after = history.status(&counts, at(60 * 70));
        assert_eq!(long_after, ConsumeStatus::default());
    }
}
