//! One attempt on the wire: where it goes, its request, and what its answer says.

use std::sync::Arc;

use super::engine::Engine;
use super::prepared_message::PreparedMessage;
use super::retry;
use crate::client::PublishInfo;
use crate::error::{Error, Result, SendFate};
use crate::message::{Extras, MessageQueue, Said, SendReceipt, SendStatus};
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::properties::MAX_LEN;
use crate::protocol::send::{self as wire, SendHeader, SendResponse};
use crate::transport::{CONNECTIONS_PER_CALL, Connection, Deadline, Outcome, Request, To};

/// Where an attempt goes, and until when.
#[derive(Clone)]
pub(super) struct Destination {
    pub(super) queue: MessageQueue,
    /// The broker that the queue is on.
    pub(super) host: Arc<str>,
    pub(super) address: Arc<str>,
    /// Another broker has queues of this topic too.
    pub(super) has_other_broker: bool,
    pub(super) deadline: Deadline,
}

impl Destination {
    pub(super) fn new(
        engine: &Engine,
        info: &PublishInfo,
        queue: MessageQueue,
        deadline: Deadline,
    ) -> Result<Destination> {
        let target = info.target(&queue)?;
        Ok(Destination {
            host: target.host,
            address: match engine.core.config.rpc.vip_channel {
                false => target.master.clone(),
                true => engine.core.config.rpc.send_address(target.master),
            },
            has_other_broker: target.has_other_broker,
            queue,
            deadline,
        })
    }
}

/// Builds the request of an attempt from borrowed parts.
pub(super) fn with_request<T>(
    engine: &Engine,
    message: &PreparedMessage,
    destination: &Destination,
    run: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let config = &engine.config;
    let header = SendHeader {
        producer_group: &config.group_on_wire,
        topic: &message.topic_on_wire,
        default_topic: &config.default_topic.name,
        default_topic_queue_nums: config.default_topic.queues,
        queue_id: destination.queue.id(),
        sys_flag: message.sys_flag,
        born_timestamp: message.begun.epoch_millis,
        flag: message.flag,
        properties: &message.properties,
        reconsume_times: message.reconsume_times,
        unit_mode: engine.core.config.rpc.unit_mode,
        max_reconsume_times: message.max_reconsume_times,
        batch: message.batch,
        broker_name: Some(&destination.host),
    };
    let (code, long_names) = match (message.batch, config.short_headers) {
        (true, _) => (request::SEND_BATCH_MESSAGE, false),
        _ if message.reply && config.short_headers => (request::SEND_REPLY_MESSAGE_V2, false),
        _ if message.reply => (request::SEND_REPLY_MESSAGE, true),
        (false, true) => (request::SEND_MESSAGE_V2, false),
        (false, false) => (request::SEND_MESSAGE, true),
    };
    let request = Request::send(code, &header, long_names);
    run(&request.with_body(&message.body))
}

/// One attempt and its answer. One that was not sent, since the connection that the broker knows has
/// just ended, is made over the next one.
pub(super) fn exchange(
    engine: &Engine,
    message: &PreparedMessage,
    destination: &Destination,
) -> Outcome {
    let mut connections = CONNECTIONS_PER_CALL;
    loop {
        connections -= 1;
        let registered = ensure_registered(engine, message, destination);
        let to = To::over(registered.as_ref(), &destination.address);
        let answer = with_request(engine, message, destination, |request| {
            let remoting = &engine.core.remoting;
            remoting.invoke_once(to, request, destination.deadline)
        });
        let is_over = registered.is_some_and(|connection| !connection.is_usable());
        match &answer {
            Err(error) if connections > 0 && is_over && error.fate() == SendFate::NotSent => {}
            _ => return answer,
        }
    }
}

/// The connection for an attempt whose reply the broker is to push to this client.
pub(super) fn ensure_registered(
    engine: &Engine,
    message: &PreparedMessage,
    destination: &Destination,
) -> Option<Arc<Connection>> {
    let (address, deadline) = (&destination.address, destination.deadline);
    if !message.wants_reply {
        return None;
    }
    let group = &engine.config.group_on_wire;
    engine.core.ensure_registered(group, address, deadline)
}

/// The receipt in an answer.
///
/// # Errors
/// The error that the answer is.
pub(super) fn receipt(
    answer: &Command,
    message: &mut PreparedMessage,
    destination: &Destination,
    attempts: u32,
) -> Result<SendReceipt> {
    let Some(status) = wire::status(answer.code) else {
        return Err(refusal(answer, message).at(&destination.address));
    };
    let response = SendResponse::decode(&answer.ext)
        .map_err(|error| Error::from(error).maybe_stored().at(&destination.address))?;
    let message_id = match (response.batch_unique_key, status) {
        (Some(key), _) if message.batch => key.into(),
        // The end: it is not needed again.
        (_, SendStatus::Ok) => std::mem::take(&mut message.message_id),
        _ => message.message_id.clone(),
    };
    let said = Said {
        transaction_id: response.transaction_id.as_deref(),
        region: response.region.as_deref(),
        recall_handle: response.recall_handle.as_deref(),
    };
    Ok(SendReceipt {
        status,
        extras: Extras::new(said, &message_id),
        message_id,
        offset_message_id: response.message_id.into(),
        // Below zero: the broker was told to choose.
        queue: match destination.queue.id() {
            0.. => destination.queue.clone(),
            _ => destination.queue.with_id(response.queue_id),
        },
        queue_offset: response.queue_offset,
        trace_on: response.trace_on,
        attempts,
    })
}

/// What brokers say where the body or the properties, with those that they add, are too long.
const TOO_LONG: &str = "properties length";

/// What the properties that a broker adds may come to, if its own names are long.
const MOST_ADDED: usize = 1024;

/// The error that an answer is.
fn refusal(answer: &Command, message: &PreparedMessage) -> Error {
    let (code, remark) = (answer.code, answer.remark.as_deref());
    let error = Error::response(code, remark);
    if code == response::MESSAGE_ILLEGAL && remark.is_some_and(|text| text.contains(TOO_LONG)) {
        let (body, properties) = (message.body.len(), message.properties.len());
        let what = match properties + MOST_ADDED > MAX_LEN {
            true => "properties",
            false => "body or properties",
        };
        return error.detailed(format!(
            "MESSAGE_ILLEGAL (13), {what} too long for the broker, which adds properties of its own \
             (body {body} bytes, properties {properties})"
        ));
    }
    match retry::may_be_stored(code, remark) {
        true => error.maybe_stored(),
        false => error,
    }
}
