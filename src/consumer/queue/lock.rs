//! The lock of one queue at its broker, as far as a member can know.
//!
//! A broker gives the lock of a queue of a group to one client id, for 60 s from its last request,
//! and forgets all locks when it restarts. There are no fencing tokens. So no message is handed out
//! unless the lock was confirmed less than 30 s ago over a connection that is still open.

use std::time::{Duration, Instant};

/// From one request to the next while the lock is not held.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// From one confirmed request to the next.
const RENEW: Duration = Duration::from_secs(20);

/// How long a confirmation is valid for this member.
pub(super) const COUNTS_HERE: Duration = Duration::from_secs(30);

/// How long it is valid at the broker.
const COUNTS_AT_BROKER: Duration = Duration::from_secs(60);

/// How long a queue waits for its lease: a killed member keeps its locks, and its queues shall go on within 5 s.
/// Until the others know of its death, and divide, 1.5 s may pass.
const PATIENCE: Duration = Duration::from_millis(3_500);

/// What the lock is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Ordered consumption, or a queue that another member may have: nothing is handed out without it.
    Required,
    /// Hand-over without duplicates in concurrent consumption: after 3.5 s the queue goes on without it.
    Preferred,
}

/// Whether another member may have had the queue since this one last held its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Granted {
    /// The first time: ask for the start offset.
    New,
    /// A renewal: it was held all the time.
    Kept,
    /// It is held again, after a time in which another member could have held it. Ask for the committed
    /// offset: if it is higher than this member's, another member went on there.
    Again,
}

/// One queue's lock. Times are counted from the requests, not from the answers: the broker's time
/// begins somewhere in between.
#[derive(Debug, Clone)]
pub(crate) struct QueueLock {
    need: Need,
    /// Since when the queue waits for it, without a break and over a connection that stands.
    waits_since: Instant,
    /// The request in flight.
    asked: Option<Instant>,
    last_asked: Option<Instant>,
    /// The request of the last confirmation, unless the lock was lost since.
    confirmed: Option<Instant>,
    /// The connection has stood since `confirmed`, and no request was refused.
    is_continuous: bool,
    was_held: bool,
    /// The committed offset was asked for since the lock was lost, and the queue goes without it.
    was_checked: bool,
    is_refused: bool,
    /// It was refused over this connection.
    had_to_wait: bool,
}

impl QueueLock {
    pub(crate) fn new(need: Need, now: Instant) -> QueueLock {
        QueueLock {
            need,
            waits_since: now,
            asked: None,
            last_asked: None,
            confirmed: None,
            is_continuous: false,
            was_held: false,
            was_checked: false,
            is_refused: false,
            had_to_wait: false,
        }
    }

    pub(crate) fn need(&self) -> Need {
        self.need
    }

    /// Whether a request is in flight: the broker may give it to this member still.
    pub(crate) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether the broker may have given it to this member.
    pub(crate) fn was_asked(&self) -> bool {
        self.last_asked.is_some() || self.was_held
    }

    /// When to ask for the lock, or to renew it; `None` while a request is in flight.
    pub(crate) fn ask_at(&self) -> Option<Instant> {
        if self.asked.is_some() {
            return None;
        }
        let Some(last) = self.last_asked else {
            return Some(self.waits_since);
        };
        match self.confirmed {
            // If the last request is not the confirmed one, the renewal failed.
            Some(confirmed) if confirmed == last => Some(confirmed + RENEW),
            _ => Some(last + ASK_AGAIN),
        }
    }

    /// A request for the lock is sent.
    pub(crate) fn ask(&mut self, now: Instant) {
        self.note_expiry(now);
        self.asked = Some(now);
        self.last_asked = Some(now);
    }

    /// The answer has the queue in its list. `None`: the connection of the request broke meanwhile.
    pub(crate) fn granted(&mut self) -> Option<Granted> {
        let asked = self.asked.take()?;
        let in_time = self
            .confirmed
            .is_some_and(|at| asked.saturating_duration_since(at) < COUNTS_AT_BROKER);
        let granted = match (self.was_held, self.is_continuous && in_time) {
            (false, _) => Granted::New,
            (true, true) => Granted::Kept,
            (true, false) => Granted::Again,
        };
        self.confirmed = Some(asked);
        (self.is_continuous, self.was_held) = (true, true);
        (self.was_checked, self.is_refused) = (false, false);
        Some(granted)
    }

    /// The answer lacks the queue: another member has the lock.
    pub(crate) fn refused(&mut self, now: Instant) {
        if self.asked.take().is_some() {
            (self.is_refused, self.had_to_wait) = (true, true);
            self.lose(now);
        }
    }

