use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::consumer::PushConsumer;
use crate::client::{Client, ClientOptions, ClientSource};
use crate::consumer::config::{ConsumerConfig, OnCorrupt, Sharing};
use crate::consumer::consume::{
    Batch, Deliveries, Handler, InOrder, Mode, OrderedMessage, Retry, Single,
};
use crate::consumer::fetch::OffsetMoved;
use crate::consumer::hooks::ConsumeHook;
use crate::consumer::observe::Event;
use crate::consumer::offset::StartFrom;
use crate::consumer::rebalance::Allocation;
use crate::consumer::subscription::Filter;
use crate::error::{Error, ErrorKind, Result};
use crate::message::MessageView;
#[cfg(feature = "tls")]
use crate::transport::TlsConfig;

/// Sets up a [`PushConsumer`]; created by [`PushConsumer::builder`]. Nothing can be changed after the
/// start.
///
/// A value out of its range is an error at the start, of kind
/// [`Config`](crate::ErrorKind::Config) unless the setting names another kind.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct PushConsumerBuilder {
    config: ConsumerConfig,
    source: ClientSource,
    /// The first error of a setter; the start returns it.
    failed: Option<Error>,
}

impl PushConsumerBuilder {
    pub(super) fn new(group: String) -> PushConsumerBuilder {
        PushConsumerBuilder {
            config: ConsumerConfig::new(group),
            source: ClientSource::default(),
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

    /// Subscribes to a topic (at least one is needed; may be called for several). A text is a filter
    /// by tags: `created || paid`, or `*` for all. A topic that is subscribed twice gets both tag
    /// filters. A topic may be created later.
    ///
    /// All members of a group must subscribe to the same topics with the same filters.
    #[doc(alias = "setSubscription")]
    pub fn subscribe(mut self, topic: impl Into<Arc<str>>, filter: impl Into<Filter>) -> Self {
        let added = self.config.subscriptions.add(topic, filter.into());
        self.failed = self.failed.or(added.err());
        self
    }

    /// Every consumer of the group gets every message (default: they share them). Each keeps its own
    /// offsets: in a file below [`offset_dir`](Self::offset_dir) if it also has an
    /// [`instance_name`](Self::instance_name). Without one of the two the offsets are lost when the consumer
    /// ends, and the next one starts as a new group does ([`start_from`](Self::start_from)); a warning is
    /// logged.
    ///
    /// There are no retries: a message whose handler fails is dropped, counted and logged, as in Java.
    /// Only an [ordered](Self::start_ordered) consumer handles it again, in place; it takes no locks then.
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

    /// How many threads run the handler (default 20; 1 to 1000).
    #[doc(alias = "setConsumeThreadMin")]
    #[doc(alias = "setConsumeThreadMax")]
    pub fn consume_threads(mut self, threads: usize) -> Self {
        self.config.threads = threads;
        self
    }

    /// The most messages that the consumer holds of one queue, from the lowest unfinished one on (default
    /// 2,000; not zero). Messages with handlers count, and so do finished ones after an unfinished one.
    /// So this is also the most messages that are consumed again after a crash.
    #[doc(alias = "setConsumeConcurrentlyMaxSpan")]
    #[doc(alias = "setPullThresholdForQueue")]
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
    pub fn byte_budget(mut self, bytes: u64) -> Self {
        self.config.byte_budget = bytes;
        self
    }

    /// How often new progress is committed (default 1 s; not zero). The broker confirms each commit.
    /// After a crash, the messages that were consumed since the last commit come again.
    #[doc(alias = "setPersistConsumerOffsetInterval")]
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.config.commit_interval = interval;
        self
    }

    /// How the members of the group divide the queues (default
    /// [`averagely`](Allocation::averagely)).
    #[doc(alias = "setAllocateMessageQueueStrategy")]
    pub fn allocation(mut self, allocation: Allocation) -> Self {
        self.config.allocation = allocation;
        self
    }

    /// Whether brokers say how to ask for the messages of each topic (default: no, they are pulled). The
    /// consumer asks them once, at its start; an operator sets it with
    /// [`GroupAdmin::set_pop`](crate::client::GroupAdmin::set_pop).
    ///
    /// A topic for which they say POP is popped: all members of the group may get messages of all its queues,
    /// each message hidden from the others for [`invisible_time`](Self::invisible_time). That is renewed while
    /// a handler runs. The message is acknowledged when its handler returns `Ok`, and comes again after the
    /// delay of its [`Retry`] otherwise; after [`max_reconsume`](Self::max_reconsume) deliveries a failure
    /// makes it a dead letter. Brokers count deliveries, those that no handler saw included (of a member that
    /// died or was paused). They keep the offsets: lag, windows, leases and commits are not for popped topics,
    /// and [`StartFrom::Time`] is an error.
    ///
    /// As the time of a message runs while it waits for a handler, about one waits for each consume thread. While
    /// handlers take messages within a second of their pop (a 60th of a shorter invisible time than a minute), up
    /// to 192 wait. A pop in flight can exceed [`byte_budget`](Self::byte_budget) by its answer.
    ///
    /// When the consumer ends, messages that wait come to other members after a second. While a topic has messages,
    /// or just had some, the end waits for the answers to the last pops (for a 300th of the invisible time, at most 5 s). A message
    /// that a broker hands out after that comes when the invisible time is over.
    ///
    /// All other topics are pulled, as without this setting; the members divide their queues themselves (as
    /// brokers would). So are topics that do not exist at the start, topics whose brokers do not answer within
    /// 3 s, and all topics of brokers before 5.0, which assign no queues: a warning is logged. All members
    /// should have the same setting.
    ///
    /// It cannot be combined with [`start_ordered`](Self::start_ordered) or [`broadcast`](Self::broadcast).
    #[doc(alias = "setClientRebalance")]
    #[doc(alias = "clientRebalance")]
    #[doc(alias = "POP")]
    pub fn broker_assignment(mut self, on: bool) -> Self {
        self.config.broker_assignment = on;
        self
    }

    /// How long a popped message is hidden from other members (default 60 s; 1 s to 12 h). It is renewed when
    /// two thirds of it are over, as long as the handler runs. If this process dies, the message comes again
    /// after it. Only with [`broker_assignment`](Self::broker_assignment).
    #[doc(alias = "setPopInvisibleTime")]
    pub fn invisible_time(mut self, time: Duration) -> Self {
        self.config.invisible_time = time;
        self
    }

    /// How often the consumer rebalances without a reason (default 20 s; at least 1 s). Brokers notify of
    /// changes at once; this finds changes whose notification was lost.
    #[doc(alias = "rocketmq.client.rebalance.waitInterval")]
    pub fn rebalance_interval(mut self, interval: Duration) -> Self {
        self.config.rebalance_interval = interval;
        self
    }

    /// How many times a message is retried before it becomes a dead letter (default 16, ordered: no limit;
    /// 0: the first failure makes it a dead letter). Retries are delayed by 10 s, 30 s, 1 min .. 2 h.
    #[doc(alias = "setMaxReconsumeTimes")]
    pub fn max_reconsume(mut self, times: u32) -> Self {
        self.config.max_reconsume = Some(times);
        self
    }

    /// How long an ordered queue waits before a failed message is handled again (default 1 s; a value out
    /// of 10 ms to 30 s counts as the nearer of these).
    #[doc(alias = "setSuspendCurrentQueueTimeMillis")]
    pub fn suspend(mut self, time: Duration) -> Self {
        self.config.suspend = time;
        self
    }

    /// Has [`start_ordered`](Self::start_ordered) keep the order of each sharding key instead of that of the
    /// queue: up to `most` messages of one queue are handled at once (default: one; 1 to 1000), and those with the same
    /// [`sharding_key`](crate::producer::PreparedSend::sharding_key) one after the other. Messages without a key have
    /// no order. All of it runs on the [`consume_threads`](Self::consume_threads).
    ///
    /// A failed message holds up those of its key only. Progress is committed up to the first unfinished message,
    /// so that a message that fails for ever stops its queue when the [`window`](Self::window) is full: set
    /// [`max_reconsume`](Self::max_reconsume). Finished messages behind it come again after a crash, those of
    /// one key in their order. When the queue goes to another member, or the consumer ends, unfinished messages that
    /// others have overtaken are still handled, for half of the time that handlers have: finished messages come
    /// again only where that is not enough, or where one before them has failed.
    pub fn ordered_by_key(mut self, most: usize) -> Self {
        self.config.by_key = Some(most);
        self
    }

    /// How long handlers may run on when their queue goes to another member (default 20 s). The new
    /// member waits for them, up to a limit of its own. Messages of handlers that run for longer are
    /// handled twice; in order, the new member waits then until the broker's lock expires, for up to a minute.
    #[doc(alias = "setAwaitTerminationMillisWhenShutdown")]
    pub fn drain_time(mut self, time: Duration) -> Self {
        self.config.drain_time = time;
        self
    }

    /// Whether members hold the broker's lock of a queue as long as they have the queue (default: yes). Then
    /// no message is handled twice when a member joins, leaves or is shut down: the next member of a
    /// queue waits, for up to 3.5 s, until the last one has ended its handlers, committed, and unlocked the
    /// queue. Locks are used only while all members of the group use this library.
    pub fn lease(mut self, lease: bool) -> Self {
        self.config.lease = lease;
        self
    }

    /// The time after which a handler that still has its message is reported as stuck (default 15 min; not
    /// zero): in the log, in the [statistics](crate::consumer::ConsumerStats::stuck), and as an
    /// [event](crate::consumer::Event::Stuck). Nothing else happens, unless
    /// [`revoke_stuck`](Self::revoke_stuck) is set.
    #[doc(alias = "setConsumeTimeout")]
    pub fn consume_timeout(mut self, time: Duration) -> Self {
        self.config.consume_timeout = time;
        self
    }

    /// Whether a message is given back to the broker after its handler has had it for
    /// [`consume_timeout`](Self::consume_timeout) (default: no). The handler runs on, but its result does
    /// not count. So the message is handled twice, possibly at the same time.
    pub fn revoke_stuck(mut self, revoke: bool) -> Self {
        self.config.revoke_stuck = revoke;
        self
    }

    /// The most messages that this member handles per second (default: no limit; not zero).
    pub fn rate_limit(mut self, per_second: u32) -> Self {
        self.config.rate_limit = Some(per_second);
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
        self.config.listener = Some(Arc::new(listener));
        self
    }

    /// Leaves out the messages for which this returns `false` (default: none; of several filters, each has
    /// to let a message pass). They count as consumed, and as
    /// [filtered](crate::consumer::ConsumerStats::filtered). It runs on a consume thread, before the handler, also for messages that come again. If it
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

    /// Adds a hook that runs before and after each call of the handler (default: none).
    #[doc(alias = "registerConsumeMessageHook")]
    pub fn consume_hook(mut self, hook: impl ConsumeHook + 'static) -> Self {
        self.config.hooks.consume.push(Arc::new(hook));
        self
    }

    /// Traces what is consumed to `RMQ_SYS_TRACE_TOPIC` (default: off), in Java's format: a record when a
    /// message goes to the handler, and one when that has ended with it. Records leave in batches of 10 or
    /// every 5 s. Up to 2,048 are queued; a handler never waits for its trace. Records that are lost are
    /// logged, and [counted](crate::consumer::ConsumerStats::trace_lost).
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

    /// Starts the consumer. The handler gets one message at a time, on up to
    /// [`consume_threads`](Self::consume_threads) threads at once, messages of one queue included:
    /// their order is not kept. `Ok` means that the message is consumed; after an error, or a panic,
    /// it comes again.
    ///
    /// Returns when the first assignment and the start offsets of its queues are known: messages sent
    /// from then on are consumed. It does not wait for queues that another member still has. If brokers
    /// do not answer, it returns after 5 s, and the consumer goes on in the background.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) for a bad group, topic, filter or setting, for no
    /// subscription, a group that is already in use on a shared client, an SQL filter that a broker
    /// refuses (its answer is in the error), or a living member of the group with the same client id;
    /// with [`strict_subscriptions`](Self::strict_subscriptions) for members that subscribe differently;
    /// [`Broker`](crate::ErrorKind::Broker) if a broker refuses access to a topic or the group: for want of a
    /// permission, or for a wrong signature (not while broadcasting, where an
    /// [event](crate::consumer::Event::Refused) reports it);
    /// [`NoNameServer`](crate::ErrorKind::NoNameServer) if none is set, or none answers within
    /// [`start_timeout`](Self::start_timeout);
    /// [`Invalid`](crate::ErrorKind::Invalid) if both a client and settings of a client are given;
    /// [`Closed`](crate::ErrorKind::Closed) for a client that is shut down;
    /// [`Io`](crate::ErrorKind::Io) if no threads can be started.
    #[doc(alias = "MessageListenerConcurrently")]
    #[doc(alias = "registerMessageListener")]
    pub fn start<F>(self, handler: F) -> Result<PushConsumer>
    where
        F: Fn(&MessageView) -> Result<(), Retry> + Send + Sync + 'static,
    {
        self.start_with(Box::new(Single(handler)))
    }

    /// Like [`start`](Self::start), with a handler that gets up to `most` messages of one queue at once (1
    /// to 1024). It gets the fetched messages, and does not wait for more. It can decide about each
    /// message: see [`Deliveries`].
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    #[doc(alias = "setConsumeMessageBatchMaxSize")]
    pub fn start_batch<F>(mut self, most: usize, handler: F) -> Result<PushConsumer>
    where
        F: Fn(&mut Deliveries<'_>) -> Result<(), Retry> + Send + Sync + 'static,
    {
        if !(1..=1024).contains(&most) {
            let text = "a batch has 1 to 1024 messages";
            return Err(Error::new(ErrorKind::Config, text));
        }
        self.config.call_batch = most;
        self.start_with(Box::new(Batch(handler)))
    }

    /// Starts an ordered consumer: the messages of one queue are handled one after the other, in the
    /// order of the queue, by one member at a time. Different queues are handled at the same time. With
    /// [`ordered_by_key`](Self::ordered_by_key), so are messages of one queue with different sharding keys.
    ///
    /// A failed message is handled again after [`suspend`](Self::suspend), and the queue waits for it. If
    /// [`max_reconsume`](Self::max_reconsume) is set, it becomes a dead letter after that many retries, and
    /// the queue goes on; otherwise the retries have no limit.
    ///
    /// The consumer holds the broker's lock of each of its queues, and hands out no message while the lock
    /// is not confirmed. After a crash, its queues wait for up to a minute until the locks expire, or until
    /// a consumer with the same [`instance_name`](Self::instance_name) starts.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    #[doc(alias = "MessageListenerOrderly")]
    pub fn start_ordered<F>(mut self, handler: F) -> Result<PushConsumer>
    where
        F: Fn(&OrderedMessage) -> Result<(), Retry> + Send + Sync + 'static,
    {
        self.config.mode = Mode::Ordered;
        self.start_with(Box::new(InOrder(handler)))
    }

    fn start_with(mut self, handler: Box<dyn Handler>) -> Result<PushConsumer> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.config.sharing == Sharing::Everyone && self.config.mode == Mode::Concurrent {
            self.config.mode = Mode::Broadcasting;
        }
        self.config.check()?;
        let (client, is_own) = self.source.client()?;
        PushConsumer::start(self.config, client, is_own, handler)
    }
}
