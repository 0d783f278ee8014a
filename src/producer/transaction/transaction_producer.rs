use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::TransactionProducerBuilder;
use super::checks::{catch, java_name, with_end};
use super::half::{Failure, HalfMessage, TransactionReceipt};
use crate::client::ShutdownReport;
use crate::error::{Error, Result};
use crate::logging;
use crate::message::{Message, MessageView, SendReceipt, SendStatus, TransactionState, name};
use crate::producer::Producer;
use crate::protocol::id::OffsetMessageId;
use crate::protocol::transaction::EndTransaction;
use crate::send::hooks::EndTransactionContext;
use crate::send::{LOG, ProducerStats, topic_names};
use crate::transport::{Deadline, Permit};

/// Sends messages that consumers see only if a local transaction was carried out.
///
/// The broker stores the message first, hidden (the *half message*); then the local transaction
/// runs, and its result makes the broker deliver the message or drop it. If the broker gets no
/// result, or [`Unknown`](TransactionState::Unknown), it sends a *check-back*: after 6 s, every 30
/// s, and at most 15 times unless configured otherwise. The closure given to
/// [`builder`](TransactionProducer::builder) answers it.
///
/// ```
/// use rocketmq_blocking::{Message, TransactionProducer, TransactionState};
///
/// # fn look_up(_: Option<&str>) -> TransactionState { TransactionState::Commit }
/// # fn pay(_: &str) -> Result<(), std::io::Error> { Ok(()) }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
/// # let name_server = cluster.name_server();
/// let payments = TransactionProducer::builder("payments", |half| look_up(half.unique_key()))
///     .name_server(name_server)
///     .start()?;
/// let receipt = payments.send_in_transaction(&Message::new("Paid", "order 7"), |half| {
///     pay(half.transaction_id())?;
///     Ok(TransactionState::Commit)
/// })?;
/// println!("{receipt}");
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone and to share between threads, like [`Producer`]; several, of different groups, can
/// share one client. Every process of a group must be able to answer for all of them, since the
/// broker asks any.
///
/// # Threads
/// The local transaction runs on the calling thread, questions are answered on threads of this
/// producer's own (`rmq-check`, one unless set), at most one question a thread. A closure that
/// holds this very producer keeps it from being dropped: call
/// [`shutdown`](TransactionProducer::shutdown) then.
#[derive(Clone)]
#[doc(alias = "TransactionMQProducer")]
#[doc(alias = "TransactionListener")]
pub struct TransactionProducer {
    producer: Producer,
}

impl TransactionProducer {
    /// A builder for a transaction producer of this group. `check` returns the state of a local
    /// transaction. It gets the half message as the broker has it; its
    /// [`unique_key`](MessageView::unique_key) is the transaction's id. A panic in it counts as
    /// [`Unknown`](TransactionState::Unknown) and is reported to the broker.
    #[doc(alias = "checkLocalTransaction")]
    #[doc(alias = "setTransactionListener")]
    #[doc(alias = "setTransactionCheckListener")]
    pub fn builder(
        group: impl Into<String>,
        check: impl Fn(&MessageView) -> TransactionState + Send + Sync + 'static,
    ) -> TransactionProducerBuilder {
        TransactionProducerBuilder::new(group.into(), Arc::new(check))
    }

    pub(super) fn new(producer: Producer) -> TransactionProducer {
        TransactionProducer { producer }
    }

