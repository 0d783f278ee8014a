//! What hooks see of a send.

use super::hook::{MessageType, Payload, SendContext, SendOutcome};
use super::send::Send;
use crate::error::Result;
use crate::message::Schedule;

impl Send {
    /// Whether user code hears of the end of the attempt, so that it must not be settled on a
    /// thread that reads.
    pub(super) fn is_watched(&self) -> bool {
        self.watched.is_some()
    }

    /// Shows the attempt to the hooks, which may refuse it.
    pub(super) fn ask_hooks(&mut self) -> Result<()> {
        let hooks = &self.core.config.hooks;
        let Some(payload) = self.out.payload.as_deref().filter(|_| hooks.watch_sends()) else {
            return Ok(());
        };
        let message_type = match &payload {
            Payload::Message(m) if *m.get_schedule() != Schedule::Now => MessageType::Delay,
            _ if self.out.is_half() => MessageType::TransactionHalf,
            _ => MessageType::Normal,
        };
        let context = SendContext {
            group: self.core.config.group.clone(),
            payload: payload.clone(),
            queue: self.aim.queue.clone(),
            broker_address: self.aim.address.clone(),
            mode: self.mode,
            born_host: self.core.client.inner().identity.ip(),
            namespace: self.core.config.names.namespace().map(str::to_owned),
            message_type,
            message_id: self.out.message_id.to_string(),
            body_len: self.out.body.len(),
            started: self.out.begun.at,
        };
        hooks
            .check(&context)
            .map_err(|error| self.out.failed(error))?;
        hooks.before(&context);
        self.watched = Some(Box::new(context));
        Ok(())
    }

    /// Tells the hooks how the attempt that they were shown has ended.
    pub(super) fn tell_hooks(&mut self, outcome: SendOutcome<'_>) {
        if let Some(context) = self.watched.take() {
            self.core.config.hooks.after(&context, &outcome);
        }
    }
}
