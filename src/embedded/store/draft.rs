//! A message about to be stored.

use super::parts::{Parts, Place};
use super::stored::{Stored, StoredMessage};

pub(in crate::embedded) struct Draft {
    /// How much of the commit log it takes.
    pub(super) size: usize,
    /// Absent if nobody looks at messages.
    message: Option<Stored>,
}

impl Draft {
    /// Unless the message is `wanted`, the draft has its size only.
    pub(in crate::embedded) fn new(parts: &Parts<'_>, wanted: bool) -> Draft {
        Draft {
            size: parts.size(),
            message: wanted.then(|| Stored::new(parts)),
        }
    }

    /// Takes the message out: the draft that is left takes as much of the commit log, and nobody
    /// sees it.
    pub(in crate::embedded) fn hide(&mut self) -> Option<Draft> {
        let message = self.message.take()?;
        Some(Draft {
            size: self.size,
            message: Some(message),
        })
    }

    /// The stored message, if there is one.
    pub(super) fn placed(self, place: Place) -> Option<StoredMessage> {
        self.message.map(|message| message.placed(place))
    }
}
