//! A request on its way: registered and queued in one step, written, and waited for.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::expiry;
use super::outbox::Due;
use super::pending::Entry;
use super::slot::{Outcome, Slot, Waiter};
use super::state::{Connection, State};
use super::writer::{self, Via};
use crate::error::{Error, ErrorKind, Wait};
use crate::protocol::{Command, frame};
use crate::sync::MutexGuard;
use crate::transport::{Claim, Deadline, Encoded, Permit};

/// The reason why a request was not accepted, with the returned request.
pub(crate) enum Refused {
    /// The connection is dead or retired: try another one.
    Gone(Option<Slot>, Option<Permit>),
    /// No connection can take it: the frame is too large, or the time is up.
    Never(Option<Slot>, Error),
}

/// The most bytes of unsolicited frames that are queued for a peer that does not read.
const MOST_UNREAD: u64 = 4 * 1024 * 1024;

/// The longest that such a frame may take to leave; the peer does not read if it takes longer.
const REPLY_WITHIN: Duration = Duration::from_secs(3);

impl Connection {
    /// Whether new requests may use it.
    pub(crate) fn is_usable(&self) -> bool {
        !self.retired.load(Ordering::Relaxed) && !self.dead.load(Ordering::Relaxed)
    }

    /// Sends a request and waits for the answer.
    pub(crate) fn call(
        self: &Arc<Self>,
        request: &Encoded,
        deadline: Deadline,
    ) -> Result<Outcome, Refused> {
        let waiter = take_waiter();
        let claim = Slot::Thread(Claim(waiter.clone()));
        let called = match request.parked {
            true => self
                .submit(request, Some(claim), None, deadline, Via::Caller)
                .map(|()| self.wait(&waiter, request.opaque, deadline)),
            false => self.call_soon(request, claim, &waiter, deadline),
        };
        give_back(waiter);
        called
    }

    /// The same for an answer that is due soon: a lone caller first spins, as long as no other
    /// thread needs the processor.
    fn call_soon(
        self: &Arc<Self>,
        request: &Encoded,
        claim: Slot,
        waiter: &Waiter,
        deadline: Deadline,
    ) -> Result<Outcome, Refused> {
        let alone = self.callers.fetch_add(1, Ordering::Relaxed) == 0;
        let submitted = self.submit(request, Some(claim), None, deadline, Via::Caller);
        let outcome = submitted.map(|()| {
            if !alone {
                return self.wait(waiter, request.opaque, deadline);
            }
            let start = Instant::now();
            let most = self.spin.time().min(deadline.remaining(start));
            if self.shared.has_processors && !most.is_zero() {
                waiter.spin(start, most, || self.callers.load(Ordering::Relaxed) == 1);
            }
            let outcome = self.wait(waiter, request.opaque, deadline);
            self.spin.note(start.elapsed());
            outcome
        });
        self.callers.fetch_sub(1, Ordering::Relaxed);
        outcome
    }

    fn wait(self: &Arc<Self>, waiter: &Waiter, opaque: i32, deadline: Deadline) -> Outcome {
        if let Some(outcome) = waiter.take_until(deadline) {
            return outcome;
        }
        // Either this answers the waiter, or it kills the connection, which does; or the answer
        // came in between.
        expiry::expire_one(self, opaque);
        waiter.take()
    }

