use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LOG;
use super::accumulate::Accumulator;
use super::asynchronous::AsyncSend;
use super::attempt::Start;
use super::config::ProducerConfig;
use super::counters::Counters;
use super::fault::{Detector, FaultStrategy, FaultTable, Report};
use super::member::ProducerMember;
use super::outgoing::Outgoing;
use super::select;
use super::spares::Spares;
use super::trace::Tracer;
use crate::client::{Client, Member, Membership, PublishInfo, ShutdownReport, Throttle, Ticker};
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::message::{Batch, Message, MessageQueue};
use crate::sync::Mutex;
use crate::transport::{Account, Deadline};

/// How many ended sends are kept: a burst of answers that one read brings.
const SPARES: usize = 512;

/// Latency fault tolerance: the configured and the learnt part.
struct Faults {
    strategy: FaultStrategy,
    table: Mutex<FaultTable>,
}

/// A running producer, as its sends see it.
pub(super) struct Core {
    pub(super) config: ProducerConfig,
    pub(super) client: Client,
    pub(super) account: Arc<Account>,
    pub(super) counters: Counters,
    /// Of what can go wrong for each message.
    pub(super) warnings: Throttle,
    /// Ended asynchronous sends. They own the core, which is why shutdown must drop them.
    pub(super) spares: Spares<Box<AsyncSend>>,
    /// Gathers single sends into batches, if that is wanted.
    pub(super) accumulator: Option<Accumulator>,
    /// Whether the client is this producer's own, to be closed with it.
    owns_client: bool,
    tracer: Option<Tracer>,
    /// What is known of brokers, if latency fault tolerance is on.
    faults: Option<Faults>,
    detector: Mutex<Option<Ticker<()>>>,
    pub(super) member: Arc<ProducerMember>,
    membership: Mutex<Option<Membership>>,
    /// Dropped at shutdown, which wakes those who wait on the other end.
    open: Mutex<Option<crossbeam_channel::Sender<()>>>,
    closing: crossbeam_channel::Receiver<()>,
    report: Mutex<Option<ShutdownReport>>,
}

impl Core {
    pub(super) fn start(
        mut config: ProducerConfig,
        client: Client,
        owns_client: bool,
    ) -> Result<Core> {
        config.check()?;
        config.use_names(client.inner().config.rpc.names())?;
        let topics = topics_to_learn(&config);
        let member = ProducerMember::new(&config, topics, client.inner().replies.clone());
        let member = Arc::new(member);
        let membership = client.inner().join(member.clone())?;
        let tracer = start_tracer(&client, &config);
        if let Some(tracer) = &tracer {
            config.hooks.send.push(Arc::new(tracer.clone()));
            config.hooks.end_transaction.push(Arc::new(tracer.clone()));
        }
        let (open, closing) = crossbeam_channel::bounded(0);
        Ok(Core {
            account: client.inner().budget.account(),
            counters: Counters::new(),
            warnings: Throttle::default(),
            spares: Spares::new(SPARES),
            faults: config.latency_fault.clone().map(Faults::new),
            tracer,
            detector: Mutex::new(None),
            accumulator: Accumulator::new(&config),
            client,
            config,
            owns_client,
            member,
            membership: Mutex::new(Some(membership)),
            open: Mutex::new(Some(open)),
            closing,
            report: Mutex::new(None),
        })
    }

