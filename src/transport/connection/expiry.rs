//! What happens to requests whose time is up, and to a peer that takes or gives no more bytes.

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

/// How long frames without a waiter may be stuck: their sender's time, within these bounds.
const STUCK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

const STOPPED_READING: &str = "the peer stopped reading";

/// Schedules a look at the pending requests, at the time that their table asked for.
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

/// Answers one request whose deadline has passed, if it is still pending. A frame that is being
/// written when its time is up, or a peer that was silent ever since it got the frame, ends the
/// connection, unless that time was too short to tell anything about the peer.
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
        // The thread that writes it may have lost the processor just now. It leaves late, or it is
        // found to be stuck: soon, if it may be the thread whose time is up that writes.
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
        // What is behind a stuck frame is stuck too.
        Some(first) if first.end > written => return,
        Some(known) if known.look <= by => known.look,
        _ => {
            look_for_unsent(connection, by);
            by
        }
    };
    state.unsent = Some(Unsent { end, by, look });
}

/// One look at a time for each connection: with a fast peer there may be such a frame for each message.
fn look_for_unsent(connection: &Arc<Connection>, look: Instant) {
    let weak = Arc::downgrade(connection);
    let timer = &connection.shared.workers.timer;
    timer.schedule(look, move |now| {
        let Some(connection) = weak.upgrade() else {
            return;
        };
        let mut state = connection.state.lock();
        // An earlier look may have taken the place of this one.
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
    // The silence began with the first request that timed out in it: each of many short ones
    // would be too short alone.
    let since = match state.silence {
        Some((mark, began)) if mark == read => began.min(since),
        _ => since,
    };
    state.silence = Some((read, since));
    since.elapsed() >= SILENCE
}

/// Sees to it that what has no waiter (a frame, or what a TLS session has to say) cannot block the
/// connection for ever.
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

/// Ends it if what was there at the mark is there still, and not a byte was written since. (What has
/// come just now is another matter, after however long a rest.)
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
