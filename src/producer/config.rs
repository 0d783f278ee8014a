use std::sync::Arc;
use std::time::Duration;

use super::auto_batch::AutoBatch;
use super::fault::FaultStrategy;
use super::hook::Hooks;
use super::retry::{self, Policy};
use super::validate;
use crate::client::{DefaultTopic, Names};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::compress::Compression;

/// How a producer is set up. Immutable once it is started.
#[derive(Debug, Clone)]
pub(super) struct ProducerConfig {
    pub(super) group: Arc<str>,
    /// The same as brokers know it.
    pub(super) group_on_wire: Arc<str>,
    /// How the client that is used names topics and groups; known from the start on.
    pub(super) names: Names,
    pub(super) send_timeout: Duration,
    pub(super) attempt_timeout: Option<Duration>,
    pub(super) retries: u32,
    pub(super) async_retries: u32,
    pub(super) policy: Policy,
    pub(super) max_message_size: usize,
    pub(super) compress_over: usize,
    pub(super) compression: Compression,
    pub(super) compress_level: u32,
    pub(super) default_topic: DefaultTopic,
    pub(super) short_headers: bool,
    /// Whether "stored, but" is a failure.
    pub(super) require_store_ok: bool,
    pub(super) latency_fault: Option<FaultStrategy>,
    pub(super) hooks: Hooks,
    /// Where sends are traced, if they are.
    pub(super) trace_topic: Option<Arc<str>>,
    /// Topics whose routes are learnt at start.
    pub(super) learn: Vec<Arc<str>>,
    pub(super) auto_batch: Option<AutoBatch>,
}

impl ProducerConfig {
    pub(super) fn new(group: String) -> ProducerConfig {
        ProducerConfig {
            group_on_wire: group.as_str().into(),
            group: group.into(),
            names: Names::default(),
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
            compression: Compression::default(),
            compress_level: 5,
            default_topic: DefaultTopic {
                name: "TBW102".into(),
                queues: 4,
            },
            short_headers: true,
            require_store_ok: false,
            latency_fault: None,
            hooks: Hooks::default(),
            trace_topic: None,
            learn: Vec::new(),
            auto_batch: None,
        }
    }

    /// Takes over how the client names topics and groups.
    ///
    /// # Errors
    /// `Config` if the group is none with its namespace.
    pub(super) fn use_names(&mut self, names: Names) -> Result<()> {
        self.group_on_wire = names.on_wire(&self.group_on_wire);
        self.group = names.for_users(&self.group_on_wire);
        self.names = names;
        validate::group(&self.group_on_wire)
    }

    /// A topic as users name it, and as brokers know it.
    ///
    /// # Errors
    /// `Invalid` if the name on the wire is none.
    pub(super) fn topics(&self, topic: &Arc<str>) -> Result<(Arc<str>, Arc<str>)> {
        if self.names.namespace().is_none() {
            return Ok((topic.clone(), topic.clone()));
        }
        let on_wire = self.names.on_wire(topic);
        validate::topic(&on_wire)?;
        Ok((self.names.for_users(topic), on_wire))
    }

    pub(super) fn check(&self) -> Result<()> {
        validate::group(&self.group)?;
        for topic in &self.learn {
            validate::topic(topic)?;
        }
        if let Some(strategy) = &self.latency_fault {
            strategy.check()?;
        }
        let config = |text: &str| Err(Error::new(ErrorKind::Config, text));
        if self.max_message_size == 0 {
            return config("max_message_size must not be zero");
        }
        if let Some(most) = self.compression.max_level() {
            if self.compress_level > most {
                let kind = self.compression;
                return config(&format!("compress_level must be 0 to {most} for {kind:?}"));
            }
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
        self.auto_batch.map_or(Ok(()), |auto| auto.check())
    }
}