    /// The queue whose turn it is, avoiding brokers that are not well.
    pub(super) fn pick<'a>(
        &self,
        topic: &str,
        info: &'a PublishInfo,
        last: Option<&str>,
    ) -> &'a MessageQueue {
        let queues = &info.queues;
        let usable = |queue: &MessageQueue| info.is_reachable(queue);
        match &self.faults {
            None => select::round_robin(topic, queues, last, usable),
            Some(faults) => select::in_turn(topic, queues, |first| {
                let mut table = faults.table.lock();
                table.pick(queues, first, last, Instant::now(), &usable)
            }),
        }
    }

    /// Whether anybody wants to know how long brokers take.
    pub(super) fn learns_latency(&self) -> bool {
        self.faults.is_some()
    }

    pub(super) fn report(&self, broker: &Arc<str>, report: Report) {
        if let Some(faults) = &self.faults {
            faults
                .table
                .lock()
                .record(broker, report, &faults.strategy, Instant::now());
        }
    }

    pub(super) fn check_open(&self) -> Result<()> {
        self.check(self.client.inner().process.is_forked())
    }

    /// The same for every send: a fork of this process may be noticed a moment late.
    pub(super) fn check_open_to_send(&self, now: Instant) -> Result<()> {
        self.check(self.client.inner().process.is_forked_at(now))
    }

    /// Runs user code on a callback worker. A fork of the process has none, nor locks to trust: there it
    /// runs here.
    pub(super) fn call_back(&self, job: impl FnOnce() + Send + 'static) {
        match self.is_forked() {
            true => job(),
            false => self.client.inner().workers.callbacks.submit(Box::new(job)),
        }
    }

    pub(super) fn is_forked(&self) -> bool {
        self.client.inner().process.is_forked()
    }

    fn check(&self, forked: bool) -> Result<()> {
        let group = &self.config.group;
        let text = match forked {
            true => format!(
                "the producer of group {group} belongs to the process that this one was forked \
                 from; start one here"
            ),
            false if self.account.is_closed() || self.client.inner().is_closed() => {
                format!("the producer of group {group} is shut down")
            }
            false => return Ok(()),
        };
        Err(Error::new(ErrorKind::Closed, text))
    }

    pub(super) fn outgoing(
        &self,
        message: &Message,
        sharding: Option<&str>,
        start: Start,
        buffer: String,
    ) -> Result<Outgoing> {
        let identity = &self.client.inner().identity;
        let new_key = |now| identity.unique_key(now);
        Outgoing::message(&self.config, message, sharding, new_key, start, buffer)
    }

    pub(super) fn outgoing_batch(&self, batch: &Batch) -> Result<Outgoing> {
        let identity = &self.client.inner().identity;
        Outgoing::batch(&self.config, batch, |now, keys| {
            identity.push_unique_key(now, keys)
        })
    }

    /// Waits between two attempts; shorter if the producer is closed meanwhile.
    pub(super) fn pause(&self, pause: Duration) {
        if !pause.is_zero() {
            // Nothing is ever sent: this ends by time, or by the other end being dropped.
            let _ = self.closing.recv_timeout(pause);
        }
    }

    /// Starts probing brokers that do not answer, if that is configured.
    pub(super) fn start_detector(self: &Arc<Self>) -> Result<()> {
        let probing = self
            .faults
            .as_ref()
            .and_then(|faults| faults.strategy.probing());
        let Some(Detector { interval, timeout }) = probing else {
            return Ok(());
        };
        let core = Arc::downgrade(self);
        let client = self.client.inner();
        let probe = move |_: Option<()>| {
            if let Some(core) = core.upgrade() {
                core.probe(timeout);
            }
        };
        let (threads, closing) = (&client.workers.threads, client.closing());
        let detector = Ticker::start(threads, "rmq-detector", interval, closing, probe);
        let detector = detector.map_err(|error| {
            let text = format!("the detector's thread cannot be started: {error}");
            Error::new(ErrorKind::Io, text).caused_by(error)
        })?;
        *self.detector.lock() = Some(detector);
        Ok(())
    }

    fn probe(&self, timeout: Duration) {
        let Some(faults) = &self.faults else { return };
        let unreachable = faults.table.lock().unreachable();
        for broker in unreachable {
            let deadline = Deadline::after(Instant::now(), timeout);
            match self.client.inner().probe(&broker, deadline) {
                Some(true) => {
                    logging::info!(target: LOG, "{broker}: answers again");
                    faults.table.lock().probed(&broker);
                }
                Some(false) => {}
                None => faults.table.lock().forget(&broker),
            }
        }
    }

    /// Lets what is in flight be answered, says goodbye to the brokers, and closes the client if it
    /// is this producer's own; all within `most`.
    pub(super) fn shutdown(&self, most: Duration) -> ShutdownReport {
        if self.client.inner().process.is_forked() {
            return ShutdownReport::default();
        }
        let start = Instant::now();
        let deadline = Deadline::after(start, most);
        let threads = &self.client.inner().workers.threads;
        let Some(mut report) = threads.take_turn(&self.report, deadline) else {
            return ShutdownReport::default();
        };
        if let Some(report) = &*report {
            return report.clone();
        }
        self.account.close();
        self.spares.close();
        drop(self.open.lock().take());
        drop(self.detector.lock().take());
        if let Some(accumulator) = &self.accumulator {
            accumulator.close();
        }
        let client = self.client.inner();
        self.member.stop();
        client.replies.close_group(&self.config.group);
        // A part of the time is kept for the brokers and the threads.
        let patience = most - (most / 4).min(Duration::from_millis(500));
        let unanswered = self
            .account
            .wait_until_returned(Deadline::after(start, patience));
        if let Some(tracer) = &self.tracer {
            tracer.close(deadline.share(Instant::now(), 4));
        }
        if let Some(membership) = self.membership.lock().take() {
            membership.unregister(deadline);
        }
        let mut result = ShutdownReport::default();
        if self.owns_client {
            result = self
                .client
                .shutdown_within(deadline.remaining(Instant::now()));
        }
        result.stuck_threads.extend(self.member.join(deadline));
        result.unanswered = unanswered;
        *report = Some(result.clone());
        result
    }
}

/// The configured topics, as brokers know them.
fn topics_to_learn(config: &ProducerConfig) -> Vec<Arc<str>> {
    let on_wire = |topic: &Arc<str>| match config.topics(topic) {
        Ok((_, on_wire)) => Some(on_wire),
        Err(error) => {
            logging::warn!(target: LOG, "{topic}: {error}");
            None
        }
    };
    config.learn.iter().filter_map(on_wire).collect()
}

/// Message trace is worth a warning, not a producer that does not start.
fn start_tracer(client: &Client, config: &ProducerConfig) -> Option<Tracer> {
    let topic = config.trace_topic.as_ref()?;
    match Tracer::start(client, &config.group, topic) {
        Ok(tracer) => Some(tracer),
        Err(error) => {
            logging::warn!(target: LOG, "message trace is off: {error}");
            None
        }
    }
}

impl Faults {
    fn new(strategy: FaultStrategy) -> Faults {
        Faults {
            strategy,
            table: Mutex::default(),
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("group", &self.config.group)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
