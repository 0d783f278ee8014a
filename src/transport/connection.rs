use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::outbox::{Due, Outbox};
use super::patience::Patience;
use super::pending::{Entry, Pending};
use super::shared::Shared;
use super::slot::{self, Claim, Slot, Waiter};
use super::tls::Session;
use super::writer::MOST_QUEUED;
use super::{Deadline, Encoded, Outcome, Permit, reader};
use crate::error::{Error, ErrorKind, Wait};
use crate::protocol::{Command, frame};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// One TCP connection: who waits on it, what waits to be written, and the socket.
///
/// It dies once. Death answers every waiter at once, and nothing can be registered afterwards.
pub(crate) struct Connection {
    address: Arc<str>,
    /// Used through `&TcpStream`, outside any lock: only `shutdown` wakes a thread that is blocked
    /// in a read or write of another.
    pub(super) socket: TcpStream,
    /// None: what goes over the socket is plain.
    pub(super) tls: Option<Session>,
    pub(super) state: Mutex<State>,
    /// Wakes the writer thread.
    pub(super) work: Condvar,
    /// Wakes those who wait for the writer thread to get on.
    pub(super) room: Condvar,
    pub(super) shared: Arc<Shared>,
    /// How much of the stream the socket has taken.
    pub(super) written: AtomicU64,
    /// In how many system calls; not counted with TLS.
    pub(super) writes: AtomicU64,
    /// What `written` was when a byte was last read.
    pub(super) read_mark: AtomicU64,
    /// How many threads wait in [`Connection::call`] for answers that are due soon.
    callers: AtomicUsize,
    patience: Patience,
    /// Whether the peer asked us to go away: no new requests, then the end.
    pub(super) retired: AtomicBool,
    /// Whether it has died, for those who only look: `State::death` says why.
    pub(super) dead: AtomicBool,
    /// Whether the peer has answered anything but "go away".
    served: AtomicBool,
    /// The version of the last heartbeat that the peer has confirmed; 0 before the first.
    confirmed: AtomicU64,
    /// How often a thread paused here, or let others go first.
    #[cfg(test)]
    pub(super) pauses: AtomicUsize,
}

