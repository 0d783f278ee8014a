//! What a simple consumer reports about itself.

use std::time::Instant;

use super::shared::SimpleShared;
use crate::consumer::observe::{ConsumerState, Doing, QueueState, numbers};
use crate::consumer::pop::Source;
use crate::message::MessageQueue;

numbers! {
    /// The counts of a [`SimpleConsumer`](super::SimpleConsumer) since its start. Its `Display` is one line for
    /// a log.
    ///
    /// Every received message has one end: `received` is the sum of `acked`, `given_back`, `dead_lettered`,
    /// `expired`, `dropped` and `open`, in every snapshot.
    pub struct SimpleConsumerStats;
    counted {
        /// Messages that calls of [`receive`](super::SimpleConsumer::receive) returned.
        received,
        /// The bytes of their bodies.
        received_bytes,
        /// Messages whose ack the broker confirmed.
        acked,
        /// Messages that were given back by [`retry_after`](super::ReceivedMessage::retry_after), which the
        /// broker confirmed.
        given_back,
        /// Messages that went to the dead letter topic by
        /// [`dead_letter`](super::ReceivedMessage::dead_letter), which the broker confirmed.
        dead_lettered,
        /// Messages whose invisible time was over when they were to be settled: they come again.
        expired,
        /// Messages that were dropped before they were settled: they come again.
        dropped,
        /// Confirmed extensions of an invisible time.
        extended,
        /// Acks and other requests to settle a message that stayed [`Unknown`](super::super::AckStatus::Unknown).
        /// The message counts by its end: another ack, or its drop.
        unknown,
        /// The same, refused by brokers.
        refused,
        /// Calls of [`receive`](super::SimpleConsumer::receive).
        receives,
        /// Those that returned an error, apart from the end of the consumer.
        receive_failures,
        /// Messages that came after their invisible time, and were not returned: they come again.
        came_late,
        /// Messages that went to the dead letter topic instead of being returned, after
        /// [`max_attempts`](super::SimpleConsumerBuilder::max_attempts) deliveries.
        exhausted,
        /// Messages whose tag did not match, and which were acked unseen.
        filtered,
        /// Messages that could not be read: they come again.
        corrupt,
        /// Records of [message trace](super::SimpleConsumerBuilder::trace) that were lost.
        trace_lost,
    }
    now {
        /// Messages that the program has now: received, and neither settled nor dropped.
        open,
        /// The bytes of their bodies.
        open_bytes,
    }
}

pub(super) fn stats(shared: &SimpleShared) -> SimpleConsumerStats {
    let (tally, calls) = (shared.held.tally(), &shared.calls);
    let counted = shared.pop.counters.read();
    SimpleConsumerStats {
        received: tally.received,
        received_bytes: tally.bytes,
        acked: tally.acked,
        given_back: tally.given_back,
        dead_lettered: tally.dead_lettered,
        expired: tally.expired,
        dropped: tally.dropped,
        extended: calls.extended.get(),
        unknown: calls.unknown.get(),
        refused: calls.refused.get(),
        receives: counted.pulls,
        receive_failures: counted.pull_failures,
        came_late: counted.expired,
        exhausted: counted.dead_lettered,
        filtered: counted.filtered,
        corrupt: counted.corrupt,
        trace_lost: counted.trace_lost,
        open: tally.open,
        open_bytes: tally.open_bytes,
    }
}

/// The state of each topic on each broker; empty once the consumer is shut down.
pub(super) fn describe(shared: &SimpleShared, now: Instant) -> ConsumerState {
    if !shared.pop.is_open() {
        return ConsumerState::default();
    }
    let open = shared.held.left();
    let sources = shared.known().sources.into_iter();
    let states = sources.map(|source| state_of(shared, source, &open, now));
    let mut queues: Vec<QueueState> = states.collect();
    queues.sort_by(|a, b| a.queue.cmp(&b.queue));
    ConsumerState {
        group: shared.config.group.to_string(),
        client_id: shared.pop.core.identity.client_id().to_owned(),
        members: None,
        held_bytes: shared.held.tally().open_bytes,
        queues,
    }
}

fn state_of(
    shared: &SimpleShared,
    source: Source,
    open: &[(MessageQueue, u64)],
    now: Instant,
) -> QueueState {
    let look = shared.pop.look(&source, now);
    let topic = shared.pop.topics.names().for_users(&source.topic);
    let queue = MessageQueue::new(topic, source.broker, source.queue);
    let is_of = |of: &&(MessageQueue, u64)| {
        of.0.topic() == queue.topic() && of.0.broker() == queue.broker()
    };
    let open = open.iter().filter(is_of).count();
    let doing = match shared.receiving.look() {
        (true, since) => (Doing::Fetching, since),
        (false, since) => (Doing::Idle, since),
    };
    look.state(queue, doing, 0, open, now)
}
