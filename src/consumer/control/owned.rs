//! The queues of this member: the part of their state that only the control thread has.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use crate::consumer::fetch::Streak;
use crate::consumer::offset::Starting;
use crate::consumer::queue::{Assigned, HandOver, QueueLock};
use crate::message::MessageQueue;

/// One queue of this member.
pub(super) struct Owned {
    pub(super) assigned: Arc<Assigned>,
    /// The name of the broker that it is on: the one that it names, unless its topic is a static one.
    pub(super) host: Arc<str>,
    pub(super) stage: Stage,
    /// Since when it is in this stage.
    pub(super) since: Instant,
    pub(super) fetch: Fetch,
    /// Its lock at the broker, if it needs one.
    pub(super) lock: Option<QueueLock>,
    /// When it is looked at next, unless an event comes before.
    due: Option<Instant>,
}

/// The stages of a queue, from being taken to being given up.
#[derive(Debug)]
pub(super) enum Stage {
    /// It asks for its lock; until then the queue may be another member's.
    Taking(HandOver),
    /// It asks for its start offset.
    Starting(Starting),
    /// Another member may have had it for a while: it asks for the committed offset.
    Checking(Check),
    /// Messages are fetched and handed out.
    Active,
    /// Its offset does not exist: it waits for a seek or a reset.
    Stopped,
    /// No more messages are fetched or handed out. Handlers have until this time to end; then the progress
    /// is committed.
    GivingUp {
        until: Instant,
        /// It has left the route.
        is_away: bool,
        place: Place,
    },
}

/// The question for the committed offset, sent at this time. `None`: it is in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    pub(super) ask_at: Option<Instant>,
    /// The lock was had again since it was asked: the answer may be older than the other member's last commit.
    pub(super) is_stale: bool,
}

/// Who has moved on last in a queue that is given up.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// This member: its progress is committed.
    Ours,
    /// This member or another one: that is asked for first.
    InDoubt(Check),
    /// Another one, as the committed offset says, or an operator: a commit would undo that.
    Others,
}

/// The state of fetching from a queue.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    /// The broker that the last answer suggested: 0 is the master.
    pub(super) broker_id: i64,
    pub(super) streak: Streak,
    /// Requests in a row that got no answer.
    pub(super) failures: u32,
    pub(super) not_before: Option<Instant>,
    /// The broker has not confirmed yet that it knows this member.
    pub(super) waits_for_broker: bool,
    /// It waits in the budget's line.
    pub(super) waits_for_bytes: bool,
    /// When an answer last came.
    pub(super) last_answer: Option<Instant>,
    /// Why the last request failed, if it did.
    pub(super) last_error: Option<String>,
    /// The end of the queue, from the last answer.
    pub(super) end: Option<u64>,
    /// When the last fetched message was stored, epoch milliseconds.
    pub(super) last_stored: Option<i64>,
    /// Since when brokers answer that the offset does not exist.
    pub(super) moved_since: Option<Instant>,
    /// All messages of the queue are younger than the last one fetched before: a new topic.
    pub(super) is_new_topic: bool,
    /// The first messages may be duplicates: the queue was not handed over.
    pub(super) may_repeat: bool,
    /// The same, whatever the broker answers about the group: it may have forgotten the last commits.
    pub(super) may_be_forgotten: bool,
    /// A committed offset that is higher shows that the queue was handed over.
    pub(super) handed_over_above: Option<u64>,
}

impl Fetch {
    /// It begins anew, at another offset.
    pub(super) fn forget_place(&mut self) {
        *self = Fetch {
            last_answer: self.last_answer,
            end: self.end,
            last_stored: self.last_stored,
            ..Fetch::default()
        };
    }
}

/// All queues of this member, and when each is looked at next.
#[derive(Default)]
pub(super) struct Queues {
    by_number: HashMap<u64, Owned>,
    numbers: HashMap<MessageQueue, u64>,
    agenda: BTreeSet<(Instant, u64)>,
    /// Queues that were given up while handlers still had messages: these count in the budget.
    strays: HashMap<u64, Arc<Assigned>>,
}

impl Owned {
    pub(super) fn queue(&self) -> &MessageQueue {
        &self.assigned.queue
    }

    pub(super) fn number(&self) -> u64 {
        self.assigned.number
    }