    /// Accepts a request: registers its waiter (none for oneway) and sees that it gets written.
    pub(crate) fn submit(
        self: &Arc<Self>,
        request: &Encoded,
        slot: Option<Slot>,
        permit: Option<Permit>,
        deadline: Deadline,
        via: Via,
    ) -> Result<(), Refused> {
        let state = self.queue(request, slot, permit, deadline, via)?;
        writer::write_soon(self, state, via, deadline);
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
        let len = request.len();
        if len > frame::MAX_FRAME {
            let text = "the request exceeds the protocol's 16 MiB for a frame";
            return Err(Refused::Never(slot, Error::invalid(text)));
        }
        let mut state = self.state.lock();
        if matches!(via, Via::WriterThread) {
            writer::let_writer_catch_up(self, &mut state, deadline);
        }
        let now = Instant::now();
        if deadline.has_passed(now) {
            // Without time left, it would only make the peer look silent.
            return Err(Refused::Never(slot, self.timed_out(Wait::Queue)));
        }
        if state.death.is_some() || self.retired.load(Ordering::Relaxed) {
            return Err(Refused::Gone(slot, permit));
        }
        let (head, body) = (&request.head, request.body.as_ref());
        let Some(slot) = slot else {
            state.outbox.push(head, body, permit, Due::Never);
            expiry::watch(self, &mut state, deadline, now);
            return Ok(state);
        };
        let (until, parked) = (deadline.instant(), request.parked);
        let end = state.outbox.end() + len as u64;
        let entry = Entry::new(slot, now, until, end, parked);
        match state.pending.register(request.opaque, entry) {
            Ok(None) => {}
            Ok(Some(at)) => expiry::look_at(self, at),
            Err(entry) => {
                // Four billion requests later, an old one may still wait under this number.
                let text = "a request of four billion requests ago still has this one's number";
                let error = Error::new(ErrorKind::Busy, text).at(&self.address);
                return Err(Refused::Never(Some(entry.slot), error));
            }
        }
        let due = if parked {
            Due::Parked(until)
        } else {
            Due::Soon(until)
        };
        let pushed = state.outbox.push(head, body, permit, due);
        debug_assert_eq!(pushed, end);
        Ok(state)
    }

    /// Sends a frame without a waiter: an answer to the peer. It never blocks, and is dropped when
    /// the peer does not read.
    pub(crate) fn reply(self: &Arc<Self>, response: &Command) {
        let mut frame = Vec::new();
        response.encode(self.shared.config.header_format, &mut frame);
        let mut state = self.state.lock();
        if state.death.is_none() && state.outbox.len() < MOST_UNREAD {
            state.outbox.push(&frame, None, None, Due::Never);
            self.write_unasked(state);
        }
    }

    /// Sends a oneway request over this connection. Like a reply it never blocks, and it is refused
    /// (false) if the peer does not read or the connection has ended. The permit is returned when
    /// the socket has taken the frame.
    pub(crate) fn send_on(self: &Arc<Self>, request: &Encoded, permit: Permit) -> bool {
        let unread = self.state.lock().outbox.len();
        let deadline = Deadline::after(Instant::now(), REPLY_WITHIN);
        let (permit, via) = (Some(permit), Via::WriterThread);
        unread < MOST_UNREAD && self.submit(request, None, permit, deadline, via).is_ok()
    }

    /// Starts a writer for the TLS session's own records, which belong to no frame. The caller, a
    /// reader, must never wait for a peer that does not read.
    pub(crate) fn write_session_output(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.death.is_none() {
            state.outbox.call_writer();
            self.write_unasked(state);
        }
    }

    /// Starts a write of the queued frame, which has no waiter.
    fn write_unasked<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) {
        let now = Instant::now();
        let deadline = Deadline::after(now, REPLY_WITHIN);
        expiry::watch(self, &mut state, deadline, now);
        writer::write_soon(self, state, Via::WriterThread, deadline);
    }
}

thread_local! {
    static SPARE: Cell<Option<Arc<Waiter>>> = const { Cell::new(None) };
}

/// The slot that this thread used before, if it has no other owner, or a new one.
fn take_waiter() -> Arc<Waiter> {
    let spare = SPARE.try_with(Cell::take).ok().flatten();
    spare.unwrap_or_else(|| Arc::new(Waiter::new()))
}

/// For the next [`take_waiter`], after the wait.
fn give_back(mut waiter: Arc<Waiter>) {
    if let Some(own) = Arc::get_mut(&mut waiter) {
        *own = Waiter::new();
        // At the end of the thread there is no next one.
        let _ = SPARE.try_with(|spare| spare.set(Some(waiter)));
    }
}
