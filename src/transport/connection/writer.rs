//! Writing: one thread at a time, whatever is queued, in as few writes as can be.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::end;
use super::outbox::{Batch, Run};
use super::state::{Connection, State, WriterThread};
use crate::error::{Error, ErrorKind};
use crate::sync::MutexGuard;
use crate::transport::{Deadline, Permit, log_bug};

/// The thread that writes a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// The calling thread, if no other is writing.
    Caller,
    /// The writer thread, so that a burst leaves in few writes.
    WriterThread,
}

/// The most batches that a caller writes, its own and others', before it hands the rest to the
/// writer thread and waits for its own answer.
const BATCHES_BY_CALLER: usize = 8;

/// How far past its own deadline the deadline of another thread's frame may be, if a caller writes
/// it.
const GRACE: Duration = Duration::from_millis(50);

/// After a burst, or when many answers are awaited, the writer thread waits for more frames, so
/// that they leave in few writes: until there are this many bytes, or answers arrive, or this time
/// has passed. (This is Nagle's idea, with a clock.)
const GATHERING: Duration = Duration::from_micros(100);
const WORTH_WAKING: u64 = 60 * 1024;

/// A caller that hands its frame to the writer thread is delayed while this many bytes are queued.
const MOST_QUEUED: u64 = 1024 * 1024;

/// How long a caller waits for the writer thread to write something.
const BRAKE: Duration = Duration::from_millis(50);

/// With this many answers due soon, throughput matters.
pub(super) const MANY: usize = 64;

/// With fewer requests in flight than this, no other thread is likely to be about to send.
const WORTH_GATHERING: usize = 6;

/// How often a caller yields to others, as long as they add frames.
const ROUNDS: usize = 4;

/// The most that one system call may take, so that the position shows whether the peer reads.
const CHUNK: usize = 256 * 1024;

/// Sees that the frame just queued gets written: by the thread that is writing, by the writer thread,
/// or right here. A caller with this deadline leaves frames with a later one to the writer thread,
/// since it could be stuck in them.
pub(super) fn write_soon<'a>(
    connection: &'a Arc<Connection>,
    mut state: MutexGuard<'a, State>,
    via: Via,
    deadline: Deadline,
) {
    if state.writing {
        // The thread that writes goes on to this frame, and does not wait for more before.
        state.urgent |= matches!(via, Via::Caller);
        return;
    }
    let limit = match via {
        Via::Caller => deadline.instant().checked_add(GRACE),
        Via::WriterThread => None,
    };
    let gathering = matches!(state.writer_thread, WriterThread::Gathering);
    if matches!(via, Via::WriterThread) && gathering && may_gather(&state) {
        return;
    }
    let by_caller = |state: &State| limit.is_some_and(|at| state.outbox.next_ends_by(at));
    let mut writes_here = by_caller(&state);
    if writes_here && state.pending.soon() >= WORTH_GATHERING {
        state.writing = true;
        state = let_others_add(connection, state);
        state.writing = false;
        // A frame that was added may have more time than this caller. And a thread that has killed the
        // connection meanwhile has left it to this one to answer all waiters.
        writes_here = by_caller(&state) || state.death.is_some();
    }
    // A writer that is to write for a caller does not wait for more before.
    state.urgent |= matches!(via, Via::Caller);
    if writes_here || !wake_writer(connection, &mut state) {
        state.writing = true;
        write_batches(connection, state, limit);
    }
}

/// Delays a caller that is faster than the writer thread, so that memory does not fill up
/// needlessly. If the peer does not read, no caller is delayed: then the budget is the limit.
pub(super) fn let_writer_catch_up(
    connection: &Connection,
    state: &mut MutexGuard<'_, State>,
    deadline: Deadline,
) {
    while state.outbox.len() > MOST_QUEUED && state.moves && state.death.is_none() {
        let until = deadline.capped(Instant::now(), BRAKE).instant();
        state.braked += 1;
        let waited = connection.capacity.wait_until(state, until);
        state.braked -= 1;
        if deadline.has_passed(Instant::now()) {
            return;
        }
        if waited.timed_out() {
            state.moves = false;
        }
    }
}

/// On the reader thread, with answers: frames queued while they were in flight have waited long
/// enough for more.
pub(super) fn end_gathering(connection: &Arc<Connection>, state: &mut State) {
    if matches!(state.writer_thread, WriterThread::Gathering) && !state.outbox.is_empty() {
        wake_writer(connection, state);
    }
}

/// Lets callers that are ready to send add their frames, which then leave in the same write: where
/// several wait for answers, several have just got one.
fn let_others_add<'a>(
    connection: &'a Connection,
    mut state: MutexGuard<'a, State>,
) -> MutexGuard<'a, State> {
    for _ in 0..ROUNDS {
        let before = state.outbox.end();
        if state.pending.soon() < WORTH_GATHERING {
            break;
        }
        drop(state);
        connection.note_pause();
        thread::yield_now();
        state = connection.state.lock();
        if state.outbox.end() == before {
            break;
        }
    }
    state
}

/// Whether frames may wait for others: they are few, and answers to earlier ones are on their way, or
/// no answer to them is due soon.
fn may_gather(state: &State) -> bool {
    let awaited = state.outbox.awaited();
    state.outbox.len() < WORTH_WAKING && (awaited == 0 || awaited < state.pending.soon())
}

