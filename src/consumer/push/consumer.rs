//! `PushConsumer`: its start, its handle, its end.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::PushConsumerBuilder;
use crate::client::{Client, RouteListener, epoch_millis};
use crate::consumer::LOG;
use crate::consumer::config::ConsumerConfig;
use crate::consumer::consume::{Dispatcher, Handler, Limits, Worker};
use crate::consumer::control::{Beginning, Event, Inbox, Order, Parts, spawn};
use crate::consumer::member::ConsumerMember;
use crate::consumer::observe::{ConsumerState, ConsumerStats, ShutdownReport};
use crate::consumer::queue::Scope;
use crate::consumer::shared::Shared;
use crate::consumer::topics::{GroupFacts, Topics};
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::message::MessageQueue;
use crate::transport::{Deadline, Promise, Threads};

/// How long [`PushConsumer::shutdown`] may take.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(30);

/// How long dropping the last handle may take.
const DROP_WITHIN: Duration = Duration::from_secs(3);

/// How long `start` waits for the brokers to know the consumer, and for the first assignment.
const FIRST_ASSIGNMENT_WITHIN: Duration = Duration::from_secs(5);

/// How long the control thread has to say what it has. It never waits for anything.
const DESCRIBE_WITHIN: Duration = Duration::from_secs(1);

/// Between two tries to reach a name server.
const NAME_SERVER_AGAIN: Duration = Duration::from_millis(100);

/// Consumes the messages of topics: they are fetched in the background, and given to a handler on
/// consume threads.
///
/// Members of the same group share the messages: each queue of a topic belongs to one member at a
/// time. Every message is handled at least once: it counts as consumed when its handler returned
/// `Ok`, and comes again otherwise.
///
/// It is cheap to clone, and its last handle shuts it down.
///
/// ```
/// use rocketmq_blocking::{PushConsumer, Retry, StartFrom};
/// # use rocketmq_blocking::{Message, Producer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
/// # let name_server = cluster.name_server();
/// # let producer = Producer::builder("g").name_server(&name_server).start()?;
/// # producer.send(&Message::new("Orders", "one book"))?;
/// # let (seen, messages) = std::sync::mpsc::channel();
/// let consumer = PushConsumer::builder("billing")
///     .name_server(name_server)
///     .subscribe("Orders", "*")
///     .start_from(StartFrom::First)
///     .start(move |message| -> Result<(), Retry> {
///         println!("{}", message.text()?);
/// #       seen.send(message.clone()).ok();
///         Ok(())
///     })?;
/// # assert_eq!(messages.recv()?.text()?, "one book");
/// consumer.shutdown();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "DefaultMQPushConsumer")]
pub struct PushConsumer(Arc<Handle>);

/// Shuts the consumer down when the last handle goes.
struct Handle {
    shared: Shared,
    client: Client,
    threads: Threads,
    ended: Arc<Promise<ShutdownReport>>,
    closed: Arc<Promise<Vec<String>>>,
    /// Hears of routes for as long as the consumer lives.
    _member: Arc<ConsumerMember>,
}

impl PushConsumer {
    /// A consumer of this group.
    pub fn builder(group: impl Into<String>) -> PushConsumerBuilder {
        PushConsumerBuilder::new(group.into())
    }

