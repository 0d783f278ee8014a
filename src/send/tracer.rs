//! Message trace: records of what happened to messages, in Java's format, in a topic of the broker. What is
//! recorded is decided above: by producers and consumers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, select};

use super::config::SendConfig;
use super::continuation::{Listener, Recipient, launch};
use super::engine::Engine;
use super::prepared_message::{Content, SendCall};
use crate::client::{BrokerRequest, Client, Member, MemberKind, Membership, NeededTopic};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;
use crate::protocol::heartbeat::{Heartbeat, ProducerData};
use crate::sync::Mutex;
use crate::transport::Deadline;

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

/// How long the thread waits for the sends in flight at its end.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Sends records with a separate engine, which has no hooks and is therefore never traced. Records that do
/// not fit the queue are lost: neither a send nor a handler waits for its trace.
#[derive(Clone)]
pub(crate) struct Tracer(Arc<Queue>);

struct Queue {
    topic: Arc<str>,
    queue: Mutex<Option<Sender<Traced>>>,
    on_loss: OnLoss,
    /// The number of records that were lost.
    lost: Arc<AtomicU64>,
    /// When it was closed.
    closed: Arc<OnceLock<Instant>>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

/// Called with a number of records that were lost, and the reason: on the thread that records, or on a
/// callback worker.
pub(crate) type OnLoss = Arc<dyn Fn(u64, Loss<'_>) + Send + Sync>;

/// Why records were lost.
pub(crate) enum Loss<'a> {
    /// The queue was full.
    Overflow,
    /// Their send failed.
    Failed(&'a Error),
}

impl fmt::Display for Loss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Overflow => f.write_str("they came faster than they can be sent"),
            Loss::Failed(error) => error.fmt(f),
        }
    }
}

/// Records about messages of one topic that leave together, and the keys by which they can be found.
pub(crate) struct Traced {
    about: Arc<str>,
    text: String,
    keys: Vec<String>,
    records: u64,
}

impl Traced {
    pub(crate) fn about(topic: &str) -> Traced {
        Traced {
            about: topic.into(),
            text: String::new(),
            keys: Vec::new(),
            records: 0,
        }
    }

    /// Adds the text of a record about a message, or about several: their ids are separated by commas, and
    /// their keys by spaces.
    pub(crate) fn add(&mut self, record: &str, ids: &str, keys: Option<&str>) {
        let keys = keys.into_iter().flat_map(|keys| keys.split(' '));
        let keys = ids.split(',').chain(keys).filter(|key| !key.is_empty());
        self.keys.extend(keys.map(str::to_owned));
        self.text.push_str(record);
        self.records += 1;
    }

    pub(crate) fn topic(&self) -> &str {
        &self.about
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }
}

impl Tracer {
    /// Starts the trace of a member of this client. `own_group`: the group in whose name records are sent.
    ///
    /// # Errors
    /// `Config`: the group is no legal name. `Io`: there is no thread.
    pub(crate) fn start(
        client: &Client,
        own_group: String,
        topic: &Arc<str>,
        on_loss: OnLoss,
    ) -> Result<Tracer> {
        let mut config = SendConfig::new(own_group);
        config.check()?;
        config.use_names(client.inner().config.rpc.names())?;
        let member = TracerMember(config.group_on_wire.clone());
        let membership = client.inner().join(Arc::new(member))?;
        let lost: Arc<AtomicU64> = Arc::default();
        let counted = lost.clone();
        let on_loss: OnLoss = Arc::new(move |records, loss| {
            counted.fetch_add(records, Ordering::Relaxed);
            on_loss(records, loss);
        });
        let closed: Arc<OnceLock<Instant>> = Arc::default();
        let sending = Sending {
            closed: closed.clone(),
            engine: Arc::new(Engine::new(config, client.clone())),
            topic: topic.clone(),
            on_loss: on_loss.clone(),
        };
        let (queue, records) = bounded(QUEUE);
        let (running, ended) = bounded(0);
        let closing = client.inner().closing();
        let spawned = client.inner().workers.threads.spawn("rmq-trace", move || {
            run(&sending, &records, &closing);
            end(&sending.engine, &membership);
            drop::<Sender<()>>(running);
        });
        spawned.map_err(|error| {
            let text = format!("the trace thread cannot be started: {error}");
            Error::new(ErrorKind::Io, text).caused_by(error)
        })?;
        Ok(Tracer(Arc::new(Queue {
            topic: topic.clone(),
            queue: Mutex::new(Some(queue)),
            on_loss,
            lost,
            closed,
            ended,
        })))
    }

