use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::consumer::PullConsumer;
use super::listeners::Listeners;
use crate::client::{Client, ClientOptions, ClientSource};
use crate::consumer::config::{ConsumerConfig, OnCorrupt, Sharing};
use crate::consumer::fetch::OffsetMoved;
use crate::consumer::observe::Event;
use crate::consumer::offset::StartFrom;
use crate::consumer::rebalance::Allocation;
use crate::consumer::subscription::Filter;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{MessageQueue, MessageView};
#[cfg(feature = "tls")]
use crate::transport::TlsConfig;

/// Sets up a [`PullConsumer`]; created by [`PullConsumer::builder`]. Nothing can be changed after the
/// start.
///
/// A value out of its range is an error at the start, of kind
/// [`Config`](crate::ErrorKind::Config) unless the setting names another kind.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct PullConsumerBuilder {
    config: ConsumerConfig,
    source: ClientSource,
    assigned: Vec<MessageQueue>,
    assign_filter: Option<Filter>,
    /// Listeners of the queues, in the order in which they were set.
    listeners: Listeners,
    /// The first error of a setter; the start returns it.
    failed: Option<Error>,
}

impl PullConsumerBuilder {
    pub(super) fn new(group: String) -> PullConsumerBuilder {
        let mut config = ConsumerConfig::new(group);
        config.is_pull = true;
        PullConsumerBuilder {
            config,
            source: ClientSource::default(),
            assigned: Vec::new(),
            assign_filter: None,
            listeners: Listeners::default(),
            failed: None,
        }
    }

    /// Uses this client (default: a client of its own, closed with the consumer). It cannot be combined
    /// with settings of a client. Shut the consumer down before the client.
    pub fn client(mut self, client: &Client) -> Self {
        self.source.give(client);
        self
    }

    /// Settings of the consumer's own client (default: none are set). Of two calls the later one counts;
    /// name servers and hooks add up.
    #[doc(alias = "ClientConfig")]
    pub fn options(mut self, options: ClientOptions) -> Self {
        self.source.set(options);
        self
    }

    /// See [`ClientOptions::name_server`].
    #[doc(alias = "setNamesrvAddr")]
    pub fn name_server(self, addresses: impl AsRef<str>) -> Self {
        self.options(ClientOptions::new().name_server(addresses))
    }

    /// See [`ClientOptions::instance_name`].
    #[doc(alias = "setInstanceName")]
    pub fn instance_name(self, name: impl Into<String>) -> Self {
        self.options(ClientOptions::new().instance_name(name))
    }

    /// See [`ClientOptions::namespace`].
    #[doc(alias = "setNamespace")]
    pub fn namespace(self, namespace: impl AsRef<str>) -> Self {
        self.options(ClientOptions::new().namespace(namespace))
    }

    /// See [`ClientOptions::credentials`].
    #[cfg(feature = "acl")]
    #[doc(alias = "AclClientRPCHook")]
    pub fn credentials(self, access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        self.options(ClientOptions::new().credentials(access_key, secret_key))
    }

    /// See [`ClientOptions::tls`].
    #[cfg(feature = "tls")]
    #[doc(alias = "setUseTLS")]
    pub fn tls(self, tls: TlsConfig) -> Self {
        self.options(ClientOptions::new().tls(tls))
    }

    /// Subscribes to a topic (at least one is needed, or [`assign`](Self::assign), but not both; may be
    /// called for several). A text is a filter by tags: `created || paid`, or `*` for all. A topic that
    /// is subscribed twice gets both tag filters. A topic may be created later.
    ///
    /// All members of a group must subscribe to the same topics with the same filters, and must all be
    /// pull consumers or all be push consumers.
    #[doc(alias = "setSubscription")]
    pub fn subscribe(mut self, topic: impl Into<Arc<str>>, filter: impl Into<Filter>) -> Self {
        let added = self.config.subscriptions.add(topic, filter.into());
        self.failed = self.failed.or(added.err());
        self
    }

    /// Consumes these queues, which other consumers may have too (default: none; adds to earlier ones; not
    /// together with [`subscribe`](Self::subscribe) or [`broadcast`](Self::broadcast)). All of their
    /// messages are consumed, unless [`assign_filter`](Self::assign_filter) is set. A queue may be created
    /// later.
    ///
    /// The consumer is then not a member of the group, and queues are not divided. It still reads and
    /// commits the group's offsets: two consumers of a group must not have the same queue.
    pub fn assign(mut self, queues: impl IntoIterator<Item = MessageQueue>) -> Self {
        for queue in queues {
            if !self.assigned.contains(&queue) {
                self.assigned.push(queue);
            }
        }
        self
    }

