use std::time::Duration;

use super::auto_batch::AutoBatch;
use super::retry::{self, Policy};
use super::validate;
use crate::client::DefaultTopic;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::compress::Compression;

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
    pub(super) compression: Compression,
    pub(super) compress_level: u32,
    pub(super) default_topic: DefaultTopic,
    pub(super) short_headers: bool,
    pub(super) auto_batch: Option<AutoBatch>,
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
            compression: Compression::default(),
            compress_level: 5,
            default_topic: DefaultTopic {
                name: "TBW102".into(),
                queues: 4,
            },
            short_headers: true,
            auto_batch: None,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        validate::group(&self.group)?;
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
