use std::sync::Arc;
use std::time::Duration;

use super::hooks::Hooks;
use super::queue::FaultStrategy;
use super::retry::{DEFAULT_CODES, Policy};
use crate::client::{DefaultTopic, Names};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{LONGEST_GROUP, check_name};
use crate::protocol::compress::Compression;

/// Java's default group, which every program would share.
const DEFAULT_GROUP: &str = "DEFAULT_PRODUCER";

/// The settings of sends. Immutable once an engine has them.
#[derive(Debug, Clone)]
pub(crate) struct SendConfig {
    pub(crate) group: Arc<str>,
    /// The same as brokers know it.
    pub(crate) group_on_wire: Arc<str>,
    /// The client's names of topics and groups; known from the start on.
    pub(crate) names: Names,
    /// The namespace of those names, if there is one.
    pub(crate) namespace: Option<Arc<str>>,
    pub(crate) send_timeout: Duration,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) retries: u32,
    pub(crate) async_retries: u32,
    pub(crate) policy: Policy,
    pub(crate) max_message_size: usize,
    pub(crate) compress_over: usize,
    pub(crate) compression: Compression,
    pub(crate) compress_level: u32,
    pub(crate) default_topic: DefaultTopic,
    pub(crate) short_headers: bool,
    /// Whether "stored, but not flushed or replicated" is a failure.
    pub(crate) require_store_ok: bool,
    pub(crate) latency_fault: Option<FaultStrategy>,
    pub(crate) hooks: Hooks,
}

impl SendConfig {
    pub(crate) fn new(group: String) -> SendConfig {
        SendConfig {
            group_on_wire: group.as_str().into(),
            group: group.into(),
            names: Names::default(),
            namespace: None,
            send_timeout: Duration::from_secs(3),
            attempt_timeout: None,
            retries: 2,
            async_retries: 2,
            policy: Policy {
                codes: DEFAULT_CODES.into(),
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
        }
    }

    /// Takes over how the client names topics and groups.
    ///
    /// # Errors
    /// `Config` if the group with its namespace is not a legal name.
    pub(crate) fn use_names(&mut self, names: Names) -> Result<()> {
        self.group_on_wire = names.on_wire(&self.group_on_wire);
        self.group = names.for_users(&self.group_on_wire);
        self.namespace = names.namespace().map(Into::into);
        self.names = names;
        check_group(&self.group_on_wire)
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_group(&self.group)?;
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
        if self.attempt_timeout.is_some_and(|most| most.is_zero()) {
            return config("attempt_timeout must not be zero");
        }
        Ok(())
    }
}

/// The rules of group names.
pub(crate) fn check_group(group: &str) -> Result<()> {
    check_name("producer group", group, LONGEST_GROUP).map_err(|e| e.of_kind(ErrorKind::Config))?;
    if group == DEFAULT_GROUP {
        let text = "the producer group must not be DEFAULT_PRODUCER: name your own";
        return Err(Error::new(ErrorKind::Config, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_named_and_not_javas_default() {
        assert!(check_group("orders").is_ok());
        assert!(check_group(&"g".repeat(120)).is_ok());
        for bad in ["", "DEFAULT_PRODUCER", "bad group!", &"g".repeat(121)] {
            assert_eq!(
                check_group(bad).unwrap_err().kind(),
                ErrorKind::Config,
                "{bad}"
            );
        }
    }
}
