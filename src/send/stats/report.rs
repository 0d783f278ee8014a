use std::fmt;
use std::sync::Arc;

use super::counters::{Broker, Counters, read};
use super::latency::Latency;
use crate::error::{ErrorKind, Printable};

/// Statistics of a producer since its start: [`Producer::stats`](crate::Producer::stats).
///
/// # What is counted
/// Calls that send, counted in messages: one for most, all messages of a [`Batch`](crate::Batch). A
/// call is *begun* when it is made, and *in flight* until it ends: *sent* if it returns `Ok`,
/// *failed* if it returns `Err`, even if refused at once. `begun` is always the sum of these three.
/// (A program that sends a failed message again makes two calls, and both count: `failed` is not
/// the number of lost messages.)
///
/// | call | it ends |
/// |---|---|
/// | `send`, `send_batch` | when it returns |
/// | `send_async`, `request_async` | just before its callback starts |
/// | `submit` | when its handle has the result |
/// | `send_oneway` | when it returns: what the connection has accepted is sent, though it can still be lost |
/// | `request` | when it returns: sent if the reply came |
/// | `send_in_transaction` | when the half message is stored or not; earlier refusals, and the transaction's end, are not counted |
///
/// With `auto_batch` each message is a separate call, as without. Not counted are the records of
/// message trace (but for those that are lost), heartbeats, and the requests of [`Admin`](crate::Admin).
///
/// Bytes are those of bodies as they were given, before compression.
///
/// No number decreases, except those in flight. A snapshot is taken during sends: its numbers can
/// be some sends apart, but never show more ends than beginnings.
///
/// `Display` is made for a log or a status page: one line for the producer, one for each broker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerStats {
    /// The producer's group.
    pub group: String,
    /// Messages of calls that were made.
    pub begun: u64,
    /// Messages of calls that ended with `Ok`.
    pub sent: u64,
    /// The bytes of their bodies.
    pub sent_bytes: u64,
    /// Messages of calls that ended with `Err`.
    pub failed: u64,
    /// The same by the kind of the error; only kinds that occurred.
    pub failed_by_kind: Vec<(ErrorKind, u64)>,
    /// The number of failed ones that [may be stored](crate::SendFate::MaybeStored).
    pub maybe_stored: u64,
    /// Attempts beyond the first of their call. (A batch is one attempt.)
    pub retries: u64,
    /// Messages of calls that have not ended, synchronous ones too, which
    /// [`ClientState::in_flight`](crate::client::ClientState::in_flight) does not count.
    pub in_flight: u64,
    /// The bytes of their bodies.
    pub in_flight_bytes: u64,
    /// Records of [message trace](crate::producer::ProducerBuilder::trace) that were lost.
    pub trace_lost: u64,
    /// The brokers of attempts, by name. The first 64 have separate rows, even when they have left
    /// all routes; all others share the row `(others)`. A row takes 3 KiB.
    pub brokers: Vec<BrokerStats>,
}

/// The attempts of a producer at one broker: a row of [`ProducerStats`].
///
/// An attempt is one request, whatever the number of its messages, and it is counted when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerStats {
    /// The broker's name.
    pub broker: Arc<str>,
    /// Attempts that have ended: answered, failed without an answer, or (oneway) accepted.
    pub attempts: u64,
    /// The number of attempts without a receipt: refused, timed out, not connected.
    pub failures: u64,
    /// The latencies of answers, refusals included: from the start of the attempt, when its queue
    /// is chosen (so dialling counts), until the answer was read.
    pub latency: Latency,
}

