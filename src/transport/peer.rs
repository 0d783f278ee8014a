use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::LOG;
use super::shared::Shared;
use super::{Connection, Deadline, backoff, catch_bug, dial};
use crate::error::{Error, ErrorKind, Wait};
use crate::logging;
use crate::sync::{Condvar, Mutex};

/// One address: its connection, or who is making one, or why there is none.
///
/// One dial at a time, and for no longer than the dialling caller may wait; the others wait for it
/// until their own deadlines.
pub(super) struct Peer {
    address: Arc<str>,
    state: Mutex<State>,
    dialled: Condvar,
}

/// What goes on with the connection, or without one.
pub(crate) type Then = Box<dyn FnOnce(Result<Arc<Connection>, Error>) + Send>;

/// Somebody who waits for a dial without a thread.
struct Parked {
    deadline: Deadline,
    then: Then,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    /// Those that take no new requests and still have answers to bring.
    draining: Vec<Weak<Connection>>,
    dialling: bool,
    parked: Vec<Parked>,
    /// Why there are no connections from now on.
    closed: Option<Error>,
    /// How many dials have ended, so that a waiter knows that one did while it waited.
    dials: u64,
    failures: u32,
    /// Why the last dial failed, and until when the address is left alone.
    failed: Option<(Error, Instant)>,
}

impl Peer {
    pub(super) fn new(address: Arc<str>) -> Peer {
        Peer {
            address,
            state: Mutex::default(),
            dialled: Condvar::new(),
        }
    }

    pub(super) fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// As if somebody had begun to dial, who is yet to call [`dial`](Peer::dial).
    #[cfg(test)]
    pub(super) fn begin_dial(&self) -> bool {
        self.state.lock().begin_dial()
    }

    /// The connection if there is a usable one.
    pub(super) fn current(&self) -> Option<Arc<Connection>> {
        self.state
            .lock()
            .connection
            .clone()
            .filter(|connection| connection.is_usable())
    }

    /// Why there is no connection, if a dial has failed and no other was begun.
    pub(super) fn dial_failure(&self) -> Option<Error> {
        let state = self.state.lock();
        state.failed.as_ref().map(|(error, _)| error.clone())
    }

    /// Whether somebody waits for an answer, or for the connection.
    pub(super) fn is_awaited(&self) -> bool {
        let state = self.state.lock();
        let draining = state.draining.iter().filter_map(Weak::upgrade);
        let connections: Vec<_> = draining.chain(state.connection.clone()).collect();
        let dialling = state.dialling;
        drop(state);
        dialling || connections.iter().any(|c| c.is_awaited())
    }

    /// A usable connection, made if need be. All errors mean that nothing was sent.
    pub(super) fn connect(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        deadline: Deadline,
    ) -> Result<Arc<Connection>, Error> {
        let mut state = self.state.lock();
        let mut seen = state.dials;
        loop {
            if let Some(known) = state.known(shared, seen) {
                return known;
            }
            if deadline.has_passed(Instant::now()) {
                return Err(Error::timeout(Wait::Connect).at(&self.address));
            }
            if state.begin_dial() {
                drop(state);
                return self.dial(shared, deadline);
            }
            seen = state.dials;
            self.dialled.wait_until(&mut state, deadline.instant());
        }
    }

    /// The same for who has no time to wait: dials are made by a thread of their own, one for the
    /// address. After the deadline it may be that `then` does not run any more.
    pub(super) fn connect_apart(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        deadline: Deadline,
        then: Then,
    ) {
        let mut state = self.state.lock();
        let seen = state.dials;
        if let Some(known) = state.known(shared, seen) {
            drop(state);
            return then(known);
        }
        state.parked.push(Parked { deadline, then });
        let dials = state.begin_dial();
        drop(state);
        if let Some(Err(why)) = dials.then(|| self.dial_apart(shared, deadline)) {
            // A connection would need a thread too.
            self.give_up_parked(why);
        }
    }

    /// Ends all connections; there are none from now on, for this reason.
    pub(super) fn close(&self, why: &Error) {
        let mut state = self.state.lock();
        state.closed = Some(why.clone());
        let current = state.connection.take();
        let draining = std::mem::take(&mut state.draining);
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        self.dialled.notify_all();
        for one in parked {
            (one.then)(Err(why.clone()));
        }
        for connection in draining.iter().filter_map(Weak::upgrade).chain(current) {
            connection.kill(why.clone());
        }
    }

    fn dial_apart(self: &Arc<Self>, shared: &Arc<Shared>, deadline: Deadline) -> io::Result<()> {
        let (peer, of_peer) = (self.clone(), shared.clone());
        let dial = move || drop(peer.dial(&of_peer, deadline));
        shared.workers.threads.spawn("rmq-dial", dial)
    }

    /// Answers those who wait without a thread: there is none to dial for them, and the one that finds
    /// this out may be a caller whose time is over.
    fn give_up_parked(&self, why: io::Error) {
        let text = format!("no thread to connect with: {why}");
        let error = Error::new(ErrorKind::Io, text).at(&self.address);
        let mut state = self.state.lock();
        state.dialling = false;
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        self.dialled.notify_all();
        for one in parked {
            (one.then)(Err(error.clone()));
        }
    }

