//! One attempt on the wire: where it goes, its request, and what its answer says.

use std::sync::Arc;
use std::time::Instant;

use super::core::Core;
use super::outgoing::Outgoing;
use super::retry;
use super::send::Send;
use crate::client::{PublishInfo, epoch_millis};
use crate::error::{Error, Result};
use crate::message::{MessageQueue, SendReceipt};
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::send::{self as wire, SendHeader, SendResponse, V1};
use crate::transport::{Deadline, Request};

/// Where an attempt goes, and until when.
#[derive(Clone)]
pub(super) struct Aim {
    pub(super) queue: MessageQueue,
    pub(super) address: Arc<str>,
    pub(super) deadline: Deadline,
    pub(super) started: Instant,
}

impl Aim {
    pub(super) fn at(
        core: &Core,
        info: &PublishInfo,
        queue: MessageQueue,
        deadline: Deadline,
    ) -> Result<Aim> {
        let address = info.master_of(queue.broker())?;
        Ok(Aim {
            address: core.client.inner().config.rpc.send_address(address),
            queue,
            deadline,
            started: Instant::now(),
        })
    }
}

/// Builds the request of an attempt from borrowed parts.
pub(super) fn with_request<T>(
    core: &Core,
    out: &Outgoing,
    queue: &MessageQueue,
    run: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let config = &core.config;
    let header = SendHeader {
        producer_group: &config.group_on_wire,
        topic: &out.topic_on_wire,
        default_topic: &config.default_topic.name,
        default_topic_queue_nums: config.default_topic.queues,
        queue_id: queue.id(),
        sys_flag: out.sys_flag,
        born_timestamp: epoch_millis(),
        flag: out.flag,
        properties: &out.properties,
        reconsume_times: out.reconsume_times,
        unit_mode: core.client.inner().config.rpc.unit_mode,
        max_reconsume_times: out.max_reconsume_times,
        batch: out.batch,
        broker_name: Some(queue.broker()),
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
    /// The receipt in an answer, or the error that the answer is.
    pub(super) fn read(&self, answer: &Command) -> Result<SendReceipt> {
        let Some(status) = wire::status(answer.code) else {
            let name = response::name(answer.code);
            let error = Error::response(answer.code, name, answer.remark.as_deref());
            let unsure = retry::may_be_stored(answer.code, answer.remark.as_deref());
            let error = if unsure { error.maybe_stored() } else { error };
            return Err(error.at(&self.aim.address));
        };
        let response = SendResponse::decode(&answer.ext)
            .map_err(|error| Error::from(error).maybe_stored().at(&self.aim.address))?;
        Ok(SendReceipt {
            status,
            message_id: match response.batch_unique_key {
                Some(key) if self.out.batch => key,
                _ => self.out.message_id.clone(),
            },
            offset_message_id: response.message_id,
            // Below zero: the broker was told to choose.
            queue: match self.aim.queue.id() {
                0.. => self.aim.queue.clone(),
                _ => self.aim.queue.with_id(response.queue_id),
            },
            queue_offset: response.queue_offset,
            transaction_id: response.transaction_id,
            region: response.region,
            trace_on: response.trace_on,
            recall_handle: response.recall_handle,
            attempts: self.made,
        })
    }
}
