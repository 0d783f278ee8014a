//! Rebalances: divides the queues among the members, and takes and gives up queues accordingly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rounds::{Answers, Rounds};
use super::suspicions::Suspicions;
use super::twins::Seen;
use crate::consumer::LOG;
use crate::consumer::config::Sharing;
use crate::consumer::consume::Mode;
use crate::consumer::control::locks;
use crate::consumer::control::owned::Queues;
use crate::consumer::control::stages::giving_up;
use crate::consumer::control::tools::Tools;
use crate::consumer::observe::Event;
use crate::consumer::queue::{Assigned, Need, Order, QueueLock};
use crate::consumer::rebalance::{
    Diff, Doubt, Duplicates, Round, judge, rebalance, take_all, take_those,
};
use crate::logging;
use crate::message::MessageQueue;
use crate::transport::Connection;

/// A doubt that lasts this long is an event.
const TOLD_AFTER: Duration = Duration::from_secs(60);

/// Divides the queues of the topics among the members of the group.
pub(in crate::consumer::control) struct Divider {
    pub(in crate::consumer::control) rounds: Rounds,
    /// The client id of this member.
    me: Arc<str>,
    /// Some round had no doubt.
    is_assigned: bool,
    /// The number of members, if it is known.
    members: Option<usize>,
    /// The client ids of the last round without a doubt.
    ids: Vec<Arc<str>>,
    /// Since when every round has been in doubt.
    doubtful_since: Option<Instant>,
    is_told: bool,
    suspicions: Suspicions,
}

impl Divider {
    pub(in crate::consumer::control) fn new(
        me: Arc<str>,
        interval: Duration,
        now: Instant,
    ) -> Divider {
        Divider {
            rounds: Rounds::new(now, interval),
            me,
            is_assigned: false,
            members: None,
            ids: Vec::new(),
            doubtful_since: None,
            is_told: false,
            suspicions: Suspicions::default(),
        }
    }

    /// Whether the first assignment was made.
    pub(in crate::consumer::control) fn is_assigned(&self) -> bool {
        self.is_assigned
    }

    pub(in crate::consumer::control) fn members(&self) -> Option<usize> {
        self.members
    }

    /// Asks for the members if a round is due, and divides when they are known.
    pub(in crate::consumer::control) fn step(
        &mut self,
        queues: &mut Queues,
        tools: &mut Tools,
        now: Instant,
    ) {
        if let Some(answers) = self.rounds.step(tools, now) {
            self.divide(&answers, queues, tools, now);
        }
    }

    fn divide(&mut self, answers: &Answers, queues: &mut Queues, tools: &mut Tools, now: Instant) {
        let before = assigned(queues, tools);
        let lists = &answers.lists;
        let list = judge(&self.me, lists);
        self.members = list.doubt.is_none().then_some(list.ids.len());
        tools.has_others = list.doubt.is_some() || list.ids.len() > 1;
        self.suspect(answers, tools, now);
        if list.doubt.is_none() && list.ids != self.ids {
            look_up_routes(tools);
            self.ids = list.ids;
        }
        let mut doubts = Vec::new();
        let topics = tools.topics.clone();
        for (topic, _) in topics.iter() {
            if tools.pops(topic) {
                continue;
            }
            note_found(topic, tools);
            let diff = self.diff(topic, answers, queues, tools);
            if let Some(diff) = diff {
                doubts.extend(diff.doubt);
                let is_sure = diff.doubt.is_none();
                self.apply(diff, queues, tools, now);
                if is_sure {
                    forget_others(topic, queues, tools);
                }
            }
        }
        // After that: queues that are given up now keep their leases until they are handed over.
        if let Some(all_ours) = answers.are_all_ours() {
            tools.are_all_ours = all_ours;
            if tools.config.mode == Mode::Concurrent {
                locks::use_leases(tools.config.lease && all_ours, queues, tools, now);
            }
        }
        tools.counters.rebalances.add(1);
        let is_first = doubts.is_empty() && !self.is_assigned;
        self.is_assigned |= doubts.is_empty();
        let queues = assigned(queues, tools);
        if is_first || queues != before {
            tools.events.tell(Event::Assigned { queues });
        }
        self.doubt(doubts.first().copied(), tools, now);
    }