    pub(super) fn enter(&mut self, stage: Stage, now: Instant) {
        (self.stage, self.since) = (stage, now);
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.stage, Stage::Active)
    }

    /// Whether another member had its lock when that was asked for.
    pub(super) fn had_to_wait(&self) -> bool {
        self.lock.as_ref().is_some_and(QueueLock::had_to_wait)
    }

    /// Whether it will be looked at without an event.
    pub(super) fn has_due(&self) -> bool {
        self.due.is_some()
    }

    /// Whether another member may have gone on here: its progress must not be undone by a commit.
    pub(super) fn is_in_doubt(&self, now: Instant) -> bool {
        let lock = self.lock.as_ref();
        let is_ours = match self.stage {
            Stage::Checking(_) => false,
            Stage::GivingUp { place, .. } => matches!(place, Place::Ours),
            _ => true,
        };
        !is_ours || lock.is_some_and(|lock| lock.is_in_doubt(now))
    }

    /// The question for the committed offset, if it has to be asked.
    pub(super) fn check(&mut self) -> Option<&mut Check> {
        match &mut self.stage {
            Stage::Checking(check) => Some(check),
            Stage::GivingUp {
                place: Place::InDoubt(check),
                ..
            } => Some(check),
            _ => None,
        }
    }

    /// Whether messages may be asked for. Before its lost lock is had again, another member may handle them.
    pub(super) fn may_fetch(&self, now: Instant) -> bool {
        self.is_active() && !self.assigned.is_paused() && !self.waits_for_lock(now)
    }

    /// Whether its lock was lost and may be had again soon.
    pub(super) fn waits_for_lock(&self, now: Instant) -> bool {
        let lock = self.lock.as_ref();
        lock.is_some_and(|lock| lock.is_in_doubt(now) && !lock.goes_without(now))
    }

    /// Whether handlers have messages of it, of older generations too.
    pub(super) fn has_handlers(&self) -> bool {
        !self.assigned.lock().window.is_quiet()
    }

    pub(super) fn is_given_up(&self) -> bool {
        matches!(self.stage, Stage::GivingUp { .. })
    }
}

impl Queues {
    pub(super) fn add(
        &mut self,
        assigned: Arc<Assigned>,
        host: Arc<str>,
        lock: Option<QueueLock>,
        now: Instant,
    ) {
        let number = assigned.number;
        self.numbers.insert(assigned.queue.clone(), number);
        let owned = Owned {
            assigned,
            host,
            stage: Stage::Taking(HandOver::default()),
            lock,
            since: now,
            fetch: Fetch::default(),
            due: None,
        };
        self.by_number.insert(number, owned);
        self.look_at(number, Some(now));
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Owned> {
        self.look_at(number, None);
        let owned = self.by_number.remove(&number)?;
        self.numbers.remove(owned.queue());
        Some(owned)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Owned> {
        self.by_number.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Owned> {
        self.by_number.get_mut(&number)
    }

    pub(super) fn number(&self, queue: &MessageQueue) -> Option<u64> {
        self.numbers.get(queue).copied()
    }

    pub(super) fn of(&self, queue: &MessageQueue) -> Option<&Owned> {
        self.by_number.get(self.numbers.get(queue)?)
    }

    pub(super) fn of_mut(&mut self, queue: &MessageQueue) -> Option<&mut Owned> {
        let number = self.numbers.get(queue)?;
        self.by_number.get_mut(number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Owned> {
        self.by_number.values()
    }

    /// Whether this member has a queue, or a handler still has messages of it.
    pub(super) fn is_held(&self, queue: &MessageQueue) -> bool {
        let mut strays = self.strays.values();
        self.numbers.contains_key(queue) || strays.any(|stray| stray.queue == *queue)
    }

    pub(super) fn keep_stray(&mut self, stray: Arc<Assigned>) {
        self.strays.insert(stray.number, stray);
    }

    pub(super) fn stray(&self, number: u64) -> Option<Arc<Assigned>> {
        self.strays.get(&number).cloned()
    }

    pub(super) fn forget_stray(&mut self, number: u64) {
        self.strays.remove(&number);
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.by_number.keys().copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// Sets when a queue is looked at next, unless an event comes before.
    pub(super) fn look_at(&mut self, number: u64, at: Option<Instant>) {
        let Some(owned) = self.by_number.get_mut(&number) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut owned.due, at) {
            self.agenda.remove(&(old, number));
        }
        if let Some(at) = at {
            self.agenda.insert((at, number));
        }
    }

    /// When the next queue is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// A queue that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<u64> {
        let (at, number) = *self.agenda.first()?;
        if at > now {
            return None;
        }
        self.look_at(number, None);
        Some(number)
    }
}