/// Wakes the writer thread, starting it first if need be; false if it cannot be started.
fn wake_writer(connection: &Arc<Connection>, state: &mut State) -> bool {
    match state.writer_thread {
        WriterThread::Busy => true,
        WriterThread::Idle | WriterThread::Gathering => {
            // Marked busy here, so that it is woken once and not by every frame of a burst.
            state.writer_thread = WriterThread::Busy;
            connection.work.notify_one();
            true
        }
        WriterThread::NotStarted => {
            let writer = connection.clone();
            let threads = &connection.shared.workers.threads;
            let started = threads.spawn("rmq-writer", move || run(&writer));
            // If the system has no thread to give, callers go on writing themselves. Nothing is
            // logged here, under the lock: a logger may itself send messages.
            if started.is_ok() {
                state.writer_thread = WriterThread::Busy;
            }
            started.is_ok()
        }
    }
}

/// The writer thread.
fn run(connection: &Arc<Connection>) {
    let mut state = connection.state.lock();
    let mut gather = false;
    while state.death.is_none() {
        if gather && !state.urgent && may_gather(&state) {
            // More frames are about to come: they had better leave together.
            gather = false;
            state.writer_thread = WriterThread::Gathering;
            connection.note_pause();
            connection.work.wait_for(&mut state, GATHERING);
            state.writer_thread = WriterThread::Busy;
        } else if state.writing || state.outbox.is_empty() {
            state.writer_thread = WriterThread::Idle;
            connection.work.wait(&mut state);
            gather = state.pending.soon() >= MANY;
        } else if let Some(batch) = state.outbox.take() {
            gather = batch.is_burst() || state.pending.soon() >= MANY;
            state.writer_thread = WriterThread::Busy;
            state.writing = true;
            let Some((next, more)) = write_batch(connection, state, batch) else {
                return;
            };
            state = next;
            state.writing = false;
            if !more && connection.is_retired() {
                drop(state);
                end::end_if_drained(connection);
                state = connection.state.lock();
            }
        }
    }
}

/// Writes batches until none is left. A caller with a limit writes only that many, with deadlines
/// up to then, and the writer thread continues. `writing` is set already.
fn write_batches<'a>(
    connection: &'a Arc<Connection>,
    mut state: MutexGuard<'a, State>,
    limit: Option<Instant>,
) {
    let mut written = 0;
    while let Some(batch) = state.outbox.take() {
        let Some((next, more)) = write_batch(connection, state, batch) else {
            return;
        };
        state = next;
        if !more {
            break;
        }
        written += 1;
        let goes_on = |limit| written < BATCHES_BY_CALLER && state.outbox.next_ends_by(limit);
        if !limit.is_none_or(goes_on) {
            state.writing = false;
            if wake_writer(connection, &mut state) {
                return;
            }
            state.writing = true;
        }
    }
    state.writing = false;
    drop(state);
    // The last answer may have come while this thread was still writing.
    if connection.retired.load(Ordering::Relaxed) {
        end::end_if_drained(connection);
    }
}

/// Writes one batch without the lock, takes the lock again, and says whether there are more; `None` if the
/// connection is dead, and then all waiters have been answered.
fn write_batch<'a>(
    connection: &'a Connection,
    state: MutexGuard<'a, State>,
    mut batch: Batch<Permit>,
) -> Option<(MutexGuard<'a, State>, bool)> {
    drop(state);
    // The thread that writes answers all waiters when the connection dies.
    let written = catch_unwind(AssertUnwindSafe(|| write(connection, &mut batch)));
    let failed = match written {
        Ok(result) => result.err(),
        Err(_) => {
            log_bug("a writer");
            Some(Error::new(ErrorKind::Disconnected, "its writer panicked"))
        }
    };
    let mut state = connection.state.lock();
    if state.death.is_some() || failed.is_some() {
        let lost = batch.lost(connection.written.load(Ordering::Relaxed));
        drop(state);
        // What it owns may wake others: not under the lock.
        drop(batch);
        end::end_of_writing(connection, connection.state.lock(), failed, lost);
        return None;
    }
    let more = state.outbox.recycle(batch);
    state.urgent &= more;
    state.moves = true;
    if state.braked > 0 && state.outbox.len() <= MOST_QUEUED / 2 {
        connection.capacity.notify_all();
    }
    Some((state, more))
}

fn write(connection: &Connection, batch: &mut Batch<Permit>) -> Result<(), Error> {
    batch.write(|run| match run {
        Run::Skip(end) => {
            connection.written.store(end, Ordering::Relaxed);
            Ok(())
        }
        Run::Bytes(bytes, end) => write_run(connection, bytes, end),
    })?;
    let Some(session) = &connection.tls else {
        return Ok(());
    };
    session.flush(&connection.socket)?;
    if session.is_worn() {
        end::retire(connection, "its TLS keys have served long enough");
    }
    Ok(())
}

fn write_run(connection: &Connection, mut bytes: &[u8], end: u64) -> Result<(), Error> {
    if let Some(session) = &connection.tls {
        let start = end - bytes.len() as u64;
        let taken = |n: usize| {
            let position = start + n as u64;
            connection.written.store(position, Ordering::Relaxed);
        };
        return session.write(&connection.socket, bytes, taken);
    }
    while !bytes.is_empty() {
        connection.writes.fetch_add(1, Ordering::Relaxed);
        match (&connection.socket).write(&bytes[..bytes.len().min(CHUNK)]) {
            Ok(0) => return Err(Error::socket("write", io::ErrorKind::WriteZero.into())),
            Ok(n) => {
                bytes = &bytes[n..];
                let position = end - bytes.len() as u64;
                connection.written.store(position, Ordering::Relaxed);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::socket("write", e)),
        }
    }
    Ok(())
}
