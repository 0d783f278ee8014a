//! The control thread: it owns the state of all queues, and waits for its inbox only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::asked::Calls;
use super::backs::Backs;
use super::corrupt::{Corrupt, Fate};
use super::group::{Divider, Missing, Sources};
use super::inbox::{Answered, Asked, Event, GivenBack, Order};
use super::life::{Beginning, Ending};
use super::links::{self, Links};
use super::locks;
use super::owned::{Owned, Queues, Stage};
use super::stages::giving_up::{self, Left};
use super::stages::{commits, fetching, moved, starts, taking};
use super::tools::Tools;
use super::watch::Watch;
use crate::consumer::observe;
use crate::transport::{Connection, Deadline, catch_bug};

/// The longest wait for the inbox.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// The actor.
pub(super) struct Controller {
    begun: Beginning,
    queues: Queues,
    tools: Tools,
    divider: Divider,
    sources: Sources,
    backs: Backs,
    corrupt: Corrupt,
    calls: Calls,
    watch: Watch,
    missing: Missing,
    next_commit: Instant,
    has_started: bool,
    ending: Option<Ending>,
    links: Links,
}

impl Controller {
    pub(super) fn new(begun: Beginning, tools: Tools, now: Instant) -> Controller {
        let interval = tools.config.rebalance_interval;
        Controller {
            queues: Queues::default(),
            divider: Divider::new(begun.client.id().into(), interval, now),
            sources: Sources::new(interval, now),
            backs: Backs::default(),
            corrupt: Corrupt::default(),
            calls: Calls::default(),
            watch: Watch::new(now),
            missing: Missing::new(now),
            next_commit: now + tools.config.commit_interval,
            has_started: false,
            ending: None,
            links: Links::default(),
            begun,
            tools,
        }
    }

