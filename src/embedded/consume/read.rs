//! The messages of a queue from an offset on that match a filter.

use super::filter::Filter;
use crate::embedded::broker::{BrokerState, Parts};
use crate::embedded::store::{QueueRef, StoredMessage};
use crate::protocol::consumer::pull::PullStatus;

/// The most messages that brokers return at once from memory.
pub(super) const MOST_MESSAGES: usize = 32;
const MOST_BYTES: usize = 256 << 10;
/// The most messages that brokers scan for one pull (`maxFilterMessageSize`).
const MOST_LOOKED_AT: usize = 800;

/// The answer of a queue.
pub(super) struct Read {
    pub(super) status: PullStatus,
    /// The status of the store, which is the answer's remark.
    pub(super) name: &'static str,
    /// The offset of the next pull.
    pub(super) next: i64,
    pub(super) min: i64,
    pub(super) max: i64,
    /// What to add to the offsets in the messages, if they are not those of the queue.
    pub(super) delta: Option<i64>,
    pub(super) messages: Vec<StoredMessage>,
}

/// The same for a queue that may have several parts: one part is read at a time.
pub(super) fn read_parts(
    broker: &BrokerState,
    parts: &Parts<'_>,
    offset: i64,
    most: usize,
    filter: &Filter,
) -> Read {
    let (part, behind) = parts.at(offset);
    let queue = parts.queue(part);
    let (_, end) = broker.store.bounds(queue);
    let read = read(broker, queue, offset - part.first, most, filter);
    let (min, max) = parts.bounds();
    let delta = (part.first != 0).then_some(part.first);
    match behind.filter(|_| offset >= part.first + end) {
        Some(behind) => Read {
            status: PullStatus::NoMatchedMessage,
            next: behind.first,
            min,
            max,
            delta,
            ..read
        },
        None => Read {
            next: part.first + read.next,
            min,
            max,
            delta,
            ..read
        },
    }
}

/// Reads at most `most` messages, and at least one if one matches.
pub(super) fn read(
    broker: &BrokerState,
    queue: QueueRef<'_>,
    offset: i64,
    most: usize,
    filter: &Filter,
) -> Read {
    use PullStatus::{NoNewMessage, OffsetMoved};
    let (min, max) = broker.store.bounds(queue);
    let outside = |status, name, next| Read {
        status,
        name,
        next,
        min,
        max,
        delta: None,
        messages: Vec::new(),
    };
    if max == 0 {
        let status = if offset == 0 {
            NoNewMessage
        } else {
            OffsetMoved
        };
        return outside(status, "NO_MESSAGE_IN_QUEUE", 0);
    }
    if offset < min {
        return outside(OffsetMoved, "OFFSET_TOO_SMALL", min);
    }
    if offset == max {
        return outside(NoNewMessage, "OFFSET_OVERFLOW_ONE", offset);
    }
    if offset > max {
        return outside(OffsetMoved, "OFFSET_OVERFLOW_BADLY", max);
    }
    let (messages, next) = found(broker, queue, offset, most.clamp(1, MOST_MESSAGES), filter);
    let (status, name) = match messages.is_empty() {
        true => (PullStatus::NoMatchedMessage, "NO_MATCHED_MESSAGE"),
        false => (PullStatus::Found, "FOUND"),
    };
    Read {
        status,
        name,
        next,
        min,
        max,
        delta: None,
        messages,
    }
}

/// The messages that match, and the offset behind the last one scanned.
fn found(
    broker: &BrokerState,
    queue: QueueRef<'_>,
    offset: i64,
    most: usize,
    filter: &Filter,
) -> (Vec<StoredMessage>, i64) {
    let (count, bytes) = match filter.is_all() {
        true => (most, MOST_BYTES),
        false => (MOST_LOOKED_AT, usize::MAX),
    };
    let mut messages = Vec::new();
    let mut next = offset;
    let mut taken = 0;
    for message in broker.store.read(queue, offset, count, bytes) {
        let len = message.encoded().len();
        let full = messages.len() == most || taken + len > MOST_BYTES;
        if full && !messages.is_empty() {
            break;
        }
        next = message.queue_offset() + 1;
        if filter.matches(&message) {
            taken += len;
            messages.push(message);
        }
    }
    (messages, next)
}

/// Whether any message from an offset on matches, and the offset behind those that do not.
pub(super) fn any(
    broker: &BrokerState,
    queue: QueueRef<'_>,
    mut offset: i64,
    filter: &Filter,
) -> (bool, i64) {
    loop {
        let some = broker.store.read(queue, offset, MOST_LOOKED_AT, usize::MAX);
        let Some(last) = some.last() else {
            // The store may not keep its messages: the pull must be answered then too.
            let (_, end) = broker.store.bounds(queue);
            return (offset < end, offset);
        };
        if some.iter().any(|message| filter.matches(message)) {
            return (true, offset);
        }
        offset = last.queue_offset() + 1;
    }
}

/// The body of an answer: the messages back to back.
pub(super) fn body(messages: &[StoredMessage]) -> Vec<u8> {
    let encoded: Vec<&[u8]> = messages.iter().map(StoredMessage::encoded).collect();
    encoded.concat()
}
