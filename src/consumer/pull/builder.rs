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

/// Sets up a [`PullConsumer`]; made by [`PullConsumer::builder`]. Nothing can be changed once it is
/// started.
///
/// A value out of its range is an error at the start, of kind
/// [`Config`](crate::ErrorKind::Config) where nothing else is said.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct PullConsumerBuilder {
    config: ConsumerConfig,
    source: ClientSource,
    assigned: Vec<MessageQueue>,
    assign_filter: Option<Filter>,
    /// Listeners of the queues, in the order in which they were set.
    listeners: Listeners,
    /// What went wrong so far: it is reported at the start.
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

    /// Uses this client instead of one of its own (default: one of its own, closed with the
    /// consumer). Not together with settings of a client. Shut the consumer down before the client.
    pub fn client(mut self, client: &Client) -> Self {
        self.source.give(client);
        self
    }

    /// Settings of the client that the consumer makes for itself (default: none are set). Later
    /// ones count; name servers and hooks add up.
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

    /// Subscribes to a topic (may be called for several; not together with
    /// [`assign`](Self::assign)). A text is a filter by tags: `created || paid`, or `*` for all. A topic
    /// that is subscribed twice gets both tag filters. A topic that does not exist yet is waited for.
    ///
    /// All members of a group must subscribe to the same topics with the same filters, and be pull
    /// consumers or push consumers alike.
    pub fn subscribe(mut self, topic: impl Into<Arc<str>>, filter: impl Into<Filter>) -> Self {
        let added = self.config.subscriptions.add(topic, filter.into());
        self.failed = self.failed.or(added.err());
        self
    }

    /// Consumes these queues, whoever else does (adds to earlier ones; not together with
    /// [`subscribe`](Self::subscribe) or [`broadcast`](Self::broadcast)): all of their messages, unless
    /// [`assign_filter`](Self::assign_filter) is set. Queues that do not exist yet are waited for.
    ///
    /// The consumer is no member of the group then, and nothing is divided. It reads and commits the group's
    /// offsets all the same: two consumers of a group must not have the same queue.
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
    /// offsets, in a file below [`offset_dir`](Self::offset_dir), if it has an
    /// [`instance_name`](Self::instance_name) too; without one of the two they are lost when it ends, and it
    /// starts as a new group does ([`start_from`](Self::start_from)). The log says so.
    #[doc(alias = "setMessageModel")]
    #[doc(alias = "BROADCASTING")]
    pub fn broadcast(mut self) -> Self {
        self.config.sharing = Sharing::Everyone;
        self
    }

    /// Where a broadcasting consumer keeps its offsets (default: nowhere): in
    /// `offset_dir/instance_name/group`. A second consumer of the same group and instance name is refused
    /// as long as the first one runs. If there is no file yet, and one of Java's in
    /// `offset_dir/client_id/group` (Java's folder is `~/.rocketmq_offsets`), consuming goes on where that
    /// one ended. Java's file is not changed.
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

    /// The most messages that are held of one queue, counted from the lowest one that is not marked
    /// (default 2,000; not zero): those that were polled, and marked ones behind one that is not, included.
    /// So it is also the most that is consumed again after a crash.
    #[doc(alias = "setPullThresholdForQueue")]
    #[doc(alias = "setConsumeMaxSpan")]
    pub fn window(mut self, messages: usize) -> Self {
        self.config.window = messages;
        self
    }

    /// The most messages that one request of the consumer's asks a broker for (default 32; 1 to 1024).
    /// Brokers have a limit of their own, 32 and 256 KiB unless they are set up otherwise.
    #[doc(alias = "setPullBatchSize")]
    pub fn pull_batch(mut self, messages: usize) -> Self {
        self.config.pull_batch = messages;
        self
    }

    /// The most bytes of messages that are held of all queues together (default 64 MiB; not zero).
    /// Half of it is guaranteed to the queues in equal parts.
    #[doc(alias = "setPullThresholdSizeForQueue")]
    #[doc(alias = "setPullThresholdForAll")]
    pub fn byte_budget(mut self, bytes: u64) -> Self {
        self.config.byte_budget = bytes;
        self
    }

    /// How often marked messages are committed where there are some (default 1 s; not zero), whether
    /// somebody polls or not. Each commit is confirmed by the broker. After a crash, what was marked since
    /// the last one comes again.
    #[doc(alias = "setAutoCommitIntervalMillis")]
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.config.commit_interval = interval;
        self
    }

    /// Whether anything is committed but by [`commit`](PullConsumer::commit) (default: yes). If not, only
    /// that commits what is marked: not the interval, a hand-over, or the shutdown, nor is it committed
    /// where a queue starts or a [`seek`](PullConsumer::seek) goes. What is not committed comes again to the
    /// next member. So a consumer that never calls it reads without a trace in the group's offsets.
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

    /// How often the members of the group are looked at without a reason (default 20 s; at least 1 s).
    #[doc(alias = "rocketmq.client.rebalance.waitInterval")]
    pub fn rebalance_interval(mut self, interval: Duration) -> Self {
        self.config.rebalance_interval = interval;
        self
    }

    /// How long messages that were polled may still be marked when their queue goes to another member
    /// (default 20 s). What is not marked by then comes again there.
    pub fn drain_time(mut self, time: Duration) -> Self {
        self.config.drain_time = time;
        self
    }

    /// A message that is neither marked nor dropped for longer than this is reported as stuck (default
    /// 15 min; not zero): in the log, and as an [event](crate::consumer::Event::Stuck).
    pub fn consume_timeout(mut self, time: Duration) -> Self {
        self.config.consume_timeout = time;
        self
    }

    /// What to do when a broker has no message at the offset that comes next (default
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

    /// Hears of what happens to the consumer (default: nobody; all of it is logged in any case). It
    /// runs on a thread of its own, `rmq-events`. It may take its time: 1,024 events wait for it, and
    /// those beyond are dropped and
    /// [counted](crate::consumer::ConsumerStats::events_dropped). Its panics are logged.
    #[doc(alias = "MessageQueueListener")]
    pub fn events(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listeners.add(listener);
        self
    }

    /// Hears of all queues of this member whenever they have changed, the first ones (perhaps none)
    /// included. Runs on the thread of the [events](Self::events).
    #[doc(alias = "registerTopicMessageQueueChangeListener")]
    #[doc(alias = "MessageQueueListener")]
    pub fn on_assigned(self, hear: impl Fn(&[MessageQueue]) + Send + Sync + 'static) -> Self {
        self.events(move |event| {
            if let Event::Assigned { queues } = event {
                hear(queues);
            }
        })
    }

    /// Hears of each queue that is about to go to another member: nothing more of it is handed out, and
    /// what was polled can be marked for the [drain time](Self::drain_time). Runs on the thread of the
    /// [events](Self::events).
    pub fn on_revoking(self, hear: impl Fn(&MessageQueue) + Send + Sync + 'static) -> Self {
        self.events(move |event| {
            if let Event::Revoking { queue } = event {
                hear(queue);
            }
        })
    }

    /// Hears of each queue that is gone before all of its polled messages were marked, or its offset
    /// confirmed: they come again elsewhere. Runs on the thread of the [events](Self::events).
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

    /// How long the start waits for a name server that does not answer (default 10 s).
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.config.start_timeout = timeout;
        self
    }

    /// Whether the start succeeds although no name server answered within
    /// [`start_timeout`](Self::start_timeout) (default: no, it fails). The consumer waits for them in the
    /// background then, and starts where [`start_from`](Self::start_from) says when they are there. What
    /// brokers would have refused at the start, they refuse later, as [events](Self::events) tell.
    pub fn wait_for_servers(mut self, wait: bool) -> Self {
        self.config.wait_for_servers = wait;
        self
    }

    /// Whether the start fails if the group has members that subscribe to other topics, or with other
    /// filters (default: no, an [event](crate::consumer::Event::SubscriptionMismatch) tells of it).
    /// Brokers keep the subscriptions of the member whose heartbeat came last: this cannot see other
    /// members, nor those that start at the same time. Events tell of them later.
    pub fn strict_subscriptions(mut self, strict: bool) -> Self {
        self.config.strict_subscriptions = strict;
        self
    }

    /// Starts the consumer. Messages are fetched from now on, and wait to be polled.
    ///
    /// Returns when the first assignment is known, and where its queues start: what is sent from
    /// then on is consumed. A queue that another member still has is not waited for. If brokers do not
    /// answer, it returns after 5 s, and goes on in the background.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) for a bad group, topic, filter or setting, for neither or both
    /// of a subscription and assigned queues, for a group that is already in use on a shared client,
    /// offsets of broadcasting that another consumer has, an SQL filter that a broker refuses (its answer is
    /// in the error), or a member of the group that has the same client id and lives; with
    /// [`strict_subscriptions`](Self::strict_subscriptions) for members that subscribe differently;
    /// [`NoNameServer`](crate::ErrorKind::NoNameServer) if none is set, or none answers within
    /// [`start_timeout`](Self::start_timeout);
    /// [`Invalid`](crate::ErrorKind::Invalid) if both a client and settings of a client are given;
    /// [`Closed`](crate::ErrorKind::Closed) for a client that is shut down;
    /// [`Io`](crate::ErrorKind::Io) if the system gives no threads, or the folder of the offsets cannot be
    /// used.
    pub fn start(mut self) -> Result<PullConsumer> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if !self.assigned.is_empty() {
            let is_shared = !self.config.subscriptions.is_empty();
            if is_shared || self.config.sharing == Sharing::Everyone {
                let text = "assign(queues) goes without subscribe(topic, filter) and broadcast()";
                return Err(Error::new(ErrorKind::Config, text));
            }
            let filter = self.assign_filter.unwrap_or_else(Filter::all);
            let topics: BTreeSet<&str> = self.assigned.iter().map(MessageQueue::topic).collect();
            for topic in topics {
                self.config.subscriptions.add(topic, filter.clone())?;
            }
            self.config.sharing = Sharing::Fixed(self.assigned);
        } else if self.assign_filter.is_some() {
            let text = "assign_filter(filter) goes with assign(queues)";
            return Err(Error::new(ErrorKind::Config, text));
        }
        self.config.check()?;
        self.config.listener = self.listeners.all();
        let (client, is_own) = self.source.client()?;
        PullConsumer::start(self.config, client, is_own)
    }
}
