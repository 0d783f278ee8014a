use std::fmt;
use std::sync::Arc;

use super::checks::{Check, Checks};
use super::transaction_producer::TransactionProducer;
use crate::client::{ClientSource, Throttle};
use crate::error::{Error, ErrorKind, Result};
use crate::producer::Producer;
use crate::producer::builder::producer_setters;
use crate::producer::config::ProducerConfig;

/// Sets up a [`TransactionProducer`]; made by [`TransactionProducer::builder`]. Nothing can be
/// changed once it is started. [All settings](crate::docs::settings) are on one page.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct TransactionProducerBuilder {
    config: ProducerConfig,
    source: ClientSource,
    check: Arc<Check>,
    check_threads: usize,
    check_queue: usize,
}

impl TransactionProducerBuilder {
    pub(super) fn new(group: String, check: Arc<Check>) -> TransactionProducerBuilder {
        TransactionProducerBuilder {
            config: ProducerConfig::new(group),
            source: ClientSource::default(),
            check,
            check_threads: 1,
            check_queue: 2000,
        }
    }

    producer_setters!();

    /// The number of threads that answer the brokers' checks (default 1; 1 to 1024).
    #[doc(alias = "setCheckThreadPoolMaxSize")]
    #[doc(alias = "setExecutorService")]
    pub fn check_threads(mut self, threads: usize) -> Self {
        self.check_threads = threads;
        self
    }

    /// The most checks that wait for such a thread (default 2000; not zero). Further checks are
    /// dropped; the broker repeats them after its check interval (30 s unless set).
    #[doc(alias = "setCheckRequestHoldMax")]
    pub fn check_queue(mut self, questions: usize) -> Self {
        self.check_queue = questions;
        self
    }

    /// Starts the producer. It connects at the first send, or at once to the brokers of
    /// [`topics`](Self::topics). Brokers send checks only to producers that have sent them a
    /// heartbeat.
    ///
    /// # Errors
    /// Those of [`ProducerBuilder::start`](crate::producer::ProducerBuilder::start);
    /// [`Config`](ErrorKind::Config) also for `check_threads` that is not 1 to 1024, and for a
    /// `check_queue` of zero.
    pub fn start(self) -> Result<TransactionProducer> {
        let config = |text| Err(Error::new(ErrorKind::Config, text));
        if !(1..=1024).contains(&self.check_threads) {
            return config("check_threads must be 1 to 1024");
        }
        if self.check_queue == 0 {
            return config("check_queue must not be zero");
        }
        self.config.check()?;
        let (client, is_own) = self.source.client()?;
        let producer = Producer::start(self.config, client, is_own)?;
        let engine = producer.engine();
        let checks = Checks {
            config: engine.config.clone(),
            check: self.check,
            account: engine.account.clone(),
            remoting: engine.core.remoting.clone(),
            warnings: Throttle::default(),
        };
        let running = checks.start(self.check_threads, self.check_queue);
        let running = running.map_err(|error| {
            let text = format!("the producer's threads cannot be started: {error}");
            Error::new(ErrorKind::Io, text).caused_by(error)
        })?;
        producer.member().answer_checks(running);
        Ok(TransactionProducer::new(producer))
    }
}

impl fmt::Debug for TransactionProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionProducerBuilder")
            .field("config", &self.config)
            .field("source", &self.source)
            .field("check_threads", &self.check_threads)
            .field("check_queue", &self.check_queue)
            .finish_non_exhaustive()
    }
}
