//! Writing: one thread at a time, whatever is queued, in as few writes as can be.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::connection::{Connection, State, Via, WriterThread};
use super::outbox::{Batch, Run};
use super::reader::MANY;
use super::{Deadline, Permit, catch_bug};
use crate::error::{Error, ErrorKind};
use crate::sync::MutexGuard;

/// How many batches a caller writes, its own and those of others, before it hands the rest to the
/// writer thread and goes to wait for its own answer.
const BATCHES_BY_CALLER: usize = 8;

/// How much later than its own deadline a frame of others may end that a caller writes for them.
const GRACE: Duration = Duration::from_millis(50);

/// After a burst, or when many answers are awaited, the writer thread waits for more frames, so that
/// they leave in few writes: until there are so many bytes, or answers come, or at most for so long.
/// (This is Nagle's idea, with a clock.)
const GATHERING: Duration = Duration::from_micros(100);
const WORTH_WAKING: u64 = 60 * 1024;

/// A caller whose frame the writer thread is to write is braked while so many bytes wait already.
pub(super) const MOST_QUEUED: u64 = 1024 * 1024;

/// With fewer requests in flight than this, nobody else is likely to be about to send.
const WORTH_GATHERING: usize = 6;

/// How often a caller lets others go first, as long as they add frames.
const ROUNDS: usize = 4;

/// The most that one system call may take, so that the position shows whether the peer reads.
const CHUNK: usize = 256 * 1024;

