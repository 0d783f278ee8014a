//! The end of a connection: once, with an answer to every waiter.

use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::pending::Entry;
use super::slot::{Ready, Slot};
use super::state::{Connection, State};
use crate::error::{Error, ErrorKind, SendFate, Wait};
use crate::logging;
use crate::sync::MutexGuard;
use crate::transport::LOG;

/// So many answers of a death are handed on at a time: those that have them go on while the rest are
/// made.
const SLICE: usize = 256;

/// The peer wants us to go: new requests use another connection, this one drains.
pub(crate) fn retire(connection: &Connection, why: &str) {
    if !connection.retired.swap(true, Ordering::Relaxed) {
        logging::info!(
            target: LOG,
            "{}: {why}; the connection drains",
            connection.address
        );
    }
}

/// Ends a retired connection on which no answer is due soon. Parked requests do not delay it: they
/// fail, and are repeated over another one.
pub(super) fn end_if_drained(connection: &Connection) {
    if connection.is_retired() {
        let state = connection.state.lock();
        let drained = state.pending.soon() == 0 && state.outbox.is_empty() && !state.writing;
        drop(state);
        if drained {
            let cause = Error::new(ErrorKind::Disconnected, "the peer went away");
            kill(connection, cause);
        }
    }
}

/// Ends the connection if nothing was written or read for `idle`, and no answer is due soon.
pub(crate) fn end_if_idle(connection: &Connection, now: Instant, idle: Duration) {
    let mut state = connection.state.lock();
    let activity = (
        connection.written.load(Ordering::Relaxed),
        connection.read_mark.load(Ordering::Relaxed),
    );
    let (written, read, since) = state.idle_since;
    let busy = state.pending.soon() > 0 || !state.outbox.is_empty() || state.writing;
    if (written, read) != activity || busy {
        state.idle_since = (activity.0, activity.1, now);
    } else if now.saturating_duration_since(since) >= idle {
        // Under the same lock: a request that comes now takes another connection.
        let cause = Error::new(ErrorKind::Disconnected, "the connection was idle");
        end(connection, state, cause);
        logging::debug!(target: LOG, "{}: closed an idle connection", connection.address);
    }
}

/// Ends the connection of a peer that gives no sign of life: the next one had better go to another of
/// its addresses.
pub(super) fn give_up(connection: &Connection, why: &'static str) {
    connection.unresponsive.store(true, Ordering::Relaxed);
    kill(connection, Error::new(ErrorKind::Disconnected, why));
}

/// Ends the connection. Every waiter is answered: by this call, or by a thread that is writing,
/// since only it knows how much the socket took.
pub(crate) fn kill(connection: &Connection, cause: Error) {
    let state = connection.state.lock();
    end(connection, state, cause);
}

fn end(connection: &Connection, mut state: MutexGuard<'_, State>, cause: Error) {
    if state.death.is_some() {
        return;
    }
    state.death = Some(cause.at(&connection.address));
    connection.dead.store(true, Ordering::Relaxed);
    let writing = state.writing;
    drop(state);
    // Fails only if the peer was faster.
    let _ = connection.socket.shutdown(Shutdown::Both);
    connection.work.notify_all();
    connection.capacity.notify_all();
    if !writing {
        answer_all(connection);
    }
}

/// The end by the writing thread: because its write failed, or because another thread ended the
/// connection during the write. `lost` oneway messages were in the batch.
pub(super) fn end_of_writing(
    connection: &Connection,
    mut state: MutexGuard<'_, State>,
    failed: Option<Error>,
    lost: usize,
) {
    if let Some(error) = failed {
        state.death.get_or_insert(error.at(&connection.address));
        connection.dead.store(true, Ordering::Relaxed);
    }
    state.writing = false;
    drop(state);
    let _ = connection.socket.shutdown(Shutdown::Both);
    // A thread that finds the connection dead wakes no waiter again.
    connection.work.notify_all();
    connection.capacity.notify_all();
    answer_all(connection);
    let shared = &connection.shared;
    shared.note_lost_oneway(&connection.address, lost);
}

/// The last step of the end, once no thread is writing.
fn answer_all(connection: &Connection) {
    let mut state = connection.state.lock();
    let Some(cause) = state.death.clone() else {
        return;
    };
    let entries = state.pending.drain();
    let mut unsent = Vec::new();
    while let Some(batch) = state.outbox.take() {
        unsent.push(batch);
    }
    drop(state);
    // A connection that ends with this kind never became one for the peer, which looked at no
    // frame, whatever the socket took.
    let refused = cause.kind() == ErrorKind::Tls;
    let written = connection.written.load(Ordering::Relaxed);
    let lost = unsent.iter().map(|batch| batch.lost(written)).sum();
    drop(unsent);
    let now = Instant::now();
    let not_sent = cause.clone().with_fate(SendFate::NotSent);
    let maybe_stored = cause.with_fate(SendFate::MaybeStored);
    let answer = |ready: &mut Ready, entry: Entry<Slot>| {
        let sent = entry.end() <= written && !refused;
        let error = match (entry.deadline <= now, sent) {
            (true, true) => connection.timed_out(Wait::Response).maybe_stored(),
            (true, false) => connection.timed_out(Wait::Write),
            (false, true) => maybe_stored.clone(),
            (false, false) => not_sent.clone(),
        };
        ready.answer(entry.slot, Err(error), now);
    };
    let workers = &connection.shared.workers;
    // Threads first: continuations may have something to log, and a logger may be slow.
    let (threads, tasks): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.slot.is_thread());
    let mut ready = Ready::default();
    for entry in threads {
        answer(&mut ready, entry);
    }
    for (i, entry) in tasks.into_iter().enumerate() {
        answer(&mut ready, entry);
        if i % SLICE == SLICE - 1 {
            ready.hand_over(&workers.callbacks, &workers.retries);
        }
    }
    ready.hand_over(&workers.callbacks, &workers.retries);
    let shared = &connection.shared;
    shared.note_lost_oneway(&connection.address, lost);
}
