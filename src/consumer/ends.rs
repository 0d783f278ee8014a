//! Asks brokers for the ends of queues, all at once, on a thread that may wait.

use std::sync::Arc;
use std::time::Duration;

use super::observe::{Lag, QueueLag};
use super::pop::LagQuestions;
use super::popping::Popping;
use super::queue::{Assigned, Payload};
use super::shared::Shared;
use crate::client::{ClientCore, Gathering};
use crate::message::MessageQueue;
use crate::protocol::Command;
use crate::protocol::admin::{OffsetAnswer, QueueQuery};
use crate::protocol::code::{request, response};
use crate::transport::{Deadline, Request, epoch_millis};

/// The end of each of these queues (on the wire); `None` if its master did not answer in time.
pub(crate) fn ends(
    core: &ClientCore,
    queues: &[MessageQueue],
    deadline: Deadline,
) -> Vec<Option<u64>> {
    let brokers = core.routes.brokers();
    let mut gathering = Gathering::new(core, deadline);
    let asked = queues.iter().map(|queue| {
        let broker = brokers.master_of(queue)?;
        let header = QueueQuery {
            topic: queue.topic().to_owned(),
            queue_id: queue.id(),
            broker_name: Some(queue.broker().to_owned()),
            timestamp: None,
        };
        Some(gathering.ask(broker, &Request::new(request::GET_MAX_OFFSET, &header)))
    });
    let places: Vec<Option<usize>> = asked.collect();
    let answers = gathering.answers();
    let ends = places.into_iter();
    ends.map(|place| answers[place?].as_ref().and_then(read))
        .collect()
}

fn read(answer: &Command) -> Option<u64> {
    if answer.code != response::SUCCESS {
        return None;
    }
    let answer = OffsetAnswer::decode(&answer.ext).ok()?;
    answer.offset.try_into().ok()
}

/// How far a consumer is behind, in what it pulls and in what it pops.
pub(crate) fn lag(
    shared: &Shared,
    popping: Option<&Popping>,
    core: &ClientCore,
    deadline: Deadline,
) -> Lag {
    let popped = popping.map(|popping| popping.ask_lag(deadline));
    let ours = shared.assignment.all();
    // Read before the ends are asked for, so that no lag is negative.
    let places: Vec<_> = ours.iter().map(place).collect();
    let on_wire: Vec<_> = ours.iter().map(|queue| queue.queue.clone()).collect();
    let ends = ends(core, &on_wire, deadline);
    let queues = ours.iter().zip(places).zip(ends);
    let queues = queues.map(|((queue, place), end)| {
        let messages = place.low_water.zip(end);
        let messages = messages.map(|(low_water, end)| end.saturating_sub(low_water));
        QueueLag {
            queue: queue.shown.clone(),
            messages,
            oldest: match messages {
                Some(0) => Some(Duration::ZERO),
                _ => place.oldest,
            },
        }
    });
    let popped = popped.map_or_else(Vec::new, LagQuestions::answers);
    let mut queues: Vec<QueueLag> = queues.chain(popped).collect();
    queues.sort_by(|a, b| a.queue.cmp(&b.queue));
    Lag { queues }
}

/// The progress of one queue.
struct Place {
    low_water: Option<u64>,
    /// The age of the message at the low-water.
    oldest: Option<Duration>,
}

fn place(queue: &Arc<Assigned>) -> Place {
    let contents = queue.lock();
    let window = &contents.window;
    let stored = window.first().map(|payload| match payload {
        Payload::Packed(packed) => packed.store_timestamp(),
        Payload::Unpacked(message) => message.store_timestamp(),
    });
    Place {
        low_water: contents.has_place.then(|| window.low_water()),
        oldest: stored.map(|stored| {
            let age = epoch_millis().saturating_sub(stored);
            Duration::from_millis(age.try_into().unwrap_or(0))
        }),
    }
}
