use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::config::ProducerConfig;
use super::outgoing::Outgoing;
use crate::client::{Client, Registration, ShutdownReport};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Batch, Message};
use crate::transport::{Account, Deadline};

/// A running producer, as its sends see it.
pub(super) struct Core {
    pub(super) config: ProducerConfig,
    pub(super) client: Client,
    pub(super) account: Arc<Account>,
    /// Whether the client is this producer's own, to be closed with it.
    owns_client: bool,
    registration: Mutex<Option<Registration>>,
    /// Dropped at shutdown, which wakes those who wait on the other end.
    open: Mutex<Option<crossbeam_channel::Sender<()>>>,
    closing: crossbeam_channel::Receiver<()>,
    report: Mutex<Option<ShutdownReport>>,
}

impl Core {
    pub(super) fn start(config: ProducerConfig, client: Client, owns_client: bool) -> Result<Core> {
        config.check()?;
        let registration = client.register(&config.group)?;
        let (open, closing) = crossbeam_channel::bounded(0);
        Ok(Core {
            account: client.inner().budget.account(),
            client,
            config,
            owns_client,
            registration: Mutex::new(Some(registration)),
            open: Mutex::new(Some(open)),
            closing,
            report: Mutex::new(None),
        })
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.account.is_closed() || self.client.inner().is_closed() {
            let text = format!("the producer of group {} is shut down", self.config.group);
            return Err(Error::new(ErrorKind::Closed, text));
        }
        Ok(())
    }

    pub(super) fn outgoing(&self, message: &Message, sharding: Option<&str>) -> Result<Outgoing> {
        let identity = &self.client.inner().identity;
        Outgoing::message(&self.config, message, sharding, |now| {
            identity.unique_key(now)
        })
    }

    pub(super) fn outgoing_batch(&self, batch: &Batch) -> Result<Outgoing> {
        let identity = &self.client.inner().identity;
        Outgoing::batch(&self.config, batch, |now| identity.unique_key(now))
    }

    /// Waits between two attempts; shorter if the producer is closed meanwhile.
    pub(super) fn pause(&self, pause: Duration) {
        if !pause.is_zero() {
            // Nothing is ever sent: this ends by time, or by the other end being dropped.
            let _ = self.closing.recv_timeout(pause);
        }
    }

    /// Lets what is in flight be answered, says goodbye to the brokers, and closes the client if it
    /// is this producer's own; all within `most`.
    pub(super) fn shutdown(&self, most: Duration) -> ShutdownReport {
        let mut report = self.report.lock();
        if let Some(report) = &*report {
            return report.clone();
        }
        let start = Instant::now();
        let deadline = Deadline::after(start, most);
        self.account.close();
        drop(self.open.lock().take());
        let client = self.client.inner();
        let checks = client.checks.lock().remove(&self.config.group);
        if let Some(checks) = &checks {
            checks.stop();
        }
        client.requests.close_group(&self.config.group);
        // A part of the time is kept for the brokers and the threads.
        let patience = most - (most / 4).min(Duration::from_millis(500));
        let unanswered = self
            .account
            .wait_until_returned(Deadline::after(start, patience));
        if let Some(registration) = self.registration.lock().take() {
            let goodbye = (most / 8).min(Duration::from_millis(250));
            registration.unregister(deadline.capped(Instant::now(), goodbye));
        }
        let mut result = ShutdownReport::default();
        if self.owns_client {
            result = self
                .client
                .shutdown_within(deadline.remaining(Instant::now()));
        }
        if let Some(checks) = checks {
            result.stuck_threads.extend(checks.join(deadline));
        }
        result.unanswered = unanswered;
        *report = Some(result.clone());
        result
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
