//! `SimpleConsumer`: its handle.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::SimpleConsumerBuilder;
use super::config::{SimpleConfig, check_count, check_invisible};
use super::observe::{self, SimpleConsumerStats};
use super::received::ReceivedMessage;
use super::running::Running;
use crate::client::Client;
use crate::consumer::LOG;
use crate::consumer::observe::{ConsumerState, Lag, ShutdownReport};
use crate::consumer::pop::{AckStatus, Delivery, Receive, ack_all, ask_lag, receive};
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::transport::Deadline;

/// How long [`SimpleConsumer::lag`] may take.
const LAG_WITHIN: Duration = Duration::from_secs(3);

/// How long [`SimpleConsumer::shutdown`] may take.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(30);

/// Receives messages one by one, each hidden from the other members of the group for a time that the caller
/// chooses, and acknowledges them one by one.
///
/// Members do not divide queues and have no offsets: any number of members, even more than queues, share all
/// messages, and a slow message does not delay others. A message that is not [acked](ReceivedMessage::ack)
/// within its invisible time comes again, to the member that asks first, with its
/// [`reconsume_times`](crate::MessageView::reconsume_times) one higher. So every message is consumed at least
/// once. Messages have no order, unless the consumer is [ordered](SimpleConsumerBuilder::ordered).
///
/// This is RocketMQ's POP, which brokers have from 5.0 on.
///
/// Any number of threads may receive. It is cheap to clone, and its last handle shuts it down (a message is
/// not a handle).
///
/// ```
/// use std::time::Duration;
///
/// use rocketmq_blocking::consumer::AckStatus;
/// use rocketmq_blocking::{SimpleConsumer, StartFrom};
/// # use rocketmq_blocking::{Message, Producer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
/// # let name_server = cluster.name_server();
/// # let producer = Producer::builder("g").name_server(&name_server).start()?;
/// # (0..3).try_for_each(|n| producer.send(&Message::new("Mail", format!("mail {n}"))).map(drop))?;
/// # let mut count = 0;
/// let mailer = SimpleConsumer::builder("mailer")
///     .name_server(name_server)
///     .subscribe("Mail", "*")
///     .start_from(StartFrom::First)
///     .start()?;
/// # while count < 3 {
/// for message in mailer.receive(16, Duration::from_secs(30))? {
///     println!("{}", message.text()?);
/// #   count += 1;
///     if message.ack()? != AckStatus::Confirmed {
///         println!("it may come again");
///     }
/// }
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "POP")]
#[doc(alias = "popMessage")]
pub struct SimpleConsumer(Arc<Running>);

impl SimpleConsumer {
    /// Starts the set-up of a consumer of this group.
    pub fn builder(group: impl Into<String>) -> SimpleConsumerBuilder {
        SimpleConsumerBuilder::new(group.into())
    }

    pub(super) fn start(
        config: SimpleConfig,
        client: Client,
        owns_client: bool,
    ) -> Result<SimpleConsumer> {
        let running = Running::start(config, client, owns_client)?;
        Ok(SimpleConsumer(Arc::new(running)))
    }

    /// The group, without its namespace.
    pub fn group(&self) -> &str {
        &self.0.shared.config.group
    }

    /// The id under which brokers know this member of the group.
    #[doc(alias = "buildMQClientId")]
    pub fn client_id(&self) -> &str {
        self.0.client.id()
    }

    /// Receives up to `max` messages (1 to 32) of one topic of one broker, and hides them for `invisible` (1 s
    /// to 12 h). If there is none, it waits for the first one, for up to
    /// [`wait`](SimpleConsumerBuilder::wait); the list is empty if none came.
    ///
    /// Topics and brokers take turns. A message whose invisible time ends before it arrives is not returned:
    /// it comes again.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a number or a time out of its range;
    /// [`Closed`](crate::ErrorKind::Closed) after the shutdown, also for threads that wait;
    /// [`Broker`](crate::ErrorKind::Broker) as soon as a broker refuses: no permission to read, a filter that
    /// it cannot evaluate, a group that it does not create, no POP. After other failures the brokers are
    /// asked again; if all of them fail until the end, the error is that of one broker:
    /// [`Connect`](crate::ErrorKind::Connect), [`Disconnected`](crate::ErrorKind::Disconnected),
    /// [`Timeout`](crate::ErrorKind::Timeout), [`NoBroker`](crate::ErrorKind::NoBroker),
    /// [`Busy`](crate::ErrorKind::Busy), [`Protocol`](crate::ErrorKind::Protocol).
    #[doc(alias = "receiveMessage")]
    pub fn receive(&self, max: usize, invisible: Duration) -> Result<Vec<ReceivedMessage>> {
        self.receive_within(max, invisible, self.0.shared.config.wait)
    }

