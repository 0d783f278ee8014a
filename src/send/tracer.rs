//! Message trace: records of sent messages, in Java's format, in a topic of the broker.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};

use super::LOG;
use super::config::SendConfig;
use super::continuation::{Listener, Recipient, launch};
use super::engine::Engine;
use super::hooks::{
    EndTransactionContext, EndTransactionHook, MessageType, SendContext, SendMessageHook,
    SendOutcome,
};
use super::prepared_message::{Content, SendCall};
use crate::client::{BrokerRequest, Client, Member, MemberKind, Membership, NeededTopic};
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::message::{Message, SendStatus};
use crate::protocol::heartbeat::{Heartbeat, ProducerData};
use crate::protocol::trace::Record;
use crate::sync::Mutex;
use crate::transport::{Deadline, epoch_millis};

/// Java's figures (`AsyncTraceDispatcher`): records that may wait, records of a batch, the longest
/// wait of a record, the size of a trace message, and the timeout of its send.
const QUEUE: usize = 2048;
const BATCH: usize = 10;
const FLUSH_EVERY: Duration = Duration::from_secs(5);
const MAX_BODY: usize = 128_000;

/// Ours: keys are a property, and all properties of a message have 32,767 bytes. The ids of large batches
/// would be more; what does not fit is still in the body.
const MAX_KEYS: usize = 30_000;
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
const END_WITHIN: Duration = Duration::from_secs(1);

const DEFAULT_REGION: &str = "DefaultRegion";

/// Takes records as a hook, and sends them with a separate engine, which has no hooks and is
/// therefore never traced. Records that do not fit the queue are dropped and counted: a send never
/// waits for its trace.
#[derive(Clone)]
pub(crate) struct Tracer(Arc<Queue>);

struct Queue {
    topic: Arc<str>,
    queue: Mutex<Option<Sender<Traced>>>,
    dropped: AtomicU64,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

/// A record, the topic it is about, and the keys by which it can be found.
struct Traced {
    about: Arc<str>,
    text: String,
    keys: Vec<String>,
}

impl Tracer {
    pub(crate) fn start(client: &Client, group: &str, topic: &Arc<str>) -> Result<Tracer> {
        let own_group = format!("_INNER_TRACE_PRODUCER-{group}-PRODUCE-0");
        let mut config = SendConfig::new(own_group);
        config.check()?;
        config.use_names(client.inner().config.rpc.names())?;
        let member = TracerMember(config.group_on_wire.clone());
        let membership = client.inner().join(Arc::new(member))?;
        let engine = Arc::new(Engine::new(config, client.clone()));
        let (queue, records) = bounded(QUEUE);
        let (running, ended) = bounded(0);
        let (trace_topic, closing) = (topic.clone(), client.inner().closing());
        let spawned = client.inner().workers.threads.spawn("rmq-trace", move || {
            run(&engine, &trace_topic, &records, &closing);
            end(&engine, &membership);
            drop::<Sender<()>>(running);
        });
        spawned.map_err(|error| {
            let text = format!("the trace thread cannot be started: {error}");
            Error::new(ErrorKind::Io, text).caused_by(error)
        })?;
        Ok(Tracer(Arc::new(Queue {
            topic: topic.clone(),
            queue: Mutex::new(Some(queue)),
            dropped: AtomicU64::new(0),
            ended,
        })))
    }

    /// Sends what waits, until the deadline.
    pub(crate) fn close(&self, deadline: Deadline) {
        drop(self.0.queue.lock().take());
        // Nothing is ever sent: this ends with the thread, or at the deadline.
        let _ = self.0.ended.recv_deadline(deadline.instant());
        let dropped = self.0.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            logging::warn!(
                target: LOG,
                "{dropped} trace records were dropped: sends were faster than their trace"
            );
        }
    }

