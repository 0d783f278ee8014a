//! The lock of one queue at its broker, as far as we can know.
//!
//! A broker gives the lock of a queue of a group to one client id, for 60 s from its last request,
//! and forgets all locks when it restarts. There are no fencing tokens: so nothing is handed out
//! unless the lock was confirmed less than 30 s ago over a connection that still stands.

use std::time::{Duration, Instant};

/// Between two requests while the lock is not ours.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// From one confirmed request to the next.
const RENEW: Duration = Duration::from_secs(20);

/// How long a confirmation counts here.
const COUNTS_HERE: Duration = Duration::from_secs(30);

/// How long the broker keeps the lock for us.
const COUNTS_AT_BROKER: Duration = Duration::from_secs(60);

/// How long a lease is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the lock is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Ordered consumption, or a queue that somebody else may have: nothing without the lock.
    Required,
    /// Hand-over without duplicates in concurrent consumption: after 5 s it goes on without.
    Preferred,
}

/// Whether the queue may have been somebody else's since it was ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Granted {
    /// It became ours: the start offset is to be asked for.
    New,
    /// A renewal: it was ours all the time.
    Kept,
    /// It is ours again, after a time in which it could have been somebody else's. The committed
    /// offset is to be asked for; if it is higher than ours, another member went on there.
    Again,
}

/// One queue's lock. The times that count are those of the requests, not of the answers: the
/// broker's time begins somewhere in between.
#[derive(Debug, Clone)]
pub(crate) struct QueueLock {
    need: Need,
    /// Since when it is waited for, without a pause.
    waits_since: Instant,
    /// The request in flight.
    asked: Option<Instant>,
    last_asked: Option<Instant>,
    /// The request of the last confirmation, unless the lock was lost since.
    confirmed: Option<Instant>,
    /// Nothing came in between since `confirmed`.
    is_continuous: bool,
    was_held: bool,
    is_refused: bool,
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
            is_refused: false,
        }
    }

    pub(crate) fn need(&self) -> Need {
        self.need
    }

    /// Whether the broker may have given it to us.
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
            // The last renewal failed if it is not what was confirmed.
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
        (self.is_continuous, self.was_held, self.is_refused) = (true, true, false);
        Some(granted)
    }

    /// The answer lacks the queue: somebody else has the lock.
    pub(crate) fn refused(&mut self, now: Instant) {
        if self.asked.take().is_some() {
            self.is_refused = true;
            self.lose(now);
        }
    }

    /// The request failed, or was not answered in its time. What was confirmed before still counts.
    pub(crate) fn failed(&mut self) {
        self.asked = None;
    }

    /// The connection to the broker broke: it may have restarted without its locks.
    pub(crate) fn link_broke(&mut self, now: Instant) {
        self.asked = None;
        self.lose(now);
        // The new connection is asked at once.
        self.last_asked = None;
    }

    /// We unlocked the queue.
    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn released(&mut self, now: Instant) {
        *self = QueueLock::new(self.need, now);
    }

    /// Whether the lock is ours for sure.
    pub(crate) fn is_held(&self, now: Instant) -> bool {
        let counts = |at: Instant| now.saturating_duration_since(at) < COUNTS_HERE;
        self.is_continuous && self.confirmed.is_some_and(counts)
    }

    /// Whether a message may be handed out: the lock is ours, or may be gone without.
    pub(crate) fn may_hand_out(&self, now: Instant) -> bool {
        self.is_held(now) || self.goes_without(now)
    }

    /// The lock is not ours, and it was waited for long enough: from here on duplicates are
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

    /// From then on nothing may be handed out, unless it is renewed; `None` if it is not needed.
    pub(crate) fn must_be_renewed_by(&self, now: Instant) -> Option<Instant> {
        let required = self.need == Need::Required;
        self.changes_at(now).filter(|_| required)
    }

    /// For the operator: somebody else has it, since when we wait.
    pub(crate) fn waits_for_another(&self) -> Option<Instant> {
        self.is_refused.then_some(self.waits_since)
    }

    /// Since when the lock is not ours: an expiry happens without a call.
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
mod tests;
