//! `PullConsumer`: its handle.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::PullConsumerBuilder;
use super::messages::Messages;
use super::poller::{Poller, not_assigned};
use super::pulled::PulledMessage;
use super::seek::Seek;
use crate::client::Client;
use crate::consumer::LOG;
use crate::consumer::config::ConsumerConfig;
use crate::consumer::observe::{ConsumerState, ConsumerStats, Lag, ShutdownReport};
use crate::consumer::queue::Scope;
use crate::consumer::running::Running;
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::message::MessageQueue;
use crate::transport::Deadline;

/// How long [`PullConsumer::commit`] may take.
const COMMIT_WITHIN: Duration = Duration::from_secs(5);

/// How long [`PullConsumer::shutdown`] may take.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(30);

/// Consumes the messages of topics when the program polls them.
///
/// Messages are fetched in the background, as far as the [window](PullConsumerBuilder::window) and the
/// [byte budget](PullConsumerBuilder::byte_budget) allow, and handed out by [`poll`](PullConsumer::poll) or
/// [`messages`](PullConsumer::messages), those of one queue in their order. A message counts as consumed when
/// it is [marked](PulledMessage::done). Marked messages are committed in the background, in each queue up to
/// the first unmarked one. So every message is consumed at least once.
///
/// With [`subscribe`](PullConsumerBuilder::subscribe), members of the same group share the queues, as push
/// consumers do; with [`assign`](PullConsumerBuilder::assign) the consumer has the given queues. It keeps its
/// queues even if it is rarely polled. If a queue goes to another member, its polled messages can still be
/// marked during the [drain time](PullConsumerBuilder::drain_time).
///
/// Any number of threads may poll. It is cheap to clone, and its last handle shuts it down; a
/// [`Messages`] is a handle too.
///
/// ```
/// use rocketmq_blocking::{PullConsumer, StartFrom};
/// # use rocketmq_blocking::{Message, Producer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
/// # let name_server = cluster.name_server();
/// # let producer = Producer::builder("g").name_server(&name_server).start()?;
/// # (0..3).try_for_each(|n| producer.send(&Message::new("Orders", format!("book {n}"))).map(drop))?;
/// # let mut count = 0;
/// let export = PullConsumer::builder("export")
///     .name_server(name_server)
///     .subscribe("Orders", "*")
///     .start_from(StartFrom::First)
///     .start()?;
/// for message in export.messages().until_caught_up() {
///     let message = message?;
///     println!("{}", message.text()?);
/// #   count += 1;
///     message.done();
/// }
/// export.commit()?;
/// # assert_eq!(count, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "DefaultLitePullConsumer")]
#[doc(alias = "DefaultMQPullConsumer")]
pub struct PullConsumer(Arc<Poller>);

impl PullConsumer {
    /// Starts the set-up of a consumer of this group.
    pub fn builder(group: impl Into<String>) -> PullConsumerBuilder {
        PullConsumerBuilder::new(group.into())
    }

    pub(super) fn start(
        config: ConsumerConfig,
        client: Client,
        owns_client: bool,
    ) -> Result<PullConsumer> {
        let admin = client.admin();
        // It has no consume threads.
        let running = Running::start(config, client, owns_client, |_, _, _| Ok(()))?;
        Ok(PullConsumer(Arc::new(Poller {
            running,
            admin,
            open: Arc::default(),
        })))
    }

    /// The group, without its namespace.
    pub fn group(&self) -> &str {
        &self.0.running.shared.config.group
    }

    /// The id under which brokers know this member of the group.
    #[doc(alias = "buildMQClientId")]
    pub fn client_id(&self) -> &str {
        self.0.running.client.id()
    }

    /// Returns up to [`poll_batch`](PullConsumerBuilder::poll_batch) fetched messages of one or more queues,
    /// those of each queue in its order. Without any it waits for the first one, for up to
    /// `timeout`; the list is empty if none came.
    ///
    /// Polling again does not mark the messages that were polled before: only
    /// [`done`](PulledMessage::done) does.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed) after the shutdown, also for threads that wait.
    /// [`Busy`](ErrorKind::Busy) if no message can come without a mark or a seek: the window of a queue is
    /// full, and its first message was dropped without a mark.
    /// Errors in the background are repaired; [`describe`](PullConsumer::describe) and the
    /// [events](PullConsumerBuilder::events) report them.
    #[doc(alias = "setPollTimeoutMillis")]
    pub fn poll(&self, timeout: Duration) -> Result<Vec<PulledMessage>> {
        self.0.poll(timeout)
    }

    /// An iterator that polls messages. It ends with the consumer, and by
    /// [`until_caught_up`](Messages::until_caught_up) and [`until_idle`](Messages::until_idle).
    pub fn messages(&self) -> Messages {
        Messages::new(self.0.clone())
    }

    /// Commits the marked messages of all queues, and waits until the brokers (broadcasting: the disk) have
    /// confirmed it, for up to 5 s. A commit that fails is repeated until then, and in the background after
    /// that.
    ///
    /// # Errors
    /// [`Broker`](ErrorKind::Broker) if a broker refuses; [`Timeout`](ErrorKind::Timeout), which names the
    /// first queue that is not confirmed; [`Disconnected`](ErrorKind::Disconnected) if a queue went to another
    /// member before; [`Closed`](ErrorKind::Closed) once the consumer is shut down.
    #[doc(alias = "commitSync")]
    #[doc(alias = "commitAll")]
    pub fn commit(&self) -> Result<()> {
        self.commit_within(COMMIT_WITHIN)
    }

