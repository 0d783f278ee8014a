use super::config::ProducerConfig;
use super::producer::Producer;
use crate::client::{Client, ClientBuilder, ClientConfig};
use crate::error::{Error, ErrorKind, Result};

/// The setters of everything that belongs to a producer, those of its client included. They stand on
/// the builders of all kinds of producers, which have the fields `config`, `own_client` and `client`.
macro_rules! producer_setters {
    () => {
        $crate::client::client_setters!(own_client);

        fn own_client(&mut self) -> &mut $crate::client::ClientConfig {
            self.own_client.get_or_insert_default()
        }

        /// Uses this client instead of making one. Its name servers and settings are the client's, so
        /// that setting them here too is an error at [`start`](Self::start).
        pub fn client(mut self, client: &$crate::Client) -> Self {
            self.client = Some(client.clone());
            self
        }

        /// The whole time of a send, retries included (default 3 s).
        #[doc(alias = "setSendMsgTimeout")]
        pub fn send_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.config.send_timeout = timeout;
            self
        }

        /// The longest time of an attempt that can be followed by another (default: none; but while
        /// another broker could be tried, an attempt gets at most its even share of the whole time, and
        /// 500 ms at least).
        #[doc(alias = "sendMsgMaxTimeoutPerRequest")]
        pub fn attempt_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.config.attempt_timeout = Some(timeout);
            self
        }

        /// How many more attempts a synchronous send makes (default 2).
        #[doc(alias = "setRetryTimesWhenSendFailed")]
        pub fn retries(mut self, retries: u32) -> Self {
            self.config.retries = retries;
            self
        }

        /// How many more attempts an asynchronous send makes (default 2).
        #[doc(alias = "setRetryTimesWhenSendAsyncFailed")]
        pub fn async_retries(mut self, retries: u32) -> Self {
            self.config.async_retries = retries;
            self
        }

        /// The response codes after which another attempt is made (default 17, 14, 1, 2, 16, 204, 205,
        /// 1500).
        #[doc(alias = "addRetryResponseCode")]
        pub fn retry_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
            self.config.policy.codes = codes.into_iter().collect();
            self
        }

        /// Whether a message that was stored, but not flushed or replicated in time, is sent to another
        /// broker too (default no). If nothing better comes of it, the send returns the last such
        /// receipt.
        #[doc(alias = "setRetryAnotherBrokerWhenNotStoreOK")]
        pub fn retry_another_broker_when_not_stored(mut self, retry: bool) -> Self {
            self.config.policy.another_broker_when_not_stored = retry;
            self
        }

        /// Whether to try again after a failure that leaves open whether the message was stored: a
        /// response timeout, a broken connection (default yes, as in Java; it can duplicate).
        pub fn retry_maybe_stored(mut self, retry: bool) -> Self {
            self.config.policy.retry_maybe_stored = retry;
            self
        }

        /// The largest body, in bytes (default 4 MiB). The broker has a limit of its own.
        #[doc(alias = "setMaxMessageSize")]
        pub fn max_message_size(mut self, bytes: usize) -> Self {
            self.config.max_message_size = bytes;
            self
        }

        /// Bodies of at least so many bytes are compressed, if that makes them smaller (default 4096).
        #[doc(alias = "setCompressMsgBodyOverHowmuch")]
        pub fn compress_over(mut self, bytes: usize) -> Self {
            self.config.compress_over = bytes;
            self
        }

        /// The effort of compression, 0 to 9 (default 5).
        pub fn compress_level(mut self, level: u32) -> Self {
            self.config.compress_level = level;
            self
        }

        /// The topic whose settings a new topic inherits, where brokers create topics on demand
        /// (default `TBW102`).
        #[doc(alias = "setCreateTopicKey")]
        pub fn default_topic(mut self, topic: impl Into<String>) -> Self {
            self.config.default_topic.name = topic.into().into();
            self
        }

        /// The most queues of a topic that is created on demand (default 4).
        #[doc(alias = "setDefaultTopicQueueNums")]
        pub fn default_topic_queues(mut self, queues: u16) -> Self {
            self.config.default_topic.queues = i32::from(queues);
            self
        }

        /// Whether sends use request code 310 with one-letter header names (default) or code 10 with
        /// the long ones.
        #[doc(alias = "sendSmartMsg")]
        pub fn short_headers(mut self, short: bool) -> Self {
            self.config.short_headers = short;
            self
        }
    };
}
pub(super) use producer_setters;

/// Sets up a [`Producer`]; made by [`Producer::builder`]. Nothing can be changed once it is
/// started.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct ProducerBuilder {
    config: ProducerConfig,
    /// Settings of a client of its own, if one was touched.
    own_client: Option<ClientConfig>,
    client: Option<Client>,
}

impl ProducerBuilder {
    pub(super) fn new(group: String) -> ProducerBuilder {
        ProducerBuilder {
            config: ProducerConfig::new(group),
            own_client: None,
            client: None,
        }
    }

    producer_setters!();

    /// Starts the producer. Nothing is connected before the first send, so that brokers and name
    /// servers may come up later.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) for a bad group or setting, or a group that is already in use
    /// on a shared client; [`NoNameServer`](ErrorKind::NoNameServer) if none is set;
    /// [`Invalid`](ErrorKind::Invalid) if both a client and settings of a client are given;
    /// [`Closed`](ErrorKind::Closed) for a client that is shut down; [`Io`](ErrorKind::Io) if the
    /// system gives no threads.
    pub fn start(self) -> Result<Producer> {
        start(self.config, self.client, self.own_client)
    }
}

/// Starts a producer on the client that it was given, or on one of its own.
pub(super) fn start(
    config: ProducerConfig,
    client: Option<Client>,
    own_client: Option<ClientConfig>,
) -> Result<Producer> {
    config.check()?;
    match (client, own_client) {
        (Some(client), None) => Producer::start(config, client, false),
        (Some(_), Some(_)) => Err(Error::new(
            ErrorKind::Invalid,
            "a producer on a given client takes the client's settings: set them there",
        )),
        (None, own) => {
            let client = ClientBuilder::from(own.unwrap_or_default()).start()?;
            Producer::start(config, client, true)
        }
    }
}
