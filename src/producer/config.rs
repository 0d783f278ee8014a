use std::sync::Arc;

use super::gather::AutoBatch;
use crate::error::Result;
use crate::send::{SendConfig, topic_names};

/// The configuration of a producer. Immutable once it is started.
#[derive(Debug, Clone)]
pub(super) struct ProducerConfig {
    pub(super) send: SendConfig,
    /// The topic for traces, if tracing is on.
    pub(super) trace_topic: Option<Arc<str>>,
    /// Topics whose routes are looked up at start.
    pub(super) learn: Vec<Arc<str>>,
    pub(super) auto_batch: Option<AutoBatch>,
}

impl ProducerConfig {
    pub(super) fn new(group: String) -> ProducerConfig {
        ProducerConfig {
            send: SendConfig::new(group),
            trace_topic: None,
            learn: Vec::new(),
            auto_batch: None,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        self.send.check()?;
        for topic in &self.learn {
            topic_names(&self.send, topic)?;
        }
        self.auto_batch.map_or(Ok(()), |auto| auto.check())
    }
}
