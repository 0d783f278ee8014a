//! Polls, for the handle of a consumer and for iterators.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::open::Open;
use super::pulled::{PulledMessage, Source};
use crate::client::Admin;
use crate::consumer::consume::{Taken, unpack};
use crate::consumer::control::{Event, closed};
use crate::consumer::ends::ends;
use crate::consumer::queue::Assigned;
use crate::consumer::running::Running;
use crate::error::{Error, ErrorKind, Result};
use crate::message::MessageQueue;
use crate::protocol::trace::Consumed;
use crate::transport::Deadline;

/// How long brokers have to answer with the ends of queues.
const ENDS_WITHIN: Duration = Duration::from_secs(3);

/// How often a waiting poll checks whether messages can come at all.
const LOOK: Duration = Duration::from_secs(1);

/// A running pull consumer.
pub(super) struct Poller {
    pub(super) running: Running,
    pub(super) admin: Admin,
    pub(super) open: Arc<Open>,
}

impl Poller {
    pub(super) fn poll(&self, timeout: Duration) -> Result<Vec<PulledMessage>> {
        let shared = &self.running.shared;
        let until = Deadline::after(Instant::now(), timeout).instant();
        let most = shared.config.poll_batch;
        let mut polled = Vec::new();
        loop {
            let now = Instant::now();
            let wait = match polled.is_empty() {
                true => until.min(now + LOOK),
                false => now,
            };
            match shared.dispatcher.take_until(wait) {
                Taken::Queue(queue) => self.take(&queue, most, &mut polled),
                Taken::Closed if polled.is_empty() => return Err(closed()),
                Taken::Late if polled.is_empty() => match self.blocked() {
                    Some(error) => return Err(error),
                    None if Instant::now() >= until => return Ok(polled),
                    None => {}
                },
                Taken::Late | Taken::Closed => return Ok(polled),
                Taken::Direct(_) => {}
            }
            if polled.len() >= most {
                return Ok(polled);
            }
        }
    }

    fn take(&self, queue: &Arc<Assigned>, most: usize, polled: &mut Vec<PulledMessage>) {
        let shared = &self.running.shared;
        let (handed, more) = queue.take(most - polled.len(), Instant::now());
        if more {
            shared.dispatcher.offer(queue);
        }
        shared.dispatcher.charge(handed.len());
        if handed.is_empty() {
            return;
        }
        let count = handed.len();
        let messages = unpack(shared, queue, handed);
        if let Some(trace) = &shared.trace {
            // As in Java: a poll is the consumption, for which there is no handler.
            let views = messages.iter().map(|(_, message)| message);
            let begun = trace.before(views.clone());
            trace.after(&begun, views.map(|message| (message, Consumed::Success)));
        }
        let polled_by = self.open.add(messages.len());
        let source = Arc::new(Source {
            queue: queue.clone(),
            inbox: shared.inbox.clone(),
            open: self.open.clone(),
        });
        if messages.len() < count && queue.note() {
            shared.inbox.put(Event::Progress(queue.number));
        }
        let messages = messages.into_iter().map(|(ticket, message)| {
            PulledMessage::new(message, ticket, source.clone(), polled_by)
        });
        polled.extend(messages);
    }

    /// Why no message can come without a mark or a seek, if so.
    fn blocked(&self) -> Option<Error> {
        let now = Instant::now();
        let mut queues = self.running.shared.assignment.all().into_iter();
        queues.find_map(|queue| {
            let contents = queue.lock();
            let window = &contents.window;
            let offset = window.is_full().then(|| window.held_back(now)).flatten()?;
            let text = format!(
                "{}: the window is full, and the message at offset {offset} was dropped without done()",
                queue.shown
            );
            Some(Error::new(ErrorKind::Busy, text))
        })
    }

    /// Whether the first assignment and its start offsets are known.
    pub(super) fn is_assigned(&self) -> bool {
        self.running.has_started()
    }

    /// The offset of the next message of a queue; `None` as long as its start offset is not known.
    pub(super) fn position(&self, queue: &MessageQueue) -> Result<Option<u64>> {
        let found = self.running.shared.assignment.get(queue);
        found
            .map(|queue| queue.position())
            .ok_or_else(|| not_assigned(queue))
    }

    /// The queues of this member now.
    pub(super) fn assignment(&self) -> Vec<MessageQueue> {
        self.running.shared.assignment.queues()
    }

    /// The present ends of queues.
    pub(super) fn ends(&self, queues: &[MessageQueue]) -> Result<BTreeMap<MessageQueue, u64>> {
        let running = &self.running;
        let on_wire = queues.iter().map(|q| running.shared.topics.on_wire(q));
        let on_wire: Vec<MessageQueue> = on_wire.collect();
        let deadline = Deadline::after(Instant::now(), ENDS_WITHIN);
        let ends = ends(running.client.inner(), &on_wire, deadline);
        let ends = queues.iter().zip(ends).map(|(queue, end)| match end {
            Some(end) => Ok((queue.clone(), end)),
            None => {
                let text = format!("{queue}: its broker does not answer with its end");
                Err(Error::new(ErrorKind::Timeout, text))
            }
        });
        ends.collect()
    }
}

pub(super) fn not_assigned(queue: &MessageQueue) -> Error {
    let text = format!("{queue} is not assigned to this consumer");
    Error::new(ErrorKind::Invalid, text)
}
