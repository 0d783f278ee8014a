use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::ProducerConfig;
use super::gather::Gatherer;
use super::member::ProducerMember;
use super::trace::ProducerTrace;
use crate::client::{Client, Member, Membership, ShutdownReport, Ticker};
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::send::{Detector, Engine, LOG, topic_names};
use crate::sync::Mutex;
use crate::transport::Deadline;

/// The most time that dropping the last handle takes.
const DROP_WITHIN: Duration = Duration::from_secs(3);

/// Everything that a producer owns besides its engine, from its start to its shutdown. Dropping it
/// shuts it down.
pub(super) struct Lifecycle {
    pub(super) engine: Arc<Engine>,
    /// Gathers single sends into batches, if that is wanted.
    pub(super) gatherer: Option<Arc<Gatherer>>,
    /// Whether the client is this producer's own, to be closed with it.
    owns_client: bool,
    trace: Option<ProducerTrace>,
    detector: Mutex<Option<Ticker<()>>>,
    pub(super) member: Arc<ProducerMember>,
    membership: Mutex<Option<Membership>>,
    report: Mutex<Option<ShutdownReport>>,
}

impl Lifecycle {
    pub(super) fn start(
        mut config: ProducerConfig,
        client: Client,
        owns_client: bool,
    ) -> Result<Lifecycle> {
        config.check()?;
        config.send.use_names(client.inner().config.rpc.names())?;
        let (topics, replies) = (topics_to_learn(&config), client.inner().replies.clone());
        let member = Arc::new(ProducerMember::new(&config.send, topics, replies));
        let membership = client.inner().join(member.clone())?;
        let trace = ProducerTrace::start(&client, &config);
        if let Some(trace) = &trace {
            let hooks = &mut config.send.hooks;
            hooks.send.push(Arc::new(trace.clone()));
            hooks.end_transaction.push(Arc::new(trace.clone()));
        }
        let engine = Arc::new(Engine::new(config.send, client));
        let gatherer = config.auto_batch.map(|auto| Gatherer::new(&engine, auto));
        let lifecycle = Lifecycle {
            engine,
            gatherer,
            owns_client,
            trace,
            detector: Mutex::new(None),
            member,
            membership: Mutex::new(Some(membership)),
            report: Mutex::new(None),
        };
        lifecycle.start_detector()?;
        Ok(lifecycle)
    }

    /// The records of its trace that were lost.
    pub(super) fn trace_lost(&self) -> u64 {
        self.trace.as_ref().map_or(0, ProducerTrace::lost)
    }

    /// Starts probing brokers that do not answer, if that is configured.
    fn start_detector(&self) -> Result<()> {
        let Some(Detector { interval, timeout }) = self.engine.detector() else {
            return Ok(());
        };
        let engine = Arc::downgrade(&self.engine);
        let client = &self.engine.core;
        let probe = move |_: Option<()>| {
            if let Some(engine) = engine.upgrade() {
                engine.probe(timeout);
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

    /// Waits for the sends in flight, unregisters from the brokers, and closes the client if it is
    /// the producer's own; all within `most`.
    pub(super) fn shutdown(&self, most: Duration) -> ShutdownReport {
        if self.engine.is_forked() {
            return ShutdownReport::default();
        }
        let start = Instant::now();
        let deadline = Deadline::after(start, most);
        let client = &self.engine.core;
        let threads = &client.workers.threads;
        let Some(mut report) = threads.take_turn(&self.report, deadline) else {
            return ShutdownReport::default();
        };
        if let Some(report) = &*report {
            return report.clone();
        }
        self.engine.close();
        drop(self.detector.lock().take());
        if let Some(gatherer) = &self.gatherer {
            gatherer.close();
        }
        let config = &self.engine.config;
        self.member.stop();
        client.replies.close_group(&config.group);
        // A part of the time is kept for the brokers and the threads.
        let patience = most - (most / 4).min(Duration::from_millis(500));
        let account = &self.engine.account;
        let unanswered = account.wait_until_returned(Deadline::after(start, patience));
        if let Some(trace) = &self.trace {
            trace.close(deadline.share(Instant::now(), 4));
        }
        if let Some(membership) = self.membership.lock().take() {
            membership.unregister(deadline);
        }
        let mut result = ShutdownReport::default();
        if self.owns_client {
            let rest = deadline.remaining(Instant::now());
            result = self.engine.client.shutdown_within(rest);
        }
        result.stuck_threads.extend(self.member.join(deadline));
        result.unanswered = unanswered;
        *report = Some(result.clone());
        result
    }
}

/// The configured topics, as brokers know them.
fn topics_to_learn(config: &ProducerConfig) -> Vec<Arc<str>> {
    let on_wire = |topic: &Arc<str>| match topic_names(&config.send, topic) {
        Ok((_, on_wire)) => Some(on_wire),
        Err(error) => {
            logging::warn!(target: LOG, "{topic}: {error}");
            None
        }
    };
    config.learn.iter().filter_map(on_wire).collect()
}

impl Drop for Lifecycle {
    fn drop(&mut self) {
        let report = self.shutdown(DROP_WITHIN);
        if !report.is_clean() {
            let group = &self.engine.config.group;
            logging::warn!(target: LOG, "producer {group} dropped: {report}");
        }
    }
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("group", &self.engine.config.group)
            .field("client", &self.engine.client)
            .finish_non_exhaustive()
    }
}
