//! A message of an ordered consumer.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use crate::consumer::queue::Assigned;
use crate::message::MessageView;

/// A message as the handler of an ordered consumer gets it: a [`MessageView`] that knows whether its
/// queue is still this member's.
pub struct OrderedMessage {
    message: MessageView,
    queue: Arc<Assigned>,
}

impl OrderedMessage {
    pub(super) fn new(message: MessageView, queue: Arc<Assigned>) -> OrderedMessage {
        OrderedMessage { message, queue }
    }

    /// Whether this member certainly holds the lock of the message's queue: the broker confirmed it
    /// less than 30 s ago, over a connection that is still open. If not, another member may handle
    /// the same messages now or soon. A handler that runs for long should check this before it does
    /// something that cannot be undone.
    pub fn still_owned(&self) -> bool {
        self.queue.is_ours(Instant::now())
    }

    /// The message itself, which can be cloned and kept.
    pub fn message(&self) -> &MessageView {
        &self.message
    }
}

impl Deref for OrderedMessage {
    type Target = MessageView;

    fn deref(&self) -> &MessageView {
        &self.message
    }
}

impl fmt::Display for OrderedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.message, f)
    }
}

impl fmt::Debug for OrderedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.message, f)
    }
}
