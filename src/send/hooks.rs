//! Hooks: user code that runs around attempts and at the end of transactions.
//!
//! Hooks run on the thread that makes the attempt, or on a callback thread where an asynchronous
//! send is answered; never on a thread that reads from a socket, and under no lock. Except for
//! [`CheckForbiddenHook`], a hook that panics is logged and changes nothing.
//!
//! A hook must be `Send + Sync + 'static`, nothing else. The producer takes it. To read it later,
//! pass an `Arc`, which is a hook too:
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
//!
//! use rocketmq_blocking::hook::{SendContext, SendMessageHook, SendOutcome};
//! use rocketmq_blocking::{Message, Producer};
//!
//! #[derive(Default)]
//! struct Failures(AtomicU64);
//!
//! impl SendMessageHook for Failures {
//!     fn after(&self, _: &SendContext, outcome: &SendOutcome<'_>) {
//!         if let SendOutcome::Failed(_) = outcome {
//!             self.0.fetch_add(1, Relaxed);
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use rocketmq_blocking::embedded::{Cluster, Fault, On};
//! # let cluster = Cluster::start()?;
//! # let name_server = cluster.name_server();
//! let failures = Arc::new(Failures::default());
//! let producer = Producer::builder("orders")
//!     .name_server(name_server)
//!     .send_message_hook(failures.clone())
//!     .start()?;
//! # cluster.broker("broker-a").inject(Fault::busy().on(On::Send).once());
//! // The broker is busy once; the second attempt is stored.
//! let receipt = producer.send(&Message::new("Orders", "one book"))?;
//! assert_eq!((receipt.attempts(), failures.0.load(Relaxed)), (2, 1));
//! # Ok(())
//! # }
//! ```

use std::error::Error as StdError;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::LOG;
use crate::error::Error;
use crate::logging;
use crate::message::{Batch, Message, MessageQueue, SendReceipt, name};
use crate::panics::caught;

/// Runs before and after each attempt of a send.
///
/// For every `before` there is one `after`, when that attempt is answered or has failed; for a
/// oneway send, when the connection has accepted the message.
pub trait SendMessageHook: Send + Sync {
    /// The queue and the broker's address are known; nothing has been sent yet.
    #[doc(alias = "sendMessageBefore")]
    fn before(&self, context: &SendContext) {
        let _ = context;
    }

    /// The attempt is over.
    #[doc(alias = "sendMessageAfter")]
    fn after(&self, context: &SendContext, outcome: &SendOutcome<'_>) {
        let _ = (context, outcome);
    }
}

/// May refuse an attempt before it is made.
pub trait CheckForbiddenHook: Send + Sync {
    /// An error ends the send with [`Invalid`](crate::ErrorKind::Invalid); so does a panic.
    ///
    /// # Errors
    /// Whatever the hook has against it.
    fn check(&self, context: &SendContext) -> Result<(), Box<dyn StdError + Send + Sync>>;
}

/// Runs when the end of a transaction was sent: on the thread that sent the transaction, or on the one
/// that answered the broker's question (`rmq-check`).
pub trait EndTransactionHook: Send + Sync {
    /// The end was sent to the broker, or could not be.
    fn end_transaction(&self, context: &EndTransactionContext);
}

impl<H: SendMessageHook + ?Sized> SendMessageHook for Arc<H> {
    fn before(&self, context: &SendContext) {
        (**self).before(context);
    }

    fn after(&self, context: &SendContext, outcome: &SendOutcome<'_>) {
        (**self).after(context, outcome);
    }
}

impl<H: CheckForbiddenHook + ?Sized> CheckForbiddenHook for Arc<H> {
    fn check(&self, context: &SendContext) -> Result<(), Box<dyn StdError + Send + Sync>> {
        (**self).check(context)
    }
}

impl<H: EndTransactionHook + ?Sized> EndTransactionHook for Arc<H> {
    fn end_transaction(&self, context: &EndTransactionContext) {
        (**self).end_transaction(context);
    }
}

/// An attempt as hooks see it (Java's `SendMessageContext`).
#[derive(Clone)]
#[doc(alias = "SendMessageContext")]
#[non_exhaustive]
pub struct SendContext {
    /// The producer's group.
    pub group: Arc<str>,
    /// The message or batch.
    pub payload: Payload,
    /// The destination.
    pub queue: MessageQueue,
    /// The broker's address.
    pub broker_address: Arc<str>,
    /// How.
    pub mode: SendMode,
    /// This client's own address.
    pub born_host: IpAddr,
    /// The namespace that topics and groups have on the wire, if there is one.
    pub namespace: Option<String>,
    /// The type of the message.
    pub message_type: MessageType,
    /// The id that the receipt will name.
    pub message_id: String,
    /// Bytes of body on the wire, compressed if it is.
    pub body_len: usize,
    /// When the attempt began.
    pub started: Instant,
}

