//! A message about to be stored.

use super::parts::{Parts, Place};
use super::stored::{Stored, StoredMessage};

pub(in crate::embedded) struct Draft {
    /// Its size in the commit log.
    pub(super) size: usize,
    /// Absent if messages are not kept.
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

    /// Removes the message: the remaining draft keeps its size in the commit log, and is hidden.
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
