//! What happens to requests whose time is up, and to a peer that takes or gives no more bytes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Deadline;
use super::connection::{Connection, State};
use super::ready::Ready;
use crate::error::{Error, ErrorKind, SendFate, Wait};

/// A peer that was silent for less is not given up, however short a request's time was: everybody
/// else's requests are on the same connection.
const SILENCE: Duration = Duration::from_millis(300);

/// How long frames that nobody waits for may be stuck: their sender's time, within these bounds.
const STUCK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

impl Connection {
    /// Has the waiters looked at at this time, which the table of waiters has asked for.
    pub(super) fn look_again_at(self: &Arc<Self>, at: Instant) {
        let connection = Arc::downgrade(self);
        self.shared.workers.timer.schedule(at, move |now| {
            if let Some(connection) = connection.upgrade() {
                connection.expire(at, now);
            }
        });
    }

    /// Answers everybody whose deadline has passed.
    fn expire(self: &Arc<Self>, look: Instant, now: Instant) {
        let (expired, next) = self.state.lock().pending.expired(look, now);
        if let Some(at) = next {
            self.look_again_at(at);
        }
        for opaque in expired {
            self.expire_one(opaque);
        }
    }

    /// Answers one waiter whose deadline has passed, if it is still there. A frame that is being
    /// written when its time is up, or a peer that was silent ever since it got the frame, ends the
    /// connection, unless that time was too short to tell anything about the peer.
    pub(super) fn expire_one(self: &Arc<Self>, opaque: i32) {
        let mut state = self.state.lock();
        let Some(entry) = state.pending.get(opaque) else {
            return;
        };
        let (end, since, of_thread) = (entry.end, entry.since, entry.slot.is_thread());
        let sent = end <= self.written.load(Ordering::Relaxed);
        let (wait, delivery) = if sent {
            (Wait::Response, SendFate::MaybeStored)
        } else if state.outbox.cancel(end) {
            (Wait::Queue, SendFate::NotSent)
        } else if since.elapsed() < SILENCE {
            // Whoever writes it may have lost the processor just now. It leaves late, or it is found
            // to be stuck: soon, if it may be the thread whose time is up that writes.
            let patience = if of_thread { Duration::ZERO } else { STUCK.0 };
            self.end_if_unsent_by(Instant::now() + patience, since, end);
            (Wait::Write, SendFate::MaybeStored)
        } else {
            drop(state);
            self.kill(stopped_reading());
            return;
        };
        if sent && self.is_silent(&mut state, end, since) {
            drop(state);
            // This answers it with the others, and not before: its thread could send again on a
            // connection that is about to die.
            let silent = "the peer was silent since a request that timed out";
            self.kill(Error::new(ErrorKind::Disconnected, silent));
            return;
        }
        let entry = state.pending.complete(opaque);
        drop(state);
        if let Some(entry) = entry {
            let mut ready = Ready::default();
            let error = self.timed_out(wait).with_fate(delivery);
            ready.answer(entry.slot, Err(error), Instant::now());
            ready.hand_over(&self.shared);
        }
        self.end_if_drained();
    }

    /// Ends the connection at this time, but not too soon after the frame that ends here was queued, if
    /// that was not written by then.
    pub(super) fn end_if_unsent_by(self: &Arc<Self>, deadline: Instant, since: Instant, end: u64) {
        let connection = Arc::downgrade(self);
        // Nor very late: the timer would remember it for as long.
        let at = deadline.min(since + STUCK.1).max(since + SILENCE);
        self.shared.workers.timer.schedule(at, move |_| {
            if let Some(connection) = connection.upgrade() {
                if connection.written.load(Ordering::Relaxed) < end {
                    connection.kill(stopped_reading());
                }
            }
        });
    }

    /// Whether nothing was read for long since a frame was written that ends here.
    fn is_silent(&self, state: &mut State, end: u64, since: Instant) -> bool {
        let read = self.read_mark.load(Ordering::Relaxed);
        if read >= end {
            return false;
        }
        // The silence began with the first request that timed out in it: each of many short ones
        // would be too short alone.
        let since = match state.silence {
            Some((mark, began)) if mark == read => began.min(since),
            _ => since,
        };
        state.silence = Some((read, since));
        since.elapsed() >= SILENCE
    }

    /// Sees to it that what nobody waits for (a frame, or what a TLS session has to say) cannot block
    /// the connection for ever.
    pub(super) fn watch(self: &Arc<Self>, state: &mut State, deadline: Deadline, now: Instant) {
        if !state.watched {
            state.watched = true;
            let patience = deadline.remaining(now).clamp(STUCK.0, STUCK.1);
            self.watch_again(state, now + patience, patience);
        }
    }

    fn watch_again(self: &Arc<Self>, state: &State, at: Instant, patience: Duration) {
        let connection = Arc::downgrade(self);
        let (mark, written) = (state.outbox.mark(), self.written.load(Ordering::Relaxed));
        self.shared.workers.timer.schedule(at, move |now| {
            if let Some(connection) = connection.upgrade() {
                connection.end_if_stuck(mark, written, now, patience);
            }
        });
    }

    /// Ends it if what was there at the mark is there still, and not a byte was written since. (What has
    /// come just now is another matter, after however long a rest.)
    pub(super) fn end_if_stuck(
        self: &Arc<Self>,
        mark: u64,
        before: u64,
        now: Instant,
        patience: Duration,
    ) {
        let mut state = self.state.lock();
        let is_behind = state.outbox.is_behind(mark);
        if state.outbox.is_empty() && !state.writing {
            state.watched = false;
        } else if !is_behind && self.written.load(Ordering::Relaxed) == before {
            drop(state);
            self.kill(stopped_reading());
        } else {
            self.watch_again(&state, now + patience, patience);
        }
    }

    pub(super) fn timed_out(&self, wait: Wait) -> Error {
        Error::timeout(wait).at(self.address())
    }
}

fn stopped_reading() -> Error {
    Error::new(ErrorKind::Disconnected, "the peer stopped reading")
}
