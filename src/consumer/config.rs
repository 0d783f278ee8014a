//! The settings of a consumer.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::consume::Mode;
use super::fetch::OffsetMoved;
use super::hooks::Hooks;
use super::observe::Listener;
use super::offset::StartFrom;
use super::pop::INVISIBLE;
use super::rebalance::Allocation;
use super::subscription::Subscriptions;
use crate::error::{Error, ErrorKind, Result};
use crate::message::name::RETRY_PREFIX;
use crate::message::{LONGEST_GROUP, LONGEST_TOPIC, MessageQueue, check_name};

/// Java's default group. All programs that use it would share one group.
const DEFAULT_GROUP: &str = "DEFAULT_CONSUMER";

/// The settings of a consumer. Immutable once it is started.
#[derive(Clone)]
pub(crate) struct ConsumerConfig {
    pub(crate) mode: Mode,
    /// Messages are polled, and not given to a handler.
    pub(crate) is_pull: bool,
    pub(crate) sharing: Sharing,
    /// The folder of the offsets of broadcasting.
    pub(crate) offset_dir: Option<PathBuf>,
    /// The most messages of one poll.
    pub(crate) poll_batch: usize,
    /// The most messages of one request.
    pub(crate) pull_batch: usize,
    /// The most messages of one call of the handler.
    pub(crate) call_batch: usize,
    /// Whether brokers say which topics are popped.
    pub(crate) broker_assignment: bool,
    /// How long a popped message is hidden from other members.
    pub(crate) invisible_time: Duration,
    pub(crate) group: Arc<str>,
    /// By the users' names of the topics.
    pub(crate) subscriptions: Subscriptions,
    pub(crate) start_from: StartFrom,
    pub(crate) threads: usize,
    /// The most messages of one queue, from the lowest unfinished one on.
    pub(crate) window: usize,
    pub(crate) byte_budget: u64,
    pub(crate) commit_interval: Duration,
    /// Whether progress is committed without a call of `commit`.
    pub(crate) auto_commit: bool,
    pub(crate) allocation: Allocation,
    pub(crate) rebalance_interval: Duration,
    pub(crate) start_timeout: Duration,
    /// Whether a start fails if other members subscribe differently.
    pub(crate) strict_subscriptions: bool,
    /// Whether a start without an answer of a name server goes on in the background.
    pub(crate) wait_for_servers: bool,
    /// Failures after which a message is a dead letter; `None`: the default of the mode.
    pub(crate) max_reconsume: Option<u32>,
    /// Only messages of one sharding key are in order, and so many of one queue are handled at once.
    pub(crate) by_key: Option<usize>,
    /// How long an ordered queue waits after a failure.
    pub(crate) suspend: Duration,
    pub(crate) drain_time: Duration,
    /// Whether locks are taken for the hand-over of queues.
    pub(crate) lease: bool,
    pub(crate) consume_timeout: Duration,
    /// Whether a message is taken from a handler that has had it for longer than `consume_timeout`.
    pub(crate) revoke_stuck: bool,
    pub(crate) rate_limit: Option<u32>,
    pub(crate) on_offset_moved: OffsetMoved,
    pub(crate) on_corrupt: OnCorrupt,
    /// The topic for traces, if tracing is on.
    pub(crate) trace_topic: Option<Arc<str>>,
    pub(crate) hooks: Hooks,
    pub(crate) listener: Option<Listener>,
}

/// How the group's members share the queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Each queue belongs to one member of the group.
    Group,
    /// Broadcasting: every member has all queues, and keeps its own offsets.
    Everyone,
    /// This consumer has these queues, by the users' names. Brokers do not know it as a member of the group.
    Fixed(Vec<MessageQueue>),
}

