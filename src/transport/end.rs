//! How a connection ends: once, and everybody who waits is answered.

use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Entry;
use super::LOG;
use super::connection::{Connection, State};
use super::ready::Ready;
use super::slot::Slot;
use crate::error::{Error, ErrorKind, SendFate, Wait};
use crate::logging;
use crate::sync::MutexGuard;

/// So many answers of a death are handed on at a time: those who hear of them get on while the rest
/// are made.
const SLICE: usize = 256;

impl Connection {
    /// The peer wants us to go: new requests use another connection, this one drains.
    pub(super) fn retire(&self, why: &str) {
        if !self.retired.swap(true, Ordering::Relaxed) {
            logging::info!(
                target: LOG,
                "{}: {why}; the connection drains",
                self.address()
            );
        }
    }

    /// Ends a retired connection that has nothing left to wait for.
    pub(super) fn end_if_drained(&self) {
        if self.retired.load(Ordering::Relaxed) {
            let state = self.state.lock();
            let drained = state.pending.is_empty() && state.outbox.is_empty() && !state.writing;
            drop(state);
            if drained {
                self.kill(Error::new(ErrorKind::Disconnected, "the peer went away"));
            }
        }
    }

    /// Ends the connection if nothing was written or read for `idle`.
    pub(super) fn end_if_idle(&self, now: Instant, idle: Duration) {
        let mut state = self.state.lock();
        let activity = (
            self.written.load(Ordering::Relaxed),
            self.read_mark.load(Ordering::Relaxed),
        );
        let (written, read, since) = state.idle_since;
        let busy = !state.pending.is_empty() || !state.outbox.is_empty() || state.writing;
        if (written, read) != activity || busy {
            state.idle_since = (activity.0, activity.1, now);
        } else if now.saturating_duration_since(since) >= idle {
            // Under the same lock: who comes now takes another connection.
            let cause = Error::new(ErrorKind::Disconnected, "the connection was idle");
            self.end(state, cause);
            logging::debug!(target: LOG, "{}: closed an idle connection", self.address());
        }
    }

    /// Ends the connection. Every waiter is answered: by this call, or by the thread that is
    /// writing right now, which alone knows how much the socket took.
    pub(super) fn kill(&self, cause: Error) {
        let state = self.state.lock();
        self.end(state, cause);
    }

    fn end(&self, mut state: MutexGuard<'_, State>, cause: Error) {
        if state.death.is_some() {
            return;
        }
        state.death = Some(cause.at(self.address()));
        self.dead.store(true, Ordering::Relaxed);
        let writing = state.writing;
        drop(state);
        // Fails only if the peer was faster.
        let _ = self.socket.shutdown(Shutdown::Both);
        self.work.notify_all();
        self.room.notify_all();
        if !writing {
            self.answer_all();
        }
    }

    /// The last act of a death, once nobody is writing any more.
    pub(super) fn answer_all(&self) {
        let mut state = self.state.lock();
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
        let written = self.written.load(Ordering::Relaxed);
        let lost = unsent.iter().map(|batch| batch.lost(written)).sum();
        drop(unsent);
        let now = Instant::now();
        let not_sent = cause.clone().with_fate(SendFate::NotSent);
        let maybe_stored = cause.with_fate(SendFate::MaybeStored);
        let answer = |ready: &mut Ready, entry: Entry<Slot>| {
            let sent = entry.end <= written && !refused;
            let error = match (entry.deadline <= now, sent) {
                (true, true) => self.timed_out(Wait::Response).maybe_stored(),
                (true, false) => self.timed_out(Wait::Write),
                (false, true) => maybe_stored.clone(),
                (false, false) => not_sent.clone(),
            };
            ready.answer(entry.slot, Err(error), now);
        };
        // Threads first: continuations may have something to log, and a logger may be slow.
        let (threads, tasks): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.slot.is_thread());
        let mut ready = Ready::default();
        for entry in threads {
            answer(&mut ready, entry);
        }
        for (i, entry) in tasks.into_iter().enumerate() {
            answer(&mut ready, entry);
            if i % SLICE == SLICE - 1 {
                ready.hand_over(&self.shared);
            }
        }
        ready.hand_over(&self.shared);
        self.shared.note_lost_oneway(self.address(), lost);
    }
}
