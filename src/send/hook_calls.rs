//! The hooks' view of an attempt.

use std::sync::Arc;

use super::engine::Engine;
use super::hooks::{MessageType, Payload, SendContext, SendMode};
use super::prepared_message::PreparedMessage;
use crate::error::Result;
use crate::message::MessageQueue;

/// Shows an attempt to the hooks, which may refuse it. Returns the context for the call at its end;
/// nothing without hooks.
pub(super) fn show(
    engine: &Engine,
    message: &PreparedMessage,
    queue: &MessageQueue,
    address: &Arc<str>,
    mode: SendMode,
) -> Result<Option<Box<SendContext>>> {
    let hooks = &engine.config.hooks;
    let Some(payload) = message.payload.as_deref() else {
        return Ok(None);
    };
    let message_type = match &payload {
        Payload::Message(m) if m.get_schedule().is_later() => MessageType::Delay,
        _ if message.is_half() => MessageType::TransactionHalf,
        _ => MessageType::Normal,
    };
    let context = SendContext {
        group: engine.config.group.clone(),
        payload: payload.clone(),
        queue: queue.clone(),
        broker_address: address.clone(),
        mode,
        born_host: engine.core.identity.ip(),
        namespace: engine.config.namespace.as_deref().map(str::to_owned),
        message_type,
        message_id: message.message_id.to_string(),
        body_len: message.body.len(),
        started: message.begun.at,
    };
    hooks
        .check(&context)
        .map_err(|error| message.failed(error))?;
    hooks.before(&context);
    Ok(Some(Box::new(context)))
}
