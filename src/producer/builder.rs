use super::config::ProducerConfig;
use super::producer::Producer;
use crate::client::ClientSource;
#[allow(unused_imports, reason = "documentation")]
use crate::error::ErrorKind;
use crate::error::Result;

/// The setters of a producer and of the origin of its client, for the builders of all kinds of
/// producers. Those have the fields `config` and `source`.
macro_rules! producer_setters {
    () => {
        /// Settings of the producer's own client (default: all at their defaults). They add to
        /// earlier ones; if a setting is repeated, the last value counts.
        pub fn options(mut self, options: $crate::ClientOptions) -> Self {
            self.source.set(options);
            self
        }

        /// Uses this client (default: the producer creates its own). The client has its own
        /// settings: setting them here too is an error at [`start`](Self::start).
        pub fn client(mut self, client: &$crate::Client) -> Self {
            self.source.give(client);
            self
        }

        /// The name servers, as `host:port`, several with `;` between them. Adds to earlier ones;
        /// at least one is needed. See
        /// [`ClientOptions::name_server`](crate::ClientOptions::name_server).
        #[doc(alias = "setNamesrvAddr")]
        pub fn name_server(mut self, addresses: impl AsRef<str>) -> Self {
            self.source
                .set($crate::ClientOptions::new().name_server(addresses));
            self
        }

        /// The part of the client's id behind the `@` (default: process id and a number):
        /// [`ClientOptions::instance_name`](crate::ClientOptions::instance_name).
        #[doc(alias = "setInstanceName")]
        pub fn instance_name(mut self, name: impl Into<String>) -> Self {
            self.source
                .set($crate::ClientOptions::new().instance_name(name));
            self
        }

        /// The namespace of all topics and groups (default: none, or that of a name server's address):
        /// [`ClientOptions::namespace`](crate::ClientOptions::namespace).
        #[doc(alias = "setNamespace")]
        pub fn namespace(mut self, namespace: impl AsRef<str>) -> Self {
            self.source
                .set($crate::ClientOptions::new().namespace(namespace));
            self
        }

        /// Signs every request, for servers with access control (default: no signature):
        /// [`ClientOptions::credentials`](crate::ClientOptions::credentials). Needs the feature `acl`.
        #[cfg(feature = "acl")]
        #[doc(alias = "AclClientRPCHook")]
        #[doc(alias = "SessionCredentials")]
        pub fn credentials(
            mut self,
            access_key: impl Into<String>,
            secret_key: impl Into<String>,
        ) -> Self {
            let options = $crate::ClientOptions::new();
            self.source.set(options.credentials(access_key, secret_key));
            self
        }

        /// Secures all connections (default: plain ones):
        /// [`ClientOptions::tls`](crate::ClientOptions::tls). Needs the feature `tls`.
        #[cfg(feature = "tls")]
        #[doc(alias = "setUseTLS")]
        pub fn tls(mut self, tls: $crate::TlsConfig) -> Self {
            self.source.set($crate::ClientOptions::new().tls(tls));
            self
        }

        /// The whole time of a send, retries included (default 3 s; any, and zero lets every send end
        /// at once with [`Timeout`](crate::ErrorKind::Timeout)).
        /// [`PreparedSend::timeout`](crate::producer::PreparedSend::timeout) is for one send.
        #[doc(alias = "setSendMsgTimeout")]
        pub fn send_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.config.send.send_timeout = timeout;
            self
        }

        /// The longest time of an attempt that can be followed by another (default: none; but while
        /// another broker could be tried, an attempt gets at most its even share of the whole time, and
        /// 500 ms at least). It must not be zero.
        #[doc(alias = "setSendMsgMaxTimeoutPerRequest")]
        pub fn attempt_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.config.send.attempt_timeout = Some(timeout);
            self
        }

        /// The most retries of a synchronous send (default 2; any number, the deadline ends them).
        /// Oneway sends are not retried.
        #[doc(alias = "setRetryTimesWhenSendFailed")]
        pub fn retries(mut self, retries: u32) -> Self {
            self.config.send.retries = retries;
            self
        }

        /// The most retries of an asynchronous send (default 2; any number).
        #[doc(alias = "setRetryTimesWhenSendAsyncFailed")]
        pub fn async_retries(mut self, retries: u32) -> Self {
            self.config.send.async_retries = retries;
            self
        }

        /// The response codes after which another attempt is made, in place of the default ones:
        /// `TOPIC_NOT_EXIST` (17), `SERVICE_NOT_AVAILABLE` (14), `SYSTEM_ERROR` (1), `SYSTEM_BUSY` (2),
        /// `NO_PERMISSION` (16), `NO_BUYER_ID` (204), `NOT_IN_CURRENT_UNIT` (205), `GO_AWAY` (1500). None
        /// is legal too. ([What they mean](crate::docs::errors#codes).)
        #[doc(alias = "addRetryResponseCode")]
        pub fn retry_codes(
            mut self,
            codes: impl IntoIterator<Item = $crate::ResponseCode>,
        ) -> Self {
            let codes = codes.into_iter().map($crate::ResponseCode::number);
            self.config.send.policy.codes = codes.collect();
            self
        }

        /// Whether a message that was stored, but not flushed or replicated in time, is sent to another
        /// broker too (default no). If nothing better comes of it, the send returns the last such
        /// receipt.
        #[doc(alias = "setRetryAnotherBrokerWhenNotStoreOK")]
        pub fn retry_another_broker_when_not_stored(mut self, retry: bool) -> Self {
            self.config.send.policy.another_broker_when_not_stored = retry;
            self
        }

        /// Whether to try again after a failure that leaves open whether the message was stored: a
        /// response timeout, a broken connection (default yes, as in Java; it can duplicate).
        pub fn retry_maybe_stored(mut self, retry: bool) -> Self {
            self.config.send.policy.retry_maybe_stored = retry;
            self
        }

        /// Whether a message that was stored, but not flushed or replicated as configured at the
        /// broker, is a failure (default no: see [`SendReceipt::status`]). The error is of kind
        /// [`Broker`], with code 10, 11 or 12, and says that the message may be stored. With
        /// `retry_another_broker_when_not_stored` other brokers are tried first. It has no effect
        /// on half messages: such a transaction is rolled back in any case.
        ///
        /// [`Broker`]: crate::ErrorKind::Broker
        /// [`SendReceipt::status`]: crate::SendReceipt::status
        pub fn require_store_ok(mut self, require: bool) -> Self {
            self.config.send.require_store_ok = require;
            self
        }

        /// The largest body, and the largest encoded batch, in bytes (default 4 MiB; not zero).
        /// Larger ones are [`Invalid`](crate::ErrorKind::Invalid) before anything is sent. The
        /// broker has its own limit, and no frame can be larger than 16 MiB.
        #[doc(alias = "setMaxMessageSize")]
        pub fn max_message_size(mut self, bytes: usize) -> Self {
            self.config.send.max_message_size = bytes;
            self
        }

        /// Bodies of at least this many bytes are compressed, if that makes them smaller (default 4096;
        /// any, and `usize::MAX` compresses none). Batches are not.
        #[doc(alias = "setCompressMsgBodyOverHowmuch")]
        pub fn compress_over(mut self, bytes: usize) -> Self {
            self.config.send.compress_over = bytes;
            self
        }

        /// How bodies are compressed (default [`Compression::Zlib`](crate::Compression::Zlib), which every consumer can read).
        #[doc(alias = "setCompressType")]
        pub fn compression(mut self, compression: $crate::Compression) -> Self {
            self.config.send.compression = compression;
            self
        }

        /// The effort of compression (default 5): 0 to 9 for zlib, 0 to 22 for zstd, where a larger one
        /// is an error; LZ4 ignores it.
        #[doc(alias = "setCompressLevel")]
        pub fn compress_level(mut self, level: u32) -> Self {
            self.config.send.compress_level = level;
            self
        }

        /// The topic whose settings a new topic inherits, if brokers create topics on demand
        /// (default `TBW102`).
        #[doc(alias = "setCreateTopicKey")]
        pub fn default_topic(mut self, topic: impl Into<String>) -> Self {
            self.config.send.default_topic.name = topic.into().into();
            self
        }

        /// The most queues of a topic that is created on demand (default 4, at least 1).
        #[doc(alias = "setDefaultTopicQueueNums")]
        pub fn default_topic_queues(mut self, queues: u16) -> Self {
            self.config.send.default_topic.queues = i32::from(queues);
            self
        }

        /// Whether sends use request code 310 with one-letter header names (default) or code 10 with
        /// the long ones.
        #[doc(alias = "sendSmartMsg")]
        pub fn short_headers(mut self, short: bool) -> Self {
            self.config.send.short_headers = short;
            self
        }

        /// Avoids brokers that are slow or fail, for a while that depends on how slow (default: off; a
        /// retry avoids the last broker in any case). A detector must have an interval and a timeout
        /// above zero.
        #[doc(alias = "setSendLatencyFaultEnable")]
        #[doc(alias = "setSendLatencyEnable")]
        pub fn latency_fault(mut self, strategy: $crate::producer::FaultStrategy) -> Self {
            self.config.send.latency_fault = Some(strategy);
            self
        }

        /// Looks up the routes of these topics at once, in the background, instead of at their
        /// first send (default: none), and connects to their brokers with a heartbeat. These
        /// brokers can then send checks to a transaction producer that has sent nothing yet. The
        /// routes are kept as long as the producer lives. Adds to earlier topics. An illegal name
        /// is [`Invalid`](crate::ErrorKind::Invalid) at the start.
        #[doc(alias = "setTopics")]
        pub fn topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
            self.config
                .learn
                .extend(topics.into_iter().map(|topic| topic.into().into()));
            self
        }

        /// Adds a hook that runs before and after each attempt (default: none).
        #[doc(alias = "registerSendMessageHook")]
        pub fn send_message_hook(
            mut self,
            hook: impl $crate::hook::SendMessageHook + 'static,
        ) -> Self {
            self.config.send.hooks.send.push(std::sync::Arc::new(hook));
            self
        }

        /// Adds a hook that may refuse an attempt (default: none).
        #[doc(alias = "registerCheckForbiddenHook")]
        pub fn check_forbidden_hook(
            mut self,
            hook: impl $crate::hook::CheckForbiddenHook + 'static,
        ) -> Self {
            self.config
                .send
                .hooks
                .forbid
                .push(std::sync::Arc::new(hook));
            self
        }

        /// Adds a hook that runs when the end of a transaction was sent (default: none).
        #[doc(alias = "registerEndTransactionHook")]
        pub fn end_transaction_hook(
            mut self,
            hook: impl $crate::hook::EndTransactionHook + 'static,
        ) -> Self {
            self.config
                .send
                .hooks
                .end_transaction
                .push(std::sync::Arc::new(hook));
            self
        }

        /// Traces stored messages to `RMQ_SYS_TRACE_TOPIC` (default: off): records in Java's
        /// format, in batches of 10 or every 5 s. At most 2,048 records are queued; a send never
        /// waits for its trace.
        #[doc(alias = "setEnableTrace")]
        pub fn trace(self) -> Self {
            self.trace_topic(crate::protocol::trace::TOPIC)
        }

        /// The same, to a topic of your own (default: off).
        #[doc(alias = "setTraceTopic")]
        pub fn trace_topic(mut self, topic: impl Into<String>) -> Self {
            self.config.trace_topic = Some(topic.into().into());
            self
        }

        /// Gathers single sends into batches (default: off): messages of the same topic, queue if one
        /// is given, `wait_store` and tag that are sent within a few milliseconds leave as one request.
        /// Throughput of many small messages rises; each waits up to
        /// [`max_delay`](crate::producer::AutoBatch::max_delay) longer.
        ///
        /// Each send still gets its own result: its own ids, queue and offset, or the batch's error. A
        /// batch has the deadline of its first message, so that a send may end that much before its own
        /// timeout; it never ends later.
        ///
        /// A batch of synchronous sends is sent by one of the threads that wait for it, so that callbacks
        /// and hooks may send too; one of asynchronous sends by the send that fills it, or by a thread of
        /// the client.
        ///
        /// Sent as single messages: oneway sends, half messages, requests, replies, sends by
        /// sharding key or selector; messages that are scheduled, for a retry topic, for light
        /// queues (LMQ), large enough to be compressed or larger than
        /// [`max_bytes`](crate::producer::AutoBatch::max_bytes);
        /// messages of a topic whose route is not known yet, and all messages beyond
        /// [`max_total_bytes`](crate::producer::AutoBatch::max_total_bytes). Those and the batches are
        /// not ordered among themselves: asynchronous sends of one thread to one queue can be stored
        /// in another order.
        #[doc(alias = "setAutoBatch")]
        pub fn auto_batch(mut self, auto_batch: $crate::producer::AutoBatch) -> Self {
            self.config.auto_batch = Some(auto_batch);
            self
        }
    };
}
pub(super) use producer_setters;

