use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::outgoing::Outgoing;
use super::retry::{self, Policy};
use crate::client::{Client, DefaultTopic, Registration, ShutdownReport};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Batch, Message};
use crate::transport::{Account, Deadline};

/// How a producer is set up. Immutable once it is started.
#[derive(Debug, Clone)]
pub(super) struct ProducerConfig {
    pub(super) group: String,
    pub(super) send_timeout: Duration,
    pub(super) attempt_timeout: Option<Duration>,
    pub(super) retries: u32,
    pub(super) async_retries: u32,
    pub(super) policy: Policy,
    pub(super) max_message_size: usize,
    pub(super) compress_over: usize,
    pub(super) compress_level: u32,
    pub(super) default_topic: DefaultTopic,
    pub(super) short_headers: bool,
}

impl ProducerConfig {
    pub(super) fn new(group: String) -> ProducerConfig {
        ProducerConfig {
            group,
            send_timeout: Duration::from_secs(3),
            attempt_timeout: None,
            retries: 2,
            async_retries: 2,
            policy: Policy {
                codes: retry::DEFAULT_CODES.into(),
                another_broker_when_not_stored: false,
                retry_maybe_stored: true,
            },
            max_message_size: 4 * 1024 * 1024,
            compress_over: 4096,
            compress_level: 5,
            default_topic: DefaultTopic {
                name: "TBW102".into(),
                queues: 4,
            },
            short_headers: true,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        super::validate::group(&self.group)?;
        let config = |text: &str| Err(Error::new(ErrorKind::Config, text));
        if self.max_message_size == 0 {
            return config("max_message_size must not be zero");
        }
        if self.compress_level > 9 {
            return config("compress_level must be 0 to 9");
        }
        if self.default_topic.queues < 1 {
            return config("default_topic_queues must be at least 1");
        }
        if self
            .attempt_timeout
            .is_some_and(|timeout| timeout.is_zero())
        {
            return config("attempt_timeout must not be zero");
        }
        Ok(())
    }
}

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
