use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::message::{Message, SendReceipt, TransactionState};

/// The error of a failed local transaction: any error.
pub(super) type Failure = Box<dyn StdError + Send + Sync>;

/// A message that a broker has stored and does not show yet, as its local transaction sees it.
#[derive(Debug, Clone, Copy)]
pub struct HalfMessage<'a> {
    message: &'a Message,
    receipt: &'a SendReceipt,
}

impl<'a> HalfMessage<'a> {
    pub(super) fn new(message: &'a Message, receipt: &'a SendReceipt) -> HalfMessage<'a> {
        HalfMessage { message, receipt }
    }

    /// The transaction's id, which is the message's unique key: keep it with the local transaction,
    /// for the check to find.
    pub fn transaction_id(&self) -> &'a str {
        self.receipt.message_id()
    }

    /// The message as it was given.
    pub fn message(&self) -> &'a Message {
        self.message
    }

    /// The queue of the half message.
    pub fn receipt(&self) -> &'a SendReceipt {
        self.receipt
    }
}

/// The result of a transactional send.
#[derive(Debug, Clone)]
#[must_use = "the state says whether consumers will see the message"]
#[doc(alias = "TransactionSendResult")]
pub struct TransactionReceipt {
    receipt: SendReceipt,
    state: TransactionState,
    error: Option<Arc<dyn StdError + Send + Sync>>,
}

impl TransactionReceipt {
    pub(super) fn new(
        receipt: SendReceipt,
        state: TransactionState,
        error: Option<Failure>,
    ) -> TransactionReceipt {
        TransactionReceipt {
            receipt,
            state,
            error: error.map(Arc::from),
        }
    }

    /// The half message's receipt. Its queue offset is that of the half message, not the one at
    /// which consumers will find the message.
    pub fn receipt(&self) -> &SendReceipt {
        &self.receipt
    }

    /// The state that was reported to the broker.
    #[doc(alias = "getLocalTransactionState")]
    pub fn state(&self) -> TransactionState {
        self.state
    }

    /// The transaction's id, which is the message's unique key.
    #[doc(alias = "getTransactionId")]
    pub fn transaction_id(&self) -> &str {
        self.receipt.message_id()
    }

    /// The error of the local transaction, or its panic as one.
    pub fn error(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.error.as_deref()
    }
}

impl fmt::Display for TransactionReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.state, self.receipt)
    }
}
