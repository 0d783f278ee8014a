use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::consumer::config::{check_group, check_topics};
use crate::consumer::offset::StartFrom;
use crate::consumer::subscription::Subscriptions;
use crate::error::{Error, ErrorKind, Result};

/// The range of the invisible time: brokers count in seconds, and proxies have the same limit.
pub(super) const INVISIBLE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(12 * 3600);

/// The most messages that brokers hand out at once.
pub(super) const MOST_MESSAGES: usize = 32;

/// The settings of a simple consumer. Immutable once it is started.
#[derive(Debug, Clone)]
pub(super) struct SimpleConfig {
    pub(super) group: Arc<str>,
    /// By the users' names of the topics.
    pub(super) subscriptions: Subscriptions,
    pub(super) start_from: StartFrom,
    pub(super) is_ordered: bool,
    /// How long a receive waits for messages.
    pub(super) wait: Duration,
    /// The deadline of an ack.
    pub(super) ack_timeout: Duration,
    /// Deliveries after which a message is a dead letter; `None`: never.
    pub(super) max_attempts: Option<u32>,
    /// The topic for traces, if tracing is on.
    pub(super) trace_topic: Option<Arc<str>>,
    pub(super) start_timeout: Duration,
}

impl SimpleConfig {
    pub(super) fn new(group: String) -> SimpleConfig {
        SimpleConfig {
            group: group.into(),
            subscriptions: Subscriptions::default(),
            start_from: StartFrom::default(),
            is_ordered: false,
            wait: Duration::from_secs(15),
            ack_timeout: Duration::from_secs(5),
            max_attempts: Some(17),
            trace_topic: None,
            start_timeout: Duration::from_secs(10),
        }
    }

    /// # Errors
    /// `Config`, with the name of the setting.
    pub(super) fn check(&self) -> Result<()> {
        check_group(&self.group)?;
        check_topics(&self.subscriptions)?;
        for (wrong, text) in [
            (
                matches!(self.start_from, StartFrom::Time(_)),
                "start_from must be Last or First: brokers know no time for simple consumers",
            ),
            (self.ack_timeout.is_zero(), "ack_timeout must not be zero"),
            (
                self.max_attempts == Some(0),
                "max_attempts must not be zero",
            ),
        ] {
            if wrong {
                return Err(Error::new(ErrorKind::Config, text));
            }
        }
        Ok(())
    }
}

/// # Errors
/// `Invalid`: it is out of the range.
pub(super) fn check_invisible(time: Duration) -> Result<()> {
    match INVISIBLE.contains(&time) {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "a message can be hidden for 1 s to 12 h, but not for {time:?}"
        ))),
    }
}

/// # Errors
/// `Invalid`: it is out of the range.
pub(super) fn check_count(messages: usize) -> Result<()> {
    match (1..=MOST_MESSAGES).contains(&messages) {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "1 to {MOST_MESSAGES} messages can be received at once, but not {messages}"
        ))),
    }
}
