//! `PullConsumer`: its handle.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::PullConsumerBuilder;
use super::messages::Messages;
use super::open::Open;
use super::pulled::{PulledMessage, Source};
use super::seek::Seek;
use crate::client::{Admin, Client};
use crate::consumer::LOG;
use crate::consumer::config::ConsumerConfig;
use crate::consumer::consume::{Taken, unpack};
use crate::consumer::control::Event;
use crate::consumer::ends::ends;
use crate::consumer::observe::{ConsumerState, ConsumerStats, Lag, ShutdownReport};
use crate::consumer::queue::{Assigned, Scope};
use crate::consumer::running::{Running, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::message::MessageQueue;
use crate::transport::Deadline;

/// How long brokers have to say where queues end.
const ENDS_WITHIN: Duration = Duration::from_secs(3);

/// How long a commit may take where nothing else is said.
const COMMIT_WITHIN: Duration = Duration::from_secs(5);

/// Who waits for messages looks this often whether some can come.
const LOOK: Duration = Duration::from_secs(1);

/// How long [`PullConsumer::shutdown`] may take.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(30);

/// Consumes the messages of topics when the program asks for them.
///
/// Messages are fetched in the background, as far as the [window](PullConsumerBuilder::window) and the
/// [byte budget](PullConsumerBuilder::byte_budget) allow, and handed out by [`poll`](PullConsumer::poll) or
/// [`messages`](PullConsumer::messages), those of one queue in their order. A message counts as consumed when
/// it is [marked](PulledMessage::done); what is marked is committed in the background, up to the first
/// message of the queue that is not. So every message is consumed at least once.
///
/// With [`subscribe`](PullConsumerBuilder::subscribe), members of the same group share the queues, as push
/// consumers do; with [`assign`](PullConsumerBuilder::assign) it has the queues that it was given. It keeps its
/// queues however rarely it is polled. If a queue goes to another member, its messages that are not marked
/// yet have the [drain time](PullConsumerBuilder::drain_time) for that.
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
pub struct PullConsumer(Arc<Pulling>);

struct Pulling {
    running: Running,
    admin: Admin,
    open: Arc<Open>,
}

impl PullConsumer {
    /// A consumer of this group.
    pub fn builder(group: impl Into<String>) -> PullConsumerBuilder {
        PullConsumerBuilder::new(group.into())
    }

    pub(super) fn start(
        config: ConsumerConfig,
        client: Client,
        owns_client: bool,
    ) -> Result<PullConsumer> {
        let admin = client.admin();
        // It has no threads that consume.
        let running = Running::start(config, client, owns_client, |_, _| Ok(()))?;
        Ok(PullConsumer(Arc::new(Pulling {
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

    /// Waits for messages, at most this long, and returns those that are there: up to
    /// [`poll_batch`](PullConsumerBuilder::poll_batch), of one or more queues, those of each queue in its
    /// order. It does not wait for more than one. Empty if none came in time.
    ///
    /// Polling again does not mark what was polled before: that does
    /// [`done`](PulledMessage::done).
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed) once the consumer is shut down, also for those that wait.
    /// [`Busy`](ErrorKind::Busy) if nothing can come any more without a mark or a seek: the window of a queue
    /// is full, and its first message was dropped without a mark.
    /// What goes wrong in the background is in [`describe`](PullConsumer::describe) and in the
    /// [events](PullConsumerBuilder::events), and is repaired.
    #[doc(alias = "setPollTimeoutMillis")]
    pub fn poll(&self, timeout: Duration) -> Result<Vec<PulledMessage>> {
        let shared = &self.0.running.shared;
        let until = Deadline::after(Instant::now(), timeout).instant();
        let most = shared.config.poll_batch;
        let mut polled = Vec::new();
        loop {
            let now = Instant::now();
            let wait = match polled.is_empty() {
                true => until.min(now + LOOK),
                false => now,
            };
            match shared.dispatcher.take_until(wait) {
                Taken::Queue(queue) => self.take(&queue, most, &mut polled),
                Taken::Closed if polled.is_empty() => return Err(closed()),
                Taken::Late if polled.is_empty() => match self.blocked() {
                    Some(error) => return Err(error),
                    None if Instant::now() >= until => return Ok(polled),
                    None => {}
                },
                Taken::Late | Taken::Closed => return Ok(polled),
                Taken::Direct(_) => {}
            }
            if polled.len() >= most {
                return Ok(polled);
            }
        }
    }

    fn take(&self, queue: &Arc<Assigned>, most: usize, polled: &mut Vec<PulledMessage>) {
        let shared = &self.0.running.shared;
        let (handed, more) = queue.take(most - polled.len(), Instant::now());
        if more {
            shared.dispatcher.offer(queue);
        }
        shared.dispatcher.charge(handed.len());
        if handed.is_empty() {
            return;
        }
        let count = handed.len();
        let messages = unpack(shared, queue, handed);
        let polled_by = self.0.open.add(messages.len());
        let source = Arc::new(Source {
            queue: queue.clone(),
            inbox: shared.inbox.clone(),
            open: self.0.open.clone(),
        });
        if messages.len() < count && queue.note() {
            shared.inbox.put(Event::Progress(queue.number));
        }
        let messages = messages.into_iter().map(|(ticket, message)| {
            PulledMessage::new(message, ticket, source.clone(), polled_by)
        });
        polled.extend(messages);
    }

    /// Why nothing comes, if that cannot change by itself.
    fn blocked(&self) -> Option<Error> {
        let now = Instant::now();
        let mut queues = self.0.running.shared.assignment.all().into_iter();
        queues.find_map(|queue| {
            let contents = queue.lock();
            let window = &contents.window;
            let offset = window.is_full().then(|| window.held_back(now)).flatten()?;
            let text = format!(
                "{}: the window is full, and the message at offset {offset} was dropped without done()",
                queue.shown
            );
            Some(Error::new(ErrorKind::Busy, text))
        })
    }

    /// An iterator over the messages, which polls. It ends with the consumer, and by
    /// [`until_caught_up`](Messages::until_caught_up) and [`until_idle`](Messages::until_idle).
    pub fn messages(&self) -> Messages {
        Messages::new(self.clone())
    }

    /// Commits what is marked, in all queues, and waits until the brokers (broadcasting: the disk) have
    /// confirmed it, at most 5 s. What fails is tried again until then, and in the background after that.
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

    /// The same within a time of your own.
    ///
    /// # Errors
    /// Those of [`commit`](PullConsumer::commit).
    pub fn commit_within(&self, most: Duration) -> Result<()> {
        let deadline = Deadline::after(Instant::now(), most);
        self.0.running.commit(deadline)
    }

    /// The offset that the group has committed in a queue, as its broker (broadcasting: the disk) has it;
    /// `None` if there is none. The queue need not be this member's.
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

    /// The offset of the next message that [`poll`](PullConsumer::poll) hands out of a queue, or a lower one
    /// of that; `None` as long as it is not known where the queue starts.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the queue is not this member's.
    pub fn position(&self, queue: &MessageQueue) -> Result<Option<u64>> {
        let found = self.0.running.shared.assignment.get(queue);
        found
            .map(|queue| queue.position())
            .ok_or_else(|| not_assigned(queue))
    }

    /// Has a queue go on elsewhere. It takes effect for the next message: those that were fetched are
    /// dropped, and the marks of those that were polled do not count any more. The new offset is committed,
    /// in the background.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the queue is not this member's, or does not have the offset; those of
    /// [`committed`](PullConsumer::committed) if the broker cannot be asked;
    /// [`Closed`](ErrorKind::Closed) once the consumer is shut down.
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
                    let text = format!("{queue} has offsets {min} to {max}, and not {offset}");
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

    /// Hands out and fetches nothing more of these queues from now on, until
    /// [`resume`](PullConsumer::resume), also while they are another member's. They stay this member's.
    pub fn pause<'a>(&self, queues: impl IntoIterator<Item = &'a MessageQueue>) {
        for queue in queues {
            self.0.running.pause(&Scope::Queue(queue.clone()), true);
        }
    }

    /// Goes on with these queues.
    pub fn resume<'a>(&self, queues: impl IntoIterator<Item = &'a MessageQueue>) {
        for queue in queues {
            self.0.running.pause(&Scope::Queue(queue.clone()), false);
        }
    }

    /// How far the group is behind in this member's queues, as their brokers say now. Waits for them, at
    /// most 3 s; what is not known by then is `None`.
    pub fn lag(&self) -> Lag {
        self.0.running.lag()
    }

    /// What the consumer has counted since its start.
    #[doc(alias = "ConsumerStatsManager")]
    pub fn stats(&self) -> ConsumerStats {
        self.0.running.shared.counters.read()
    }

    /// What the consumer has at this moment: its queues, what each does, and why. Empty once it is shut
    /// down.
    #[doc(alias = "consumerRunningInfo")]
    pub fn describe(&self) -> ConsumerState {
        self.0.running.describe()
    }

    /// Ends the consumer within 30 s, like [`shutdown_within`](PullConsumer::shutdown_within).
    pub fn shutdown(&self) {
        let report = self.shutdown_within(SHUTDOWN_WITHIN);
        if !report.is_clean() {
            logging::warn!(target: LOG, "{}: {report}", self.group());
        }
    }

    /// Ends the consumer, within this time: threads that wait in a poll return with
    /// [`Closed`](ErrorKind::Closed); messages that other threads have polled have a part of the time to be
    /// marked; what is marked is committed and confirmed; brokers hear that this member is gone. What was
    /// not achieved is in the report, messages without a mark included: they come again to the next member.
    ///
    /// What the calling thread itself has polled must be marked before. A second call waits for the first
    /// one, within its own time.
    pub fn shutdown_within(&self, most: Duration) -> ShutdownReport {
        let deadline = Deadline::after(Instant::now(), most);
        let running = &self.0.running;
        running.shared.dispatcher.close();
        self.0
            .open
            .wait_for_others(deadline.share(Instant::now(), 2));
        running.shut_down_within(deadline.remaining(Instant::now()))
    }

    /// Whether the first assignment is known, and where its queues start.
    pub(super) fn is_assigned(&self) -> bool {
        self.0.running.has_started()
    }

    /// Where queues end now.
    pub(super) fn ends(&self, queues: &[MessageQueue]) -> Result<BTreeMap<MessageQueue, u64>> {
        let running = &self.0.running;
        let on_wire = queues.iter().map(|q| running.shared.topics.on_wire(q));
        let on_wire: Vec<MessageQueue> = on_wire.collect();
        let deadline = Deadline::after(Instant::now(), ENDS_WITHIN);
        let ends = ends(running.client.inner(), &on_wire, deadline);
        let ends = queues.iter().zip(ends).map(|(queue, end)| match end {
            Some(end) => Ok((queue.clone(), end)),
            None => {
                let text = format!("{queue}: its broker does not say where it ends");
                Err(Error::new(ErrorKind::Timeout, text))
            }
        });
        ends.collect()
    }
}

fn not_assigned(queue: &MessageQueue) -> Error {
    let text = format!("{queue} is not assigned to this consumer");
    Error::new(ErrorKind::Invalid, text)
}

impl fmt::Debug for PullConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullConsumer")
            .field("group", &self.group())
            .field("client", &self.0.running.client)
            .finish_non_exhaustive()
    }
}
