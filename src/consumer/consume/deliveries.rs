//! The messages of one call of a batch handler.

use std::fmt;
use std::ops::Deref;

use super::retry::Retry;
use crate::message::MessageView;

/// Messages of one queue that a handler gets together, in the order of the queue. It is a slice of
/// [`MessageView`]s.
///
/// `Ok` from the handler means that all messages are consumed but those that were
/// [given back](Deliveries::retry); an error gives all of them back but those that are
/// [done](Deliveries::done).
///
/// ```ignore
/// consumer.start_batch(32, |batch| {
///     for i in 0..batch.len() {
///         match store(&batch[i]) {
///             Ok(()) => batch.done(i),
///             Err(error) => batch.retry(i, error),
///         }
///     }
///     Ok(())
/// })
/// ```
pub struct Deliveries<'a> {
    messages: &'a [MessageView],
    marks: Vec<Option<Mark>>,
}

/// The mark that the handler set on one message.
#[derive(Debug)]
pub(super) enum Mark {
    Done,
    Retry(Retry),
}

impl<'a> Deliveries<'a> {
    pub(super) fn new(messages: &'a [MessageView]) -> Deliveries<'a> {
        Deliveries {
            marks: messages.iter().map(|_| None).collect(),
            messages,
        }
    }

    /// Marks the message at this place as consumed. The mark counts more than what the handler
    /// returns; the last mark of a message counts.
    ///
    /// # Panics
    /// There is no message at this place.
    #[doc(alias = "setAckIndex")]
    pub fn done(&mut self, place: usize) {
        self.marks[place] = Some(Mark::Done);
    }

    /// Gives the message at this place back: it comes again, or becomes a dead letter. The mark counts
    /// more than what the handler returns; the last mark of a message counts.
    ///
    /// # Panics
    /// There is no message at this place.
    pub fn retry(&mut self, place: usize, retry: impl Into<Retry>) {
        self.marks[place] = Some(Mark::Retry(retry.into()));
    }

    /// The messages.
    pub fn messages(&self) -> &'a [MessageView] {
        self.messages
    }

    pub(super) fn into_marks(self) -> Vec<Option<Mark>> {
        self.marks
    }
}

impl Deref for Deliveries<'_> {
    type Target = [MessageView];

    fn deref(&self) -> &[MessageView] {
        self.messages
    }
}

impl fmt::Debug for Deliveries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.messages).finish()
    }
}
