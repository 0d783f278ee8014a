//! A message that was polled.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::open::Open;
use crate::consumer::control::{Event, Inbox};
use crate::consumer::queue::{Assigned, Stale, Ticket};
use crate::message::MessageView;

/// A dropped message that was not marked is not handed out again: it waits for this long, which is
/// forever.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A message of a [`PullConsumer`](super::PullConsumer). It is a [`MessageView`], and can be
/// [marked](PulledMessage::done) as consumed.
///
/// A message that is dropped without the mark is not consumed: its offset, and those after it in the
/// queue, are not committed. It comes again to the next member of the queue, or here after a
/// [`seek`](super::PullConsumer::seek). A clone of the `MessageView` in it can be kept for longer.
#[must_use = "a message that is dropped without done() is not consumed"]
pub struct PulledMessage {
    message: MessageView,
    /// `None` once it is marked.
    ticket: Option<Ticket>,
    source: Arc<Source>,
    polled_by: ThreadId,
}

/// The origin of the messages of one queue, to which their marks go.
pub(super) struct Source {
    pub(super) queue: Arc<Assigned>,
    pub(super) inbox: Inbox,
    pub(super) open: Arc<Open>,
}

impl PulledMessage {
    pub(super) fn new(
        message: MessageView,
        ticket: Ticket,
        source: Arc<Source>,
        polled_by: ThreadId,
    ) -> PulledMessage {
        PulledMessage {
            message,
            ticket: Some(ticket),
            source,
            polled_by,
        }
    }

    /// Marks it as consumed. Marked messages are committed in the background
    /// ([`commit_interval`](super::PullConsumerBuilder::commit_interval)), by
    /// [`commit`](super::PullConsumer::commit), and when the queue is given up: in each queue up to the
    /// first unmarked message.
    ///
    /// Returns whether the mark counts. It does not if the queue has gone to another member meanwhile, or
    /// after a seek or reset.
    #[doc(alias = "commitSync")]
    pub fn done(mut self) -> bool {
        let ticket = self.ticket.take();
        let queue = &self.source.queue;
        let counts = ticket.is_some_and(|ticket| queue.finish(ticket).is_ok());
        self.source.told(self.polled_by);
        counts
    }

    /// The message itself. A clone of it can outlive the mark.
    pub fn message(&self) -> &MessageView {
        &self.message
    }
}

impl Source {
    /// Notifies the control thread of a change, and a waiting shutdown.
    fn told(&self, polled_by: ThreadId) {
        if self.queue.note() {
            self.inbox.put(Event::Progress(self.queue.number));
        }
        self.open.close(polled_by);
    }
}

impl Drop for PulledMessage {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let put_back = self.source.queue.put_back(ticket, Instant::now() + NEVER);
            // `Stale`: of an older generation, which does not count any more.
            let (Ok(()) | Err(Stale)) = put_back;
            self.source.told(self.polled_by);
        }
    }
}

impl Deref for PulledMessage {
    type Target = MessageView;

    fn deref(&self) -> &MessageView {
        &self.message
    }
}

impl fmt::Display for PulledMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.message, f)
    }
}

impl fmt::Debug for PulledMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PulledMessage").field(&self.message).finish()
    }
}
