//! Requests past their deadlines, and peers that stopped reading or writing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::end;
use super::slot::Ready;
use super::state::{Connection, State, Unsent};
use crate::error::{SendFate, Wait};
use crate::transport::Deadline;

/// A peer that was silent for less is not given up, however short a request's time was: all other
/// requests are on the same connection.
const SILENCE: Duration = Duration::from_millis(300);

/// How long frames without a waiter may be stuck: their sender's timeout, within these bounds.
const STUCK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

const STOPPED_READING: &str = "the peer stopped reading";

/// Schedules an expiry pass at the time that the pending table asked for.
pub(super) fn look_at(connection: &Arc<Connection>, at: Instant) {
    let weak = Arc::downgrade(connection);
    let timer = &connection.shared.workers.timer;
    timer.schedule(at, move |now| {
        if let Some(connection) = weak.upgrade() {
            expire(&connection, at, now);
        }
    });
}

/// Answers all requests whose deadline has passed.
fn expire(connection: &Arc<Connection>, look: Instant, now: Instant) {
    let (expired, next) = connection.state.lock().pending.expired(look, now);
    if let Some(at) = next {
        look_at(connection, at);
    }
    for opaque in expired {
        expire_one(connection, opaque);
    }
}

/// Answers one request whose deadline has passed, if it is still pending. If its frame is being
/// written, or the peer was silent ever since it got the frame, the connection ends, unless the
/// timeout was too short to prove anything about the peer.
pub(super) fn expire_one(connection: &Arc<Connection>, opaque: i32) {
    let mut state = connection.state.lock();
    let Some(entry) = state.pending.get(opaque) else {
        return;
    };
    let (end, since, of_thread) = (entry.end(), entry.since, entry.slot.is_thread());
    let sent = end <= connection.written.load(Ordering::Relaxed);
    let (wait, delivery) = if sent {
        (Wait::Response, SendFate::MaybeStored)
    } else if state.outbox.cancel(end) {
        (Wait::Queue, SendFate::NotSent)
    } else if since.elapsed() < SILENCE {
        // The writing thread may just be preempted. The frame then leaves late, or is found to be
        // stuck: soon, if the writer may be the expired caller itself.
        let grace = if of_thread { Duration::ZERO } else { STUCK.0 };
        let by = Instant::now() + grace;
        end_if_unsent_by(connection, &mut state, by, since, end);
        (Wait::Write, SendFate::MaybeStored)
    } else {
        drop(state);
        end::give_up(connection, STOPPED_READING);
        return;
    };
    if sent && is_silent(connection, &mut state, end, since) {
        drop(state);
        // This answers it with the others, and not before: its thread could send again on a
        // connection that is about to die.
        let silent = "the peer was silent since a request that timed out";
        end::give_up(connection, silent);
        return;
    }
    let entry = state.pending.complete(opaque);
    drop(state);
    if let Some(entry) = entry {
        let mut ready = Ready::default();
        let error = connection.timed_out(wait).with_fate(delivery);
        ready.answer(entry.slot, Err(error), Instant::now());
        let workers = &connection.shared.workers;
        ready.hand_over(&workers.callbacks, &workers.retries);
    }
    end::end_if_drained(connection);
}

/// Ends the connection at this time, but not too soon after the frame that ends here was queued, if
/// that was not written by then.
pub(super) fn end_if_unsent_by(
    connection: &Arc<Connection>,
    state: &mut State,
    deadline: Instant,
    since: Instant,
    end: u64,
) {
    let by = deadline.min(since + STUCK.1).max(since + SILENCE);
    let written = connection.written.load(Ordering::Relaxed);
    let look = match state.unsent {
        // Frames behind a stuck one are stuck too.
        Some(first) if first.end > written => return,
        Some(known) if known.look <= by => known.look,
        _ => {
            look_for_unsent(connection, by);
            by
        }
    };
    state.unsent = Some(Unsent { end, by, look });
}

/// One scheduled check per connection: with a fast peer every message may have such a frame.
fn look_for_unsent(connection: &Arc<Connection>, look: Instant) {
    let weak = Arc::downgrade(connection);
    let timer = &connection.shared.workers.timer;
    timer.schedule(look, move |now| {
        let Some(connection) = weak.upgrade() else {
            return;
        };
        let mut state = connection.state.lock();
        // An earlier check may have replaced this one.
        let Some(unsent) = state.unsent.filter(|unsent| unsent.look == look) else {
            return;
        };
        if unsent.end <= connection.written.load(Ordering::Relaxed) {
            state.unsent = None;
        } else if unsent.by <= now {
            drop(state);
            end::give_up(&connection, STOPPED_READING);
        } else {
            let look = unsent.by;
            state.unsent = Some(Unsent { look, ..unsent });
            look_for_unsent(&connection, look);
        }
    });
}

/// Whether nothing was read for long since a frame was written that ends here.
fn is_silent(connection: &Connection, state: &mut State, end: u64, since: Instant) -> bool {
    let read = connection.read_mark.load(Ordering::Relaxed);
    if read >= end {
        return false;
    }
    // The silence is measured from the first request that timed out in it: each of many short
    // timeouts would prove too little alone.
    let since = match state.silence {
        Some((mark, began)) if mark == read => began.min(since),
        _ => since,
    };
    state.silence = Some((read, since));
    since.elapsed() >= SILENCE
}

/// Bounds the time for which a frame without a waiter (or a TLS record) can block the connection.
pub(super) fn watch(
    connection: &Arc<Connection>,
    state: &mut State,
    deadline: Deadline,
    now: Instant,
) {
    if !state.watched {
        state.watched = true;
        let grace = deadline.remaining(now).clamp(STUCK.0, STUCK.1);
        watch_again(connection, state, now + grace, grace);
    }
}

fn watch_again(connection: &Arc<Connection>, state: &State, at: Instant, grace: Duration) {
    let weak = Arc::downgrade(connection);
    let mark = state.outbox.mark();
    let written = connection.written.load(Ordering::Relaxed);
    let timer = &connection.shared.workers.timer;
    timer.schedule(at, move |now| {
        if let Some(connection) = weak.upgrade() {
            end_if_stuck(&connection, mark, written, now, grace);
        }
    });
}

/// Ends the connection if the frames at the mark are still queued, and no byte was written since.
/// (Frames that were queued later do not count, however long the connection was idle.)
pub(super) fn end_if_stuck(
    connection: &Arc<Connection>,
    mark: u64,
    before: u64,
    now: Instant,
    grace: Duration,
) {
    let mut state = connection.state.lock();
    let is_behind = state.outbox.is_behind(mark);
    if state.outbox.is_empty() && !state.writing {
        state.watched = false;
    } else if !is_behind && connection.written.load(Ordering::Relaxed) == before {
        drop(state);
        end::give_up(connection, STOPPED_READING);
    } else {
        watch_again(connection, &state, now + grace, grace);
    }
}