    /// Reports faults of the group, from the answers of brokers that know this member.
    fn suspect(&mut self, answers: &Answers, tools: &Tools, now: Instant) {
        let both = answers.lists.iter().zip(&answers.connections);
        let seen = answers.brokers.iter().zip(both);
        let seen = seen.filter_map(|(broker, (list, connections))| {
            let (list, connections) = (list.as_ref()?, connections.as_ref()?);
            let remoting = &tools.wire.core.remoting;
            list.contains(&self.me).then(|| Seen {
                broker,
                connections,
                local: remoting.current(broker).and_then(|own| own.local()),
            })
        });
        let seen: Vec<_> = seen.collect();
        for event in self.suspicions.look(&self.me, &seen, &tools.topics, now) {
            tools.events.tell(event);
        }
    }

    /// A broker knows this member by this connection.
    pub(in crate::consumer::control) fn confirmed(&mut self, connection: &Connection) {
        if let Some(local) = connection.local() {
            let twins = &mut self.suspicions.twins;
            twins.linked(connection.address(), local);
        }
    }

    /// What this member pops has changed.
    pub(in crate::consumer::control) fn popped(&self, queues: &Queues, tools: &Tools) {
        // Before that, the first assignment says it.
        if self.is_assigned {
            let queues = assigned(queues, tools);
            tools.events.tell(Event::Assigned { queues });
        }
    }

    /// The changes to the queues of a topic; `None` if it does not exist.
    fn diff(
        &self,
        topic: &Arc<str>,
        answers: &Answers,
        queues: &Queues,
        tools: &Tools,
    ) -> Option<Diff> {
        let route = tools.wire.core.routes.known_route(topic, false);
        let readable = route.map(|route| {
            let queues = route.subscribe().iter();
            queues.map(|q| tools.topics.on_wire(q)).collect::<Vec<_>>()
        });
        let mine = queues.iter().filter(|owned| {
            let is_of_topic = *owned.queue().topic() == **topic;
            is_of_topic && !owned.is_given_up()
        });
        let mine: Vec<MessageQueue> = mine.map(|owned| owned.queue().clone()).collect();
        if readable.is_none() && mine.is_empty() {
            return None;
        }
        match &tools.config.sharing {
            Sharing::Group => {}
            Sharing::Everyone => return Some(take_all(&mine, readable.as_deref())),
            Sharing::Fixed(queues) => {
                let wanted = queues.iter().map(|queue| tools.topics.on_wire(queue));
                let wanted: Vec<MessageQueue> = wanted.collect();
                return Some(take_those(&mine, &wanted, readable.as_deref()));
            }
        }
        let round = Round {
            group: &tools.wire.group,
            me: &self.me,
            mine: &mine,
            queues: readable.as_deref(),
            answers: &answers.lists,
            // Beside members that use Java, a member counts as often as it is listed.
            duplicates: match answers.are_all_ours() {
                Some(true) => Duplicates::Removed,
                _ => Duplicates::KeptAsJava,
            },
        };
        let (diff, error) = rebalance(&tools.config.allocation, &round);
        if let Some(error) = error {
            logging::warn!(target: LOG, "{topic}: the queues cannot be divided: {error}");
        }
        Some(diff)
    }

    fn apply(&mut self, diff: Diff, queues: &mut Queues, tools: &mut Tools, now: Instant) {
        let until = now + tools.config.drain_time;
        for queue in diff.give_up {
            if let Some(owned) = queues.of_mut(&queue) {
                tools.events.tell(Event::Revoking {
                    queue: owned.assigned.shown.clone(),
                });
                giving_up::begin(owned, tools, until, now);
                let number = owned.number();
                queues.look_at(number, Some(now));
            }
        }
        for queue in diff.take {
            // A queue that is being given up is taken again after that.
            match queues.is_held(&queue) {
                true => self.rounds.pace.ask_again(now),
                false => take(queue, queues, tools, now),
            }
        }
    }

