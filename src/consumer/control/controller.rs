//! The control thread: it owns the state of all queues, and never waits for anything but its inbox.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inbox::{Answered, Asked, Event, Inbox, Order};
use super::owned::{Queues, Stage};
use super::rounds::{Listed, Rounds};
use super::stages::giving_up::{self, Left};
use super::stages::{commits, fetching, starts};
use super::tools::Tools;
use crate::client::Client;
use crate::consumer::LOG;
use crate::consumer::observe::ShutdownReport;
use crate::consumer::offset::Starting;
use crate::consumer::queue::Assigned;
use crate::consumer::rebalance::{Diff, Doubt, Duplicates, Round, rebalance};
use crate::logging;
use crate::message::MessageQueue;
use crate::sync::channel::Receiver;
use crate::transport::{Deadline, Promise, Threads, catch_bug};

/// Something is looked at this often, whatever happens.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// How long handlers of a queue that is given up have.
const DRAIN_TIME: Duration = Duration::from_secs(20);

/// What the control thread begins with.
pub(crate) struct Beginning {
    pub(crate) inbox: Inbox,
    pub(crate) events: Receiver<Event>,
    pub(crate) client: Client,
    pub(crate) owns_client: bool,
    pub(crate) threads: Threads,
    /// Kept once the first assignment has its start offsets.
    pub(crate) started: Arc<Promise<()>>,
    /// Kept when all is over.
    pub(crate) ended: Arc<Promise<ShutdownReport>>,
}

/// The actor.
pub(super) struct Controller {
    begun: Beginning,
    queues: Queues,
    tools: Tools,
    rounds: Rounds,
    me: Arc<str>,
    next_commit: Instant,
    /// A round had no doubt.
    is_assigned: bool,
    has_started: bool,
    ending: Option<Ending>,
    /// Queues that were given up while handlers still had messages, which count in the budget.
    strays: HashMap<u64, Arc<Assigned>>,
}

/// A shutdown that goes on.
struct Ending {
    deadline: Deadline,
    report: ShutdownReport,
}

impl Controller {
    pub(super) fn new(begun: Beginning, tools: Tools, now: Instant) -> Controller {
        Controller {
            me: begun.client.id().into(),
            queues: Queues::default(),
            rounds: Rounds::new(now),
            next_commit: now + tools.config.commit_interval,
            is_assigned: false,
            has_started: false,
            ending: None,
            strays: HashMap::new(),
            begun,
            tools,
        }
    }

    /// The life of the thread.
    pub(super) fn run(mut self) {
        loop {
            let due = self.due();
            let first = self.begun.events.recv_deadline(due).ok();
            let now = Instant::now();
            let turn = || self.turn(first, now);
            let is_over = catch_bug("a consumer's control thread", turn).unwrap_or(false);
            if is_over {
                return self.end();
            }
        }
    }

    fn due(&self) -> Instant {
        let mut due = Instant::now() + LOOK_AROUND;
        if self.ending.is_none() {
            due = due.min(self.rounds.due()).min(self.next_commit);
        }
        self.queues.next_due().map_or(due, |at| at.min(due))
    }

    /// Takes all that has come, then does what is due. Returns whether all is over.
    fn turn(&mut self, first: Option<Event>, now: Instant) -> bool {
        let mut next = first;
        while let Some(event) = next {
            self.take(event, now);
            next = self.begun.events.try_recv().ok();
        }
        if self.ending.is_none() {
            if let Some(lists) = self.rounds.step(&self.tools, now) {
                self.rebalance(&lists, now);
            }
            if now >= self.next_commit {
                self.next_commit = now + self.tools.config.commit_interval;
                commits::commit_all(&self.queues, &mut self.tools, now);
            }
        }
        while let Some(number) = self.queues.take_due(now) {
            self.step(number, now);
        }
        self.serve(now);
        self.note_started();
        self.ending.is_some() && self.queues.is_empty()
    }

    fn take(&mut self, event: Event, now: Instant) {
        match event {
            Event::Answer(answered) => self.answer(*answered, now),
            Event::Progress(number) => match self.queues.get_mut(number) {
                Some(owned) => {
                    owned.assigned.looked_at();
                    self.queues.look_at(number, Some(now));
                }
                None => self.stray(number),
            },
            Event::Flag => {
                if self.begun.inbox.take_rebalance() {
                    self.rounds.pace.ask(now);
                    self.wake_waiting(now);
                }
            }
            Event::Order(Order::Shutdown(deadline)) => self.shut_down(deadline, now),
        }
    }

    /// A handler ended with a message of a queue that is ours no longer.
    fn stray(&mut self, number: u64) {
        let Some(assigned) = self.strays.get(&number).cloned() else {
            return;
        };
        assigned.looked_at();
        let (freed, left) = {
            let contents = &mut *assigned.lock();
            (std::mem::take(&mut contents.freed), contents.window.bytes())
        };
        self.tools.budget.release(number, freed);
        if left == 0 {
            self.strays.remove(&number);
        }
    }

