//! A running consumer of any kind: its start and its end.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LOG;
use super::admission::admit;
use super::config::{ConsumerConfig, Sharing};
use super::consume::{Dispatcher, Trace};
use super::control::{Beginning, Event, Inbox, Order, Parts, Reply, spawn};
use super::ends::lag;
use super::member::ConsumerMember;
use super::observe::{ConsumerState, Lag, ShutdownReport};
use super::offset::{LocalOffsets, Saver};
use super::popping::{Popping, find, start_threads};
use super::queue::Scope;
use super::shared::Shared;
use super::topics::{GroupFacts, Topics};
use crate::client::{Client, ClientCore, Route, RouteListener};
use crate::error::{Error, ErrorKind, Result, Wait};
use crate::logging;
use crate::message::MessageQueue;
use crate::transport::{Deadline, Promise, Threads, epoch_millis};

/// How long a shutdown without a limit of its own may take.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(30);

/// How long dropping the last handle may take.
const DROP_WITHIN: Duration = Duration::from_secs(3);

/// How long a start waits for the brokers to know the consumer, and for the first assignment.
const FIRST_ASSIGNMENT_WITHIN: Duration = Duration::from_secs(5);

/// How long brokers have to say which topics are popped.
const MODES_WITHIN: Duration = Duration::from_secs(3);

/// How long the control thread has to describe its state. It never waits for anything else.
const DESCRIBE_WITHIN: Duration = Duration::from_secs(1);

/// How long the control thread has to execute an order.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How long a start that fails may take to undo its steps.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

/// The pause before a name server is asked again.
const NAME_SERVER_AGAIN: Duration = Duration::from_millis(100);

/// A running consumer. `Drop` shuts it down.
pub(crate) struct Running {
    pub(crate) shared: Shared,
    pub(crate) client: Client,
    threads: Threads,
    started: Arc<Promise<()>>,
    ended: Arc<Promise<ShutdownReport>>,
    closed: Arc<Promise<Vec<String>>>,
    popping: Option<Arc<Popping>>,
    /// Listens to route changes as long as the consumer lives.
    _member: Arc<ConsumerMember>,
}

impl Running {
    /// `consume` starts the threads that take the messages, if there are any.
    pub(crate) fn start(
        config: ConsumerConfig,
        client: Client,
        owns_client: bool,
        consume: impl FnOnce(&Shared, Option<&Arc<Popping>>, &Threads) -> io::Result<()>,
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
        let facts = find_topics(&client, &topics, &config, start)?;
        let (inbox, events) = Inbox::new();
        let (threads, ended) = (Threads::default(), Arc::new(Promise::new()));
        let closed = Arc::new(Promise::new());
        let local = local_offsets(&config, &client, &group)?;
        let mut shared = Shared {
            saved: local.as_ref().map(|(local, _)| local.saved().clone()),
            dispatcher: Arc::new(Dispatcher::new(config.rate_limit, start)),
            assignment: Arc::default(),
            counters: Arc::default(),
            config,
            group,
            topics,
            inbox,
            trace: None,
        };
        admit(&shared, &core)?;
        shared.trace = start_trace(&shared, &client);
        let member = ConsumerMember::new(&shared, &threads, &ended);
        let member = Arc::new(member);
        let mut parts = Parts::new(&shared, &core, facts, local);
        let soon = Duration::from_secs(3);
        parts.learn_group(&events, Deadline::after(Instant::now(), soon))?;
        let membership = Arc::new(core.join(member.clone())?);
        let listener: Arc<dyn RouteListener> = member.clone();
        core.routes.listen(Arc::downgrade(&listener));
        let soon = Deadline::after(Instant::now(), FIRST_ASSIGNMENT_WITHIN);
        for broker in shared.topics.masters(&core) {
            membership.ensure_registered(&broker, soon);
        }
        let popping = popping(&shared, &core);
        parts.pop(popping.clone());
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
        let begin = || {
            if let Some(popping) = &popping {
                start_threads(popping, &threads)?;
            }
            consume(&shared, popping.as_ref(), &threads)?;
            spawn(beginning, parts, membership.clone())
        };
        let begun = begin();
        if let Err(error) = begun {
            let deadline = Deadline::after(Instant::now(), LEAVE_WITHIN);
            shared.dispatcher.close();
            if let Some(popping) = &popping {
                popping.close();
                popping.end();
            }
            if let Some(trace) = &shared.trace {
                trace.close(deadline);
            }
            membership.unregister(deadline);
            threads.join(deadline);
            let text = format!("the consumer's threads cannot be started: {error}");
            return Err(Error::new(ErrorKind::Io, text).caused_by(error));
        }
        drop(membership);
        started.get_until(soon);
        Ok(Running {
            shared,
            client,
            threads,
            started,
            ended,
            closed,
            popping,
            _member: member,
        })
    }

