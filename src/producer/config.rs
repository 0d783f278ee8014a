use std::sync::Arc;
use std::time::Duration;

use super::fault::FaultStrategy;
use super::hook::Hooks;
use super::retry::{self, Policy};
use super::validate;
use crate::client::DefaultTopic;
use crate::error::{Error, ErrorKind, Result};

/// How a producer is set up. Immutable once it is started.
#[derive(Debug, Clone)]
pub(super) struct ProducerConfig {
    pub(super) group: Arc<str>,
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
    pub(super) latency_fault: Option<FaultStrategy>,
    pub(super) hooks: Hooks,
    /// Where sends are traced, if they are.
    pub(super) trace_topic: Option<Arc<str>>,
    /// Topics whose routes are learnt at start.
    pub(super) topics: Vec<Arc<str>>,
}

impl ProducerConfig {
    pub(super) fn new(group: String) -> ProducerConfig {
        ProducerConfig {
            group: group.into(),
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
            latency_fault: None,
            hooks: Hooks::default(),
            trace_topic: None,
            topics: Vec::new(),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        validate::group(&self.group)?;
        for topic in &self.topics {
            validate::topic(topic)?;
        }
        if let Some(strategy) = &self.latency_fault {
            strategy.check()?;
        }
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
