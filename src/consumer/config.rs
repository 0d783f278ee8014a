//! How a consumer is set up.

use std::sync::Arc;
use std::time::Duration;

use super::offset::StartFrom;
use super::rebalance::Allocation;
use super::subscription::Subscriptions;
use crate::error::{Error, ErrorKind, Result};
use crate::message::name::RETRY_PREFIX;
use crate::message::{LONGEST_GROUP, LONGEST_TOPIC, check_name};

/// Java's default group, which every program would share.
const DEFAULT_GROUP: &str = "DEFAULT_CONSUMER";

/// The settings of a consumer. Immutable once it is started.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerConfig {
    pub(crate) group: Arc<str>,
    /// By the users' names of the topics.
    pub(crate) subscriptions: Subscriptions,
    pub(crate) start_from: StartFrom,
    pub(crate) threads: usize,
    /// Messages of one queue from the lowest unfinished one on.
    pub(crate) window: usize,
    pub(crate) byte_budget: u64,
    pub(crate) commit_interval: Duration,
    pub(crate) allocation: Allocation,
    pub(crate) start_timeout: Duration,
}

impl ConsumerConfig {
    pub(crate) fn new(group: String) -> ConsumerConfig {
        ConsumerConfig {
            group: group.into(),
            subscriptions: Subscriptions::default(),
            start_from: StartFrom::default(),
            threads: 20,
            window: 2_000,
            byte_budget: 64 << 20,
            commit_interval: Duration::from_secs(1),
            allocation: Allocation::default(),
            start_timeout: Duration::from_secs(10),
        }
    }

    /// # Errors
    /// `Config`, which names the setting.
    pub(crate) fn check(&self) -> Result<()> {
        let config = |error: Error| error.of_kind(ErrorKind::Config);
        check_name("consumer group", &self.group, LONGEST_GROUP).map_err(config)?;
        let bad = |text: String| Err(Error::new(ErrorKind::Config, text));
        if *self.group == *DEFAULT_GROUP {
            return bad(format!(
                "the consumer group must not be {DEFAULT_GROUP}: name your own"
            ));
        }
        if self.subscriptions.is_empty() {
            return bad("nothing is subscribed: call subscribe(topic, filter)".to_owned());
        }
        for (topic, _) in self.subscriptions.iter() {
            check_name("topic", topic, LONGEST_TOPIC).map_err(config)?;
            if topic.starts_with(RETRY_PREFIX) {
                return bad(format!(
                    "{topic}: a group's own retry topic is subscribed by itself"
                ));
            }
        }
        for (wrong, text) in [
            (
                !(1..=1000).contains(&self.threads),
                "consume_threads must be 1 to 1000",
            ),
            (self.window == 0, "window must not be zero"),
            (self.byte_budget == 0, "byte_budget must not be zero"),
            (
                self.commit_interval.is_zero(),
                "commit_interval must not be zero",
            ),
        ] {
            if wrong {
                return bad(text.to_owned());
            }
        }
        Ok(())
    }
}