    pub(super) fn start(
        config: ConsumerConfig,
        client: Client,
        owns_client: bool,
        handler: Box<dyn Handler>,
        batch: usize,
    ) -> Result<PushConsumer> {
        let start = Instant::now();
        let core = client.inner().clone();
        core.check_open()?;
        let names = core.config.rpc.names();
        let group = names.on_wire(&config.group);
        let topics = Topics::new(&config.subscriptions, &group, names, epoch_millis())?;
        let (topics, config) = (Arc::new(topics), Arc::new(config));
        let facts = find_topics(
            &client,
            &topics,
            Deadline::after(start, config.start_timeout),
        )?;
        let (inbox, events) = Inbox::new();
        let (threads, ended) = (Threads::default(), Arc::new(Promise::new()));
        let closed = Arc::new(Promise::new());
        let shared = Shared {
            dispatcher: Arc::new(Dispatcher::new(config.rate_limit, start)),
            assignment: Arc::default(),
            counters: Arc::default(),
            config,
            group,
            topics,
            inbox,
        };
        let member = ConsumerMember::new(&shared, &threads, &ended);
        let member = Arc::new(member);
        let mut parts = Parts::new(&shared, &core, facts);
        let soon = Duration::from_secs(3);
        parts.learn_group(&events, Deadline::after(Instant::now(), soon));
        let membership = core.join(member.clone())?;
        let listener: Arc<dyn RouteListener> = member.clone();
        core.routes.listen(Arc::downgrade(&listener));
        let soon = Deadline::after(Instant::now(), FIRST_ASSIGNMENT_WITHIN);
        for broker in parts.masters() {
            membership.ensure_registered(&broker, soon);
        }
        let started = Arc::new(Promise::new());
        let beginning = Beginning {
            inbox: shared.inbox.clone(),
            events,
            client: client.clone(),
            owns_client,
            threads: threads.clone(),
            started: started.clone(),
            ended: ended.clone(),
            closed: closed.clone(),
        };
        let worker = Worker {
            limits: Limits {
                max_reconsume: shared.config.max_reconsume,
                suspend: shared.config.suspend,
            },
            shared: shared.clone(),
            handler,
            batch,
        };
        start_threads(&threads, worker)
            .and_then(|()| spawn(beginning, parts, membership))
            .map_err(|error| {
                shared.dispatcher.close();
                let text = format!("the consumer's threads cannot be started: {error}");
                Error::new(ErrorKind::Io, text).caused_by(error)
            })?;
        started.get_until(soon);
        Ok(PushConsumer(Arc::new(Handle {
            shared,
            client,
            threads,
            ended,
            closed,
            _member: member,
        })))
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

    /// The queues of this member now, sorted.
    pub fn assignment(&self) -> Vec<MessageQueue> {
        self.0.shared.assignment.queues()
    }

    /// Hands out and fetches nothing more from now on, until [`resume`](PushConsumer::resume).
    /// Running handlers end; this member keeps its place in the group and its queues.
    #[doc(alias = "suspend")]
    pub fn pause(&self) {
        self.0.pause(&Scope::All, true);
    }

    /// The same for one topic.
    pub fn pause_topic(&self, topic: &str) {
        self.0.pause(&Scope::Topic(topic.into()), true);
    }

    /// The same for one queue, also while it is another member's.
    pub fn pause_queue(&self, queue: &MessageQueue) {
        self.0.pause(&Scope::Queue(queue.clone()), true);
    }

    /// Goes on with everything, also with what was paused by topic or queue.
    pub fn resume(&self) {
        self.0.pause(&Scope::All, false);
    }

    /// Goes on with a topic, unless all is paused, or a queue of it.
    pub fn resume_topic(&self, topic: &str) {
        self.0.pause(&Scope::Topic(topic.into()), false);
    }

    /// Goes on with a queue, unless its topic is paused, or all is.
    pub fn resume_queue(&self, queue: &MessageQueue) {
        self.0.pause(&Scope::Queue(queue.clone()), false);
    }

    /// What the consumer has counted since its start.
    #[doc(alias = "ConsumerStatsManager")]
    pub fn stats(&self) -> ConsumerStats {
        self.0.shared.counters.read()
    }

    /// What the consumer has at this moment: its queues, what each does, and why. Cheap enough to be
    /// asked for every second. Empty once it is shut down.
    #[doc(alias = "consumerRunningInfo")]
    pub fn describe(&self) -> ConsumerState {
        let state = Arc::new(Promise::new());
        let order = Order::Describe(state.clone());
        self.0.shared.inbox.put(Event::Order(order));
        let deadline = Deadline::after(Instant::now(), DESCRIBE_WITHIN);
        match self.0.ended.is_kept() {
            true => ConsumerState::default(),
            false => state.get_until(deadline).unwrap_or_default(),
        }
    }

    /// Ends the consumer within 30 s, like [`shutdown_within`](PushConsumer::shutdown_within).
    pub fn shutdown(&self) {
        let report = self.shutdown_within(SHUTDOWN_WITHIN);
        if !report.is_clean() {
            logging::warn!(target: LOG, "{}: {report}", self.0.shared.config.group);
        }
    }

    /// Ends the consumer, within this time: nothing new is fetched or handed out, running handlers
    /// end, the progress is committed and confirmed, brokers hear that this member is gone, threads
    /// end. What was not achieved is in the report. A second call waits for the first one, within
    /// its own time.
    ///
    /// From inside a handler it returns at once, as that handler cannot end before: all of it
    /// happens in the background then.
    pub fn shutdown_within(&self, most: Duration) -> ShutdownReport {
        self.0.shut_down(most)
    }
}

impl Handle {
    fn pause(&self, scope: &Scope, paused: bool) {
        for queue in self.shared.assignment.pause(scope, paused) {
            if queue.note() {
                self.shared.inbox.put(Event::Progress(queue.number));
            }
        }
    }