    /// Brokers are asked again each second until there is no doubt. Brokers that do not know this member
    /// get a heartbeat before that.
    fn doubt(&mut self, doubt: Option<Doubt>, tools: &Tools, now: Instant) {
        let Some(doubt) = doubt else {
            (self.doubtful_since, self.is_told) = (None, false);
            return;
        };
        tools.counters.doubtful_rebalances.add(1);
        let group = &tools.config.group;
        logging::debug!(target: LOG, "{group}: a rebalance is in doubt: {doubt:?}");
        self.rounds.pace.ask_again(now);
        if doubt.needs_heartbeat() {
            let brokers = tools.wire.core.routes.brokers();
            let masters = brokers.masters().into_iter().cloned();
            tools.membership.announce(masters);
        }
        let since = *self.doubtful_since.get_or_insert(now);
        if !self.is_told && now.saturating_duration_since(since) >= TOLD_AFTER {
            self.is_told = true;
            tools.events.tell(Event::Doubtful {
                what: doubt.to_string(),
            });
        }
    }
}

/// Has the routes looked up, at the same time as the other members do: members divide alike only if they have the
/// same routes. A topic (such as the retry topic) may have come to a broker since the last lookup.
fn look_up_routes(tools: &Tools) {
    for (topic, _) in tools.topics.iter() {
        tools.wire.core.refresh_soon(topic);
    }
}

/// Notes the queues of a topic whose route no name server answered when the consumer started.
fn note_found(topic: &Arc<str>, tools: &mut Tools) {
    if !tools.facts.is_open(topic) {
        return;
    }
    let route = tools.wire.core.routes.known_route(topic, false);
    if let Some(route) = route {
        let queues = route.subscribe().iter();
        let queues: Vec<_> = queues.map(|queue| tools.topics.on_wire(queue)).collect();
        tools.facts.add(topic, queues.iter().cloned());
        if let Some(local) = &tools.local {
            for queue in queues {
                tools.facts.note(&queue, local.committed(&queue), false);
            }
        }
    }
}

/// Queues that are in the route again, and are another member's: how far this one was does not count any more.
fn forget_others(topic: &Arc<str>, queues: &Queues, tools: &mut Tools) {
    let mut past = std::mem::take(&mut tools.past);
    past.retain(|queue| {
        let is_of_topic = *queue.topic() == **topic;
        !is_of_topic || queues.is_held(queue) || !tools.is_in_route(queue)
    });
    tools.past = past;
}

/// Takes a queue.
fn take(queue: MessageQueue, queues: &mut Queues, tools: &mut Tools, now: Instant) {
    let number = tools.next_generation();
    let shown = tools.topics.for_users(&queue);
    let need = match tools.config.mode {
        // No other member can have the queue.
        _ if tools.config.sharing != Sharing::Group => None,
        Mode::Ordered => Some(Need::Required),
        _ if tools.leases => Some(Need::Preferred),
        _ => None,
    };
    let order = match (tools.config.mode, tools.config.by_key) {
        (Mode::Ordered, Some(most)) => Order::Keys(most),
        (Mode::Ordered, None) => Order::Queue,
        _ => Order::None,
    };
    let assigned = Assigned::new(number, queue, shown, tools.config.window, order);
    let assigned = Arc::new(assigned);
    tools.budget.add(number);
    tools.counters.queues_taken.add(1);
    tools.assignment.add(&assigned);
    let lock = need.map(|need| QueueLock::new(need, now));
    let host = tools.wire.host(&assigned.queue);
    tools.progress.is_on(&assigned.queue, &host);
    queues.add(assigned, host, lock, now);
}

/// The queues of this member that are not being given up, and what it pops, by the users' names.
fn assigned(queues: &Queues, tools: &Tools) -> Vec<MessageQueue> {
    let ours = queues.iter().filter(|owned| !owned.is_given_up());
    let mut queues: Vec<_> = ours.map(|owned| owned.assigned.shown.clone()).collect();
    let popped = tools.assignment.popped().into_iter();
    queues.extend(popped.map(|queue| queue.shown.clone()));
    queues.sort();
    queues
}
