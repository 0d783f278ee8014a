//! The parts of a queue, as the broker that hosts it serves them.

use super::state::BrokerState;
use crate::embedded::logical::Part;
use crate::embedded::store::{QueueRef, StoredMessage};
use crate::protocol::Command;
use crate::protocol::code::response;

/// A queue of a topic, which this broker hosts. Offsets are logical ones.
pub(in crate::embedded) struct Parts<'a> {
    broker: &'a BrokerState,
    topic: &'a str,
    /// In order, at least one; the last one is on this broker.
    parts: Vec<Part>,
}

impl BrokerState {
    /// The queue that a request is about.
    ///
    /// # Errors
    /// The answer: another broker hosts it.
    pub(in crate::embedded) fn parts<'a>(
        &'a self,
        request: &Command,
        topic: &'a str,
        queue_id: i32,
    ) -> Result<Parts<'a>, Command> {
        let own = || Part {
            broker: self.index,
            queue_id,
            first: 0,
        };
        let parts = self.topics.parts(topic, queue_id);
        let parts = parts.unwrap_or_else(|| vec![own()]);
        match parts.last() {
            Some(host) if host.broker == self.index => Ok(Parts {
                broker: self,
                topic,
                parts,
            }),
            _ => {
                let remark = format!(
                    "{topic}-{queue_id} does not exit in request process of current broker {}",
                    self.name
                );
                let answer = Command::response_to(request, response::NOT_LEADER_FOR_QUEUE);
                Err(answer.with_remark(remark))
            }
        }
    }
}

impl Parts<'_> {
    /// The part on this broker.
    pub(in crate::embedded) fn host(&self) -> Part {
        self.parts[self.parts.len() - 1]
    }

    /// The part that has an offset, or would have it, and the part behind it.
    pub(in crate::embedded) fn at(&self, offset: i64) -> (Part, Option<Part>) {
        let behind = self.parts.partition_point(|part| part.first <= offset);
        let index = behind.saturating_sub(1);
        (self.parts[index], self.parts.get(index + 1).copied())
    }

    /// The queue of a part.
    pub(in crate::embedded) fn queue(&self, part: Part) -> QueueRef<'_> {
        QueueRef {
            broker: part.broker,
            topic: self.topic,
            queue_id: part.queue_id,
        }
    }

    /// The offset of the first message that the queue still has, and the one behind its last.
    pub(in crate::embedded) fn bounds(&self) -> (i64, i64) {
        let bounds = |part: Part| {
            let (start, end) = self.broker.store.bounds(self.queue(part));
            (part.first + start, part.first + end)
        };
        (bounds(self.parts[0]).0, bounds(self.host()).1)
    }

    /// The first message that was stored at this time or later, and its offset.
    pub(in crate::embedded) fn first_since(&self, time: i64) -> Option<(i64, StoredMessage)> {
        self.parts.iter().find_map(|part| {
            let found = self.broker.store.first_since(self.queue(*part), time)?;
            Some((part.first + found.queue_offset(), found))
        })
    }
}