    /// Makes the connection that this thread has begun to dial, and tells all who wait for it.
    pub(super) fn dial(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        deadline: Deadline,
    ) -> Result<Arc<Connection>, Error> {
        let (peer, of_peer) = (Arc::downgrade(self), shared.clone());
        // Kept until somebody asks for it, a dead connection would keep its file open.
        let ended = move || {
            if let Some(peer) = peer.upgrade() {
                peer.state.lock().forget_unusable(&of_peer);
            }
        };
        // Whoever dials answers for the others, too.
        let dialled = catch_bug("a dial", || {
            dial::open(&self.address, shared, deadline, ended)
        });
        let result = dialled.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Io, "the dial panicked").at(&self.address))
        });
        let mut state = self.state.lock();
        state.dials += 1;
        let closed = state.closed.clone();
        match &result {
            Ok(connection) if closed.is_none() => {
                state.connection = Some(connection.clone());
                // It may be over already, and have been looked for here before this.
                state.forget_unusable(shared);
            }
            Ok(_) => {}
            // A caller that had no time left says nothing about the peer.
            Err(error) if error.kind() == ErrorKind::Timeout => {}
            Err(error) => state.note_failure(error.clone(), shared),
        }
        let before = state.dials - 1;
        let known = state.known(shared, before);
        let mut parked = std::mem::take(&mut state.parked);
        if known.is_none() {
            // The dialling caller had no time left, and some of these may have. The others' own timers
            // have answered them.
            let now = Instant::now();
            let late = |one: &Parked| one.deadline.has_passed(now);
            (parked, state.parked) = parked.into_iter().partition(late);
        }
        let again = state.parked.iter().map(|one| one.deadline).max();
        state.dialling = again.is_some();
        drop(state);
        self.dialled.notify_all();
        let result = match (result, closed) {
            (Ok(connection), Some(why)) => {
                connection.kill(why.clone());
                Err(why)
            }
            (Ok(connection), None) => {
                logging::debug!(target: LOG, "{}: connected", self.address);
                shared.inbound.connected(&connection);
                Ok(connection)
            }
            (Err(error), _) => {
                logging::debug!(target: LOG, "{error}");
                Err(error)
            }
        };
        for one in parked {
            // To those who are too late this does nothing.
            (one.then)(known.clone().unwrap_or_else(|| result.clone()));
        }
        if let Some(Err(why)) = again.map(|deadline| self.dial_apart(shared, deadline)) {
            self.give_up_parked(why);
        }
        result
    }
}

impl State {
    /// What there is without a dial, for who has seen so many of them end: a connection, or why there
    /// is none. Fresh failures are shared, so that many callers do not each wait for one.
    fn known(&mut self, shared: &Shared, seen: u64) -> Option<Result<Arc<Connection>, Error>> {
        if let Some(why) = &self.closed {
            return Some(Err(why.clone()));
        }
        self.forget_unusable(shared);
        if let Some(connection) = &self.connection {
            return Some(Ok(connection.clone()));
        }
        let now = Instant::now();
        let (error, until) = self.failed.as_ref()?;
        let fresh = seen != self.dials || now < *until;
        fresh.then(|| {
            let pause = until.saturating_duration_since(now);
            Err(error.clone().retriable_after(pause))
        })
    }

    /// False if there is one under way.
    fn begin_dial(&mut self) -> bool {
        if self.dialling {
            return false;
        }
        self.failed = None;
        self.dialling = true;
        true
    }

    fn forget_unusable(&mut self, shared: &Shared) {
        let Some(connection) = self.connection.take_if(|c| !c.is_usable()) else {
            return;
        };
        if connection.death().is_none() {
            self.draining.retain(|old| old.strong_count() > 0);
            self.draining.push(Arc::downgrade(&connection));
        }
        if connection.has_served() {
            self.failures = 0;
        } else if connection.is_retired() && self.failures == 0 {
            // Behind a load balancer another server may answer the next one: that costs no pause,
            // once.
            self.failures = 1;
        } else {
            // Up, and gone again before it was of any use (a peer that closes or says "go away" to
            // everything): without a pause this would be a storm of reconnects.
            let death = connection.death();
            let kind = match &death {
                Some(death) if death.kind() == ErrorKind::Tls => ErrorKind::Tls,
                _ => ErrorKind::Connect,
            };
            let why = death.map_or("it says go away".to_owned(), |e| e.to_string());
            let text = format!("the last new connection was of no use: {why}");
            let error = Error::new(kind, text).at(connection.address());
            self.note_failure(error, shared);
        }
    }

    fn note_failure(&mut self, error: Error, shared: &Shared) {
        self.failures = self.failures.saturating_add(1);
        let pause = backoff::delay(self.failures, shared.random());
        self.failed = Some((error, Instant::now() + pause));
    }
}
