//! A consumer that runs, of whatever kind: its start and its end.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LOG;
use super::config::{ConsumerConfig, Sharing};
use super::consume::Dispatcher;
use super::control::{Beginning, Event, Inbox, Order, Parts, spawn};
use super::ends::lag;
use super::member::ConsumerMember;
use super::observe::{ConsumerState, Lag, ShutdownReport};
use super::offset::{LocalOffsets, Saver};
use super::queue::Scope;
use super::shared::Shared;
use super::topics::{GroupFacts, Topics};
use crate::client::{Client, RouteListener};
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::message::MessageQueue;
use crate::transport::{Deadline, Promise, Threads, epoch_millis};

/// How long a shutdown without a limit of its own may take.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(30);

/// How long dropping the last handle may take.
const DROP_WITHIN: Duration = Duration::from_secs(3);

/// How long a start waits for the brokers to know the consumer, and for the first assignment.
const FIRST_ASSIGNMENT_WITHIN: Duration = Duration::from_secs(5);

/// How long the control thread has to say what it has. It never waits for anything.
const DESCRIBE_WITHIN: Duration = Duration::from_secs(1);

/// How long the control thread has to do what is asked of it.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// A caller that waits for the control thread checks this often whether it has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Between two tries to reach a name server.
const NAME_SERVER_AGAIN: Duration = Duration::from_millis(100);

/// A consumer that runs. It is shut down when this is dropped.
pub(crate) struct Running {
    pub(crate) shared: Shared,
    pub(crate) client: Client,
    threads: Threads,
    started: Arc<Promise<()>>,
    ended: Arc<Promise<ShutdownReport>>,
    closed: Arc<Promise<Vec<String>>>,
    /// Hears of routes for as long as the consumer lives.
    _member: Arc<ConsumerMember>,
}

impl Running {
    /// `consume` starts the threads that take the messages, if there are any.
    pub(crate) fn start(
        config: ConsumerConfig,
        client: Client,
        owns_client: bool,
        consume: impl FnOnce(&Shared, &Threads) -> io::Result<()>,
    ) -> Result<Running> {
        let start = Instant::now();
        let core = client.inner().clone();
        core.check_open()?;
        let names = core.config.rpc.names();
        let group = names.on_wire(&config.group);
        let can_give_back = !config.is_pull && config.sharing == Sharing::Group;
        let retry_of = can_give_back.then_some(&group);
        let topics = Topics::new(&config.subscriptions, retry_of, names, epoch_millis())?;
        let (topics, config) = (Arc::new(topics), Arc::new(config));
        let facts = find_topics(
            &client,
            &topics,
            Deadline::after(start, config.start_timeout),
        )?;
        let (inbox, events) = Inbox::new();
        let (threads, ended) = (Threads::default(), Arc::new(Promise::new()));
        let closed = Arc::new(Promise::new());
        let local = local_offsets(&config, &client, &group)?;
        let shared = Shared {
            saved: local.as_ref().map(|(local, _)| local.saved().clone()),
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
        let mut parts = Parts::new(&shared, &core, facts, local);
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
        consume(&shared, &threads)
            .and_then(|()| spawn(beginning, parts, membership))
            .map_err(|error| {
                shared.dispatcher.close();
                let text = format!("the consumer's threads cannot be started: {error}");
                Error::new(ErrorKind::Io, text).caused_by(error)
            })?;
        started.get_until(soon);
        Ok(Running {
            shared,
            client,
            threads,
            started,
            ended,
            closed,
            _member: member,
        })
    }

    pub(crate) fn pause(&self, scope: &Scope, paused: bool) {
        for queue in self.shared.assignment.pause(scope, paused) {
            if queue.note() {
                self.shared.inbox.put(Event::Progress(queue.number));
            }
        }
    }

    pub(crate) fn lag(&self) -> Lag {
        let deadline = Deadline::after(Instant::now(), ANSWER_WITHIN);
        lag(&self.shared, self.client.inner(), deadline)
    }

    pub(crate) fn describe(&self) -> ConsumerState {
        let state = Arc::new(Promise::new());
        let order = Order::Describe(state.clone());
        self.shared.inbox.put(Event::Order(order));
        let deadline = Deadline::after(Instant::now(), DESCRIBE_WITHIN);
        match self.ended.is_kept() {
            true => ConsumerState::default(),
            false => state.get_until(deadline).unwrap_or_default(),
        }
    }

    /// Waits for an answer of the control thread, until the deadline or the end of the consumer.
    fn wait<T: Clone>(&self, answer: &Promise<T>, deadline: Deadline) -> Option<T> {
        loop {
            let answered = answer.get_until(deadline.capped(Instant::now(), LOOK_AGAIN));
            let is_over = || self.ended.is_kept() || deadline.has_passed(Instant::now());
            if answered.is_some() || is_over() {
                return answered.or_else(|| answer.get());
            }
        }
    }

    /// Commits what is done, and waits until that is confirmed.
    pub(crate) fn commit(&self, deadline: Deadline) -> Result<()> {
        let done = Arc::new(Promise::new());
        let order = Order::Commit(deadline, done.clone());
        self.shared.inbox.put(Event::Order(order));
        // The control thread answers by itself when the time is up.
        let margin = Deadline::after(deadline.instant(), ANSWER_WITHIN);
        self.wait(&done, margin).unwrap_or_else(|| Err(closed()))
    }

    /// Has a queue go on at an offset.
    pub(crate) fn seek(&self, queue: &MessageQueue, to: u64) -> Result<()> {
        let done = Arc::new(Promise::new());
        let order = Order::Seek(queue.clone(), to, done.clone());
        self.shared.inbox.put(Event::Order(order));
        let deadline = Deadline::after(Instant::now(), ANSWER_WITHIN);
        self.wait(&done, deadline).unwrap_or_else(|| Err(closed()))
    }

    /// Whether the first assignment is there, with its start offsets.
    pub(crate) fn has_started(&self) -> bool {
        self.started.is_kept()
    }

    pub(crate) fn shut_down(&self) {
        let report = self.shut_down_within(SHUTDOWN_WITHIN);
        if !report.is_clean() {
            logging::warn!(target: LOG, "{}: {report}", self.shared.config.group);
        }
    }

    pub(crate) fn shut_down_within(&self, most: Duration) -> ShutdownReport {
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

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_kept() {
            return;
        }
        let report = self.shut_down_within(DROP_WITHIN);
        if !report.is_clean() {
            let group = &self.shared.config.group;
            logging::warn!(target: LOG, "consumer {group} dropped: {report}");
        }
    }
}

/// What is said where a consumer has ended.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the consumer is shut down")
}

/// Where a broadcasting consumer has its offsets; `None` if brokers have them.
fn local_offsets(
    config: &ConsumerConfig,
    client: &Client,
    group: &str,
) -> Result<Option<(LocalOffsets, Option<Saver>)>> {
    if config.sharing != Sharing::Everyone {
        return Ok(None);
    }
    let name = client.inner().config.instance_name.as_deref();
    let (Some(dir), Some(name)) = (&config.offset_dir, name) else {
        let missing = match config.offset_dir {
            Some(_) => "instance_name",
            None => "offset_dir",
        };
        logging::warn!(
            target: LOG,
            "{}: broadcasting without {missing}: the offsets are lost at the end of this consumer, and the \
             next one starts as a new group does",
            config.group
        );
        return Ok(Some((LocalOffsets::in_memory(), None)));
    };
    let (local, saver) = LocalOffsets::open(dir, name, client.id(), group)?;
    Ok(Some((local, Some(saver))))
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