    /// Sends a half message, runs the local transaction on this thread, and reports its result to
    /// the broker.
    ///
    /// `local` runs once, after the broker has stored the half message. If the message was stored
    /// but not flushed or replicated as configured (see [`SendReceipt::status`]), it does not run,
    /// and the transaction is rolled back. An error or a panic in it means
    /// [`Unknown`](TransactionState::Unknown): the remark to the broker has the error, and the
    /// broker will check.
    ///
    /// The result is reported by a oneway request. If that fails, the failure is logged, and the
    /// broker checks later. If a send was retried after a lost answer, the half message can be
    /// stored twice; the broker then also checks the copy, under the same transaction id.
    ///
    /// # Errors
    /// The kinds of [`Producer::send`], for the half message: then the local transaction has not
    /// run. [`Invalid`](crate::ErrorKind::Invalid) also for a scheduled message (Java silently
    /// drops the schedule) and for a reply. Every outcome of the local transaction is `Ok`, with a
    /// [state](TransactionReceipt::state) and an [error](TransactionReceipt::error).
    #[doc(alias = "sendMessageInTransaction")]
    #[doc(alias = "executeLocalTransaction")]
    pub fn send_in_transaction(
        &self,
        message: &Message,
        local: impl FnOnce(&HalfMessage<'_>) -> Result<TransactionState, Failure>,
    ) -> Result<TransactionReceipt> {
        let engine = self.producer.engine();
        engine.check_open()?;
        if message.get_schedule().is_later() {
            let text = "a message of a transaction cannot be scheduled for later";
            return Err(Error::invalid(text));
        }
        if message
            .system_properties()
            .get(name::MESSAGE_TYPE)
            .is_some()
        {
            return Err(Error::invalid("a reply cannot be part of a transaction"));
        }
        // Held until the end is written, so that a shutdown lets it out.
        let permit = engine.account.acquire(0, 0, deadline(Duration::ZERO))?;
        let half = message
            .clone()
            .system_property(name::TRANSACTION_PREPARED, "true")
            .system_property(name::PRODUCER_GROUP, &*engine.config.group_on_wire);
        let receipt = self.producer.prepare(&half).send()?;
        let (state, error) = match receipt.status {
            SendStatus::Ok => run(local, message, &receipt),
            _ => (TransactionState::Rollback, None),
        };
        let done = TransactionReceipt::new(receipt, state, error);
        self.end(message, &done, permit);
        Ok(done)
    }

    /// The same producer for messages without a transaction.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Statistics of this producer, half messages included; see [`Producer::stats`].
    pub fn stats(&self) -> ProducerStats {
        self.producer.stats()
    }

    /// Closes the producer within 5 s, like [`Producer::shutdown`].
    pub fn shutdown(&self) {
        self.producer.shutdown();
    }

    /// Closes the producer like [`Producer::shutdown_within`]: running local transactions and
    /// checks may finish and report to the broker within the time. No check begins afterwards; the
    /// broker asks another process of the group.
    pub fn shutdown_within(&self, most: Duration) -> ShutdownReport {
        self.producer.shutdown_within(most)
    }

    /// Tells the broker, and the hooks.
    fn end(&self, message: &Message, done: &TransactionReceipt, permit: Permit) {
        let engine = self.producer.engine();
        let mut address = None;
        if let Err(error) = self.tell(message, done, permit, &mut address) {
            let (id, state) = (done.transaction_id(), done.state());
            let (level, more) = engine.warnings.level(Instant::now());
            logging::log!(
                target: LOG,
                level,
                "transaction {id}: its end ({state}) cannot be sent, the broker will check: {error}{more}"
            );
        }
        engine.config.hooks.ended(|| EndTransactionContext {
            group: engine.config.group.clone(),
            topic: message.shared_topic().clone(),
            message_id: done.receipt().message_id().to_owned(),
            transaction_id: done.transaction_id().to_owned(),
            tag: message.get_tag().map(str::to_owned),
            keys: message
                .system_properties()
                .get(name::KEYS)
                .map(str::to_owned),
            broker_address: address.unwrap_or_else(|| "".into()),
            state: java_name(done.state()),
            from_check: false,
        });
    }

    /// Tells the broker; its address is known afterwards even if that fails.
    fn tell(
        &self,
        message: &Message,
        done: &TransactionReceipt,
        permit: Permit,
        told: &mut Option<Arc<str>>,
    ) -> Result<()> {
        let engine = self.producer.engine();
        let receipt = done.receipt();
        let stored = OffsetMessageId::decode(&receipt.offset_message_id)?;
        let deadline = deadline(engine.config.send_timeout);
        let client = &engine.core;
        let (_, topic) = topic_names(&engine.config, message.shared_topic())?;
        let (default, routes) = (&engine.config.default_topic, &client.routes);
        let route = routes.publish_info(&topic, default, deadline)?;
        let broker = route.host(&receipt.queue);
        let address = route.master_of(broker)?;
        *told = Some(address.clone());
        let end = EndTransaction {
            topic: Some(topic.to_string()),
            producer_group: engine.config.group_on_wire.to_string(),
            table_offset: receipt.queue_offset,
            commit_log_offset: stored.commit_log_offset,
            state: done.state(),
            from_check: false,
            message_id: Some(receipt.message_id().to_owned()),
            transaction_id: receipt.transaction_id().map(str::to_owned),
            broker_name: Some(broker.to_string()),
        };
        let failure = done.error();
        let failure = failure.map(|error| format!("local transaction failed: {error}"));
        let remoting = &client.remoting;
        with_end(&end, failure, |request| {
            remoting.invoke_oneway(address, request, Some(permit), deadline)
        })
    }
}

fn deadline(timeout: Duration) -> Deadline {
    Deadline::after(Instant::now(), timeout)
}

/// Runs the local transaction.
fn run(
    local: impl FnOnce(&HalfMessage<'_>) -> Result<TransactionState, Failure>,
    message: &Message,
    receipt: &SendReceipt,
) -> (TransactionState, Option<Failure>) {
    let half = HalfMessage::new(message, receipt);
    match catch(|| local(&half)) {
        Ok(Ok(state)) => (state, None),
        Ok(Err(error)) => (TransactionState::Unknown, Some(error)),
        Err(panic) => (TransactionState::Unknown, Some(Box::new(panic))),
    }
}

impl fmt::Debug for TransactionProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TransactionProducer")
            .field(&self.producer)
            .finish()
    }
}