    /// Sends what waits, until the deadline. What is not sent by then is sent in the background, for as long as
    /// one send may take: all together, even if each of them hangs.
    pub(crate) fn close(&self, deadline: Deadline) {
        self.0.closed.get_or_init(Instant::now);
        drop(self.0.queue.lock().take());
        // Nothing is ever sent: this ends with the thread, or at the deadline.
        let _ = self.0.ended.recv_deadline(deadline.instant());
    }

    /// The topic for the records. Messages of this topic must not be traced: each record would bring about
    /// the next.
    pub(crate) fn topic(&self) -> &str {
        &self.0.topic
    }

    /// The number of records that were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Queues records. It never waits.
    pub(crate) fn add(&self, traced: Traced) {
        let queue = self.0.queue.lock();
        let queued = queue.as_ref().map(|queue| queue.try_send(traced));
        drop(queue);
        if let Some(Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost))) = queued {
            (self.0.on_loss)(lost.records, Loss::Overflow);
        }
    }
}

/// What the thread sends with.
struct Sending {
    engine: Arc<Engine>,
    /// The topic for the records.
    topic: Arc<str>,
    on_loss: OnLoss,
    /// When the tracer was closed.
    closed: Arc<OnceLock<Instant>>,
}

/// Gathers records until there are enough or the oldest has waited long enough; until the tracer is
/// closed, or the client.
fn run(sending: &Sending, records: &Receiver<Traced>, closing: &Receiver<()>) {
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
                sending.flush(&mut waiting);
                return;
            }
        }
        sending.flush(&mut waiting);
    }
}

impl Sending {
    /// Sends the records that wait, those about one topic together.
    fn flush(&self, waiting: &mut Vec<Traced>) {
        let mut by_topic: BTreeMap<Arc<str>, Vec<Traced>> = BTreeMap::new();
        for traced in waiting.drain(..) {
            let about = by_topic.entry(traced.about.clone());
            about.or_default().push(traced);
        }
        for records in by_topic.into_values() {
            let mut next = Outgoing::default();
            for traced in records {
                if !next.fits(&traced) {
                    self.send(mem::take(&mut next));
                }
                next.take(traced);
            }
            self.send(next);
        }
    }

    fn send(&self, next: Outgoing) {
        let Outgoing {
            body,
            keys,
            records,
            ..
        } = next;
        let Some(timeout) = timeout(self.closed.get().copied(), Instant::now()) else {
            let error = Error::new(ErrorKind::Closed, "the trace was closed before");
            return (self.on_loss)(records, Loss::Failed(&error));
        };
        let message = Message::new(self.topic.clone(), body).key(keys);
        let on_loss = self.on_loss.clone();
        let listener = Listener::uncounted(Recipient::Callback(Box::new(move |result| {
            if let Err(error) = result {
                on_loss(records, Loss::Failed(&error));
            }
        })));
        let content = Content::Message(&message);
        let call = SendCall::new(content, None, timeout);
        launch(&self.engine, call, 1, listener);
    }
}

/// The time that a send has; `None`: no more sends are begun. Those after the close share the time of one.
fn timeout(closed: Option<Instant>, now: Instant) -> Option<Duration> {
    let since = closed.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
    let left = SEND_TIMEOUT.saturating_sub(since);
    (!left.is_zero()).then_some(left)
}

/// A message of records.
#[derive(Default)]
struct Outgoing {
    body: String,
    keys: String,
    /// Each key is there once.
    known: BTreeSet<String>,
    records: u64,
}

impl Outgoing {
    fn fits(&self, more: &Traced) -> bool {
        let new = more.keys.iter().filter(|key| !self.known.contains(*key));
        let keys: usize = new.map(|key| 1 + key.len()).sum();
        self.body.is_empty()
            || self.body.len() + more.text.len() <= MAX_BODY && self.keys.len() + keys <= MAX_KEYS
    }

    /// Takes records, and as many of their keys as fit.
    fn take(&mut self, more: Traced) {
        self.body.push_str(&more.text);
        self.records += more.records;
        for key in more.keys {
            let gap = usize::from(!self.keys.is_empty());
            if self.keys.len() + gap + key.len() > MAX_KEYS {
                return;
            }
            if self.known.contains(&key) {
                continue;
            }
            if gap > 0 {
                self.keys.push(' ');
            }
            self.keys.push_str(&key);
            self.known.insert(key);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_after_the_close_share_the_time_of_one() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        for (closed, now, expected) in [
            (None, 60_000, Some(5_000)),
            (Some(0), 0, Some(5_000)),
            (Some(1_000), 3_000, Some(3_000)),
            (Some(0), 4_999, Some(1)),
            (Some(0), 5_000, None),
            (Some(0), 60_000, None),
        ] {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(
                timeout(closed.map(at), at(now)),
                expected,
                "{closed:?} {now}"
            );
        }
    }
}