    /// Which messages of the [assigned](Self::assign) queues are consumed (default: all). A text is a filter
    /// by tags, as in [`subscribe`](Self::subscribe).
    #[doc(alias = "setSubExpressionForAssign")]
    pub fn assign_filter(mut self, filter: impl Into<Filter>) -> Self {
        self.assign_filter = Some(filter.into());
        self
    }

    /// Every consumer of the group gets every message (default: they share them). Each keeps its own
    /// offsets: in a file below [`offset_dir`](Self::offset_dir) if it also has an
    /// [`instance_name`](Self::instance_name). Without one of the two the offsets are lost when the consumer
    /// ends, and the next one starts as a new group does ([`start_from`](Self::start_from)); a warning is
    /// logged.
    #[doc(alias = "setMessageModel")]
    #[doc(alias = "BROADCASTING")]
    pub fn broadcast(mut self) -> Self {
        self.config.sharing = Sharing::Everyone;
        self
    }

    /// Where a broadcasting consumer keeps its offsets (default: nowhere): in
    /// `offset_dir/instance_name/group`. A second consumer of the same group and instance name is refused
    /// as long as the first one runs. If that file does not exist yet, and a file of Java's does in
    /// `offset_dir/client_id/group` (Java's folder is `~/.rocketmq_offsets`), consuming goes on at the
    /// offsets in it. Java's file is not changed.
    #[doc(alias = "rocketmq.client.localOffsetStoreDir")]
    pub fn offset_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.config.offset_dir = Some(dir.into());
        self
    }

    /// Where the group starts in a queue for which it has no offset yet (default
    /// [`Last`](StartFrom::Last)).
    #[doc(alias = "setConsumeFromWhere")]
    #[doc(alias = "setConsumeTimestamp")]
    pub fn start_from(mut self, from: StartFrom) -> Self {
        self.config.start_from = from;
        self
    }

    /// The most messages that one [`poll`](PullConsumer::poll) returns (default 32; 1 to 1024).
    #[doc(alias = "setPullBatchSize")]
    pub fn poll_batch(mut self, messages: usize) -> Self {
        self.config.poll_batch = messages;
        self
    }

    /// The most messages that the consumer holds of one queue, from the lowest unmarked one on (default
    /// 2,000; not zero). Polled messages count, and so do marked ones after an unmarked one. So this is
    /// also the most messages that are consumed again after a crash.
    #[doc(alias = "setPullThresholdForQueue")]
    #[doc(alias = "setConsumeMaxSpan")]
    pub fn window(mut self, messages: usize) -> Self {
        self.config.window = messages;
        self
    }

    /// The most messages that the consumer asks a broker for in one request (default 32; 1 to 1024).
    /// Brokers have their own limits: 32 messages and 256 KiB unless configured otherwise.
    #[doc(alias = "setPullBatchSize")]
    pub fn pull_batch(mut self, messages: usize) -> Self {
        self.config.pull_batch = messages;
        self
    }

    /// The most bytes of messages that the consumer holds, of all queues together (default 64 MiB; not
    /// zero). Half of it is guaranteed to the queues in equal parts.
    #[doc(alias = "setPullThresholdSizeForQueue")]
    #[doc(alias = "setPullThresholdForAll")]
    pub fn byte_budget(mut self, bytes: u64) -> Self {
        self.config.byte_budget = bytes;
        self
    }

    /// How often newly marked messages are committed (default 1 s; not zero), in the background. The broker
    /// confirms each commit. After a crash, the messages that were marked since the last commit come again.
    #[doc(alias = "setAutoCommitIntervalMillis")]
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.config.commit_interval = interval;
        self
    }

    /// Whether marked messages are committed automatically (default: yes). If not, only
    /// [`commit`](PullConsumer::commit) commits them: the interval, a hand-over and the shutdown do not,
    /// and neither the start offset of a queue nor that of a [`seek`](PullConsumer::seek) is committed.
    /// Uncommitted messages come again to the next member. So a consumer that never calls `commit` does not
    /// change the group's offsets.
    #[doc(alias = "setAutoCommit")]
    pub fn auto_commit(mut self, auto: bool) -> Self {
        self.config.auto_commit = auto;
        self
    }

    /// How the members of the group divide the queues (default
    /// [`averagely`](Allocation::averagely)).
    #[doc(alias = "setAllocateMessageQueueStrategy")]
    pub fn allocation(mut self, allocation: Allocation) -> Self {
        self.config.allocation = allocation;
        self
    }

    /// How often the consumer rebalances without a reason (default 20 s; at least 1 s).
    #[doc(alias = "rocketmq.client.rebalance.waitInterval")]
    pub fn rebalance_interval(mut self, interval: Duration) -> Self {
        self.config.rebalance_interval = interval;
        self
    }

    /// How long polled messages can still be marked when their queue goes to another member (default 20 s).
    /// Messages that are not marked by then come again there.
    pub fn drain_time(mut self, time: Duration) -> Self {
        self.config.drain_time = time;
        self
    }

    /// The time after which a message that is neither marked nor dropped is reported as stuck (default 15
    /// min; not zero): in the log, and as an [event](crate::consumer::Event::Stuck).
    pub fn consume_timeout(mut self, time: Duration) -> Self {
        self.config.consume_timeout = time;
        self
    }

    /// What to do when the next offset does not exist at the broker (default
    /// [`Follow`](OffsetMoved::Follow)).
    pub fn on_offset_moved(mut self, policy: OffsetMoved) -> Self {
        self.config.on_offset_moved = policy;
        self
    }

    /// What to do with a message that cannot be read (default [`Wait`](OnCorrupt::Wait)).
    pub fn on_corrupt(mut self, policy: OnCorrupt) -> Self {
        self.config.on_corrupt = policy;
        self
    }

    /// A listener of the consumer's [events](Event) (default: none; events are always logged). It runs on
    /// a thread of its own, `rmq-events`. It may be slow: up to 1,024 events wait for it. Further events
    /// are dropped and [counted](crate::consumer::ConsumerStats::events_dropped). Its panics are logged.
    #[doc(alias = "MessageQueueListener")]
    #[doc(alias = "setMessageQueueListener")]
    pub fn events(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listeners.add(listener);
        self
    }

    /// A listener of this member's queues (default: none). It gets all of them after each change, and at
    /// the start even if there are none. It runs on the thread of the [events](Self::events).
    #[doc(alias = "registerTopicMessageQueueChangeListener")]
    #[doc(alias = "MessageQueueListener")]
    pub fn on_assigned(self, hear: impl Fn(&[MessageQueue]) + Send + Sync + 'static) -> Self {
        self.events(move |event| {
            if let Event::Assigned { queues } = event {
                hear(queues);
            }
        })
    }

    /// A listener of queues that are about to go to another member (default: none). No more messages of
    /// such a queue are handed out; polled messages can be marked during the
    /// [drain time](Self::drain_time). It runs on the thread of the [events](Self::events).
    pub fn on_revoking(self, hear: impl Fn(&MessageQueue) + Send + Sync + 'static) -> Self {
        self.events(move |event| {
            if let Event::Revoking { queue } = event {
                hear(queue);
            }
        })
    }

    /// A listener of queues that were given up before all polled messages were marked, or the offset was
    /// confirmed (default: none). These messages come again to another member. It runs on the thread of the
    /// [events](Self::events).
    pub fn on_lost(self, hear: impl Fn(&MessageQueue) + Send + Sync + 'static) -> Self {
        self.events(move |event| {
            if let Event::Lost { queue, .. } = event {
                hear(queue);
            }
        })
    }

    /// Leaves out the messages for which this returns `false` (default: none; of several filters, each has
    /// to let a message pass). They count as consumed, and as
    /// [filtered](crate::consumer::ConsumerStats::filtered). It runs on the thread that polls, also for messages that come again. If it
    /// panics, the message passes.
    ///
    /// Filters by tags and SQL spare the broker to send the messages; this one does not.
    #[doc(alias = "registerFilterMessageHook")]
    #[doc(alias = "FilterMessageHook")]
    pub fn local_filter(
        mut self,
        pass: impl Fn(&MessageView) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.config.hooks.filters.push(Arc::new(pass));
        self
    }

    /// Traces what is consumed to `RMQ_SYS_TRACE_TOPIC` (default: off), in Java's format: as there, a
    /// poll counts as the whole consumption of its messages. Records leave in batches of 10 or every 5 s. Up
    /// to 2,048 are queued; a poll never waits for its trace. Records that are lost are logged, and [counted](crate::consumer::ConsumerStats::trace_lost).
    #[doc(alias = "setEnableMsgTrace")]
    pub fn trace(self) -> Self {
        self.trace_topic(crate::protocol::trace::TOPIC)
    }

    /// The same, to a topic of your own (default: off).
    #[doc(alias = "setCustomizedTraceTopic")]
    pub fn trace_topic(mut self, topic: impl Into<String>) -> Self {
        self.config.trace_topic = Some(topic.into().into());
        self
    }

    /// How long the start waits for a name server that does not answer (default 10 s).
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.config.start_timeout = timeout;
        self
    }

    /// Whether the start succeeds if no name server answered within
    /// [`start_timeout`](Self::start_timeout) (default: no, it fails). The consumer then waits for them in
    /// the background, and [`start_from`](Self::start_from) decides when they answer. Errors that brokers
    /// would have reported at the start are reported later, as [events](Self::events).
    pub fn wait_for_servers(mut self, wait: bool) -> Self {
        self.config.wait_for_servers = wait;
        self
    }

    /// Whether the start fails if the group has members that subscribe to other topics, or with other
    /// filters (default: no, an [event](crate::consumer::Event::SubscriptionMismatch) reports it). Brokers
    /// keep only the subscriptions of the latest heartbeat: the start does not find differences of other
    /// members, or of members that start at the same time. Events report these later.
    pub fn strict_subscriptions(mut self, strict: bool) -> Self {
        self.config.strict_subscriptions = strict;
        self
    }

    /// Starts the consumer: it fetches messages in the background, for [`poll`](PullConsumer::poll).
    ///
    /// Returns when the first assignment and the start offsets of its queues are known: messages sent
    /// from then on are consumed. It does not wait for queues that another member still has. If brokers
    /// do not answer, it returns after 5 s, and the consumer goes on in the background.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) for a bad group, topic, filter or setting, for neither or both
    /// of a subscription and assigned queues, for a group that is already in use on a shared client,
    /// offsets of broadcasting that another consumer has, an SQL filter that a broker refuses (its answer is
    /// in the error), or a living member of the group with the same client id; with
    /// [`strict_subscriptions`](Self::strict_subscriptions) for members that subscribe differently;
    /// [`Broker`](crate::ErrorKind::Broker) if a broker refuses access to a topic or the group: for want of a
    /// permission, or for a wrong signature (not while broadcasting, where an
    /// [event](crate::consumer::Event::Refused) reports it);
    /// [`NoNameServer`](crate::ErrorKind::NoNameServer) if none is set, or none answers within
    /// [`start_timeout`](Self::start_timeout);
    /// [`Invalid`](crate::ErrorKind::Invalid) if both a client and settings of a client are given;
    /// [`Closed`](crate::ErrorKind::Closed) for a client that is shut down;
    /// [`Io`](crate::ErrorKind::Io) if no threads can be started, or the folder of the offsets cannot be
    /// used.
    pub fn start(mut self) -> Result<PullConsumer> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if !self.assigned.is_empty() {
            let is_shared = !self.config.subscriptions.is_empty();
            if is_shared || self.config.sharing == Sharing::Everyone {
                let text = "assign(queues) cannot be combined with subscribe(topic, filter) or broadcast()";
                return Err(Error::new(ErrorKind::Config, text));
            }
            let filter = self.assign_filter.unwrap_or_else(Filter::all);
            let topics: BTreeSet<&str> = self.assigned.iter().map(MessageQueue::topic).collect();
            for topic in topics {
                self.config.subscriptions.add(topic, filter.clone())?;
            }
            self.config.sharing = Sharing::Fixed(self.assigned);
        } else if self.assign_filter.is_some() {
            let text = "assign_filter(filter) is for assign(queues) only";
            return Err(Error::new(ErrorKind::Config, text));
        }
        self.config.check()?;
        self.config.listener = self.listeners.all();
        let (client, is_own) = self.source.client()?;
        PullConsumer::start(self.config, client, is_own)
    }
}
