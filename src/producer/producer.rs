use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::ProducerBuilder;
use super::config::ProducerConfig;
use super::lifecycle::Lifecycle;
use super::member::ProducerMember;
use super::prepared::PreparedSend;
use crate::client::{Admin, Client, ShutdownReport};
use crate::error::{Error, Result, Wait};
use crate::logging;
use crate::message::{Batch, Message, MessageView, SendReceipt};
use crate::send::{Content, Engine, LOG, ProducerStats, SendHandle};
use crate::transport::Deadline;

/// The most time that [`Producer::shutdown`] takes.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(5);

/// Sends messages to RocketMQ brokers, blocking the calling thread where it must wait.
///
/// Cheap to clone and to share between threads; dropping the last handle closes it, within 3 s.
///
/// ```
/// use rocketmq_blocking::{Message, Producer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
/// # let name_server = cluster.name_server();
/// let producer = Producer::builder("orders").name_server(name_server).start()?;
/// std::thread::scope(|scope| {
///     for id in 1..=4 {
///         let producer = &producer;
///         scope.spawn(move || producer.send(&Message::new("Orders", format!("order {id}"))));
///     }
/// });
/// # assert_eq!(cluster.messages("Orders").len(), 4);
/// # Ok(())
/// # }
/// ```
///
/// # Threads
/// The first attempt of every send runs on the calling thread. One reader thread per broker
/// connection reads the answers. Callbacks run on callback threads (one per core unless set),
/// retries of asynchronous sends on two retry threads.
///
/// # Deadlines
/// A send has one deadline, `send_timeout` (3 s) after the call. Everything happens within it:
/// route look-up, connecting, waiting for capacity, all attempts.
///
/// # Forks
/// A fork of the process has none of a producer's threads. It must start its own producers; those
/// of its parent fail with [`Closed`](crate::ErrorKind::Closed). A sending thread checks every 100
/// ms whether it is in a fork, all other calls check each time. If a thread forks less than 100 ms
/// after its own last send, the fork is noticed late: until then it sends over its parent's
/// connections.
#[derive(Clone)]
#[doc(alias = "DefaultMQProducer")]
pub struct Producer(Arc<Lifecycle>);

impl Producer {
    /// Begins to set up a producer of this group. A group's name has at most 120 characters of
    /// `%|a-zA-Z0-9_-` and is not `DEFAULT_PRODUCER`.
    pub fn builder(group: impl Into<String>) -> ProducerBuilder {
        ProducerBuilder::new(group.into())
    }

    /// Sends a message and waits until a broker has stored it. Tries up to `retries` more times, on
    /// other brokers if there are some.
    ///
    /// A receipt means that the master has the message; its
    /// [`status`](SendReceipt::status) may still say that a flush or replica timed out.
    ///
    /// # Errors
    /// By kind ([what to do](crate::docs::errors#kinds)): [`Invalid`](crate::ErrorKind::Invalid)
    /// message, [`Closed`](crate::ErrorKind::Closed) producer,
    /// [`NoNameServer`](crate::ErrorKind::NoNameServer),
    /// [`NameServer`](crate::ErrorKind::NameServer), [`NoRoute`](crate::ErrorKind::NoRoute),
    /// [`NoBroker`](crate::ErrorKind::NoBroker), [`Dns`](crate::ErrorKind::Dns),
    /// [`Connect`](crate::ErrorKind::Connect), [`Tls`](crate::ErrorKind::Tls),
    /// [`Timeout`](crate::ErrorKind::Timeout), [`Disconnected`](crate::ErrorKind::Disconnected),
    /// [`Protocol`](crate::ErrorKind::Protocol), [`Broker`](crate::ErrorKind::Broker) with its
    /// code, [`Io`](crate::ErrorKind::Io) if the system cannot start a thread for a connection, or
    /// [`Busy`](crate::ErrorKind::Busy) if the in-flight limits stayed exhausted until the
    /// deadline. [`Error::fate`] says whether the message may still be stored; [`Error::attempts`]
    /// lists the attempts.
    pub fn send(&self, message: &Message) -> Result<SendReceipt> {
        self.prepare(message).send()
    }

    /// Sends a message without waiting for the answer. The callback gets the result, exactly once,
    /// on a callback thread. (After a shutdown and in a fork of the process it runs on the calling
    /// thread, before this returns.)
    ///
    /// The first attempt starts on the calling thread, which may therefore wait for a route, a
    /// connection, or in-flight capacity, until the deadline. This method returns no error: every
    /// failure reaches the callback, with the kinds of [`send`](Producer::send).
    ///
    /// Callbacks run in parallel on the client's callback threads, in the order of the answers, not
    /// of the sends. A callback may send, in every mode, and may drop the producer. Its panic is
    /// caught and logged. A slow callback occupies its thread. A callback that sends again after
    /// every error never ends after a shutdown: stop at [`Closed`](crate::ErrorKind::Closed).
    ///
    /// ```
    /// # use rocketmq_blocking::{Message, Producer};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// producer.send_async(Message::new("Orders", "one book"), |result| match result {
    ///     Ok(receipt) => println!("{receipt}"),
    ///     Err(error) => eprintln!("{error}"),
    /// });
    /// # producer.flush(std::time::Duration::from_secs(20))?;
    /// # assert_eq!(cluster.messages("Orders").len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "SendCallback")]
    #[doc(alias = "onSuccess")]
    #[doc(alias = "onException")]
    pub fn send_async(
        &self,
        message: Message,
        callback: impl FnOnce(Result<SendReceipt>) + Send + 'static,
    ) {
        self.prepare(&message).send_async(callback);
    }