impl ProducerStats {
    /// The counts so far.
    pub(crate) fn of(counters: &Counters, group: &str) -> ProducerStats {
        // The counter that is incremented last is read first.
        let maybe_stored = read(&counters.failed.0.maybe_stored);
        let kinds = ErrorKind::ALL.iter().zip(&counters.failed.0.by_kind);
        let failed: Vec<(ErrorKind, u64)> = kinds
            .map(|(kind, n)| (*kind, read(n)))
            .filter(|(_, n)| *n > 0)
            .collect();
        let failed_bytes = read(&counters.failed.0.bytes);
        let (sent, sent_bytes) = (
            read(&counters.sent.0.messages),
            read(&counters.sent.0.bytes),
        );
        let (begun, begun_bytes) = (
            read(&counters.begun.0.messages),
            read(&counters.begun.0.bytes),
        );
        let all_failed = failed.iter().map(|(_, n)| n).sum::<u64>();
        let brokers = counters.brokers.iter().chain([&counters.others]);
        let mut brokers: Vec<_> = brokers
            .filter_map(|broker| Some(BrokerStats::of(broker.get()?)))
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
            retries: read(&counters.failed.0.retries),
            in_flight: begun.saturating_sub(sent + all_failed),
            in_flight_bytes: begun_bytes.saturating_sub(sent_bytes + failed_bytes),
            // The engine knows no trace of its own sends.
            trace_lost: 0,
            brokers,
        }
    }

    /// The counts between an earlier snapshot of the same producer and this one. Numbers in flight
    /// are the current ones.
    ///
    /// ```no_run
    /// # fn main() -> rocketmq_blocking::Result<()> {
    /// # use rocketmq_blocking::Producer;
    /// # use std::time::Duration;
    /// # let producer = Producer::builder("g").name_server("127.0.0.1:9876").start()?;
    /// let mut before = producer.stats();
    /// loop {
    ///     std::thread::sleep(Duration::from_secs(10));
    ///     let now = producer.stats();
    ///     println!("{} messages a second\n{now}", now.since(&before).sent / 10);
    ///     before = now;
    /// }
    /// # }
    /// ```
    pub fn since(&self, earlier: &ProducerStats) -> ProducerStats {
        let kinds = self.failed_by_kind.iter();
        let kinds = kinds.map(|(kind, n)| (*kind, n.saturating_sub(earlier.failed_with(*kind))));
        let brokers = self.brokers.iter().map(|broker| {
            let known = earlier.brokers.iter().find(|b| b.broker == broker.broker);
            known.map_or_else(|| broker.clone(), |known| broker.since(known))
        });
        ProducerStats {
            group: self.group.clone(),
            begun: self.begun.saturating_sub(earlier.begun),
            sent: self.sent.saturating_sub(earlier.sent),
            sent_bytes: self.sent_bytes.saturating_sub(earlier.sent_bytes),
            failed: self.failed.saturating_sub(earlier.failed),
            failed_by_kind: kinds.filter(|(_, n)| *n > 0).collect(),
            maybe_stored: self.maybe_stored.saturating_sub(earlier.maybe_stored),
            retries: self.retries.saturating_sub(earlier.retries),
            in_flight: self.in_flight,
            in_flight_bytes: self.in_flight_bytes,
            trace_lost: self.trace_lost.saturating_sub(earlier.trace_lost),
            brokers: brokers.collect(),
        }
    }

    /// Messages of calls that failed with this kind of error.
    pub fn failed_with(&self, kind: ErrorKind) -> u64 {
        let found = self.failed_by_kind.iter().find(|(k, _)| *k == kind);
        found.map_or(0, |(_, n)| *n)
    }
}

impl BrokerStats {
    fn of(broker: &Broker) -> BrokerStats {
        let (refused, unanswered) = (read(&broker.refused), read(&broker.unanswered));
        let latency = Latency::of(&broker.latency);
        BrokerStats {
            broker: broker.name.clone(),
            attempts: latency.count() + unanswered + read(&broker.accepted),
            failures: refused + unanswered,
            latency,
        }
    }

    fn since(&self, earlier: &BrokerStats) -> BrokerStats {
        BrokerStats {
            broker: self.broker.clone(),
            attempts: self.attempts.saturating_sub(earlier.attempts),
            failures: self.failures.saturating_sub(earlier.failures),
            latency: self.latency.since(&earlier.latency),
        }
    }
}

impl fmt::Display for ProducerStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "producer {}: {} sent ({} bytes), {} failed",
            self.group, self.sent, self.sent_bytes, self.failed
        )?;
        if self.failed > 0 {
            f.write_str(" (")?;
            for (kind, n) in &self.failed_by_kind {
                write!(f, "{kind} {n}, ")?;
            }
            write!(f, "may be stored {})", self.maybe_stored)?;
        }
        write!(
            f,
            ", {} retries, {} in flight ({} bytes)",
            self.retries, self.in_flight, self.in_flight_bytes
        )?;
        if self.trace_lost > 0 {
            write!(f, ", {} trace records lost", self.trace_lost)?;
        }
        for broker in &self.brokers {
            write!(f, "\n  {broker}")?;
        }
        Ok(())
    }
}

impl fmt::Display for BrokerStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BrokerStats {
            broker,
            attempts,
            failures,
            latency,
        } = self;
        let broker = Printable(broker);
        write!(
            f,
            "{broker}: {attempts} attempts, {failures} failed, {latency}"
        )
    }
}