/// Sets up a [`Producer`]; made by [`Producer::builder`]. Nothing can be changed once it is
/// started.
///
/// A value out of range is an error at [`start`](ProducerBuilder::start), of kind
/// [`Config`](ErrorKind::Config) unless documented otherwise. [All settings](crate::docs::settings)
/// are on one page, with defaults, ranges and Java's names.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct ProducerBuilder {
    config: ProducerConfig,
    source: ClientSource,
}

impl ProducerBuilder {
    pub(super) fn new(group: String) -> ProducerBuilder {
        ProducerBuilder {
            config: ProducerConfig::new(group),
            source: ClientSource::default(),
        }
    }

    producer_setters!();

    /// Starts the producer. Nothing is connected before the first send, so that brokers and name
    /// servers may come up later.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) for a bad group or setting, or a group that is already in use
    /// on a shared client; [`NoNameServer`](ErrorKind::NoNameServer) if none is set;
    /// [`Invalid`](ErrorKind::Invalid) if both a client and settings of a client are given, or for
    /// an illegal name in [`topics`](Self::topics); [`Closed`](ErrorKind::Closed) for a client that
    /// is shut down; [`Io`](ErrorKind::Io) if the system cannot start a thread.
    pub fn start(self) -> Result<Producer> {
        self.config.check()?;
        let (client, is_own) = self.source.client()?;
        Producer::start(self.config, client, is_own)
    }
}