    fn answer(&mut self, answered: Answered, now: Instant) {
        let Answered { asked, outcome, at } = answered;
        let tools = &mut self.tools;
        let number = match asked {
            Asked::Members { round, nth } => return self.rounds.answered(round, nth, outcome),
            Asked::Committed(queue) => {
                let (committed, zero) = starts::read_committed(outcome);
                return tools.facts.note(&queue, committed, zero);
            }
            Asked::Start(number) => {
                if let Some(owned) = self.queues.get_mut(number) {
                    starts::committed(owned, outcome, now);
                }
                number
            }
            Asked::Bound(number) => {
                if let Some(owned) = self.queues.get_mut(number) {
                    starts::bound(owned, tools, outcome, now);
                }
                number
            }
            Asked::Pull(pull) => {
                let number = pull.number;
                if let Some(owned) = self.queues.get_mut(number) {
                    fetching::answered(owned, tools, pull, outcome, at);
                }
                number
            }
            Asked::Commit(commit, number) => {
                commits::answered(commit, tools, outcome);
                number
            }
        };
        self.queues.look_at(number, Some(now));
    }

    /// What one queue needs now.
    fn step(&mut self, number: u64, now: Instant) {
        let Some(owned) = self.queues.get_mut(number) else {
            return;
        };
        let freed = std::mem::take(&mut owned.assigned.lock().freed);
        self.tools.budget.release(number, freed);
        let next = match owned.stage {
            Stage::Starting(_) => starts::step(owned, &mut self.tools, now),
            Stage::Active => {
                let again = self.hand_out(number, now);
                let Some(owned) = self.queues.get_mut(number) else {
                    return;
                };
                let fetch = fetching::step(owned, &mut self.tools, now);
                [again, fetch].into_iter().flatten().min()
            }
            Stage::GivingUp { .. } => match giving_up::step(owned, &mut self.tools, now) {
                Left::Busy(at) => Some(at),
                Left::Clean => return self.drop_queue(number, true),
                Left::Late => return self.drop_queue(number, false),
            },
        };
        self.queues.look_at(number, next);
    }

    /// Puts a queue into the line of the consume threads if it has something for them. Returns when
    /// it will have.
    fn hand_out(&mut self, number: u64, now: Instant) -> Option<Instant> {
        let owned = self.queues.get_mut(number)?;
        let ready = owned.assigned.lock().window.ready_at(now)?;
        if ready > now {
            return Some(ready);
        }
        if !owned.assigned.is_paused() {
            self.tools.dispatcher.offer(&owned.assigned);
        }
        None
    }

    /// Sends the requests that the budget allows since something was released.
    fn serve(&mut self, now: Instant) {
        while let Some((number, grant)) = self.tools.budget.serve() {
            let Some(owned) = self.queues.get_mut(number) else {
                self.tools.budget.unanswered(number);
                continue;
            };
            if owned.is_active() && !owned.assigned.is_paused() {
                let next = fetching::ask(owned, &mut self.tools, grant, now);
                if next.is_some() {
                    self.queues.look_at(number, next);
                }
            } else {
                self.tools.budget.unanswered(number);
            }
        }
    }

    /// Brokers know us now: queues that waited for that go on.
    fn wake_waiting(&mut self, now: Instant) {
        let waiting = self.queues.iter().filter(|o| o.fetch.waits_for_broker);
        let waiting: Vec<u64> = waiting.map(|owned| owned.number()).collect();
        for number in waiting {
            self.queues.look_at(number, Some(now));
        }
    }

    /// Divides the queues of all topics anew.
    fn rebalance(&mut self, lists: &[Listed], now: Instant) {
        let topics = self.tools.topics.clone();
        let mut is_sure = true;
        for (topic, _) in topics.iter() {
            let route = self.tools.wire.core.routes.known_route(topic, false);
            let queues = route.map(|route| {
                let queues = route.subscribe().iter();
                queues.map(|q| topics.on_wire(q)).collect::<Vec<_>>()
            });
            let mine = self
                .queues
                .iter()
                .filter(|owned| owned.queue().topic() == &**topic && !owned.is_given_up());
            let mine: Vec<MessageQueue> = mine.map(|owned| owned.queue().clone()).collect();
            if queues.is_none() && mine.is_empty() {
                // The topic does not exist yet. A route will tell.
                continue;
            }
            let (diff, error) = rebalance(
                &self.tools.config.allocation,
                &Round {
                    group: &self.tools.wire.group,
                    me: &self.me,
                    mine: &mine,
                    queues: queues.as_deref(),
                    answers: lists,
                    duplicates: Duplicates::Removed,
                },
            );
            if let Some(error) = error {
                logging::warn!(target: LOG, "{topic}: the queues cannot be divided: {error}");
            }
            is_sure &= diff.doubt.is_none();
            self.apply(diff, now);
        }
        self.is_assigned |= is_sure;
    }