    /// The loop of the thread.
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
        if let Some(ending) = &self.ending {
            due = due.min(ending.due());
        } else {
            due = due.min(self.divider.rounds.due()).min(self.next_commit);
            if self.tools.popping.is_some() {
                due = due.min(self.sources.pace.due());
            }
            due = self.missing.due().map_or(due, |at| at.min(due));
        }
        let next = [self.queues.next_due(), self.backs.due(), self.calls.due()];
        next.into_iter().flatten().fold(due, Instant::min)
    }

    /// Takes all events of the inbox, then does what is due. Returns whether the consumer has ended.
    fn turn(&mut self, first: Option<Event>, now: Instant) -> bool {
        let mut next = first;
        while let Some(event) = next {
            self.take(event, now);
            next = self.begun.events.try_recv().ok();
        }
        if self.ending.is_some() || now >= self.next_commit {
            // A queue in doubt is not committed.
            self.links.check(&mut self.queues, &self.tools, now);
        }
        if self.ending.is_none() {
            self.divider.step(&mut self.queues, &mut self.tools, now);
            self.sources.step(&self.tools, now);
            if now >= self.next_commit {
                self.next_commit = now + self.tools.config.commit_interval;
                commits::commit_by_itself(&self.queues, &mut self.tools, now);
            }
            self.watch(now);
            self.missing.step(&self.tools, now);
        }
        for number in self.backs.step(&self.tools, now) {
            self.queues.look_at(number, Some(now));
        }
        while let Some(number) = self.queues.take_due(now) {
            self.step(number, now);
        }
        locks::ask(&mut self.queues, &mut self.tools, now);
        self.serve(now);
        self.calls.step(&self.queues, &mut self.tools, now);
        self.note_started();
        let ending = self.ending.as_mut().filter(|_| self.queues.is_empty());
        ending.is_some_and(|ending| ending.is_settled(&self.tools, now))
    }

    fn take(&mut self, event: Event, now: Instant) {
        match event {
            Event::Answer(answered) => self.answer(*answered, now),
            Event::Progress(number) => match self.queues.get_mut(number) {
                Some(owned) => {
                    owned.assigned.looked_at();
                    self.queues.look_at(number, Some(now));
                }
                None => self.stray(number, now),
            },
            Event::Flag if !self.begun.inbox.take_rebalance() => {}
            Event::Flag => self.divide_soon(now),
            Event::Tell(event) => self.tools.events.tell(*event),
            Event::Settled => {}
            Event::Confirmed(connection) => self.confirmed(&connection, now),
            Event::GiveBack(given) => self.give_back(*given, now),
            Event::Copied(id, result) => {
                let (tools, client) = (&self.tools, &self.begun.client);
                let changed = self.backs.judge(id, result, tools, client, now);
                self.look_at(changed, now);
            }
            Event::Corrupt(unread) => match self.corrupt.note(*unread, &self.tools, now) {
                Some(Fate::Changed(number)) => self.look_at(Some(number), now),
                Some(Fate::GiveBack(given)) => self.give_back(given, now),
                None => {}
            },
            Event::Saved(saved) => {
                for queue in commits::saved(&mut self.tools, saved) {
                    self.look_at(self.queues.number(&queue), now);
                }
            }
            Event::Order(Order::Shutdown(deadline)) => self.shut_down(deadline, now),
            Event::Order(order) => {
                if let Order::Commit(..) = order {
                    self.links.check(&mut self.queues, &self.tools, now);
                }
                let (client, members) = (&self.begun.client, self.divider.members());
                let (queues, tools) = (&mut self.queues, &mut self.tools);
                self.calls.take(order, queues, tools, client, members, now);
            }
        }
    }

    /// The members or the routes may have changed.
    fn divide_soon(&mut self, now: Instant) {
        links::follow_hosts(&mut self.queues, &mut self.tools, now);
        self.divider.rounds.pace.ask(now);
        self.sources.pace.ask(now);
    }

    /// A broker knows this member now.
    fn confirmed(&mut self, connection: &Arc<Connection>, now: Instant) {
        let (queues, tools) = (&mut self.queues, &mut self.tools);
        self.links.confirmed(connection, queues, tools, now);
        self.divider.confirmed(connection);
        self.divide_soon(now);
        self.wake_waiting(now);
        self.missing.ask_soon(now);
    }

    fn look_at(&mut self, number: Option<u64>, now: Instant) {
        if let Some(number) = number {
            self.queues.look_at(number, Some(now));
            self.stray(number, now);
        }
    }

    fn give_back(&mut self, given: GivenBack, now: Instant) {
        let changed = self.backs.begin(given, &self.tools, now);
        self.look_at(changed, now);
    }

    fn watch(&mut self, now: Instant) {
        if !self.watch.is_due(now) {
            return;
        }
        self.links.check(&mut self.queues, &self.tools, now);
        self.tools.note_rates(now);
        let found = self.watch.step(&self.queues, &self.tools, now);
        for given in found.recalled {
            self.give_back(given, now);
        }
        for number in found.forgotten {
            self.queues.look_at(number, Some(now));
        }
    }

    /// A handler ended with a message of a queue that was given up.
    fn stray(&mut self, number: u64, now: Instant) {
        let Some(stray) = self.queues.stray(number) else {
            return;
        };
        stray.looked_at();
        let (freed, left, is_quiet) = {
            let contents = &mut *stray.lock();
            let window = &contents.window;
            let state = (window.bytes(), window.is_quiet());
            (std::mem::take(&mut contents.freed), state.0, state.1)
        };
        self.tools.budget.release(number, freed);
        if is_quiet && left == 0 {
            self.queues.forget_stray(number);
            if self.tools.leases {
                let queue = vec![stray.queue.clone()];
                let broker = self.tools.wire.host(&stray.queue);
                self.tools.wire.unlock(&broker, queue, now);
            }
            self.divider.rounds.pace.ask(now);
        }
    }

    fn answer(&mut self, answered: Answered, now: Instant) {
        let Answered { asked, outcome, at } = answered;
        let tools = &mut self.tools;
        links::look_up_host(&asked, &outcome, &self.queues, tools);
        let number = match asked {
            Asked::Members { round, nth } => {
                return self.divider.rounds.answered(round, nth, outcome);
            }
            Asked::Sources { topic, round } => {
                let sources = &mut self.sources;
                let is_ending = self.ending.is_some();
                if !is_ending && sources.answered(&topic, round, outcome, tools, now) {
                    self.divider.popped(&self.queues, tools);
                }
                return;
            }
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
            Asked::Connections { round, nth } => {
                return self.divider.rounds.connected(round, nth, outcome);
            }
            Asked::Lock(numbers) => {
                for number in locks::answered(&numbers, outcome, &mut self.queues, now) {
                    if let Some(owned) = self.queues.get_mut(number) {
                        taking::doubt(owned, now);
                    }
                }
                return;
            }
            Asked::Unlock => return,
            Asked::Check(number, is_taken) => {
                if let Some(owned) = self.queues.get_mut(number) {
                    taking::checked(owned, tools, is_taken, outcome, now);
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
                let queue = commit.queue.clone();
                let had_table = tools.progress.has_table(&queue);
                if let Some(error) = commits::answered(commit, tools, outcome) {
                    self.calls.refused(&queue, &error);
                }
                if !had_table && tools.progress.has_table(&queue) {
                    // Callers, and queues that are given up, may have waited for that.
                    self.calls.hurry(now);
                    self.calls.step(&self.queues, tools, now);
                    for number in self.queues.numbers() {
                        self.queues.look_at(number, Some(now));
                    }
                }
                number
            }
            Asked::Back(id) => {
                let client = &self.begun.client;
                let changed = self.backs.answered(id, outcome, tools, client, now);
                return self.look_at(changed, now);
            }
            Asked::Reread(unread) => self.corrupt.answered(*unread, outcome, now),
            Asked::Earliest(number) => {
                if let Some(owned) = self.queues.get_mut(number) {
                    moved::earliest(owned, outcome);
                }
                return;
            }
        };
        self.queues.look_at(number, Some(now));
    }

    /// Does what one queue needs now.
    fn step(&mut self, number: u64, now: Instant) {
        let Some(owned) = self.queues.get_mut(number) else {
            return;
        };
        let freed = std::mem::take(&mut owned.assigned.lock().freed);
        self.tools.budget.release(number, freed);
        let lock_due = locks::step(owned, &mut self.tools, now);
        taking::doubt_without_lock(owned, now);
        let next = match owned.stage {
            Stage::Starting(_) => starts::step(owned, &mut self.tools, now),
            Stage::Active => {
                taking::note_ours(owned, now);
                let again = self.hand_out(number, now);
                let Some(owned) = self.queues.get_mut(number) else {
                    return;
                };
                let fetch = fetching::step(owned, &mut self.tools, now);
                [again, fetch].into_iter().flatten().min()
            }
            Stage::Taking(_) => taking::step(owned, &mut self.tools, now),
            Stage::Checking(_) => taking::check(owned, &mut self.tools, now),
            Stage::Stopped => None,
            Stage::GivingUp { .. } => match giving_up::step(owned, &mut self.tools, now) {
                Left::Busy(at) => Some(at),
                Left::Clean => return self.drop_queue(number, true, now),
                Left::Late => return self.drop_queue(number, false, now),
            },
        };
        let due = [next, lock_due].into_iter().flatten().min();
        self.queues.look_at(number, due);
    }

    /// Puts a queue into the line of the consume threads if it has a message for them. Returns when it will
    /// have one.
    fn hand_out(&mut self, number: u64, now: Instant) -> Option<Instant> {
        let owned = self.queues.get_mut(number)?;
        let ready = owned.assigned.ready_at(now)?;
        if ready > now {
            return Some(ready);
        }
        if !owned.assigned.is_paused() && locks::may_hand_out(owned, now) {
            self.tools.dispatcher.offer(&owned.assigned);
        }
        owned.assigned.due_after(now)
    }

    /// Sends the requests that the budget allows since bytes were released.
    fn serve(&mut self, now: Instant) {
        while let Some((number, grant)) = self.tools.budget.serve() {
            let Some(owned) = self.queues.get_mut(number) else {
                self.tools.budget.unanswered(number);
                continue;
            };
            if !owned.may_fetch(now) {
                self.tools.budget.unanswered(number);
            } else if let Some(at) = fetching::ask(owned, &mut self.tools, grant, now) {
                self.queues.look_at(number, Some(at));
            }
        }
    }

    /// Brokers know this member now: queues that waited for that go on.
    fn wake_waiting(&mut self, now: Instant) {
        let waiting = self.queues.iter().filter(|o| o.fetch.waits_for_broker);
        let waiting: Vec<u64> = waiting.map(|owned| owned.number()).collect();
        for number in waiting {
            self.queues.look_at(number, Some(now));
        }
    }

    /// A queue was given up.
    fn drop_queue(&mut self, number: u64, is_clean: bool, now: Instant) {
        let Some(mut owned) = self.queues.remove(number) else {
            return;
        };
        owned.assigned.give_away(now);
        let is_quiet = owned.assigned.lock().window.is_quiet();
        if self.tools.budget.remove(number) > 0 || !is_quiet {
            self.queues.keep_stray(owned.assigned.clone());
            self.stray(number, now);
        }
        let running: Vec<u64> = {
            let window = &owned.assigned.lock().window;
            window.running().map(|(offset, _)| offset).collect()
        };
        let generation = owned.assigned.lock().window.generation();
        let stored = self.tools.progress.stored(owned.queue());
        if matches!(owned.stage, Stage::GivingUp { is_away: true, .. }) {
            self.tools.note_place(owned.queue(), now);
        }
        let uncommitted = self.tools.progress.end(owned.queue(), generation);
        let is_committed = is_clean && uncommitted.is_none();
        locks::end(&mut owned, &self.tools, is_committed, running.len(), now);
        self.corrupt.forget(number);
        self.watch.forget(number);
        self.tools.counters.queues_given_up.add(1);
        let shown = &owned.assigned.shown;
        if uncommitted.is_some() {
            self.calls.lost(owned.queue(), shown, stored);
        }
        if is_clean && running.is_empty() {
            return;
        }
        match &mut self.ending {
            Some(ending) => {
                let running = running.into_iter().map(|offset| (shown.clone(), offset));
                ending.report.running.extend(running);
                let left = uncommitted.map(|offset| (shown.clone(), offset));
                ending.report.uncommitted.extend(left);
            }
            None => self.tools.events.tell(observe::Event::Lost {
                queue: shown.clone(),
                running: running.len(),
                uncommitted,
            }),
        }
    }

    /// Once the first assignment is there and each queue knows its start, the consumer has started.
    fn note_started(&mut self) {
        if self.has_started || !self.divider.is_assigned() {
            return;
        }
        // One that another member still has goes on where that one ends.
        let is_open = |owned: &Owned| match owned.stage {
            Stage::Taking(_) => !owned.had_to_wait(),
            Stage::Starting(_) => true,
            _ => false,
        };
        if !self.queues.iter().any(is_open) {
            self.has_started = true;
            self.begun.started.keep(());
        }
    }

    fn shut_down(&mut self, deadline: Deadline, now: Instant) {
        if self.ending.is_some() {
            return;
        }
        let (queues, tools) = (&mut self.queues, &mut self.tools);
        self.ending = Some(Ending::begin(deadline, queues, tools, now));
    }

    /// No queue is left: unregisters at the brokers, and closes the consumer's own client.
    fn end(mut self) {
        let Some(ending) = self.ending else {
            return;
        };
        let (deadline, report) = (ending.deadline, ending.report);
        // Orders from now on are answered at once.
        drop(self.begun.events);
        self.backs.close();
        self.calls.close(report.uncommitted.is_empty());
        self.tools.leave(deadline);
        drop((self.tools.membership, self.tools.events, self.tools.local));
        self.begun.started.keep(());
        self.begun.ended.keep(report);
        let mut stuck = Vec::new();
        if self.begun.owns_client {
            // A part of the time is kept for its own report.
            let rest = deadline.remaining(Instant::now());
            let closed = self.begun.client.shutdown_within(rest - rest / 8);
            stuck = closed.stuck_threads;
        }
        self.begun.closed.keep(stuck);
    }
}
