//! User code around calls of a handler, and a filter of the user's own.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::LOG;
use super::consume::Retry;
use crate::logging;
use crate::message::{MessageQueue, MessageView};
use crate::panics::caught;

/// Runs before and after each call of a consumer's handler, on the consume thread of that call.
///
/// For every `before` there is one `after`, also if the handler panics. A message that is handled again
/// is another call. A hook that panics is logged, and changes nothing.
#[doc(alias = "ConsumeMessageHook")]
pub trait ConsumeHook: Send + Sync {
    /// The handler is about to be called.
    #[doc(alias = "consumeMessageBefore")]
    fn before(&self, context: &ConsumeContext<'_>) {
        let _ = context;
    }

    /// The handler has ended: its outcome for each message, in the order of the messages. It is known
    /// before anything follows from it: a commit, or a copy in the retry topic.
    #[doc(alias = "consumeMessageAfter")]
    fn after(&self, context: &ConsumeContext<'_>, outcomes: &[ConsumeOutcome<'_>]) {
        let _ = (context, outcomes);
    }
}

impl<H: ConsumeHook + ?Sized> ConsumeHook for Arc<H> {
    fn before(&self, context: &ConsumeContext<'_>) {
        (**self).before(context);
    }

    fn after(&self, context: &ConsumeContext<'_>, outcomes: &[ConsumeOutcome<'_>]) {
        (**self).after(context, outcomes);
    }
}

/// A call of a handler as hooks see it (Java's `ConsumeMessageContext`).
#[derive(Clone)]
#[doc(alias = "ConsumeMessageContext")]
#[non_exhaustive]
pub struct ConsumeContext<'a> {
    /// The consumer group.
    pub group: &'a Arc<str>,
    /// The queue that the messages come from: for those that come again, [that of the group's
    /// retries](MessageQueue::is_retry).
    pub queue: &'a MessageQueue,
    /// The messages, as the handler gets them.
    pub messages: &'a [MessageView],
    /// When the call began.
    pub started: Instant,
}

/// How a handler ended with one message.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum ConsumeOutcome<'a> {
    /// It is consumed.
    Done,
    /// It comes again, or becomes a dead letter.
    Retry(&'a Retry),
    /// The handler panicked: it comes again.
    Panicked,
}

impl fmt::Debug for ConsumeContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumeContext")
            .field("group", &self.group)
            .field("queue", &self.queue)
            .field("messages", &self.messages.len())
            .finish_non_exhaustive()
    }
}

/// A filter of the user's own.
type LocalFilter = Arc<dyn Fn(&MessageView) -> bool + Send + Sync>;

/// The user's code in a consumer, beside its handler and its listeners of events; each in the order in
/// which it was added.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) consume: Vec<Arc<dyn ConsumeHook>>,
    pub(crate) filters: Vec<LocalFilter>,
}

impl Hooks {
    pub(crate) fn watch_calls(&self) -> bool {
        !self.consume.is_empty()
    }

    pub(crate) fn before(&self, context: &ConsumeContext<'_>) {
        for hook in &self.consume {
            guarded(|| hook.before(context));
        }
    }

    pub(crate) fn after(&self, context: &ConsumeContext<'_>, outcomes: &[ConsumeOutcome<'_>]) {
        for hook in &self.consume {
            guarded(|| hook.after(context, outcomes));
        }
    }

    /// Whether the user's filters let a message pass. One that panics does: nothing is left out by a bug.
    pub(crate) fn pass(&self, message: &MessageView) -> bool {
        self.filters.iter().all(|filter| {
            caught(|| filter(message)).unwrap_or_else(|_| {
                let id = message.message_id();
                logging::error!(target: LOG, "a local filter panicked; {id} is not left out");
                true
            })
        })
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("consume", &self.consume.len())
            .field("filters", &self.filters.len())
            .finish()
    }
}

fn guarded(run: impl FnOnce()) {
    if caught(run).is_err() {
        logging::error!(target: LOG, "a consume hook panicked; the messages are handled all the same");
    }
}
