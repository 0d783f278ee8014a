//! Reads the messages of a pop's answer: their handles, their own topic, the filter, expiry and dead letters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sources::Source;
use crate::consumer::LOG;
use crate::consumer::pop::settle::{AckStatus, Delivery, Popped, ack_all, dead_letter};
use crate::consumer::pop::shared::PopShared;
use crate::logging;
use crate::message::{MessageQueue, MessageView, name};
use crate::protocol::ProtocolError;
use crate::protocol::consumer::pop::{self, Handled, PopAnswer};
use crate::protocol::message::{Messages, Packed};
use crate::transport::Deadline;

/// What a body may inflate to.
const MOST_INFLATED: usize = 64 << 20;

/// How long it may take to settle messages that are not handed out.
const SETTLE_WITHIN: Duration = Duration::from_secs(3);

/// A message that was handed out.
pub(in crate::consumer) struct Received {
    pub(in crate::consumer) message: MessageView,
    pub(in crate::consumer) delivery: Delivery,
}

/// How long messages are hidden, and since when at the latest.
pub(super) struct Arrived {
    pub(super) invisible: Duration,
    pub(super) from: Instant,
}

/// The messages to hand out. One that cannot be read comes again.
///
/// # Errors
/// The answer contradicts itself.
pub(super) fn unpack(
    shared: &Arc<PopShared>,
    source: &Source,
    body: Vec<u8>,
    fields: &PopAnswer,
    arrived: &Arrived,
) -> Result<Vec<Received>, ProtocolError> {
    let mut all: Vec<Packed> = Vec::new();
    for message in Messages::new(body) {
        match message {
            Ok(packed) => all.push(packed),
            Err(error) => unreadable(shared, source, &error),
        }
    }
    let popped: Vec<pop::Popped<'_>> = all
        .iter()
        .map(|packed| pop::Popped {
            topic: packed.topic(),
            queue_id: packed.queue_id(),
            queue_offset: packed.queue_offset(),
            handle: packed.property(name::POP_CK),
        })
        .collect();
    let handles = fields.handles(&source.broker, &popped)?;
    let (mut unwanted, mut messages) = (Vec::new(), Vec::new());
    for (packed, handled) in all.into_iter().zip(handles) {
        let readable = handled.map_err(|error| error.to_string()).and_then(|h| {
            let message = packed.unpack(MOST_INFLATED);
            Ok((h, message.map_err(|error| error.to_string())?))
        });
        let (handled, message) = match readable {
            Ok(both) => both,
            Err(error) => {
                unreadable(shared, source, &error);
                continue;
            }
        };
        let popped = Popped::new(handled.handle.clone(), arrived.invisible, arrived.from);
        let delivery = Delivery::new(&source.topic, popped, &message);
        let topic = shared.topics.get(&source.topic);
        let message = shown(shared, source, message, &handled);
        if topic.is_some_and(|topic| !topic.filter.matches(message.tag())) {
            unwanted.push(delivery);
        } else if is_dead(shared, &message) {
            bury(shared, &delivery, &message);
        } else if delivery.is_expired(Instant::now()) {
            shared.counters.expired.add(1);
            logging::debug!(
                target: LOG,
                "{}: a message came too late to be handed out",
                source.broker
            );
        } else {
            messages.push(Received { message, delivery });
        }
    }
    if !unwanted.is_empty() {
        let unwanted: Vec<&Delivery> = unwanted.iter().collect();
        shared.counters.filtered.add(unwanted.len() as u64);
        // What fails comes again, and is not wanted again.
        drop(ack_all(shared, &unwanted, soon()));
    }
    Ok(messages)
}

/// The message as users get it.
fn shown(
    shared: &PopShared,
    source: &Source,
    message: MessageView,
    handled: &Handled,
) -> MessageView {
    let topic = shared.topics.names().for_users(&source.topic);
    let message = match *topic == *message.topic() {
        true => message,
        false => message.with_topic(topic.clone()),
    };
    let message = match handled.deliveries {
        Some(times) => message.with_reconsume_times(times),
        None => message,
    };
    let queue = MessageQueue::new(topic, source.broker.clone(), handled.handle.queue_id);
    let message = message.of_queue(&queue);
    match message.reconsume_times() > 0 {
        true => message.maybe_repeated(),
        false => message,
    }
}

/// Whether it was delivered as often as it may be.
fn is_dead(shared: &PopShared, message: &MessageView) -> bool {
    let times = u32::try_from(message.reconsume_times()).unwrap_or(0);
    let most = shared.settings.max_attempts;
    most.is_some_and(|most| times >= most)
}

/// Puts it into the dead letter topic. If that fails, it comes again.
fn bury(shared: &PopShared, delivery: &Delivery, message: &MessageView) {
    let id = message.message_id();
    match dead_letter(shared, delivery, soon()) {
        Ok(AckStatus::Confirmed) => {
            shared.counters.dead_lettered.add(1);
            logging::info!(target: LOG, "{id} is a dead letter");
        }
        // Its copy may be stored all the same.
        Ok(_) => {
            logging::info!(target: LOG, "{id} may come again, although it is to be a dead letter")
        }
        Err(error) => logging::warn!(target: LOG, "{id} cannot become a dead letter: {error}"),
    }
}

fn soon() -> Deadline {
    Deadline::after(Instant::now(), SETTLE_WITHIN)
}

fn unreadable(shared: &PopShared, source: &Source, error: &dyn std::fmt::Display) {
    shared.counters.corrupt.add(1);
    let (topic, broker) = (&source.topic, &source.broker);
    logging::warn!(target: LOG, "{topic} on {broker}: a message cannot be read: {error}");
}
