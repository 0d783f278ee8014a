use std::sync::Arc;

use crate::client::Waiting;
use crate::error::Result;
use crate::message::SendReceipt;
use crate::send::{Engine, SendListener};
use crate::transport::Deadline;

/// The place of a request in the table of those that wait for replies.
pub(super) struct PendingReply {
    engine: Arc<Engine>,
    id: u128,
}

impl PendingReply {
    /// Waits from now on: before anything is sent, since the reply can be faster than the receipt.
    pub(super) fn register(
        engine: &Arc<Engine>,
        id: u128,
        deadline: Deadline,
        waiting: Waiting,
    ) -> std::result::Result<PendingReply, Waiting> {
        engine.core.replies.register(id, deadline, waiting)?;
        let pending = PendingReply {
            engine: engine.clone(),
            id,
        };
        // A shutdown that did not see the entry is seen here.
        match engine.check_open() {
            Ok(()) => Ok(pending),
            Err(_) => match pending.take() {
                Some(waiting) => Err(waiting),
                None => Ok(pending),
            },
        }
    }

    /// Takes it out; only then may it be answered.
    pub(super) fn take(&self) -> Option<Waiting> {
        self.engine.core.replies.take(self.id)
    }
}

impl SendListener for PendingReply {
    /// The message was sent, and the reply is still to come; or it was not, and there will be none.
    fn ended(self: Box<Self>, result: Result<SendReceipt>) {
        if let Err(error) = result {
            if let Some(waiting) = self.take() {
                (waiting.answer)(Err(error));
            }
        }
    }
}