    /// Like [`receive`](SimpleConsumer::receive), with the given time to wait. With zero each broker is asked
    /// once. A broker that does not answer can make it 3 s longer.
    ///
    /// # Errors
    /// Those of [`receive`](SimpleConsumer::receive).
    pub fn receive_within(
        &self,
        max: usize,
        invisible: Duration,
        wait: Duration,
    ) -> Result<Vec<ReceivedMessage>> {
        check_count(max)?;
        check_invisible(invisible)?;
        let shared = &self.0.shared;
        let asked = Receive {
            max,
            invisible,
            wait,
            linger: Duration::ZERO,
        };
        let _receiving = shared.receiving.begin();
        let counters = &shared.pop.counters;
        counters.pulls.add(1);
        let known = || shared.known();
        let received = receive(&shared.pop, known, &asked, |refusal| Err(refusal.error));
        let received = received.inspect_err(|error| {
            if error.kind() != ErrorKind::Closed {
                counters.pull_failures.add(1);
            }
        })?;
        let messages = received.into_iter().flat_map(|(_, messages)| messages);
        let messages = messages.map(|one| ReceivedMessage::new(one, shared.clone()));
        Ok(messages.collect())
    }

    /// Acks many messages, with one request for those of one broker and topic, and returns the result of
    /// each, in their order: see [`ReceivedMessage::ack`]. Brokers before 5.1.3 get one request per message.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for messages of another consumer: none is acked then.
    /// [`Broker`](crate::ErrorKind::Broker) if a broker refuses one of them, after requests for all: an
    /// [`ack`](ReceivedMessage::ack) of each message returns its result.
    /// [`Closed`](crate::ErrorKind::Closed) once the consumer is shut down.
    #[doc(alias = "batchAckMessage")]
    pub fn ack_all<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a ReceivedMessage>,
    ) -> Result<Vec<AckStatus>> {
        let shared = &self.0.shared;
        let messages: Vec<&ReceivedMessage> = messages.into_iter().collect();
        if !messages.iter().all(|message| message.is_of(shared)) {
            return Err(Error::invalid("a message was received by another consumer"));
        }
        shared.pop.check_not_ended()?;
        let deliveries: Vec<&Delivery> = messages.iter().map(|m| m.delivery()).collect();
        let deadline = Deadline::after(Instant::now(), shared.config.ack_timeout);
        let outcomes = ack_all(&shared.pop, &deliveries, deadline).into_iter();
        let outcomes = outcomes.zip(messages);
        let settled: Vec<Result<AckStatus>> =
            outcomes.map(|(outcome, m)| m.acked(outcome)).collect();
        settled.into_iter().collect()
    }

    /// How far the group is behind in the topics of this consumer: the messages that no member has received yet,
    /// for each queue, and for the queues from which unacked messages come again. Asks the brokers and a name
    /// server, and waits for up to 3 s; a number that is not known by then is `None`. So is that of a queue of
    /// which the group never asked for messages, unless it starts with the
    /// [`First`](crate::StartFrom::First) one. Received messages that are not acked are not in it: this member
    /// has [`open`](SimpleConsumerStats::open) ones. Empty after the shutdown.
    pub fn lag(&self) -> Lag {
        let shared = &self.0.shared;
        if !shared.pop.is_open() {
            return Lag::default();
        }
        let deadline = Deadline::after(Instant::now(), LAG_WITHIN);
        let mut queues = ask_lag(&shared.pop, &shared.known().sources, deadline).answers();
        queues.sort_by(|a, b| a.queue.cmp(&b.queue));
        Lag { queues }
    }

    /// The counts since the start.
    #[doc(alias = "ConsumerStatsManager")]
    pub fn stats(&self) -> SimpleConsumerStats {
        observe::stats(&self.0.shared)
    }

    /// The state at this moment: each topic on each broker, with the messages of it that the program has. Cheap
    /// enough for a call per second. Empty after the shutdown.
    #[doc(alias = "consumerRunningInfo")]
    pub fn describe(&self) -> ConsumerState {
        observe::describe(&self.0.shared, Instant::now())
    }

    /// Ends the consumer within 30 s, like [`shutdown_within`](SimpleConsumer::shutdown_within).
    pub fn shutdown(&self) {
        let report = self.shutdown_within(SHUTDOWN_WITHIN);
        if !report.is_clean() {
            logging::warn!(target: LOG, "consumer {}: {report}", self.group());
        }
    }

    /// Ends the consumer within this time: waiting receives fail with [`Closed`](crate::ErrorKind::Closed);
    /// other threads have half of the time to ack the messages that they received; the member is
    /// unregistered at the brokers. The report has the messages that are neither acked nor dropped by then:
    /// they come again to the next member.
    ///
    /// The calling thread must ack the messages that it received before the call. A second call waits for the
    /// first one, within its own time.
    pub fn shutdown_within(&self, most: Duration) -> ShutdownReport {
        self.0.shut_down_within(most)
    }
}

impl fmt::Debug for SimpleConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleConsumer")
            .field("group", &self.group())
            .field("client", &self.0.client)
            .finish_non_exhaustive()
    }
}