    /// Like [`commit`](PullConsumer::commit), within a given time.
    ///
    /// # Errors
    /// Those of [`commit`](PullConsumer::commit).
    pub fn commit_within(&self, most: Duration) -> Result<()> {
        let deadline = Deadline::after(Instant::now(), most);
        self.0.running.commit(deadline)
    }

    /// The committed offset of the group in a queue, from its broker (broadcasting: from the disk); `None` if
    /// there is none. The queue need not be this member's.
    ///
    /// # Errors
    /// [`Broker`](ErrorKind::Broker) if the broker refuses; [`NoBroker`](ErrorKind::NoBroker),
    /// [`Timeout`](ErrorKind::Timeout) and kinds of the connection if it cannot be asked.
    pub fn committed(&self, queue: &MessageQueue) -> Result<Option<u64>> {
        let shared = &self.0.running.shared;
        if let Some(saved) = &shared.saved {
            return Ok(saved.get(&shared.topics.on_wire(queue)));
        }
        let committed = self.0.admin.committed_offset(self.group(), queue)?;
        Ok(committed.and_then(|offset| offset.try_into().ok()))
    }

    /// The offset of the next message that [`poll`](PullConsumer::poll) returns of a queue, or a lower offset
    /// if that message is not fetched yet; `None` as long as the start offset is not known.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the queue is not this member's.
    pub fn position(&self, queue: &MessageQueue) -> Result<Option<u64>> {
        self.0.position(queue)
    }

    /// Moves a queue to another offset. It takes effect for the next message: fetched messages are dropped,
    /// and marks of messages that were polled before do not count any more. The new offset is committed in
    /// the background.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the queue is not this member's, or does not have the offset; those of
    /// [`committed`](PullConsumer::committed) if the broker cannot be asked;
    /// [`Closed`](ErrorKind::Closed) after the shutdown.
    #[doc(alias = "seekToBegin")]
    #[doc(alias = "seekToEnd")]
    #[doc(alias = "offsetForTimestamp")]
    pub fn seek(&self, queue: &MessageQueue, seek: Seek) -> Result<()> {
        if self.0.running.shared.assignment.get(queue).is_none() {
            return Err(not_assigned(queue));
        }
        let admin = &self.0.admin;
        let to = match seek {
            Seek::Start => admin.min_offset(queue)?,
            Seek::End => admin.max_offset(queue)?,
            Seek::Time(time) => admin.search_offset(queue, time)?,
            Seek::Offset(offset) => {
                let (min, max) = (admin.min_offset(queue)?, admin.max_offset(queue)?);
                let to = i64::try_from(offset).unwrap_or(i64::MAX);
                if !(min..=max).contains(&to) {
                    let text = format!("{queue} has offsets {min} to {max}, but not {offset}");
                    return Err(Error::new(ErrorKind::Invalid, text));
                }
                to
            }
        };
        self.0.running.seek(queue, to.try_into().unwrap_or(0))
    }

    /// The queues of this member now, sorted.
    pub fn assignment(&self) -> Vec<MessageQueue> {
        self.0.running.shared.assignment.queues()
    }

    /// Stops handing out and fetching messages of these queues until [`resume`](PullConsumer::resume). This
    /// member keeps them; queues of other members can be paused too.
    pub fn pause<'a>(&self, queues: impl IntoIterator<Item = &'a MessageQueue>) {
        for queue in queues {
            self.0.running.pause(&Scope::Queue(queue.clone()), true);
        }
    }

    /// Resumes these queues.
    pub fn resume<'a>(&self, queues: impl IntoIterator<Item = &'a MessageQueue>) {
        for queue in queues {
            self.0.running.pause(&Scope::Queue(queue.clone()), false);
        }
    }

    /// How far the group is behind in this member's queues. Asks their brokers, and waits for up to 3 s;
    /// a number that is not known by then is `None`.
    pub fn lag(&self) -> Lag {
        self.0.running.lag()
    }

    /// The counts since the start.
    #[doc(alias = "ConsumerStatsManager")]
    pub fn stats(&self) -> ConsumerStats {
        self.0.running.shared.counters.read()
    }

    /// The state at this moment: the queues, the activity of each, and the reason. Empty after the
    /// shutdown.
    #[doc(alias = "consumerRunningInfo")]
    pub fn describe(&self) -> ConsumerState {
        self.0.running.describe()
    }

    /// Ends the consumer within 30 s, like [`shutdown_within`](PullConsumer::shutdown_within).
    pub fn shutdown(&self) {
        let report = self.shutdown_within(SHUTDOWN_WITHIN);
        if !report.is_clean() {
            logging::warn!(target: LOG, "consumer {}: {report}", self.group());
        }
    }

    /// Ends the consumer within this time: waiting polls fail with [`Closed`](ErrorKind::Closed); other
    /// threads have a part of the time to mark the messages that they polled; marked messages are committed
    /// and confirmed; the member is unregistered at the brokers. The report has the steps that were not
    /// complete in time, and unmarked messages: these come again to the next member.
    ///
    /// The calling thread must mark the messages that it polled before the call. A second call waits for the
    /// first one, within its own time.
    pub fn shutdown_within(&self, most: Duration) -> ShutdownReport {
        let deadline = Deadline::after(Instant::now(), most);
        let running = &self.0.running;
        running.shared.dispatcher.close();
        self.0
            .open
            .wait_for_others(deadline.share(Instant::now(), 2));
        running.shut_down_within(deadline.remaining(Instant::now()))
    }
}

impl fmt::Debug for PullConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullConsumer")
            .field("group", &self.group())
            .field("client", &self.0.running.client)
            .finish_non_exhaustive()
    }
}