/// What a consumer does with a message that still cannot be read (a wrong checksum, a damaged body) after
/// it was fetched again three times (default: [`Wait`](OnCorrupt::Wait)). An event reports each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnCorrupt {
    /// It stays unconsumed, and is fetched again every 30 s. The messages after it are handled until the
    /// window is full, but are not committed.
    #[default]
    Wait,
    /// It counts as consumed.
    Skip,
    /// The broker puts a copy of it, as it is, into the dead letter topic.
    DeadLetter,
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
            auto_commit: true,
            allocation: Allocation::default(),
            rebalance_interval: Duration::from_secs(20),
            start_timeout: Duration::from_secs(10),
            strict_subscriptions: false,
            wait_for_servers: false,
            mode: Mode::Concurrent,
            is_pull: false,
            sharing: Sharing::Group,
            offset_dir: None,
            poll_batch: 32,
            pull_batch: 32,
            call_batch: 1,
            broker_assignment: false,
            invisible_time: Duration::from_secs(60),
            max_reconsume: None,
            by_key: None,
            suspend: Duration::from_secs(1),
            drain_time: Duration::from_secs(20),
            lease: true,
            consume_timeout: Duration::from_secs(15 * 60),
            revoke_stuck: false,
            rate_limit: None,
            on_offset_moved: OffsetMoved::default(),
            on_corrupt: OnCorrupt::default(),
            trace_topic: None,
            hooks: Hooks::default(),
            listener: None,
        }
    }

    /// # Errors
    /// `Config`, with the name of the setting.
    pub(crate) fn check(&self) -> Result<()> {
        check_group(&self.group)?;
        check_topics(&self.subscriptions)?;
        let bad = |text: String| Err(Error::new(ErrorKind::Config, text));
        for (wrong, text) in [
            (
                !(1..=1000).contains(&self.threads),
                "consume_threads must be 1 to 1000",
            ),
            (
                !(1..=1024).contains(&self.poll_batch),
                "poll_batch must be 1 to 1024",
            ),
            (
                !(1..=1024).contains(&self.pull_batch),
                "pull_batch must be 1 to 1024",
            ),
            (
                self.by_key.is_some_and(|most| !(1..=1000).contains(&most)),
                "ordered_by_key must be 1 to 1000",
            ),
            (
                self.by_key.is_some() && self.mode != Mode::Ordered,
                "ordered_by_key is for start_ordered() only",
            ),
            (
                self.by_key.is_some() && self.revoke_stuck,
                "ordered_by_key cannot be combined with revoke_stuck: a copy would be behind later messages \
                 of its key",
            ),
            (
                self.broker_assignment && self.mode != Mode::Concurrent,
                "broker_assignment is for concurrent consumers that share their messages: not for \
                 start_ordered(), and not with broadcast()",
            ),
            (
                self.broker_assignment && matches!(self.start_from, StartFrom::Time(_)),
                "broker_assignment cannot be combined with StartFrom::Time: brokers know no time for \
                 popped topics",
            ),
            (
                !INVISIBLE.contains(&self.invisible_time),
                "invisible_time must be 1 s to 12 h",
            ),
            (
                self.offset_dir.is_some() && self.sharing != Sharing::Everyone,
                "offset_dir is for broadcast() only: otherwise brokers keep the offsets",
            ),
            (
                self.revoke_stuck && self.sharing == Sharing::Everyone,
                "revoke_stuck cannot be combined with broadcast(): no broker takes messages back",
            ),
            (
                self.on_corrupt == OnCorrupt::DeadLetter && self.sharing == Sharing::Everyone,
                "on_corrupt(DeadLetter) cannot be combined with broadcast()",
            ),
            (self.window == 0, "window must not be zero"),
            (self.byte_budget == 0, "byte_budget must not be zero"),
            (
                self.consume_timeout.is_zero(),
                "consume_timeout must not be zero",
            ),
            (
                self.rebalance_interval < Duration::from_secs(1),
                "rebalance_interval must be at least a second",
            ),
            (self.rate_limit == Some(0), "rate_limit must not be zero"),
            (
                self.max_reconsume
                    .is_some_and(|most| most > i32::MAX as u32),
                "max_reconsume must be at most 2147483647",
            ),
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

/// # Errors
/// `Config`: no group can have this name.
pub(crate) fn check_group(group: &str) -> Result<()> {
    check_name("consumer group", group, LONGEST_GROUP)
        .map_err(|error| error.of_kind(ErrorKind::Config))?;
    if *group == *DEFAULT_GROUP {
        let text = format!("the consumer group must not be {DEFAULT_GROUP}: name your own");
        return Err(Error::new(ErrorKind::Config, text));
    }
    Ok(())
}

/// # Errors
/// `Config`: there is no topic, or one that cannot be subscribed.
pub(crate) fn check_topics(subscriptions: &Subscriptions) -> Result<()> {
    let bad = |text: String| Err(Error::new(ErrorKind::Config, text));
    if subscriptions.is_empty() {
        return bad("nothing is subscribed: call subscribe(topic, filter)".to_owned());
    }
    for (topic, _) in subscriptions.iter() {
        check_name("topic", topic, LONGEST_TOPIC)
            .map_err(|error| error.of_kind(ErrorKind::Config))?;
        if topic.starts_with(RETRY_PREFIX) {
            return bad(format!(
                "{topic}: a group's retry topic is subscribed automatically"
            ));
        }
    }
    Ok(())
}

impl fmt::Debug for ConsumerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerConfig")
            .field("group", &self.group)
            .field("subscriptions", &self.subscriptions)
            .field("mode", &self.mode)
            .field("sharing", &self.sharing)
            .field("offset_dir", &self.offset_dir)
            .field("start_from", &self.start_from)
            .field("threads", &self.threads)
            .field("pull_batch", &self.pull_batch)
            .field("poll_batch", &self.poll_batch)
            .field("broker_assignment", &self.broker_assignment)
            .field("invisible_time", &self.invisible_time)
            .field("window", &self.window)
            .field("byte_budget", &self.byte_budget)
            .field("commit_interval", &self.commit_interval)
            .field("auto_commit", &self.auto_commit)
            .field("allocation", &self.allocation)
            .field("rebalance_interval", &self.rebalance_interval)
            .field("start_timeout", &self.start_timeout)
            .field("strict_subscriptions", &self.strict_subscriptions)
            .field("wait_for_servers", &self.wait_for_servers)
            .field("max_reconsume", &self.max_reconsume)
            .field("by_key", &self.by_key)
            .field("suspend", &self.suspend)
            .field("drain_time", &self.drain_time)
            .field("lease", &self.lease)
            .field("consume_timeout", &self.consume_timeout)
            .field("revoke_stuck", &self.revoke_stuck)
            .field("rate_limit", &self.rate_limit)
            .field("on_offset_moved", &self.on_offset_moved)
            .field("on_corrupt", &self.on_corrupt)
            .field("trace_topic", &self.trace_topic)
            .field("hooks", &self.hooks)
            .field("listener", &self.listener.as_ref().map(|_| ".."))
            .finish_non_exhaustive()
    }
}