    /// Sends a message without waiting for the answer. Wait for the result on the handle. As with
    /// [`send_async`](Producer::send_async), the first attempt starts on the calling thread, and
    /// this method returns no error.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use rocketmq_blocking::{Message, Producer};
    /// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// let handles: Vec<_> =
    ///     (0..100).map(|i| producer.submit(Message::new("TopicTest", format!("{i}")))).collect();
    /// for handle in handles {
    ///     println!("{}", handle.wait()?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit(&self, message: Message) -> SendHandle {
        self.prepare(&message).submit()
    }

    /// Sends a message without an answer. `Ok` means that the connection accepted it. It can still
    /// be lost, which is logged and counted. [`flush`](Producer::flush) waits until all accepted
    /// messages are written.
    ///
    /// # Errors
    /// Those kinds of [`send`](Producer::send) that can occur before a message leaves: all but
    /// [`Broker`](crate::ErrorKind::Broker) and [`Protocol`](crate::ErrorKind::Protocol). There is one
    /// attempt.
    #[doc(alias = "sendOneway")]
    pub fn send_oneway(&self, message: &Message) -> Result<()> {
        self.prepare(message).send_oneway()
    }

    /// Sends a batch and waits until a broker has stored it, whole.
    ///
    /// ```
    /// # use rocketmq_blocking::{Batch, Message, Producer};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// let batch = Batch::new(["a", "b", "c"].map(|body| Message::new("Orders", body)))?;
    /// let receipt = producer.send_batch(&batch)?;
    /// assert_eq!(receipt.message_ids().count(), 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`send`](Producer::send); [`Invalid`](crate::ErrorKind::Invalid) also for one that is
    /// larger than `max_message_size` when encoded ([`Batch::split`] cuts to a size).
    pub fn send_batch(&self, batch: &Batch) -> Result<SendReceipt> {
        self.prepare_batch(batch).send()
    }

    /// Sends a request and waits for the reply: a message that some consumer of the topic makes with
    /// [`Message::reply_to`] (or Java's `MessageUtil.createReplyMessage`) and sends. The broker
    /// pushes it to this client.
    ///
    /// The timeout, in whole milliseconds for the consumer to see, is for all of it: finding the
    /// route, sending (with the retries of [`send`](Producer::send)), waiting. The first request
    /// over a connection also waits until the broker has answered a heartbeat, since it pushes only
    /// to clients that it knows. A request that was stored twice can be answered twice: the first
    /// reply counts, and later ones are dropped. The reply's body is decompressed, up to
    /// `max_message_size`.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use rocketmq_blocking::{Message, Producer};
    /// # use std::time::Duration;
    /// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// # let (asked, consumer) = (cluster.subscribe(), producer.clone());
    /// # std::thread::spawn(move || {
    /// #     let asked = asked.iter().find(|stored| stored.topic() == "Prices").unwrap();
    /// #     let _ = consumer.send(&Message::reply_to(&asked.view(), "60 cents").unwrap());
    /// # });
    /// let question = Message::new("Prices", "apples");
    /// let reply = producer.request(&question, Duration::from_secs(3))?;
    /// println!("{}", reply.text()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the request could not be sent, the kinds of [`send`](Producer::send). Then, always with
    /// [`SendFate::MaybeStored`](crate::SendFate::MaybeStored):
    /// [`Timeout`](crate::ErrorKind::Timeout) while waiting for the
    /// [response](crate::error::Wait::Response) if no reply came,
    /// [`Protocol`](crate::ErrorKind::Protocol) for a reply that cannot be read or is too large,
    /// and [`Closed`](crate::ErrorKind::Closed) if the producer was shut down in the meantime.
    #[doc(alias = "RequestCallback")]
    pub fn request(&self, message: &Message, timeout: Duration) -> Result<MessageView> {
        self.prepare(message).request(timeout)
    }

    /// Sends a request without waiting for the reply; the callback gets it, or the error of
    /// [`request`](Producer::request), exactly once, on a callback thread.
    ///
    /// As with [`send_async`](Producer::send_async), the first attempt starts on the calling
    /// thread. A request counts as a message in flight until its callback starts.
    pub fn request_async(
        &self,
        message: Message,
        timeout: Duration,
        callback: impl FnOnce(Result<MessageView>) + Send + 'static,
    ) {
        self.prepare(&message).request_async(timeout, callback);
    }

    /// A send with its own settings: a queue, a sharding key, a selector, a timeout.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use rocketmq_blocking::{Message, Producer};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// let message = Message::new("Orders", "paid");
    /// let quick = Duration::from_millis(500);
    /// let receipt = producer.prepare(&message).sharding_key("188").timeout(quick).send()?;
    /// # assert_eq!(receipt.attempts(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn prepare<'a>(&'a self, message: &'a Message) -> PreparedSend<'a> {
        PreparedSend::new(&self.0, Content::Message(message))
    }

    /// The same for a batch.
    pub fn prepare_batch<'a>(&'a self, batch: &'a Batch) -> PreparedSend<'a> {
        PreparedSend::new(&self.0, Content::Batch(batch))
    }

    /// Topics, offsets, stored messages and consumer groups: create a topic, find sent messages.
    pub fn admin(&self) -> Admin {
        self.client().admin()
    }

    /// Takes a timer message back that is not due yet, by the
    /// [handle](SendReceipt::recall_handle) of its receipt; returns its unique key. Brokers from
    /// 5.3.2 on can do that, if their setting `recallMessageEnable` is on; receipts have a handle
    /// without it too. The deadline is the producer's `send_timeout`.
    ///
    /// # Errors
    /// Those of [`Admin`], and of these [`Invalid`](crate::ErrorKind::Invalid) for a text that is no
    /// handle, a handle of another topic, or a retry or dead-letter topic;
    /// [`Broker`](crate::ErrorKind::Broker) with code 604 for a message that is due or almost, with
    /// code 16 where recalling is off, with code 3 from older brokers.
    #[doc(alias = "recallMessage")]
    pub fn recall(&self, topic: &str, handle: &str) -> Result<String> {
        let engine = self.engine();
        engine.check_open()?;
        let admin = self.admin().timeout(engine.config.send_timeout);
        admin.recall(&engine.config.group_on_wire, topic, handle)
    }

    /// Waits until everything in flight is settled: answers are there (callbacks may still run),
    /// and accepted oneway messages are written.
    ///
    /// # Errors
    /// [`Timeout`](crate::ErrorKind::Timeout) if that takes longer; in a callback it does, if the results
    /// of others wait for that very thread. [`Closed`](crate::ErrorKind::Closed) in a fork of the
    /// producer's process.
    pub fn flush(&self, most: Duration) -> Result<()> {
        let deadline = Deadline::after(Instant::now(), most);
        let engine = self.engine();
        if engine.is_forked() {
            return engine.check_open();
        }
        if let Some(gatherer) = &self.0.gatherer {
            gatherer.flush();
        }
        match engine.account.wait_until_returned(deadline) {
            0 => Ok(()),
            _ => Err(Error::timeout(Wait::Response).maybe_stored()),
        }
    }

    /// Statistics of this producer since its start: sends by outcome, messages in flight, and
    /// attempts per broker. They are always counted. A call takes microseconds per broker and
    /// delays no send.
    ///
    /// ```no_run
    /// # fn main() -> rocketmq_blocking::Result<()> {
    /// # use rocketmq_blocking::Producer;
    /// # let producer = Producer::builder("g").name_server("127.0.0.1:9876").start()?;
    /// let stats = producer.stats();
    /// println!("{stats}");
    /// for broker in &stats.brokers {
    ///     println!("{}: p99 {:?}", broker.broker, broker.latency.quantile(0.99));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self) -> ProducerStats {
        ProducerStats {
            trace_lost: self.0.trace_lost(),
            ..ProducerStats::of(&self.engine().counters, self.group())
        }
    }

    /// The group's name.
    pub fn group(&self) -> &str {
        &self.engine().config.group
    }

    /// The client behind this producer: its own, or the one it was given.
    pub fn client(&self) -> &Client {
        &self.engine().client
    }

    /// Closes the producer within 5 s (dropping the last handle waits 3 s at most), like [`shutdown_within`](Producer::shutdown_within).
    pub fn shutdown(&self) {
        let report = self.shutdown_within(SHUTDOWN_WITHIN);
        if !report.is_clean() {
            logging::warn!(target: LOG, "producer {}: {report}", self.group());
        }
    }

    /// Closes the producer: refuses new sends, wakes sends that wait for capacity, waits for sends
    /// in flight, unregisters from the brokers, and ends its threads; all within this time.
    /// Unanswered sends then fail with [`Closed`](crate::ErrorKind::Closed), or, on a shared
    /// client, run on until their own deadlines.
    ///
    /// A second call waits for the first one, within its own time, and returns its report. It may
    /// be called from a callback; there a second call returns at once, since the first may be
    /// waiting for that callback.
    pub fn shutdown_within(&self, most: Duration) -> ShutdownReport {
        self.0.shutdown(most)
    }

    pub(super) fn start(
        config: ProducerConfig,
        client: Client,
        owns_client: bool,
    ) -> Result<Producer> {
        let lifecycle = Lifecycle::start(config, client, owns_client)?;
        Ok(Producer(Arc::new(lifecycle)))
    }

    pub(super) fn member(&self) -> &ProducerMember {
        &self.0.member
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
