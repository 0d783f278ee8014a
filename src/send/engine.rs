use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::SendConfig;
use super::continuation::FreeList;
use super::queue::{Detector, Faults, Report};
use super::stats::Counters;
use crate::client::{Client, ClientCore, Throttle};
use crate::error::{Error, ErrorKind, ResponseCode, Result};
use crate::sync::Mutex;
use crate::transport::{Account, Deadline};

/// The size of the free list: a burst of answers of one read.
const MOST_ENDED: usize = 512;

/// State that all sends of one group share. It does not depend on the sender: a producer, a
/// consumer that sends messages back, a tracer.
pub(crate) struct Engine {
    pub(crate) config: SendConfig,
    /// Keeps the client open.
    pub(crate) client: Client,
    /// The same, looked at by every send.
    pub(crate) core: Arc<ClientCore>,
    pub(crate) account: Arc<Account>,
    pub(crate) counters: Counters,
    /// Limits the warnings of events that can occur once per message.
    pub(crate) warnings: Throttle,
    /// Whether hooks are shown attempts.
    pub(super) hooked: bool,
    /// The fault table of brokers, if latency fault tolerance is on.
    pub(super) faults: Option<Faults>,
    /// The free list of ended asynchronous sends, of a type that the engine does not know. They own
    /// the engine, so its end must drop them.
    pub(super) ended: FreeList<Box<dyn Any + Send>>,
    /// Dropped at the end, which wakes those that wait on the other end.
    open: Mutex<Option<crossbeam_channel::Sender<()>>>,
    closing: crossbeam_channel::Receiver<()>,
}

impl Engine {
    /// An engine on this client; the configuration has the client's names already.
    pub(crate) fn new(config: SendConfig, client: Client) -> Engine {
        let core = client.inner().clone();
        let (open, closing) = crossbeam_channel::bounded(0);
        Engine {
            account: core.budget.account(),
            counters: Counters::new(),
            warnings: Throttle::default(),
            hooked: config.hooks.watch_sends(),
            faults: config.latency_fault.clone().map(Faults::new),
            ended: FreeList::new(MOST_ENDED),
            open: Mutex::new(Some(open)),
            closing,
            config,
            client,
            core,
        }
    }

    /// Whether sends and all else are still taken.
    ///
    /// # Errors
    /// `Closed`, which says why not.
    pub(crate) fn check_open(&self) -> Result<()> {
        let group = &self.config.group;
        let text = match self.is_forked() {
            true => format!(
                "the producer of group {group} belongs to the process that this one was forked \
                 from; start one here"
            ),
            false if self.account.is_closed() => {
                format!("the producer of group {group} is shut down")
            }
            false => return Ok(()),
        };
        Err(Error::new(ErrorKind::Closed, text))
    }

    pub(crate) fn is_forked(&self) -> bool {
        self.core.remoting.process.is_forked()
    }

    /// Runs user code on a callback worker. A fork of the process has none, nor locks to trust: there it
    /// runs here.
    pub(crate) fn call_back(&self, job: impl FnOnce() + Send + 'static) {
        match self.is_forked() {
            true => job(),
            false => self.core.workers.callbacks.submit(Box::new(job)),
        }
    }

    /// Notes how an attempt went, if latency fault tolerance is on.
    pub(super) fn report(&self, broker: &Arc<str>, report: Report) {
        if let Some(faults) = &self.faults {
            faults.record(broker, report, Instant::now());
        }
    }

    /// Avoids a broker that failed for a while, and has the route looked up again if that may be why.
    pub(super) fn learn_from(&self, error: &Error, broker: &Arc<str>, topic_on_wire: &Arc<str>) {
        let failure = match error.kind() {
            ErrorKind::Broker => Some(Report::Refused),
            ErrorKind::Connect
            | ErrorKind::Tls
            | ErrorKind::Dns
            | ErrorKind::Disconnected
            | ErrorKind::Timeout
            | ErrorKind::Protocol => Some(Report::Unreachable),
            _ => None,
        };
        if let Some(report) = failure {
            self.report(broker, report);
        }
        let suspicious = match error.kind() {
            ErrorKind::Connect | ErrorKind::Disconnected | ErrorKind::Dns => true,
            ErrorKind::Broker => matches!(
                error.response_code(),
                Some(
                    ResponseCode::TOPIC_NOT_EXIST
                        | ResponseCode::SYSTEM_BUSY
                        | ResponseCode::NO_PERMISSION
                        | ResponseCode::NOT_LEADER_FOR_QUEUE
                )
            ),
            _ => false,
        };
        if suspicious {
            self.core.refresh_soon(topic_on_wire);
        }
    }

    /// The probing of brokers that do not answer, if it is on.
    pub(crate) fn detector(&self) -> Option<Detector> {
        self.faults.as_ref()?.detector()
    }

    /// Probes the brokers that did not answer.
    pub(crate) fn probe(&self, timeout: Duration) {
        if let Some(faults) = &self.faults {
            faults.probe(|broker| {
                let deadline = Deadline::after(Instant::now(), timeout);
                self.core.probe(broker, deadline)
            });
        }
    }

    /// Waits between two attempts; ends early if the engine is closed.
    pub(super) fn pause(&self, pause: Duration) {
        if !pause.is_zero() {
            // Nothing is ever sent: this ends by time, or by the other end being dropped.
            let _ = self.closing.recv_timeout(pause);
        }
    }

    /// Takes no more sends, and wakes those that wait for capacity or between attempts.
    pub(crate) fn close(&self) {
        self.account.close();
        self.ended.close();
        drop(self.open.lock().take());
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("group", &self.config.group)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
