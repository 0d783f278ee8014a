//! Makes fetched messages ready for user code: checked, inflated, with their original topic.

use std::sync::Arc;

use crate::consumer::control::{Event, Unread};
use crate::consumer::queue::{Assigned, Handed, Payload, Ticket};
use crate::consumer::shared::Shared;
use crate::consumer::topics::Topics;
use crate::message::{MessageView, name};
use crate::protocol::message::Unreadable;

/// The largest inflated body, in bytes.
const MOST_INFLATED: usize = 64 << 20;

/// The messages that match the filter and can be read. The others are settled here: a message that does
/// not match is final, and the control thread gets the ones that cannot be read.
pub(crate) fn unpack(
    shared: &Shared,
    queue: &Arc<Assigned>,
    handed: Vec<Handed<Payload>>,
) -> Vec<(Ticket, MessageView)> {
    let mut messages = Vec::with_capacity(handed.len());
    let may_repeat_below = queue.lock().may_repeat_below;
    for handed in handed {
        let payload = handed.payload.clone();
        let place = (handed.offset, handed.failures);
        match unpack_one(shared, queue, handed.payload, place, may_repeat_below) {
            Ok(Some(message)) => messages.push((handed.ticket, message)),
            Ok(None) => {
                shared.counters.filtered.add(1);
                let _ = queue.finish(handed.ticket);
            }
            Err(error) => unread(shared, queue, handed.ticket, handed.offset, payload, &error),
        }
    }
    messages
}

fn unread(
    shared: &Shared,
    queue: &Arc<Assigned>,
    ticket: Ticket,
    offset: u64,
    payload: Payload,
    error: &Unreadable,
) {
    if queue.settle(&ticket).is_ok() {
        shared.inbox.put(Event::Corrupt(Box::new(Unread {
            queue: queue.clone(),
            ticket,
            offset,
            payload,
            what: error.to_string(),
        })));
    }
}

/// The message as its handler gets it; `None` if its tag does not match, or a local filter leaves it out.
fn unpack_one(
    shared: &Shared,
    queue: &Assigned,
    payload: Payload,
    (offset, failures): (u64, u32),
    may_repeat_below: u64,
) -> Result<Option<MessageView>, Unreadable> {
    let message = match payload {
        Payload::Packed(packed) => packed.unpack(MOST_INFLATED)?,
        Payload::Unpacked(message) => message,
    };
    let topic = shared.topics.get(queue.queue.topic());
    if topic.is_some_and(|topic| !topic.filter.matches(message.tag())) {
        return Ok(None);
    }
    let is_retry = topic.is_some_and(|topic| topic.is_retry);
    let shown = topic_of(&message, is_retry, &shared.topics);
    let message = match *shown == *message.topic() {
        true => message,
        false => message.with_topic(shown),
    };
    let message = match i32::try_from(failures) {
        Ok(0) | Err(_) => message,
        Ok(more) => {
            let times = message.reconsume_times().saturating_add(more);
            message.with_reconsume_times(times)
        }
    };
    let message = message.of_queue(&queue.shown);
    if !shared.config.hooks.pass(&message) {
        return Ok(None);
    }
    Ok(Some(match offset < may_repeat_below {
        true => message.maybe_repeated(),
        false => message,
    }))
}

/// The topic of a message as its sender named it.
pub(super) fn topic_of(message: &MessageView, is_retry: bool, topics: &Topics) -> Arc<str> {
    let original = message.property(name::RETRY_TOPIC).map(Arc::from);
    let stored = || message.topic().into();
    let on_wire: Arc<str> = original.filter(|_| is_retry).unwrap_or_else(stored);
    topics.names().for_users(&on_wire)
}