impl Connection {
    /// Sees that the frame just queued gets written: by the thread that is writing, by the writer
    /// thread, or right here. A caller with this deadline leaves frames with a later one to the
    /// writer thread, since it could be stuck in them.
    pub(super) fn write_soon<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        via: Via,
        deadline: Deadline,
    ) {
        if state.writing {
            // Whoever writes goes on to this frame, and does not wait for more before.
            state.urgent |= via == Via::Caller;
            return;
        }
        let limit = match via {
            Via::Caller => deadline.instant().checked_add(GRACE),
            Via::WriterThread => None,
        };
        let gathering = state.writer_thread == WriterThread::Gathering;
        if via == Via::WriterThread && gathering && state.may_gather() {
            return;
        }
        let by_caller = |state: &State| limit.is_some_and(|at| state.outbox.next_ends_by(at));
        if by_caller(&state) {
            state.writing = true;
            state = self.gather(state);
            state.writing = false;
        }
        // Looked at again: a frame that was added may have more time than this caller. And whoever
        // has killed the connection meanwhile has left it to this thread to answer everybody.
        // A writer that is to write for a caller does not wait for more before.
        state.urgent |= via == Via::Caller;
        if state.death.is_some() || by_caller(&state) || !self.wake_writer(&mut state) {
            state.writing = true;
            self.write_batches(state, limit);
        }
    }

    /// Lets callers that are ready to send add their frames, which then leave in the same write:
    /// where several wait for answers, several have just got one.
    fn gather<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        for _ in 0..ROUNDS {
            let before = state.outbox.end();
            if state.pending.soon() < WORTH_GATHERING {
                break;
            }
            drop(state);
            self.note_pause();
            thread::yield_now();
            state = self.state.lock();
            if state.outbox.end() == before {
                break;
            }
        }
        state
    }

    /// Wakes the writer thread, starting it first if need be; false if it cannot be started.
    fn wake_writer(self: &Arc<Self>, state: &mut State) -> bool {
        match state.writer_thread {
            WriterThread::Busy => true,
            WriterThread::Idle | WriterThread::Gathering => {
                // Marked busy here, so that it is woken once and not by every frame of a burst.
                state.writer_thread = WriterThread::Busy;
                self.work.notify_one();
                true
            }
            WriterThread::NotStarted => {
                let writer = self.clone();
                let started = self
                    .shared
                    .workers
                    .threads
                    .spawn("rmq-writer", move || writer.run_writer());
                // If the system has no thread to give, callers go on writing themselves. Nothing is
                // logged here, under the lock: a logger may itself send messages.
                if started.is_ok() {
                    state.writer_thread = WriterThread::Busy;
                }
                started.is_ok()
            }
        }
    }

    fn run_writer(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let mut gather = false;
        while state.death.is_none() {
            if gather && !state.urgent && state.may_gather() {
                // More frames are about to come: they had better leave together.
                gather = false;
                state.writer_thread = WriterThread::Gathering;
                self.note_pause();
                self.work.wait_for(&mut state, GATHERING);
                state.writer_thread = WriterThread::Busy;
            } else if state.writing || state.outbox.is_empty() {
                state.writer_thread = WriterThread::Idle;
                self.work.wait(&mut state);
                gather = state.pending.soon() >= MANY;
            } else if let Some(batch) = state.outbox.take() {
                gather = batch.is_burst() || state.pending.soon() >= MANY;
                state.writer_thread = WriterThread::Busy;
                state.writing = true;
                let Some(next) = self.write_batch(state, batch) else {
                    return;
                };
                state = next;
                state.writing = false;
                if state.outbox.is_empty() && self.is_retired() {
                    drop(state);
                    self.end_if_drained();
                    state = self.state.lock();
                }
            }
        }
    }

    /// On the reader thread, with answers: what was queued while they were on their way has waited
    /// long enough for more.
    pub(super) fn end_gathering(self: &Arc<Self>, state: &mut State) {
        if state.writer_thread == WriterThread::Gathering && !state.outbox.is_empty() {
            self.wake_writer(state);
        }
    }

    /// Writes batches until none is left; a caller with a limit only so many and such that end by
    /// then, and the writer thread goes on. `writing` is set already.
    fn write_batches<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        limit: Option<Instant>,
    ) {
        let mut written = 0;
        while let Some(batch) = state.outbox.take() {
            let Some(next) = self.write_batch(state, batch) else {
                return;
            };
            state = next;
            written += 1;
            let goes_on = |limit| written < BATCHES_BY_CALLER && state.outbox.next_ends_by(limit);
            if !state.outbox.is_empty() && !limit.is_none_or(goes_on) {
                state.writing = false;
                if self.wake_writer(&mut state) {
                    return;
                }
                state.writing = true;
            }
        }
        state.writing = false;
        drop(state);
        // The last answer may have come while this thread was still writing.
        self.end_if_drained();
    }

    /// Writes one batch without the lock, and takes the lock again; `None` if the connection is
    /// dead, and then everybody has been answered.
    fn write_batch<'a>(
        self: &'a Arc<Self>,
        state: MutexGuard<'a, State>,
        mut batch: Batch<Permit>,
    ) -> Option<MutexGuard<'a, State>> {
        drop(state);
        batch.gather();
        // Whoever writes answers for all others when the connection dies.
        let written = catch_bug("a writer", || self.write(&batch));
        let panicked = || Error::new(ErrorKind::Disconnected, "its writer panicked");
        let result = written.unwrap_or_else(|| Err(panicked()));
        let lost = batch.lost(self.written.load(Ordering::Relaxed));
        batch.release();
        let mut state = self.state.lock();
        state.outbox.recycle(batch);
        state.urgent &= !state.outbox.is_empty();
        state.moves = true;
        if state.waiting_for_room > 0 && state.outbox.len() <= MOST_QUEUED / 2 {
            self.room.notify_all();
        }
        if let Err(error) = result {
            state.death.get_or_insert(error.at(self.address()));
            self.dead.store(true, Ordering::Relaxed);
        }
        if state.death.is_none() {
            return Some(state);
        }
        state.writing = false;
        drop(state);
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        // Whoever finds the connection dead wakes nobody again.
        self.work.notify_all();
        self.room.notify_all();
        self.answer_all();
        self.shared.note_lost_oneway(self.address(), lost);
        None
    }

    fn write(&self, batch: &Batch<Permit>) -> Result<(), Error> {
        batch.try_each_run(|run| match run {
            Run::Skip(end) => {
                self.written.store(end, Ordering::Relaxed);
                Ok(())
            }
            Run::Bytes(bytes, end) => self.write_run(bytes, end),
        })?;
        let Some(session) = &self.tls else {
            return Ok(());
        };
        session.flush(&self.socket)?;
        if session.is_worn() {
            self.retire("its TLS keys have served long enough");
        }
        Ok(())
    }

    fn write_run(&self, mut bytes: &[u8], end: u64) -> Result<(), Error> {
        if let Some(session) = &self.tls {
            let start = end - bytes.len() as u64;
            let taken = |n: usize| self.written.store(start + n as u64, Ordering::Relaxed);
            return session.write(&self.socket, bytes, taken);
        }
        while !bytes.is_empty() {
            self.writes.fetch_add(1, Ordering::Relaxed);
            match (&self.socket).write(&bytes[..bytes.len().min(CHUNK)]) {
                Ok(0) => return Err(write_failed(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    bytes = &bytes[n..];
                    let position = end - bytes.len() as u64;
                    self.written.store(position, Ordering::Relaxed);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(write_failed(e)),
            }
        }
        Ok(())
    }
}

impl State {
    /// Whether frames may wait for others: they are few, and answers to earlier ones are on their
    /// way, or nobody waits for any.
    fn may_gather(&self) -> bool {
        let awaited = self.outbox.awaited();
        self.outbox.len() < WORTH_WAKING && (awaited == 0 || awaited < self.pending.soon())
    }
}

pub(super) fn write_failed(error: io::Error) -> Error {
    Error::new(ErrorKind::Disconnected, format!("write failed: {error}"))
}
