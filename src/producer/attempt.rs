//! One attempt on the wire: where it goes, its request, and what its answer says.

use std::sync::Arc;
use std::time::Instant;

use super::core::Core;
use super::outgoing::Outgoing;
use super::retry;
use super::send::Send;
use crate::client::{PublishInfo, epoch_millis};
use crate::error::{Error, Result, SendFate};
use crate::message::{Extras, MessageQueue, Said, SendReceipt, SendStatus};
use crate::protocol::Command;
use crate::protocol::code::request;
use crate::protocol::send::{self as wire, SendHeader, SendResponse, V1};
use crate::transport::{CONNECTIONS_PER_CALL, Connection, Deadline, Outcome, Request, To};

/// Where an attempt goes, and until when.
#[derive(Clone)]
pub(super) struct Aim {
    pub(super) queue: MessageQueue,
    /// The broker that the queue is on.
    pub(super) host: Arc<str>,
    pub(super) address: Arc<str>,
    pub(super) deadline: Deadline,
}

/// When an attempt starts, by both clocks.
#[derive(Clone, Copy)]
pub(super) struct Start {
    pub(super) at: Instant,
    pub(super) epoch_millis: i64,
}

impl Start {
    pub(super) fn now() -> Start {
        Start::at(Instant::now())
    }

    /// At a time of a moment ago.
    pub(super) fn at(now: Instant) -> Start {
        Start {
            at: now,
            epoch_millis: epoch_millis(),
        }
    }
}

impl Aim {
    pub(super) fn at(
        core: &Core,
        info: &PublishInfo,
        queue: MessageQueue,
        deadline: Deadline,
    ) -> Result<Aim> {
        let host = info.host(&queue);
        let address = info.master_of(host)?;
        let host = match host == queue.broker() {
            true => queue.shared_broker().clone(),
            false => host.into(),
        };
        Ok(Aim {
            host,
            address: core.client.inner().config.rpc.send_address(address),
            queue,
            deadline,
        })
    }
}

/// Builds the request of an attempt from borrowed parts.
pub(super) fn with_request<T>(
    core: &Core,
    out: &Outgoing,
    aim: &Aim,
    run: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let config = &core.config;
    let header = SendHeader {
        producer_group: &config.group_on_wire,
        topic: &out.topic_on_wire,
        default_topic: &config.default_topic.name,
        default_topic_queue_nums: config.default_topic.queues,
        queue_id: aim.queue.id(),
        sys_flag: out.sys_flag,
        born_timestamp: out.begun.epoch_millis,
        flag: out.flag,
        properties: &out.properties,
        reconsume_times: out.reconsume_times,
        unit_mode: core.client.inner().config.rpc.unit_mode,
        max_reconsume_times: out.max_reconsume_times,
        batch: out.batch,
        broker_name: Some(&aim.host),
    };
    let v1 = V1(&header);
    let request = match (out.batch, config.short_headers) {
        (true, _) => Request::new(request::SEND_BATCH_MESSAGE, &header),
        _ if out.reply && config.short_headers => {
            Request::new(request::SEND_REPLY_MESSAGE_V2, &header)
        }
        _ if out.reply => Request::new(request::SEND_REPLY_MESSAGE, &v1),
        (false, true) => Request::new(request::SEND_MESSAGE_V2, &header),
        (false, false) => Request::new(request::SEND_MESSAGE, &v1),
    };
    run(&request.with_body(&out.body))
}

impl Send {
    /// One attempt and its answer. One that was not sent, since the connection that the broker knows was
    /// just at its end, is made over the next one.
    pub(super) fn exchange(&self) -> Outcome {
        let remoting = &self.core.client.inner().remoting;
        let mut connections = CONNECTIONS_PER_CALL;
        loop {
            connections -= 1;
            let introduced = self.introduce();
            let to = To::over(introduced.as_ref(), &self.aim.address);
            let answer = with_request(&self.core, &self.out, &self.aim, |request| {
                remoting.invoke_once(to, request, self.aim.deadline)
            });
            let is_over = introduced.is_some_and(|connection| !connection.is_usable());
            match &answer {
                Err(error) if connections > 0 && is_over && error.fate() == SendFate::NotSent => {}
                _ => return answer,
            }
        }
    }

    /// The connection for an attempt whose reply the broker is to push to this client.
    pub(super) fn introduce(&self) -> Option<Arc<Connection>> {
        let client = self.core.client.inner();
        let (address, deadline) = (&self.aim.address, self.aim.deadline);
        let asks = self.out.wants_reply;
        asks.then(|| client.introduce(address, deadline)).flatten()
    }

    /// The receipt in an answer, or the error that the answer is.
    pub(super) fn read(&mut self, answer: &Command) -> Result<SendReceipt> {
        let Some(status) = wire::status(answer.code) else {
            let error = Error::response(answer.code, answer.remark.as_deref());
            let unsure = retry::may_be_stored(answer.code, answer.remark.as_deref());
            let error = if unsure { error.maybe_stored() } else { error };
            return Err(error.at(&self.aim.address));
        };
        let response = SendResponse::decode(&answer.ext)
            .map_err(|error| Error::from(error).maybe_stored().at(&self.aim.address))?;
        let message_id = match response.batch_unique_key {
            Some(key) if self.out.batch => key.into(),
            // The end: nobody asks for it again.
            _ if status == SendStatus::Ok => std::mem::take(&mut self.out.message_id),
            _ => self.out.message_id.clone(),
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
            queue: match self.aim.queue.id() {
                0.. => self.aim.queue.clone(),
                _ => self.aim.queue.with_id(response.queue_id),
            },
            queue_offset: response.queue_offset,
            trace_on: response.trace_on,
            attempts: self.made,
        })
    }
}