    pub(crate) fn pause(&self, scope: &Scope, paused: bool) {
        for queue in self.shared.assignment.pause(scope, paused) {
            if queue.note() {
                self.shared.inbox.put(Event::Progress(queue.number));
            }
        }
        if let Some(popping) = &self.popping {
            popping.paused();
        }
    }

    pub(crate) fn lag(&self) -> Lag {
        let deadline = Deadline::after(Instant::now(), ANSWER_WITHIN);
        lag(
            &self.shared,
            self.popping.as_deref(),
            self.client.inner(),
            deadline,
        )
    }

    pub(crate) fn describe(&self) -> ConsumerState {
        let deadline = Deadline::after(Instant::now(), DESCRIBE_WITHIN);
        self.order(deadline, Order::Describe).unwrap_or_default()
    }

    /// Sends an order to the control thread, and waits for its answer.
    fn order<T>(&self, deadline: Deadline, order: impl FnOnce(Reply<T>) -> Order) -> Result<T> {
        let (reply, answer) = Reply::new();
        self.shared.inbox.put(Event::Order(order(reply)));
        let late = || Err(Error::timeout(Wait::Response));
        answer.take_until(deadline).unwrap_or_else(late)
    }

    /// Commits the progress, and waits until it is confirmed.
    pub(crate) fn commit(&self, deadline: Deadline) -> Result<()> {
        // The control thread itself answers at the deadline.
        let margin = Deadline::after(deadline.instant(), ANSWER_WITHIN);
        self.order(margin, |done| Order::Commit(deadline, done))
    }

    /// Moves a queue to an offset.
    pub(crate) fn seek(&self, queue: &MessageQueue, to: u64) -> Result<()> {
        let deadline = Deadline::after(Instant::now(), ANSWER_WITHIN);
        self.order(deadline, |done| Order::Seek(queue.clone(), to, done))
    }

    /// Whether the first assignment and its start offsets are known.
    pub(crate) fn has_started(&self) -> bool {
        self.started.is_kept()
    }

    pub(crate) fn shut_down(&self) {
        let report = self.shut_down_within(SHUTDOWN_WITHIN);
        if !report.is_clean() {
            let group = &self.shared.config.group;
            logging::warn!(target: LOG, "consumer {group}: {report}");
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

/// The topics that are popped, as brokers say, if there are any.
fn popping(shared: &Shared, core: &Arc<ClientCore>) -> Option<Arc<Popping>> {
    if !shared.config.broker_assignment {
        return None;
    }
    let soon = Deadline::after(Instant::now(), MODES_WITHIN);
    let popped = find(shared, core, soon);
    if popped.is_empty() {
        return None;
    }
    let popping = Popping::new(shared, core, popped, Instant::now());
    Some(Arc::new(popping))
}

fn start_trace(shared: &Shared, client: &Client) -> Option<Arc<Trace>> {
    let (config, counters) = (&shared.config, shared.counters.clone());
    let lost = move |records| counters.trace_lost.add(records);
    Trace::start(client, &config.group, config.trace_topic.as_ref(), lost)
}

/// The offsets of a broadcasting consumer; `None` if brokers keep them.
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

/// Looks up the topics that exist. The running consumer waits for the others.
fn find_topics(
    client: &Client,
    topics: &Topics,
    config: &ConsumerConfig,
    start: Instant,
) -> Result<GroupFacts> {
    let deadline = Deadline::after(start, config.start_timeout);
    let mut facts = GroupFacts::default();
    // The user's own topics first: an error should name one of them.
    let (retry, own): (Vec<_>, Vec<_>) = topics.iter().partition(|(_, topic)| topic.is_retry);
    for (topic, _) in own.into_iter().chain(retry) {
        match find_topic(client, topic, deadline) {
            Ok(Some(route)) => {
                let queues = route.subscribe().iter();
                facts.add(topic, queues.map(|queue| topics.on_wire(queue)));
            }
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
            Err(_) if config.wait_for_servers => facts.leave_open(topic),
            Err(error) => return Err(error),
        }
    }
    Ok(facts)
}

/// The route of a topic; `None` if the topic does not exist. As long as no name server answers, it is looked
/// up again: they may be about to start.
pub(crate) fn find_topic(
    client: &Client,
    topic: &Arc<str>,
    deadline: Deadline,
) -> Result<Option<Arc<Route>>> {
    let core = client.inner();
    loop {
        let error = match core.routes.find(topic, None, deadline) {
            Ok(route) => return Ok(Some(route)),
            Err(error) if error.kind() == ErrorKind::NoRoute => return Ok(None),
            Err(error) => error,
        };
        if deadline.remaining(Instant::now()) < NAME_SERVER_AGAIN {
            return Err(error);
        }
        core.check_open()?;
        let _ = core.closing().recv_timeout(NAME_SERVER_AGAIN);
    }
}

#[cfg(test)]
mod tests;
