//! Message trace of a producer: its hook, which records what was stored.

use std::sync::Arc;
use std::time::Instant;

use super::config::ProducerConfig;
use crate::client::{Client, Throttle};
use crate::error::Result;
use crate::logging;
use crate::message::SendStatus;
use crate::protocol::trace::Record;
use crate::send::hooks::{
    EndTransactionContext, EndTransactionHook, MessageType, SendContext, SendMessageHook,
    SendOutcome,
};
use crate::send::{LOG, Loss, Traced, Tracer};
use crate::transport::{Deadline, epoch_millis};

const DEFAULT_REGION: &str = "DefaultRegion";

/// Takes records as a hook.
#[derive(Clone)]
pub(super) struct ProducerTrace(Tracer);

impl ProducerTrace {
    /// Starts the trace if it is set. A trace that cannot start is a warning: the producer does start.
    pub(super) fn start(client: &Client, config: &ProducerConfig) -> Option<ProducerTrace> {
        let topic = config.trace_topic.as_ref()?;
        match start(client, &config.send.group, topic) {
            Ok(tracer) => Some(ProducerTrace(tracer)),
            Err(error) => {
                logging::warn!(target: LOG, "message trace is off: {error}");
                None
            }
        }
    }

    /// Sends what waits, until the deadline.
    pub(super) fn close(&self, deadline: Deadline) {
        self.0.close(deadline);
    }

    /// The number of records that were lost.
    pub(super) fn lost(&self) -> u64 {
        self.0.lost()
    }

    fn add(&self, topic: &str, record: &Record<'_>, ids: &str, keys: Option<&str>) {
        let mut traced = Traced::about(topic);
        traced.add(&record.encode(), ids, keys);
        self.0.add(traced);
    }
}

fn start(client: &Client, group: &str, topic: &Arc<str>) -> Result<Tracer> {
    let own_group = format!("_INNER_TRACE_PRODUCER-{group}-PRODUCE-0");
    let warnings = Throttle::default();
    let on_loss = move |records: u64, loss: Loss<'_>| {
        let (level, more) = warnings.level(Instant::now());
        logging::log!(target: LOG, level, "{records} trace records were lost: {loss}{more}");
    };
    Tracer::start(client, own_group, topic, Arc::new(on_loss))
}

impl SendMessageHook for ProducerTrace {
    fn after(&self, context: &SendContext, outcome: &SendOutcome<'_>) {
        // As in Java, only stored messages are traced, and only if the broker wants it.
        let SendOutcome::Stored(receipt) = outcome else {
            return;
        };
        let Some(region) = receipt.region().filter(|_| receipt.trace_on()) else {
            return;
        };
        if context.topic().starts_with(self.0.topic()) {
            return;
        }
        let cost = context.started.elapsed().as_millis();
        let record = Record::Pub {
            timestamp: epoch_millis() - i64::try_from(cost).unwrap_or(0),
            region,
            group: &context.group,
            topic: context.topic(),
            message_id: receipt.message_id(),
            tags: context.tag(),
            keys: context.keys(),
            store_host: &context.broker_address,
            body_len: context.body_len,
            cost,
            message_type: match context.message_type {
                MessageType::Normal => 0,
                MessageType::TransactionHalf => 1,
                MessageType::TransactionCommit => 2,
                MessageType::Delay => 3,
            },
            offset_message_id: receipt.offset_message_id(),
            success: receipt.status() == SendStatus::Ok,
        };
        let (ids, keys) = (receipt.message_id(), context.keys());
        self.add(context.topic(), &record, ids, keys);
    }
}

impl EndTransactionHook for ProducerTrace {
    fn end_transaction(&self, context: &EndTransactionContext) {
        let record = Record::EndTransaction {
            timestamp: epoch_millis(),
            region: DEFAULT_REGION,
            group: &context.group,
            topic: &context.topic,
            message_id: &context.message_id,
            tags: context.tag.as_deref(),
            keys: context.keys.as_deref(),
            store_host: &context.broker_address,
            transaction_id: &context.transaction_id,
            state: context.state,
            from_check: context.from_check,
        };
        let (ids, keys) = (&context.message_id, context.keys.as_deref());
        self.add(&context.topic, &record, ids, keys);
    }
}
