use std::fmt;

use super::MessageQueue;

/// The broker's answer about a stored message.
///
/// A receipt means that the master has the message. [`status`](SendReceipt::status) may still say
/// that a flush or a replica timed out: the compiler therefore warns about an unused receipt. With
/// [`require_store_ok`](crate::producer::ProducerBuilder::require_store_ok), or if the status does
/// not matter, write `let _ = producer.send(&message)?;`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the status says whether the message was flushed and replicated as configured"]
#[non_exhaustive]
#[doc(alias = "SendResult")]
pub struct SendReceipt {
    pub(crate) status: SendStatus,
    pub(crate) message_id: Box<str>,
    pub(crate) offset_message_id: Box<str>,
    pub(crate) queue: MessageQueue,
    pub(crate) queue_offset: i64,
    pub(crate) trace_on: bool,
    pub(crate) extras: Extras,
    pub(crate) attempts: u32,
}

/// Values that nearly all brokers send alike, which then take no memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extras {
    /// No handle; no transaction id or the message's own; no region or the default.
    Usual {
        has_transaction_id: bool,
        has_region: bool,
    },
    Own(Box<OwnExtras>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnExtras {
    pub(crate) transaction_id: Option<Box<str>>,
    pub(crate) region: Option<Box<str>>,
    pub(crate) recall_handle: Option<Box<str>>,
}

pub(crate) const DEFAULT_REGION: &str = "DefaultRegion";

impl SendReceipt {
    /// Whether the message was also flushed and replicated as configured at the broker.
    #[doc(alias = "getSendStatus")]
    pub fn status(&self) -> SendStatus {
        self.status
    }

    /// The id that this client gave the message (its unique key); a batch has one per message,
    /// joined by commas.
    #[doc(alias = "getMsgId")]
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// The ids of a batch's messages, in order; of a single message, its one id.
    pub fn message_ids(&self) -> impl Iterator<Item = &str> {
        self.message_id.split(',')
    }

    /// The id by which the broker finds the message: its address and the commit log offset; those
    /// of a batch are joined by commas.
    #[doc(alias = "getOffsetMsgId")]
    pub fn offset_message_id(&self) -> &str {
        &self.offset_message_id
    }

    /// The same for each message of a batch, in order.
    pub fn offset_message_ids(&self) -> impl Iterator<Item = &str> {
        self.offset_message_id.split(',')
    }

    /// The queue in which the message was stored.
    #[doc(alias = "getMessageQueue")]
    pub fn queue(&self) -> &MessageQueue {
        &self.queue
    }

    /// The message's position in its queue, from 0; of a batch, that of the first message.
    #[doc(alias = "getQueueOffset")]
    pub fn queue_offset(&self) -> i64 {
        self.queue_offset
    }

    /// The transaction id, if the broker sent one. For a transaction use
    /// [`TransactionReceipt::transaction_id`](crate::transaction::TransactionReceipt::transaction_id).
    pub fn transaction_id(&self) -> Option<&str> {
        match &self.extras {
            Extras::Usual {
                has_transaction_id, ..
            } => has_transaction_id.then_some(&*self.message_id),
            Extras::Own(own) => own.transaction_id.as_deref(),
        }
    }

    /// The broker's region (`DefaultRegion` unless configured).
    #[doc(alias = "getRegionId")]
    pub fn region(&self) -> Option<&str> {
        match &self.extras {
            Extras::Usual { has_region, .. } => has_region.then_some(DEFAULT_REGION),
            Extras::Own(own) => own.region.as_deref(),
        }
    }

    /// Whether the broker wants this message traced.
    #[doc(alias = "isTraceOn")]
    pub fn trace_on(&self) -> bool {
        self.trace_on
    }

    /// The handle for [`Producer::recall`](crate::Producer::recall) of a timer message
    /// ([`deliver_after`](crate::Message::deliver_after),
    /// [`deliver_at`](crate::Message::deliver_at)); `None` for others, and from brokers before
    /// 5.3.2. A handle does not mean that the broker allows recalling: if it does not, the recall
    /// fails with code 16.
    #[doc(alias = "getRecallHandle")]
    pub fn recall_handle(&self) -> Option<&str> {
        match &self.extras {
            Extras::Usual { .. } => None,
            Extras::Own(own) => own.recall_handle.as_deref(),
        }
    }

    /// The number of attempts that the send made, the one that stored the message included.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl fmt::Display for SendReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids = self.message_ids();
        write!(f, "{} msg_id={}", self.status, ids.next().unwrap_or(""))?;
        // A batch may have thousands.
        match ids.count() {
            0 => {}
            more => write!(f, " and {more} more")?,
        }
        write!(f, " queue={} offset={}", self.queue, self.queue_offset)
    }
}

/// Whether a stored message was also flushed and replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendStatus {
    /// Stored, flushed and replicated as configured at the broker.
    Ok,
    /// Stored; the synchronous flush did not finish in time.
    FlushDiskTimeout,
    /// Stored; the synchronous replica did not follow in time.
    FlushSlaveTimeout,
    /// Stored; no replica was available.
    SlaveNotAvailable,
}

impl SendStatus {
    /// Java's name: `SEND_OK`, `FLUSH_DISK_TIMEOUT`, `FLUSH_SLAVE_TIMEOUT`, `SLAVE_NOT_AVAILABLE`.
    pub fn as_str(self) -> &'static str {
        match self {
            SendStatus::Ok => "SEND_OK",
            SendStatus::FlushDiskTimeout => "FLUSH_DISK_TIMEOUT",
            SendStatus::FlushSlaveTimeout => "FLUSH_SLAVE_TIMEOUT",
            SendStatus::SlaveNotAvailable => "SLAVE_NOT_AVAILABLE",
        }
    }
}

impl fmt::Display for SendStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
