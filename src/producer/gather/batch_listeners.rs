use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, ErrorKind, Result, Wait};
use crate::message::SendReceipt;
use crate::protocol::send::extras;
use crate::send::{Engine, Listener, Recipient, SendListener};
use crate::transport::{Job, Permit};

/// The listeners of a batch's messages, in order. Dropped listeners are answered too.
pub(super) struct BatchListeners {
    engine: Arc<Engine>,
    /// The batch is being sent.
    pub(super) begun: bool,
    pub(super) list: Vec<BatchListener>,
}

/// The listener of one message.
pub(super) struct BatchListener {
    pub(super) unique_key: String,
    pub(super) listener: Listener,
    pub(super) permit: Permit,
    pub(super) lease: Lease,
}

/// Bytes out of `max_total_bytes`; dropping it gives them back.
pub(super) struct Lease {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Lease {
    pub(super) fn take(held: &Arc<AtomicUsize>, bytes: usize, most: usize) -> Option<Lease> {
        let more = |held: usize| Some(held + bytes).filter(|sum| *sum <= most);
        let taken = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Lease {
            held: held.clone(),
            bytes,
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl BatchListeners {
    pub(super) fn new(engine: &Arc<Engine>) -> BatchListeners {
        BatchListeners {
            engine: engine.clone(),
            begun: false,
            list: Vec::new(),
        }
    }

    /// Gives each its own part of the batch's receipt, or the one error.
    pub(super) fn answer(mut self, result: Result<SendReceipt>) {
        self.tell(result);
    }

    fn tell(&mut self, result: Result<SendReceipt>) {
        let listeners = std::mem::take(&mut self.list);
        let count = listeners.len();
        // Cut once: a broker chooses how long it is.
        let offset_ids: Vec<&str> = match &result {
            Ok(receipt) => receipt.offset_message_ids().take(count + 1).collect(),
            Err(_) => Vec::new(),
        };
        let mut callbacks: Vec<Box<dyn Job>> = Vec::new();
        for (i, own) in listeners.into_iter().enumerate() {
            let BatchListener {
                unique_key,
                listener,
                permit,
                lease,
            } = own;
            let part = match &result {
                Ok(receipt) => Ok(part(receipt, &offset_ids, unique_key, i, count)),
                Err(error) => Err(error.clone().with_unique_key(&unique_key)),
            };
            match listener.recipient {
                Recipient::Callback(callback) => {
                    self.engine.counters.end(listener.size, &part);
                    callbacks.push(Box::new(move || {
                        // Given back before the callback starts, so that a callback may send.
                        drop((permit, lease));
                        callback(part);
                    }));
                }
                _ => {
                    drop((permit, lease));
                    listener.end(&self.engine, part);
                }
            }
        }
        let workers = &self.engine.core.workers;
        workers.callbacks.submit_all(&mut callbacks);
    }
}

impl SendListener for BatchListeners {
    fn ended(mut self: Box<Self>, result: Result<SendReceipt>) {
        self.tell(result);
    }
}

impl Drop for BatchListeners {
    fn drop(&mut self) {
        if !self.list.is_empty() {
            let error = match self.engine.check_open() {
                Err(_) => {
                    let text = "the producer was shut down during the send";
                    Error::new(ErrorKind::Closed, text)
                }
                // Only a panic can do this.
                Ok(()) if self.begun => Error::lost(),
                // The thread that was to send it waited until its deadline, and no longer.
                Ok(()) => Error::timeout(Wait::Queue),
            };
            self.tell(Err(error));
        }
    }
}

/// The receipt of one message of a batch. If brokers store a batch as one message (`BatchCQ`
/// topics), it has one offset id, which all messages share.
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
            // The batch's own transaction id belongs to no message.
            _ => extras("", None, receipt.region(), receipt.recall_handle()),
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
        let receipt = |ids: &str| SendReceipt {
            status: SendStatus::SlaveNotAvailable,
            message_id: "K0,K1".into(),
            offset_message_id: ids.into(),
            queue: MessageQueue::new("T", "broker-a", 3),
            queue_offset: 7,
            trace_on: true,
            extras: extras("", Some("of the batch"), None, None),
            attempts: 2,
        };
        let own = part(&receipt("A,B"), &["A", "B"], "K1".into(), 1, 2);
        let expected = SendReceipt {
            message_id: "K1".into(),
            offset_message_id: "B".into(),
            queue_offset: 8,
            extras: extras("", None, None, None),
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