pub(super) struct State {
    pub(super) pending: Pending<Slot>,
    pub(super) outbox: Outbox<Permit>,
    /// Whether some thread is writing; only that thread may.
    pub(super) writing: bool,
    pub(super) writer_thread: WriterThread,
    pub(super) waiting_for_room: usize,
    /// Whether frames are being written, as far as those who wait for room know.
    pub(super) moves: bool,
    /// Whether somebody waits for the answer to a frame that waits to be written.
    pub(super) urgent: bool,
    /// Why the connection died.
    pub(super) death: Option<Error>,
    /// A silence of the peer: what `read_mark` is for as long as it lasts, and when it began.
    pub(super) silence: Option<(u64, Instant)>,
    /// Whether the timer looks after frames that nobody waits for.
    pub(super) watched: bool,
    /// The activity seen by the last idle check, and when it last changed.
    pub(super) idle_since: (u64, u64, Instant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriterThread {
    NotStarted,
    /// Waits for something to write.
    Idle,
    /// Waits for more, or a short time.
    Gathering,
    Busy,
}

/// Who writes a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// The calling thread, if no other is writing.
    Caller,
    /// The writer thread, so that a burst leaves in few writes.
    WriterThread,
}

/// How much a connection has to do, and has done.
pub(crate) struct Load {
    /// Requests whose answers are due soon.
    pub(crate) in_flight: usize,
    /// Requests that the peer may have parked.
    pub(crate) parked: usize,
    pub(crate) queued_bytes: u64,
    pub(crate) written_bytes: u64,
    pub(crate) writes: u64,
    /// The version of TLS.
    pub(crate) tls: Option<&'static str>,
}

/// Why a request was not accepted. What was given comes back.
pub(crate) enum Refused {
    /// The connection is dead or retired: try another one.
    Gone(Option<Slot>, Option<Permit>),
    /// No connection can take it: the frame is too large, or the time is up.
    Never(Option<Slot>, Error),
}

/// How long a caller waits for the writer thread to write something.
const BRAKE: Duration = Duration::from_millis(50);

/// What we send of our own accord waits for a peer that does not read, up to so many bytes.
const MOST_UNREAD: u64 = 4 * 1024 * 1024;

/// The longest that such a frame may take to leave; the peer does not read if it takes longer.
const REPLY_WITHIN: Duration = Duration::from_secs(3);

impl Connection {
    /// Takes over a connected socket and starts its reader thread, whose last act is `ended`.
    pub(super) fn start(
        socket: TcpStream,
        tls: Option<Session>,
        address: Arc<str>,
        shared: Arc<Shared>,
        ended: impl FnOnce() + Send + 'static,
    ) -> io::Result<Arc<Connection>> {
        socket.set_nodelay(true)?;
        let connection = Arc::new(Connection {
            address,
            socket,
            tls,
            state: Mutex::new(State {
                pending: Pending::new(),
                outbox: Outbox::new(),
                writing: false,
                writer_thread: WriterThread::NotStarted,
                waiting_for_room: 0,
                moves: true,
                urgent: false,
                death: None,
                silence: None,
                watched: false,
                idle_since: (0, 0, Instant::now()),
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            shared: shared.clone(),
            written: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            read_mark: AtomicU64::new(0),
            callers: AtomicUsize::new(0),
            patience: Patience::default(),
            retired: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            served: AtomicBool::new(false),
            confirmed: AtomicU64::new(0),
            #[cfg(test)]
            pauses: AtomicUsize::new(0),
        });
        let reader = connection.clone();
        shared.workers.threads.spawn("rmq-reader", move || {
            reader::run(&reader);
            ended();
        })?;
        Ok(connection)
    }

    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// How much it has to do, and has done.
    pub(crate) fn load(&self) -> Load {
        let state = self.state.lock();
        Load {
            in_flight: state.pending.soon(),
            parked: state.pending.parked(),
            queued_bytes: state.outbox.len(),
            written_bytes: self.written.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            tls: self.tls.as_ref().map(|session| session.version()),
        }
    }

    /// Whether new requests may use it.
    pub(crate) fn is_usable(&self) -> bool {
        !self.retired.load(Ordering::Relaxed) && !self.dead.load(Ordering::Relaxed)
    }

    /// Whether an answer is due soon.
    pub(super) fn is_awaited(&self) -> bool {
        self.state.lock().pending.soon() > 0
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Why it died.
    pub(super) fn death(&self) -> Option<Error> {
        self.state.lock().death.clone()
    }

    pub(super) fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Sends a request and waits for the answer.
    pub(super) fn call(
        self: &Arc<Self>,
        request: &Encoded,
        deadline: Deadline,
    ) -> Result<Outcome, Refused> {
        let waiter = slot::take_waiter();
        let slot = Slot::Thread(Claim::new(waiter.clone()));
        let counts = usize::from(!request.parked);
        let alone = self.callers.fetch_add(counts, Ordering::Relaxed) == 0 && !request.parked;
        let submitted = self.submit(request, Some(slot), None, deadline, Via::Caller);
        let outcome = submitted.map(|()| {
            let start = alone.then(Instant::now);
            if let Some(start) = start {
                self.look_out(&waiter, start, deadline);
            }
            let outcome = self.wait(&waiter, request.opaque, deadline);
            if let Some(start) = start {
                self.patience.note(start.elapsed());
            }
            outcome
        });
        self.callers.fetch_sub(counts, Ordering::Relaxed);
        slot::give_back(waiter);
        outcome
    }

    /// The first part of waiting, without sleep, for as long as no other caller wants a processor.
    fn look_out(&self, waiter: &Waiter, start: Instant, deadline: Deadline) {
        let alone = || self.callers.load(Ordering::Relaxed) == 1;
        let most = self.patience.look_out().min(deadline.remaining(start));
        if self.shared.has_processors && !most.is_zero() {
            waiter.spin(start, most, alone);
        }
    }

    fn wait(self: &Arc<Self>, waiter: &Waiter, opaque: i32, deadline: Deadline) -> Outcome {
        if let Some(outcome) = waiter.take_until(deadline) {
            return outcome;
        }
        // Either this answers the waiter, or it kills the connection, which does; or the answer
        // came in between.
        self.expire_one(opaque);
        waiter.take()
    }

    /// Accepts a request: registers its waiter (none for oneway) and sees that it gets written.
    pub(super) fn submit(
        self: &Arc<Self>,
        request: &Encoded,
        slot: Option<Slot>,
        permit: Option<Permit>,
        deadline: Deadline,
        via: Via,
    ) -> Result<(), Refused> {
        let state = self.queue(request, slot, permit, deadline, via)?;
        self.write_soon(state, via, deadline);
        Ok(())
    }

    /// Registers the waiter and queues the frame, in one step, so that neither is without the
    /// other. Returns with the lock held.
    fn queue<'a>(
        self: &'a Arc<Self>,
        request: &Encoded,
        slot: Option<Slot>,
        permit: Option<Permit>,
        deadline: Deadline,
        via: Via,
    ) -> Result<MutexGuard<'a, State>, Refused> {
        if request.len() > frame::MAX_FRAME {
            let text = "the request exceeds the protocol's 16 MiB for a frame";
            return Err(Refused::Never(slot, Error::invalid(text)));
        }
        let mut state = self.state.lock();
        if via == Via::WriterThread {
            self.let_writer_catch_up(&mut state, deadline);
        }
        let now = Instant::now();
        if deadline.has_passed(now) {
            // Sent without time to wait, it would only look like a peer that is silent.
            return Err(Refused::Never(slot, self.timed_out(Wait::Queue)));
        }
        if state.death.is_some() || self.retired.load(Ordering::Relaxed) {
            return Err(Refused::Gone(slot, permit));
        }
        if slot.is_some() && !state.pending.is_free(request.opaque) {
            // Four billion requests later, an old one may still wait under this number.
            let text = "a request of four billion requests ago still has this one's number";
            let error = Error::new(ErrorKind::Busy, text).at(&self.address);
            return Err(Refused::Never(slot, error));
        }
        let due = match slot {
            None => Due::Never,
            Some(_) if request.parked => Due::Parked(deadline.instant()),
            Some(_) => Due::Soon(deadline.instant()),
        };
        let (head, body) = (&request.head, request.body.as_ref());
        let end = state.outbox.push(head, body, permit, due);
        let Some(slot) = slot else {
            self.watch(&mut state, deadline, now);
            return Ok(state);
        };
        let entry = Entry {
            slot,
            since: now,
            deadline: deadline.instant(),
            end,
            parked: request.parked,
        };
        if let Some(at) = state.pending.register(request.opaque, entry) {
            self.look_again_at(at);
        }
        Ok(state)
    }

    /// Brakes a caller that is faster than the writer thread, so that memory is not filled for
    /// nothing. A peer that does not read brakes nobody: then the budget is the limit.
    fn let_writer_catch_up(&self, state: &mut MutexGuard<'_, State>, deadline: Deadline) {
        while state.outbox.len() > MOST_QUEUED && state.moves && state.death.is_none() {
            let until = deadline.capped(Instant::now(), BRAKE).instant();
            state.waiting_for_room += 1;
            let waited = self.room.wait_until(state, until);
            state.waiting_for_room -= 1;
            if deadline.has_passed(Instant::now()) {
                return;
            }
            if waited.timed_out() {
                state.moves = false;
            }
        }
    }

    /// Sends a frame that nobody waits for: an answer to the peer. It never blocks, and is dropped
    /// when the peer does not read.
    pub(crate) fn reply(self: &Arc<Self>, response: &Command) {
        let mut frame = Vec::new();
        response.encode(self.shared.config.header_format, &mut frame);
        let mut state = self.state.lock();
        if state.death.is_none() && state.outbox.len() < MOST_UNREAD {
            state.outbox.push(&frame, None, None, Due::Never);
            let now = Instant::now();
            let deadline = Deadline::after(now, REPLY_WITHIN);
            self.watch(&mut state, deadline, now);
            self.write_soon(state, Via::WriterThread, deadline);
        }
    }

    /// Sends a request that has no answer, over this very connection. Like a reply it never blocks,
    /// and it is refused (false) when the peer does not read or the connection is at its end. The
    /// permit is given back when the socket has taken the frame.
    pub(super) fn tell(self: &Arc<Self>, request: &Encoded, permit: Permit) -> bool {
        let unread = self.state.lock().outbox.len();
        let deadline = Deadline::after(Instant::now(), REPLY_WITHIN);
        let (permit, via) = (Some(permit), Via::WriterThread);
        unread < MOST_UNREAD && self.submit(request, None, permit, deadline, via).is_ok()
    }

    /// The version of the last heartbeat that the peer has confirmed over this connection: what it knows
    /// of us. 0 before the first.
    pub(crate) fn confirmed(&self) -> u64 {
        self.confirmed.load(Ordering::Relaxed)
    }

    /// Notes that the peer has confirmed a heartbeat; returns the version of the last one before.
    pub(crate) fn note_confirmed(&self, version: u64) -> u64 {
        self.confirmed.fetch_max(version, Ordering::Relaxed)
    }

    /// Has a writer come by for what the TLS session itself has to say, which belongs to no frame.
    /// The caller, a reader, must never wait for a peer that does not read.
    #[cfg(feature = "tls")]
    pub(super) fn write_session_output(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.death.is_none() {
            state.outbox.call_writer();
            let now = Instant::now();
            let deadline = Deadline::after(now, REPLY_WITHIN);
            self.watch(&mut state, deadline, now);
            self.write_soon(state, Via::WriterThread, deadline);
        }
    }

    /// Takes the waiters of responses; says how many of these were due soon, and how many more are.
    /// Every waiter that was taken must be answered before anything else happens, logging included: it
    /// waits without a deadline now.
    pub(super) fn complete(
        self: &Arc<Self>,
        responses: &mut Vec<Command>,
        taken: &mut Vec<(Option<Slot>, Command)>,
    ) -> (usize, usize) {
        let mut state = self.state.lock();
        let before = state.pending.soon();
        for response in responses.drain(..) {
            let Some(entry) = state.pending.complete(response.opaque) else {
                continue;
            };
            if entry.end > self.written.load(Ordering::Relaxed) {
                // Answered before it was sent, or the writer has not come to say so yet. Nobody waits
                // for this frame any more; its deadline ends a write that is stuck all the same.
                self.end_if_unsent_by(entry.deadline, entry.since, entry.end);
            }
            taken.push((Some(entry.slot), response));
        }
        self.end_gathering(&mut state);
        let left = state.pending.soon();
        (before - left, left)
    }

    /// Whether callers wait, each for its own answer.
    pub(super) fn has_callers(&self) -> bool {
        self.callers.load(Ordering::Relaxed) > 0
    }

    /// Notes that bytes were read: whatever was written by now has been heard of since.
    pub(super) fn note_read(&self) {
        self.read_mark
            .store(self.written.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A thread is about to pause, or to let others go first.
    pub(super) fn note_pause(&self) {
        #[cfg(test)]
        self.pauses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_served(&self) {
        self.served.store(true, Ordering::Relaxed);
    }
}
