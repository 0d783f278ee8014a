use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{Dialler, Preference, backoff};
use crate::error::{Error, ErrorKind, Wait};
use crate::logging;
use crate::sync::Mutex;
use crate::transport::connection::{self, Connection};
use crate::transport::{Deadline, Deferred, LOG, Lead, Role, SingleFlight, catch_bug};

/// One address: its connection, or the dial in flight, or the last error.
///
/// One dial at a time, and for no longer than the dialling caller may wait; the others follow it
/// until their own deadlines.
pub(crate) struct Peer {
    address: Arc<str>,
    state: Mutex<State>,
    dials: SingleFlight<(), Dialled>,
    /// The order of the addresses behind the name.
    preference: Mutex<Preference>,
}

pub(crate) type Dialled = Result<Arc<Connection>, Error>;

/// The continuation that gets the connection, or the error.
pub(crate) type Continuation = Box<dyn FnOnce(Dialled) + Send>;

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    /// Those that take no new requests and still have answers to bring.
    draining: Vec<Weak<Connection>>,
    /// Why there are no connections from now on.
    closed: Option<Error>,
    failures: u32,
    /// Why the last dial failed, and until when the address is spared.
    failed: Option<(Error, Instant)>,
}

impl Peer {
    pub(crate) fn new(address: Arc<str>) -> Peer {
        Peer {
            address,
            state: Mutex::default(),
            dials: SingleFlight::default(),
            preference: Mutex::default(),
        }
    }

    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// The connection if there is a usable one.
    pub(crate) fn current(&self) -> Option<Arc<Connection>> {
        let state = self.state.lock();
        let connection = state.connection.as_ref()?;
        connection.is_usable().then(|| connection.clone())
    }

    /// Why there is no connection, if a dial has failed and no other was begun.
    pub(crate) fn dial_failure(&self) -> Option<Error> {
        let state = self.state.lock();
        state.failed.as_ref().map(|(error, _)| error.clone())
    }

    /// Whether an answer is due soon, or a dial is in flight.
    pub(crate) fn is_awaited(&self) -> bool {
        let state = self.state.lock();
        let draining = state.draining.iter().filter_map(Weak::upgrade);
        let connections: Vec<_> = draining.chain(state.connection.clone()).collect();
        drop(state);
        self.dials.is_under_way(&()) || connections.iter().any(|c| c.is_awaited())
    }

    /// A usable connection, dialled if needed. All errors mean that nothing was sent.
    pub(crate) fn connect(self: &Arc<Self>, dialler: &Arc<Dialler>, deadline: Deadline) -> Dialled {
        let late = || Error::timeout(Wait::Connect).at(&self.address);
        loop {
            if let Some(known) = self.known(dialler) {
                return known;
            }
            if deadline.has_passed(Instant::now()) {
                return Err(late());
            }
            match self.dials.join(&()) {
                Role::Lead(lead) => return self.dial(dialler, deadline, lead),
                Role::Follow(dial) => match dial.wait(deadline) {
                    None => return Err(late()),
                    Some(dialled) => {
                        if let Some(dialled) = self.adopt(dialler, dialled) {
                            return dialled;
                        }
                    }
                },
            }
        }
    }

    /// The same for a thread that must not wait: one thread for the address dials. After the
    /// deadline `run` may not run at all.
    pub(crate) fn connect_parked(
        self: &Arc<Self>,
        dialler: &Arc<Dialler>,
        deadline: Deadline,
        run: Continuation,
    ) {
        if let Some(known) = self.known(dialler) {
            return run(known);
        }
        let (dial, lead) = match self.dials.join(&()) {
            Role::Lead(lead) => (lead.flight().clone(), Some(lead)),
            Role::Follow(dial) => (dial, None),
        };
        let (peer, of_dial) = (self.clone(), dialler.clone());
        dial.then(move |dialled| match peer.adopt(&of_dial, dialled.clone()) {
            Some(dialled) => run(dialled),
            None if dialled.is_none() => {
                // A connection would need a thread too.
                let error = Error::new(ErrorKind::Io, "no thread to connect with");
                run(Err(error.at(&peer.address)));
            }
            None if deadline.has_passed(Instant::now()) => {
                run(Err(Error::timeout(Wait::Connect).at(&peer.address)));
            }
            None => peer.connect_parked(&of_dial, deadline, run),
        });
        if let Some(lead) = lead {
            self.dial_elsewhere(dialler, deadline, lead);
        }
    }

    /// Ends all connections with this error, and opens no more.
    pub(crate) fn close(&self, why: &Error) {
        let mut state = self.state.lock();
        state.closed = Some(why.clone());
        let current = state.connection.take();
        let draining = std::mem::take(&mut state.draining);
        drop(state);
        // The dial itself may outlive the client, whose timer ends with it.
        self.dials.abandon(&(), Err(why.clone()));
        for connection in draining.iter().filter_map(Weak::upgrade).chain(current) {
            connection::kill(&connection, why.clone());
        }
    }

    /// The result without a dial: a connection, or a fresh failure. Fresh failures are shared, so
    /// that many callers do not each wait for one.
    fn known(&self, dialler: &Dialler) -> Option<Dialled> {
        let mut state = self.state.lock();
        if let Some(why) = &state.closed {
            return Some(Err(why.clone()));
        }
        self.forget_unusable(&mut state, dialler);
        if let Some(connection) = &state.connection {
            return Some(Ok(connection.clone()));
        }
        let (error, until) = state.failed.as_ref()?;
        let pause = until.saturating_duration_since(Instant::now());
        (!pause.is_zero()).then(|| Err(error.clone().retriable_after(pause)))
    }