    /// The request failed, or was not answered in time. The last confirmation still counts.
    pub(crate) fn failed(&mut self) {
        self.asked = None;
    }

    /// The broker has no master any more: nobody can be asked. The queue is not waited for anew: slaves serve it.
    pub(crate) fn master_is_gone(&mut self, now: Instant) {
        self.had_to_wait = false;
        if self.is_continuous || self.asked.is_some() {
            self.link_broke(now);
        }
    }

    /// The connection to the broker broke: it may have restarted without its locks.
    pub(crate) fn link_broke(&mut self, now: Instant) {
        (self.asked, self.was_checked) = (None, false);
        self.had_to_wait = false;
        self.lose(now);
        // The lock is asked for at once over the new connection, and waited for from then on.
        (self.last_asked, self.waits_since) = (None, now);
    }

    /// This member unlocked the queue.
    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn released(&mut self, now: Instant) {
        *self = QueueLock::new(self.need, now);
    }

    /// Whether this member certainly holds the lock.
    pub(crate) fn is_held(&self, now: Instant) -> bool {
        let counts = |at: Instant| now.saturating_duration_since(at) < COUNTS_HERE;
        self.is_continuous && self.confirmed.is_some_and(counts)
    }

    /// Whether another member may have gone on in the queue since this one last held the lock: what this one
    /// has done may be less than what is committed.
    pub(crate) fn is_in_doubt(&self, now: Instant) -> bool {
        let most = match self.need {
            // It hands out nothing after that, and commits nothing.
            Need::Required => COUNTS_HERE,
            Need::Preferred => COUNTS_AT_BROKER,
        };
        let counts = |at: Instant| now.saturating_duration_since(at) < most;
        let is_ours = self.is_continuous && self.confirmed.is_some_and(counts);
        self.was_held && !self.was_checked && !is_ours
    }

    /// The committed offset was asked for while the lock is not held. If the queue goes without it, there is
    /// no doubt any more, until the lock is had again.
    pub(crate) fn offset_checked(&mut self, now: Instant) {
        self.was_checked = self.goes_without(now);
    }

    /// When it was asked for, the last time that the broker gave it.
    pub(crate) fn confirmed(&self) -> Option<Instant> {
        self.confirmed
    }

    /// Whether a message may be handed out: the lock is held, or no longer needed.
    pub(crate) fn may_hand_out(&self, now: Instant) -> bool {
        self.is_held(now) || self.goes_without(now)
    }

    /// The lock is not held, and the queue has waited long enough: from here on duplicates are
    /// possible.
    pub(crate) fn goes_without(&self, now: Instant) -> bool {
        let waits = now.saturating_duration_since(self.lost_at(now));
        self.need == Need::Preferred && !self.is_held(now) && waits >= PATIENCE
    }

    /// When [`may_hand_out`](QueueLock::may_hand_out) changes if nothing happens.
    pub(crate) fn changes_at(&self, now: Instant) -> Option<Instant> {
        match (self.is_held(now), self.need) {
            (true, _) => self.confirmed.map(|at| at + COUNTS_HERE),
            (false, Need::Preferred) if !self.goes_without(now) => {
                Some(self.lost_at(now) + PATIENCE)
            }
            (false, _) => None,
        }
    }

    /// The time after which no message may be handed out without a renewal; `None`: it is not needed.
    pub(crate) fn must_be_renewed_by(&self, now: Instant) -> Option<Instant> {
        let required = self.need == Need::Required;
        self.changes_at(now).filter(|_| required)
    }

    /// Whether another member had it, as the broker said over the connection that stands.
    pub(crate) fn had_to_wait(&self) -> bool {
        self.had_to_wait
    }

    /// For the operator: another member has it; since when this one waits.
    pub(crate) fn waits_for_another(&self) -> Option<Instant> {
        self.is_refused.then_some(self.waits_since)
    }

    /// Since when the lock is not held: an expiry happens without a call.
    fn lost_at(&self, now: Instant) -> Instant {
        match self.confirmed {
            Some(at) if self.is_continuous && !self.is_held(now) => at + COUNTS_HERE,
            _ => self.waits_since,
        }
    }

    fn note_expiry(&mut self, now: Instant) {
        if self.is_continuous && !self.is_held(now) {
            self.waits_since = self.lost_at(now);
        }
    }

    fn lose(&mut self, now: Instant) {
        if self.is_held(now) {
            self.waits_since = now;
        } else {
            self.note_expiry(now);
        }
        self.is_continuous = false;
    }
}

#[cfg(test)]
pub(super) use tests::Broker;

#[cfg(test)]
mod tests;
