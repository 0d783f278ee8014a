//! What a producer counts while it sends. Threads that send share no lock here: a send is two atomic
//! additions at its beginning, two at its end, and one for the answer of each attempt.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::latency::Histogram;
use super::stats::{BrokerStats, ProducerStats};
use crate::error::{Error, ErrorKind, Result, SendFate};

/// So many brokers have counters of their own. They stay when a broker has left all routes, so that no
/// number ever becomes smaller.
const MOST_BROKERS: usize = 64;

/// The name under which all others are counted.
const OTHERS: &str = "(others)";

/// How much a call sends.
#[derive(Clone, Copy)]
pub(super) struct Size {
    messages: u32,
    bytes: u32,
}

impl Size {
    /// Of what is counted elsewhere.
    pub(super) const NOTHING: Size = Size::of(0, 0);

    /// Of so many messages with so many bytes of bodies. (No frame has more than 32 bits can count.)
    pub(super) const fn of(messages: usize, bytes: usize) -> Size {
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
pub(super) struct Counters {
    begun: Padded<Tally>,
    sent: Padded<Tally>,
    failed: Padded<Failed>,
    brokers: [OnceLock<Box<Broker>>; MOST_BROKERS],
    others: OnceLock<Box<Broker>>,
}

/// On cache lines of its own: who counts the one thing does not hold up who counts the other.
#[repr(align(128))]
#[derive(Default)]
struct Padded<T>(T);

#[derive(Default)]
struct Tally {
    messages: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Default)]
struct Failed {
    by_kind: [AtomicU64; ErrorKind::ALL.len()],
    maybe_stored: AtomicU64,
    bytes: AtomicU64,
    retries: AtomicU64,
}

struct Broker {
    name: Arc<str>,
    latency: Histogram,
    refused: AtomicU64,
    unanswered: AtomicU64,
    accepted: AtomicU64,
}

/// A send is added where it begins before it is added where it ends: who finds the end (`Acquire`)
/// finds the beginning too, so that there are never more ends than beginnings.
fn add(to: &AtomicU64, n: u32) {
    to.fetch_add(u64::from(n), Ordering::Release);
}

fn read(from: &AtomicU64) -> u64 {
    from.load(Ordering::Acquire)
}

impl Tally {
    fn add(&self, size: Size) {
        add(&self.messages, size.messages);
        add(&self.bytes, size.bytes);
    }
}

impl Counters {
    pub(super) fn new() -> Counters {
        Counters {
            begun: Padded::default(),
            sent: Padded::default(),
            failed: Padded::default(),
            brokers: [const { OnceLock::new() }; MOST_BROKERS],
            others: OnceLock::new(),
        }
    }

    pub(super) fn begin(&self, size: Size) {
        self.begun.0.add(size);
    }

    /// Once for each [`begin`](Counters::begin), before anybody hears of the result.
    pub(super) fn end<T>(&self, size: Size, result: &Result<T>) {
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
    pub(super) fn count<T>(&self, size: Size, call: impl FnOnce() -> Result<T>) -> Result<T> {
        self.begin(size);
        let result = call();
        self.end(size, &result);
        result
    }

    pub(super) fn retry(&self) {
        add(&self.failed.0.retries, 1);
    }

    /// An attempt that brought a receipt.
    pub(super) fn answered(&self, broker: &Arc<str>, took: Duration) {
        self.broker(broker).latency.add(took);
    }

    /// One that did not.
    pub(super) fn not_stored(&self, broker: &Arc<str>, error: &Error, took: Duration) {
        let broker = self.broker(broker);
        if error.kind() == ErrorKind::Broker {
            broker.latency.add(took);
            add(&broker.refused, 1);
        } else {
            add(&broker.unanswered, 1);
        }
    }

    /// A oneway one that the connection has accepted.
    pub(super) fn accepted(&self, broker: &Arc<str>) {
        add(&self.broker(broker).accepted, 1);
    }

    pub(super) fn read(&self, group: &str) -> ProducerStats {
        // What is counted last is read first.
        let maybe_stored = read(&self.failed.0.maybe_stored);
        let kinds = ErrorKind::ALL.iter().zip(&self.failed.0.by_kind);
        let failed: Vec<(ErrorKind, u64)> = kinds
            .map(|(kind, n)| (*kind, read(n)))
            .filter(|(_, n)| *n > 0)
            .collect();
        let failed_bytes = read(&self.failed.0.bytes);
        let (sent, sent_bytes) = (read(&self.sent.0.messages), read(&self.sent.0.bytes));
        let (begun, begun_bytes) = (read(&self.begun.0.messages), read(&self.begun.0.bytes));
        let all_failed = failed.iter().map(|(_, n)| n).sum::<u64>();
        let brokers = self.brokers.iter().chain([&self.others]);
        let mut brokers: Vec<_> = brokers
            .filter_map(|broker| Some(broker.get()?.read()))
            .collect();
        brokers.sort_by(|a, b| a.broker.cmp(&b.broker));
        ProducerStats {
            group: group.to_owned(),
            begun,
            sent,
            sent_bytes,
            failed: all_failed,
            failed_by_kind: failed,
            maybe_stored,
            retries: read(&self.failed.0.retries),
            in_flight: begun.saturating_sub(sent + all_failed),
            in_flight_bytes: begun_bytes.saturating_sub(sent_bytes + failed_bytes),
            brokers,
        }
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
            // Of two that find the same place free, one looks further.
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

    fn read(&self) -> BrokerStats {
        let (refused, unanswered) = (read(&self.refused), read(&self.unanswered));
        let latency = self.latency.read();
        BrokerStats {
            broker: self.name.clone(),
            attempts: latency.count() + unanswered + read(&self.accepted),
            failures: refused + unanswered,
            latency,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_its_counter() {
        for (i, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, i);
            let counters = Counters::new();
            counters.begin(Size::of(2, 10));
            let result = Err::<(), _>(Error::new(kind, "").maybe_stored());
            counters.end(Size::of(2, 10), &result);
            let stats = counters.read("g");
            assert_eq!(stats.failed_by_kind, [(kind, 2)]);
            let all = (stats.begun, stats.failed, stats.maybe_stored);
            assert_eq!(
                (all, stats.in_flight, stats.in_flight_bytes),
                ((2, 2, 2), 0, 0)
            );
        }
    }

    #[test]
    fn so_many_brokers_are_told_apart_and_the_rest_is_counted_together() {
        let counters = Counters::new();
        for round in 1..=2 {
            for broker in 0..MOST_BROKERS + 9 {
                let took = Duration::from_millis(round);
                counters.answered(&format!("broker-{broker}").into(), took);
            }
        }
        let stats = counters.read("g");
        assert_eq!(stats.brokers.len(), MOST_BROKERS + 1);
        for broker in stats.brokers {
            let expected = if *broker.broker == *OTHERS { 18 } else { 2 };
            assert_eq!(broker.attempts, expected, "{}", broker.broker);
        }
    }

    #[test]
    fn threads_that_meet_a_new_broker_together_count_it_once() {
        let counters = Counters::new();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for broker in ["a", "b", "c"] {
                        counters.accepted(&broker.into());
                    }
                });
            }
        });
        let stats = counters.read("g");
        let counted: Vec<_> = stats
            .brokers
            .iter()
            .map(|b| (&*b.broker, b.attempts))
            .collect();
        assert_eq!(counted, [("a", 8), ("b", 8), ("c", 8)]);
    }
}