    /// The result of another caller's dial; `None` if this caller should dial itself: the other one
    /// was lost, or had no time, or its connection has already ended.
    fn adopt(&self, dialler: &Dialler, dialled: Option<Dialled>) -> Option<Dialled> {
        match dialled? {
            Ok(_) => self.known(dialler),
            Err(error) if error.kind() == ErrorKind::Timeout => None,
            Err(error) => {
                let known = self.known(dialler);
                // The pause is over already.
                let over = || Err(error.retriable_after(Duration::ZERO));
                Some(known.unwrap_or_else(over))
            }
        }
    }

    fn dial_elsewhere(
        self: &Arc<Self>,
        dialler: &Arc<Dialler>,
        deadline: Deadline,
        lead: Lead<(), Dialled>,
    ) {
        // Without a thread the lead ends here, and not in the middle of an attempt to start one.
        let lead = Deferred::new(lead);
        let (peer, of_dial, to_dial) = (self.clone(), dialler.clone(), lead.clone());
        let dial = move || {
            if let Some(lead) = to_dial.take() {
                drop(peer.dial(&of_dial, deadline, lead));
            }
        };
        let threads = &dialler.shared.workers.threads;
        if threads.spawn("rmq-dial", dial).is_err() {
            drop(lead.take());
        }
    }

    /// Dials, and finishes all followers.
    pub(crate) fn dial(
        self: &Arc<Self>,
        dialler: &Arc<Dialler>,
        deadline: Deadline,
        lead: Lead<(), Dialled>,
    ) -> Dialled {
        // Another dial may have ended just before this one began.
        if let Some(known) = self.known(dialler) {
            lead.finish(known.clone());
            return known;
        }
        self.state.lock().failed = None;
        let (peer, of_peer) = (Arc::downgrade(self), dialler.clone());
        // A dead connection must not keep its file open until the next use of the address.
        let ended = move || {
            if let Some(peer) = peer.upgrade() {
                peer.forget_unusable(&mut peer.state.lock(), &of_peer);
            }
        };
        let opened = catch_bug("a dial", || {
            dialler.open(&self.address, &self.preference, deadline, ended)
        });
        let opened = opened.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Io, "the dial panicked").at(&self.address))
        });
        let mut state = self.state.lock();
        let closed = state.closed.clone();
        match &opened {
            Ok(connection) if closed.is_none() => {
                state.connection = Some(connection.clone());
                // It may be over already, and have been looked for here before this.
                self.forget_unusable(&mut state, dialler);
            }
            Ok(_) => {}
            // A caller without time left proves nothing about the peer.
            Err(error) if error.kind() == ErrorKind::Timeout => {}
            Err(error) => state.note_failure(error.clone(), dialler),
        }
        drop(state);
        let dialled = match (opened, closed) {
            (Ok(connection), Some(why)) => {
                connection::kill(&connection, why.clone());
                Err(why)
            }
            (opened, _) => opened,
        };
        // The first frames of the layer above precede parked requests.
        lead.finish_with(dialled.clone(), || match &dialled {
            Ok(connection) => {
                logging::debug!(target: LOG, "{}: connected", self.address);
                let connected = || dialler.inbound.connected(connection);
                catch_bug("what follows a dial", connected);
            }
            Err(error) => logging::debug!(target: LOG, "{error}"),
        });
        dialled
    }

    fn forget_unusable(&self, state: &mut State, dialler: &Dialler) {
        let Some(connection) = state.connection.take_if(|c| !c.is_usable()) else {
            return;
        };
        let death = connection.death();
        if death.is_none() {
            state.draining.retain(|old| old.strong_count() > 0);
            state.draining.push(Arc::downgrade(&connection));
        }
        let mut preference = self.preference.lock();
        match (connection.remote(), connection.was_of_use()) {
            (None, _) => {}
            (Some(remote), true) => preference.worked(remote),
            (Some(remote), false) => preference.failed(remote),
        }
        let has_other = preference.has_other();
        drop(preference);
        if connection.has_served() {
            state.failures = 0;
        } else if has_other {
            // The next dial begins with another address, which has nothing to do with this failure.
        } else if connection.is_retired() && state.failures == 0 {
            // Behind a load balancer another server may answer the next dial: the first retry has
            // no pause.
            state.failures = 1;
        } else {
            // Connected, and ended before any use (a peer that closes or answers GO_AWAY to
            // everything): without a pause this would be a storm of dials.
            let kind = match &death {
                Some(death) if death.kind() == ErrorKind::Tls => ErrorKind::Tls,
                _ => ErrorKind::Connect,
            };
            let why = death.map_or("it answers GO_AWAY".to_owned(), |e| e.to_string());
            let text = format!("the last new connection was of no use: {why}");
            let error = Error::new(kind, text).at(connection.address());
            state.note_failure(error, dialler);
        }
    }

    /// As if a caller had begun to dial, and had yet to call [`dial`](Peer::dial).
    #[cfg(test)]
    pub(crate) fn begin_dial(&self) -> Lead<(), Dialled> {
        match self.dials.join(&()) {
            Role::Lead(lead) => lead,
            Role::Follow(_) => panic!("a dial is in flight"),
        }
    }
}

impl State {
    fn note_failure(&mut self, error: Error, dialler: &Dialler) {
        self.failures = self.failures.saturating_add(1);
        let pause = backoff::delay(self.failures, dialler.shared.random());
        self.failed = Some((error, Instant::now() + pause));
    }
}
