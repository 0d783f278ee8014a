use std::sync::{Arc, Weak};
use std::time::Instant;

use super::shared::Shared;
use super::{Connection, Deadline, backoff, dial};
use crate::error::{Error, ErrorKind, Wait};
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

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    /// Those that take no new requests and still have answers to bring.
    draining: Vec<Weak<Connection>>,
    dialling: bool,
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

    /// The connection if there is a usable one.
    pub(super) fn current(&self) -> Option<Arc<Connection>> {
        self.state
            .lock()
            .connection
            .clone()
            .filter(|connection| connection.is_usable())
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
            if let Some(why) = &state.closed {
                return Err(why.clone());
            }
            state.forget_unusable(shared);
            if let Some(connection) = &state.connection {
                return Ok(connection.clone());
            }
            let now = Instant::now();
            if let Some((error, until)) = &state.failed {
                // Fresh failures are shared, so that many callers do not each wait for one.
                if seen != state.dials || now < *until {
                    return Err(error
                        .clone()
                        .retriable_after(until.saturating_duration_since(now)));
                }
            }
            if deadline.has_passed(now) {
                return Err(Error::timeout(Wait::Connect).at(&self.address));
            }
            if !state.dialling {
                state.dialling = true;
                state.failed = None;
                drop(state);
                return self.dial(shared, deadline);
            }
            seen = state.dials;
            self.dialled.wait_until(&mut state, deadline.instant());
        }
    }

    /// Ends all connections; there are none from now on, for this reason.
    pub(super) fn close(&self, why: &Error) {
        let mut state = self.state.lock();
        state.closed = Some(why.clone());
        let current = state.connection.take();
        let draining = std::mem::take(&mut state.draining);
        drop(state);
        self.dialled.notify_all();
        for connection in draining.iter().filter_map(Weak::upgrade).chain(current) {
            connection.kill(why.clone());
        }
    }

    fn dial(
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
        let result = dial::open(&self.address, shared, deadline, ended);
        let mut state = self.state.lock();
        state.dials += 1;
        state.dialling = false;
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
        drop(state);
        self.dialled.notify_all();
        match (result, closed) {
            (Ok(connection), Some(why)) => {
                connection.kill(why.clone());
                Err(why)
            }
            (Ok(connection), None) => {
                log::debug!("{}: connected", self.address);
                shared.inbound.connected(&connection);
                Ok(connection)
            }
            (Err(error), _) => {
                log::debug!("{error}");
                Err(error)
            }
        }
    }
}

impl State {
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
