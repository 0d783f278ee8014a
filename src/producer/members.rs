//! Who waits for a batch of messages that were gathered from many places, and what each of them hears.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::asynchronous::{Listener, Who};
use super::core::Core;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Extras, Said, SendReceipt};
use crate::transport::{Job, Permit};

/// Who waits for a batch, in the order of its messages. Those who are dropped are answered too.
pub(super) struct Members {
    pub(super) core: Arc<Core>,
    pub(super) list: Vec<Member>,
}

pub(super) struct Member {
    pub(super) unique_key: String,
    pub(super) listener: Listener,
    pub(super) permit: Permit,
    pub(super) held: Held,
}

/// Bytes out of `max_total_bytes`; dropping it gives them back.
pub(super) struct Held(pub(super) Arc<AtomicUsize>, pub(super) usize);

impl Members {
    /// Gives each its own part of the batch's receipt, or the one error.
    pub(super) fn answer(mut self, result: Result<SendReceipt>) {
        self.tell(result);
    }

    fn tell(&mut self, result: Result<SendReceipt>) {
        let members = std::mem::take(&mut self.list);
        let count = members.len();
        // Cut once: a broker chooses how long it is.
        let offset_ids: Vec<&str> = match &result {
            Ok(receipt) => receipt.offset_message_ids().take(count + 1).collect(),
            Err(_) => Vec::new(),
        };
        let mut callbacks: Vec<Box<dyn Job>> = Vec::new();
        for (i, member) in members.into_iter().enumerate() {
            let Member {
                unique_key,
                listener,
                permit,
                held,
            } = member;
            let part = match &result {
                Ok(receipt) => Ok(part(receipt, &offset_ids, unique_key, i, count)),
                Err(error) => Err(error.clone().with_unique_key(&unique_key)),
            };
            self.core.counters.end(listener.size, &part);
            match listener.who {
                Who::Handle(promise) => {
                    drop((permit, held));
                    promise.keep(part);
                }
                Who::Callback(callback) => callbacks.push(Box::new(move || {
                    // Given back before the callback starts, so that a callback may send.
                    drop((permit, held));
                    callback(part);
                })),
                // Groups have no groups in them, and no requests: those are not gathered.
                Who::Batch(_) | Who::Asked(_) => {}
            }
        }
        let workers = &self.core.client.inner().workers;
        workers.callbacks.submit_all(&mut callbacks);
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        if !self.list.is_empty() {
            let text = "the producer was shut down during the send";
            self.tell(Err(Error::new(ErrorKind::Closed, text)));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// The receipt of one message of a batch. Where brokers store a batch as one (`BatchCQ` topics) it
/// has one offset id, which is then everybody's.
fn part(
    receipt: &SendReceipt,
    offset_ids: &[&str],
    unique_key: String,
    index: usize,
    count: usize,
) -> SendReceipt {
    SendReceipt {
        message_id: unique_key.into(),
        offset_message_id: match offset_ids.get(index) {
            Some(id) if offset_ids.len() == count => (*id).into(),
            _ => receipt.offset_message_id.clone(),
        },
        queue_offset: receipt
            .queue_offset
            .saturating_add(i64::try_from(index).unwrap_or(0)),
        extras: match count {
            1 => receipt.extras.clone(),
            // The batch's own transaction id is nobody's.
            _ => Extras::new(
                Said {
                    transaction_id: None,
                    region: receipt.region(),
                    recall_handle: receipt.recall_handle(),
                },
                "",
            ),
        },
        ..receipt.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{MessageQueue, SendStatus};

    #[test]
    fn each_message_gets_its_own_part_of_the_receipt() {
        let extras = |transaction_id: Option<&str>| {
            let said = Said {
                transaction_id,
                region: None,
                recall_handle: None,
            };
            Extras::new(said, "")
        };
        let receipt = |ids: &str| SendReceipt {
            status: SendStatus::SlaveNotAvailable,
            message_id: "K0,K1".into(),
            offset_message_id: ids.into(),
            queue: MessageQueue::new("T", "broker-a", 3),
            queue_offset: 7,
            trace_on: true,
            extras: extras(Some("of the batch")),
            attempts: 2,
        };
        let own = part(&receipt("A,B"), &["A", "B"], "K1".into(), 1, 2);
        let expected = SendReceipt {
            message_id: "K1".into(),
            offset_message_id: "B".into(),
            queue_offset: 8,
            extras: extras(None),
            ..receipt("")
        };
        assert_eq!(own, expected);
        let inner = part(&receipt("A"), &["A"], "K1".into(), 1, 2);
        assert_eq!((inner.message_id(), inner.offset_message_id()), ("K1", "A"));
        let alone = part(&receipt("A"), &["A"], "K0".into(), 0, 1);
        assert_eq!(alone.transaction_id(), Some("of the batch"));
        let absurd = SendReceipt {
            queue_offset: i64::MAX,
            ..receipt("A,B")
        };
        let second = part(&absurd, &["A", "B"], "K1".into(), 1, 2);
        assert_eq!(second.queue_offset(), i64::MAX);
    }
}
