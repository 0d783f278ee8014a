//! Where queues end, asked of their brokers all at once, by a thread that may wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::observe::{Lag, QueueLag};
use super::queue::{Assigned, Payload};
use super::shared::Shared;
use crate::client::ClientCore;
use crate::message::MessageQueue;
use crate::protocol::admin::{OffsetAnswer, QueueQuery};
use crate::protocol::code::{request, response};
use crate::sync::channel::{self, Sender};
use crate::transport::{Completion, Deadline, Dial, Next, Outcome, Request, To, Via, epoch_millis};

/// Where each of these queues (on the wire) ends; `None` if its master did not say so in time.
pub(crate) fn ends(
    core: &ClientCore,
    queues: &[MessageQueue],
    deadline: Deadline,
) -> Vec<Option<u64>> {
    let mut ends = vec![None; queues.len()];
    let (sender, answers) = channel::bounded(queues.len());
    let brokers = core.routes.brokers();
    let mut open = 0;
    for (nth, queue) in queues.iter().enumerate() {
        let Some(broker) = brokers.master(queue.broker()) else {
            continue;
        };
        let header = QueueQuery {
            topic: queue.topic().to_owned(),
            queue_id: queue.id(),
            broker_name: Some(queue.broker().to_owned()),
            timestamp: None,
        };
        let request = Request::new(request::GET_MAX_OFFSET, &header);
        let to_caller = Box::new(ToCaller {
            nth,
            sender: sender.clone(),
        });
        let (to, via) = (To::Address(broker), Via::WriterThread);
        let remoting = &core.remoting;
        remoting.invoke_async(to, &request, deadline, via, Dial::Park, to_caller);
        open += 1;
    }
    for _ in 0..open {
        // Each request is answered by its deadline; the margin is for the thread that does it.
        let until = deadline.instant() + Duration::from_secs(1);
        let Ok((nth, end)) = answers.recv_deadline(until) else {
            break;
        };
        ends[nth] = end;
    }
    ends
}

struct ToCaller {
    nth: usize,
    sender: Sender<(usize, Option<u64>)>,
}

impl Completion for ToCaller {
    fn complete(self: Box<Self>, outcome: Outcome, _: Instant) -> Next {
        // The channel has capacity for all answers.
        let _ = self.sender.try_send((self.nth, read(outcome)));
        Next::Done
    }
}

fn read(outcome: Outcome) -> Option<u64> {
    let answer = outcome.ok()?;
    if answer.code != response::SUCCESS {
        return None;
    }
    let answer = OffsetAnswer::decode(&answer.ext).ok()?;
    answer.offset.try_into().ok()
}

/// How far a consumer is behind.
pub(crate) fn lag(shared: &Shared, core: &ClientCore, deadline: Deadline) -> Lag {
    let ours = shared.assignment.all();
    // Before the ends are asked for: no queue is behind by less than nothing.
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
    Lag {
        queues: queues.collect(),
    }
}

/// How far one queue is.
struct Place {
    low_water: Option<u64>,
    /// The age of the message there.
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