    fn add(&self, about: &str, record: &Record<'_>, ids: &str, keys: Option<&str>) {
        let keys = keys.into_iter().flat_map(|keys| keys.split(' '));
        let keys = ids.split(',').chain(keys).filter(|key| !key.is_empty());
        let traced = Traced {
            about: about.into(),
            text: record.encode(),
            keys: keys.map(str::to_owned).collect(),
        };
        let queued = self
            .0
            .queue
            .lock()
            .as_ref()
            .map(|queue| queue.try_send(traced));
        if let Some(Err(_)) = queued {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl SendMessageHook for Tracer {
    fn after(&self, context: &SendContext, outcome: &SendOutcome<'_>) {
        // As in Java, only stored messages are traced, and only if the broker wants it.
        let SendOutcome::Stored(receipt) = outcome else {
            return;
        };
        let Some(region) = receipt.region().filter(|_| receipt.trace_on()) else {
            return;
        };
        if context.topic().starts_with(&*self.0.topic) {
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
        self.add(
            context.topic(),
            &record,
            receipt.message_id(),
            context.keys(),
        );
    }
}

impl EndTransactionHook for Tracer {
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
        self.add(
            &context.topic,
            &record,
            &context.message_id,
            context.keys.as_deref(),
        );
    }
}

/// Gathers records until there are enough or the oldest has waited long enough; until the tracer is
/// closed, or the client.
fn run(
    engine: &Arc<Engine>,
    trace_topic: &Arc<str>,
    records: &Receiver<Traced>,
    closing: &Receiver<()>,
) {
    let mut waiting: Vec<Traced> = Vec::new();
    let mut flush_at = Instant::now();
    loop {
        let wait = match waiting.is_empty() {
            true => Duration::MAX,
            false => flush_at.saturating_duration_since(Instant::now()),
        };
        let next = select! {
            recv(records) -> record => record.map_err(RecvTimeoutError::from),
            recv(closing) -> _ => Err(RecvTimeoutError::Disconnected),
            default(wait) => Err(RecvTimeoutError::Timeout),
        };
        match next {
            Ok(traced) => {
                if waiting.is_empty() {
                    flush_at = Instant::now() + FLUSH_EVERY;
                }
                waiting.push(traced);
                if waiting.len() < BATCH {
                    continue;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                // If a client is closed before its producer, some records may be left: they are
                // reported as lost.
                waiting.extend(records.try_iter());
                flush(engine, trace_topic, &mut waiting);
                return;
            }
        }
        flush(engine, trace_topic, &mut waiting);
    }
}

/// Sends the records that wait, those about one topic together.
fn flush(engine: &Arc<Engine>, trace_topic: &Arc<str>, waiting: &mut Vec<Traced>) {
    let mut by_topic: BTreeMap<Arc<str>, Vec<Traced>> = BTreeMap::new();
    for traced in waiting.drain(..) {
        by_topic
            .entry(traced.about.clone())
            .or_default()
            .push(traced);
    }
    for records in by_topic.into_values() {
        let mut body = String::new();
        let mut keys = String::new();
        for traced in records {
            let own_keys = within(&traced.keys, MAX_KEYS);
            let full = body.len() + traced.text.len() > MAX_BODY
                || keys.len() + 1 + own_keys.len() > MAX_KEYS;
            if !body.is_empty() && full {
                send(
                    engine,
                    trace_topic,
                    mem::take(&mut body),
                    mem::take(&mut keys),
                );
            }
            body.push_str(&traced.text);
            if !keys.is_empty() {
                keys.push(' ');
            }
            keys.push_str(&own_keys);
        }
        send(engine, trace_topic, body, keys);
    }
}

/// The first keys, as many as fit into `most` bytes.
fn within(keys: &[String], most: usize) -> String {
    let mut text = String::new();
    for key in keys {
        let gap = usize::from(!text.is_empty());
        if text.len() + gap + key.len() > most {
            break;
        }
        if gap > 0 {
            text.push(' ');
        }
        text.push_str(key);
    }
    text
}

fn send(engine: &Arc<Engine>, trace_topic: &Arc<str>, body: String, keys: String) {
    let message = Message::new(trace_topic.clone(), body).key(keys);
    let own = engine.clone();
    let listener = Listener::uncounted(Recipient::Callback(Box::new(move |result| {
        if let Err(error) = result {
            let (level, more) = own.warnings.level(Instant::now());
            logging::log!(target: LOG, level, "trace records were lost: {error}{more}");
        }
    })));
    let content = Content::Message(&message);
    let call = SendCall::new(content, None, SEND_TIMEOUT);
    launch(engine, call, 1, listener);
}

/// Waits for the sends in flight, and unregisters the tracer's group from the brokers.
fn end(engine: &Engine, membership: &Membership) {
    if engine.is_forked() {
        return;
    }
    let now = Instant::now();
    let deadline = Deadline::after(now, END_WITHIN);
    engine.close();
    engine
        .account
        .wait_until_returned(deadline.capped(now, END_WITHIN * 3 / 4));
    membership.unregister(deadline);
}

/// The tracer's group, as the client and the brokers see it: a producer without requests of brokers.
struct TracerMember(Arc<str>);

impl Member for TracerMember {
    fn kind(&self) -> MemberKind {
        MemberKind::Producer
    }

    fn group(&self) -> &Arc<str> {
        &self.0
    }

    fn add_to(&self, heartbeat: &mut Heartbeat) {
        heartbeat.producer_data_set.push(ProducerData {
            group_name: self.0.to_string(),
        });
    }

    fn topics(&self) -> Vec<NeededTopic> {
        Vec::new()
    }

    fn is_asked(&self) -> bool {
        false
    }

    fn answer(&self, request: BrokerRequest) -> Option<BrokerRequest> {
        Some(request)
    }

    fn stop(&self) {}

    fn join(&self, _: Deadline) -> Vec<String> {
        Vec::new()
    }
}