    fn shut_down(&self, most: Duration) -> ShutdownReport {
        let deadline = Deadline::after(Instant::now(), most);
        self.shared
            .inbox
            .put(Event::Order(Order::Shutdown(deadline)));
        if self.threads.has_current() {
            return ShutdownReport {
                goes_on: true,
                ..ShutdownReport::default()
            };
        }
        let mut report = self.ended.get_until(deadline).unwrap_or_default();
        let of_client = self.closed.get_until(deadline);
        report.stuck_threads.extend(of_client.unwrap_or_default());
        for name in self.threads.join(deadline) {
            if !report.stuck_threads.contains(&name) {
                report.stuck_threads.push(name);
            }
        }
        report
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.ended.is_kept() {
            return;
        }
        let report = self.shut_down(DROP_WITHIN);
        if !report.is_clean() {
            let group = &self.shared.config.group;
            logging::warn!(target: LOG, "consumer {group} dropped: {report}");
        }
    }
}

/// Looks the topics up that exist. One that does not is waited for once the consumer runs.
fn find_topics(client: &Client, topics: &Topics, deadline: Deadline) -> Result<GroupFacts> {
    let mut facts = GroupFacts::default();
    let routes = &client.inner().routes;
    for (topic, _) in topics.iter() {
        loop {
            let error = match routes.find(topic, None, deadline) {
                Ok(route) => {
                    let queues = route.subscribe().iter();
                    facts.add(topic, queues.map(|queue| topics.on_wire(queue)));
                    break;
                }
                Err(error) if error.kind() == ErrorKind::NoRoute => break,
                Err(error) => error,
            };
            // No name server answers. They may be about to start.
            if deadline.remaining(Instant::now()) < NAME_SERVER_AGAIN {
                return Err(error);
            }
            client.inner().check_open()?;
            let _ = client.inner().closing().recv_timeout(NAME_SERVER_AGAIN);
        }
    }
    Ok(facts)
}

fn start_threads(threads: &Threads, worker: Worker) -> std::io::Result<()> {
    let worker = Arc::new(worker);
    for n in 1..=worker.shared.config.threads {
        let own = worker.clone();
        // Names of threads are short.
        let n = n % 1000;
        threads.spawn(&format!("rmq-consume-{n}"), move || own.run())?;
    }
    Ok(())
}

impl fmt::Debug for PushConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushConsumer")
            .field("group", &self.0.shared.config.group)
            .field("client", &self.0.client)
            .finish_non_exhaustive()
    }
}