/// A message or a batch.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Payload {
    /// One message.
    Message(Message),
    /// Several.
    Batch(Batch),
}

impl Payload {
    /// The message, or those of the batch in their order.
    pub fn messages(&self) -> &[Message] {
        match self {
            Payload::Message(message) => std::slice::from_ref(message),
            Payload::Batch(batch) => batch.messages(),
        }
    }
}

/// The outcome of an attempt.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendOutcome<'a> {
    /// The broker stored the message.
    Stored(&'a SendReceipt),
    /// The attempt failed; another one may follow.
    Failed(&'a Error),
    /// A oneway message was accepted by the connection.
    Accepted,
}

/// The modes of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendMode {
    /// The caller waits.
    Sync,
    /// A callback or handle gets the result.
    Async,
    /// There is no answer.
    Oneway,
}

/// The kinds of message (Java's `MessageType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageType {
    /// A plain one.
    Normal,
    /// The first half of a transaction.
    TransactionHalf,
    /// A committed transaction.
    TransactionCommit,
    /// One to be delivered later.
    Delay,
}

/// The end of a transaction as hooks see it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EndTransactionContext {
    /// The producer's group.
    pub group: Arc<str>,
    /// The topic.
    pub topic: Arc<str>,
    /// The half message's id.
    pub message_id: String,
    /// The transaction's id.
    pub transaction_id: String,
    /// The half message's tag.
    pub tag: Option<String>,
    /// The half message's keys, joined by a space.
    pub keys: Option<String>,
    /// The broker's address.
    pub broker_address: Arc<str>,
    /// `COMMIT_MESSAGE`, `ROLLBACK_MESSAGE` or `UNKNOW`, as Java names them.
    pub state: &'static str,
    /// Whether the broker had asked.
    pub from_check: bool,
}

/// The hooks of a producer, in the order they were added.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) send: Vec<Arc<dyn SendMessageHook>>,
    pub(crate) forbid: Vec<Arc<dyn CheckForbiddenHook>>,
    pub(crate) end_transaction: Vec<Arc<dyn EndTransactionHook>>,
}

impl Hooks {
    /// Whether attempts need a context made for them.
    pub(crate) fn watch_sends(&self) -> bool {
        !self.send.is_empty() || !self.forbid.is_empty()
    }

    pub(crate) fn check(&self, context: &SendContext) -> Result<(), Error> {
        for hook in &self.forbid {
            match caught(|| hook.check(context)) {
                Ok(Ok(())) => {}
                Ok(Err(why)) => {
                    return Err(Error::invalid(format!("a hook forbids the send: {why}")));
                }
                Err(_) => return Err(Error::invalid("a check-forbidden hook panicked")),
            }
        }
        Ok(())
    }

    pub(crate) fn before(&self, context: &SendContext) {
        for hook in &self.send {
            guarded("send-message hook", || hook.before(context));
        }
    }

    pub(crate) fn after(&self, context: &SendContext, outcome: &SendOutcome<'_>) {
        for hook in &self.send {
            guarded("send-message hook", || hook.after(context, outcome));
        }
    }

    /// A transaction has ended; the context is made only for hooks to see.
    pub(crate) fn ended(&self, context: impl FnOnce() -> EndTransactionContext) {
        if !self.end_transaction.is_empty() {
            let context = context();
            for hook in &self.end_transaction {
                guarded("end-transaction hook", || hook.end_transaction(&context));
            }
        }
    }
}

fn guarded(what: &str, run: impl FnOnce()) {
    if caught(run).is_err() {
        logging::error!(target: LOG, "a {what} panicked; the send goes on");
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("send", &self.send.len())
            .field("forbid", &self.forbid.len())
            .field("end_transaction", &self.end_transaction.len())
            .finish()
    }
}

impl fmt::Debug for SendContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendContext")
            .field("group", &self.group)
            .field("payload", &self.payload)
            .field("queue", &self.queue)
            .field("broker_address", &self.broker_address)
            .field("mode", &self.mode)
            .field("message_type", &self.message_type)
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}

impl SendContext {
    /// The topic.
    pub fn topic(&self) -> &str {
        match &self.payload {
            Payload::Message(message) => message.topic(),
            Payload::Batch(batch) => batch.topic(),
        }
    }

    /// The tag of a single message.
    pub fn tag(&self) -> Option<&str> {
        match &self.payload {
            Payload::Message(message) => message.get_tag(),
            Payload::Batch(_) => None,
        }
    }

    /// The keys of a single message, joined by a space.
    pub fn keys(&self) -> Option<&str> {
        match &self.payload {
            Payload::Message(message) => message.system_properties().get(name::KEYS),
            Payload::Batch(_) => None,
        }
    }
}