    fn apply(&mut self, diff: Diff, now: Instant) {
        if let Some(doubt) = diff.doubt {
            self.doubt(doubt, now);
        }
        for queue in diff.give_up {
            let Some(number) = self.queues.number(&queue) else {
                continue;
            };
            if let Some(owned) = self.queues.get_mut(number) {
                giving_up::begin(owned, &mut self.tools, now + DRAIN_TIME, now);
                self.queues.look_at(number, Some(now));
            }
        }
        for queue in diff.take {
            if self.queues.number(&queue).is_some() {
                // It is just being given up: it comes back when that is done.
                self.rounds.pace.ask_again(now);
                continue;
            }
            self.take_queue(queue, now);
        }
    }

    fn doubt(&mut self, doubt: Doubt, now: Instant) {
        logging::debug!(target: LOG, "{}: rebalance in doubt: {doubt:?}", self.tools.wire.group);
        self.rounds.pace.ask_again(now);
        if doubt.needs_heartbeat() {
            let brokers = self.tools.wire.core.routes.brokers();
            let masters = brokers.masters().into_iter().cloned();
            self.tools.membership.announce(masters);
        }
    }

    fn take_queue(&mut self, queue: MessageQueue, now: Instant) {
        let number = self.queues.next_number();
        let tools = &mut self.tools;
        let shown = tools.topics.for_users(&queue);
        let is_retry = tools.topics.get(queue.topic()).is_some_and(|t| t.is_retry);
        let starting = Starting::new(tools.facts.is_new(&queue), is_retry, now);
        let most = tools.config.window;
        let assigned = Arc::new(Assigned::new(number, queue, shown, most));
        tools.budget.add(number);
        self.queues.add(assigned, Stage::Starting(starting), now);
    }

    /// A queue is ours no longer.
    fn drop_queue(&mut self, number: u64, is_clean: bool) {
        let Some(owned) = self.queues.remove(number) else {
            return;
        };
        if self.tools.budget.remove(number) > 0 {
            self.strays.insert(number, owned.assigned.clone());
            self.stray(number);
        }
        let running = {
            let window = &owned.assigned.lock().window;
            window
                .running()
                .map(|(offset, _)| offset)
                .collect::<Vec<_>>()
        };
        let uncommitted = self.tools.progress.end(owned.queue(), number);
        if is_clean {
            return;
        }
        let shown = &owned.assigned.shown;
        match &mut self.ending {
            Some(ending) => {
                let running = running.into_iter().map(|offset| (shown.clone(), offset));
                ending.report.running.extend(running);
                let left = uncommitted.map(|offset| (shown.clone(), offset));
                ending.report.uncommitted.extend(left);
            }
            None => logging::warn!(
                target: LOG,
                "{shown}: given up with {} messages in handlers, uncommitted {uncommitted:?}",
                running.len()
            ),
        }
    }

    /// Once the first assignment is there and each queue knows its start, the consumer has started.
    fn note_started(&mut self) {
        if self.has_started || !self.is_assigned {
            return;
        }
        let mut stages = self.queues.iter().map(|owned| &owned.stage);
        if !stages.any(|stage| matches!(stage, Stage::Starting(_))) {
            self.has_started = true;
            self.begun.started.keep(());
        }
    }

    /// All queues are given up. A part of the time is kept for what follows.
    fn shut_down(&mut self, deadline: Deadline, now: Instant) {
        if self.ending.is_some() {
            return;
        }
        let rest = deadline.remaining(now);
        let until = now + (rest - (rest / 4).min(Duration::from_millis(500)));
        let numbers: Vec<u64> = self.queues.iter().map(|owned| owned.number()).collect();
        for number in numbers {
            if let Some(owned) = self.queues.get_mut(number) {
                giving_up::begin(owned, &mut self.tools, until, now);
                self.queues.look_at(number, Some(now));
            }
        }
        self.ending = Some(Ending {
            deadline,
            report: ShutdownReport::default(),
        });
    }

    /// No queue is left: says goodbye to the brokers, and waits for the other threads.
    fn end(self) {
        let Some(Ending {
            deadline,
            mut report,
        }) = self.ending
        else {
            return;
        };
        self.tools.dispatcher.close();
        self.tools.membership.unregister(deadline);
        drop(self.tools.membership);
        report.stuck_threads = self.begun.threads.join(deadline);
        if self.begun.owns_client {
            let rest = deadline.remaining(Instant::now());
            let closed = self.begun.client.shutdown_within(rest);
            report.stuck_threads.extend(closed.stuck_threads);
        }
        self.begun.started.keep(());
        self.begun.ended.keep(report);
    }
}
