use std::sync::Arc;
use std::time::Duration;

use super::config::SimpleConfig;
use super::consumer::SimpleConsumer;
use crate::client::{Client, ClientOptions, ClientSource};
use crate::consumer::offset::StartFrom;
use crate::consumer::subscription::Filter;
use crate::error::{Error, Result};
#[cfg(feature = "tls")]
use crate::transport::TlsConfig;

/// Sets up a [`SimpleConsumer`]; created by [`SimpleConsumer::builder`]. Nothing can be changed after the
/// start.
///
/// A value out of its range is an error at the start, of kind
/// [`Config`](crate::ErrorKind::Config) unless the setting names another kind.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct SimpleConsumerBuilder {
    config: SimpleConfig,
    source: ClientSource,
    /// The first error of a setter; the start returns it.
    failed: Option<Error>,
}

impl SimpleConsumerBuilder {
    pub(super) fn new(group: String) -> SimpleConsumerBuilder {
        SimpleConsumerBuilder {
            config: SimpleConfig::new(group),
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

    /// Subscribes to a topic (at least one is needed; may be called for several). A text is a filter by
    /// tags: `created || paid`, or `*` for all. A topic that is subscribed twice gets both tag filters. A
    /// topic may be created later.
    ///
    /// All members of a group must subscribe to the same topics with the same filters, and must all be
    /// simple consumers.
    #[doc(alias = "setSubscriptionExpressions")]
    pub fn subscribe(mut self, topic: impl Into<Arc<str>>, filter: impl Into<Filter>) -> Self {
        let added = self.config.subscriptions.add(topic, filter.into());
        self.failed = self.failed.or(added.err());
        self
    }

    /// Where a group without an offset starts in a queue (default [`Last`](StartFrom::Last)). Brokers decide
    /// at the group's first request for messages, not at the start of the consumer. They know two rules:
    /// [`First`](StartFrom::First), and `Last`, with which they also hand out the last message, and all
    /// messages of a queue whose first message is still in memory. A time is an error.
    #[doc(alias = "initMode")]
    #[doc(alias = "setConsumeFromWhere")]
    pub fn start_from(mut self, from: StartFrom) -> Self {
        self.config.start_from = from;
        self
    }

    /// Receives the messages of each queue in their order (default: in any order). A queue returns none while
    /// a message of it is neither acked nor visible again. An unacked message comes again before all
    /// messages after it. A lost answer is asked for again.
    ///
    /// All members of the group must have the same value.
    #[doc(alias = "FIFO")]
    #[doc(alias = "attemptId")]
    pub fn ordered(mut self) -> Self {
        self.config.is_ordered = true;
        self
    }

    /// How long [`receive`](SimpleConsumer::receive) waits for a message (default 15 s; zero: each broker is
    /// asked once).
    #[doc(alias = "setAwaitDuration")]
    pub fn wait(mut self, time: Duration) -> Self {
        self.config.wait = time;
        self
    }

    /// The deadline of an ack, or of a change of the invisible time (default 5 s; not zero).
    pub fn ack_timeout(mut self, time: Duration) -> Self {
        self.config.ack_timeout = time;
        self
    }

    /// The number of deliveries without an ack after which a message goes to the dead letter topic
    /// (`%DLQ%group`) instead of being handed out (default 17, like proxies; not zero). The members count
    /// deliveries, not the brokers: all members should have the same number. `None`: no limit.
    #[doc(alias = "setMaxReconsumeTimes")]
    #[doc(alias = "maxAttempts")]
    pub fn max_attempts(mut self, times: impl Into<Option<u32>>) -> Self {
        self.config.max_attempts = times.into();
        self
    }

    /// Traces messages to `RMQ_SYS_TRACE_TOPIC` (default: off), in Java's format: a record when a message is
    /// received, and one when it is settled. An ack that the broker confirmed is a success;
    /// [`retry_after`](super::ReceivedMessage::retry_after) and
    /// [`dead_letter`](super::ReceivedMessage::dead_letter) are failures; an expired message has timed out. A
    /// message that is dropped has no second record. Records leave in batches of 10 or every 5 s. Up to 2,048
    /// are queued; a receive never waits for its trace. Records that are lost are logged.
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

    /// Starts the consumer. Nothing is fetched before the first [`receive`](SimpleConsumer::receive).
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) for a bad group, topic, filter or setting, a filter that a
    /// broker refuses, or a group that is already in use on a shared client;
    /// [`Broker`](crate::ErrorKind::Broker) with the code `REQUEST_CODE_NOT_SUPPORTED` if a broker of the
    /// topics has no POP (before 5.0), and with its own code if one refuses access: for want of a permission, or
    /// for a wrong signature;
    /// [`NoNameServer`](crate::ErrorKind::NoNameServer) if none is set, or none answers within
    /// [`start_timeout`](Self::start_timeout);
    /// [`Invalid`](crate::ErrorKind::Invalid) if both a client and settings of a client are given;
    /// [`Closed`](crate::ErrorKind::Closed) for a client that is shut down;
    /// [`Io`](crate::ErrorKind::Io) if no threads can be started.
    pub fn start(self) -> Result<SimpleConsumer> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.config.check()?;
        let (client, is_own) = self.source.client()?;
        SimpleConsumer::start(self.config, client, is_own)
    }
}
