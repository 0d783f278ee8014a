use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::LOG;
use super::connection::{Connection, Refused, Via};
use super::hook::{Hooked, Observed};
use super::peer::{Peer, Then};
use super::ready::Ready;
use super::resolve::Lookup;
use super::shared::{RemotingConfig, Shared};
use super::slot::Slot;
use super::workers::Workers;
use super::{Completion, Deadline, Encoded, Inbound, Outcome, Permit, Request};
use crate::error::{Error, ErrorKind, Wait};
use crate::logging;
use crate::protocol::code::response;
use crate::sync::{Mutex, RwLock};

/// How a dead or retired connection found under a request is replaced before giving up: nothing
/// was sent, so that trying again cannot duplicate.
pub(crate) const CONNECTIONS_PER_CALL: usize = 3;

/// Where a request goes.
#[derive(Clone, Copy)]
pub(crate) enum To<'a> {
    /// To this address, over its usable connection, which is made if need be.
    Address(&'a Arc<str>),
    /// Over this very connection or, if that is at its end, not at all.
    Connection(&'a Arc<Connection>),
}

impl<'a> To<'a> {
    /// Over this connection to the address, if there is one that it has to be.
    pub(crate) fn over(connection: Option<&'a Arc<Connection>>, address: &'a Arc<str>) -> To<'a> {
        connection.map_or(To::Address(address), To::Connection)
    }

    fn address(self) -> &'a Arc<str> {
        match self {
            To::Address(address) => address,
            To::Connection(connection) => connection.address(),
        }
    }

    /// How many connections may be tried.
    fn connections(self) -> usize {
        match self {
            To::Address(_) => CONNECTIONS_PER_CALL,
            To::Connection(_) => 1,
        }
    }
}

/// All connections of a client, by address.
pub(crate) struct Remoting {
    shared: Arc<Shared>,
    peers: RwLock<Peers>,
}

#[derive(Default)]
struct Peers {
    by_address: HashMap<Arc<str>, Arc<Peer>>,
    /// Nobody would close what is added from now on.
    closed: bool,
}

impl Remoting {
    /// `lookup` resolves host names; the system's resolver if there is none.
    pub(crate) fn new(
        config: RemotingConfig,
        workers: Workers,
        inbound: Arc<dyn Inbound>,
        lookup: Option<Lookup>,
    ) -> Remoting {
        let shared = Arc::new(Shared::new(config, workers, inbound, lookup));
        Remoting {
            shared,
            peers: RwLock::default(),
        }
    }

    /// Sends a request and waits for its answer. A peer that says "go away" has not executed it:
    /// it is sent once more, over a new connection.
    pub(crate) fn invoke(
        &self,
        address: &Arc<str>,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Outcome {
        match self.invoke_once(To::Address(address), request, deadline) {
            Ok(answer) if answer.code == response::GO_AWAY => {
                self.invoke_once(To::Address(address), request, deadline)
            }
            outcome => outcome,
        }
    }

    /// Sends a request and waits for its answer, whatever that is.
    pub(crate) fn invoke_once(
        &self,
        to: To<'_>,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Outcome {
        let encoded = self.encode(to.address(), request, false)?;
        let outcome = self.exchange(to, &encoded, deadline);
        if let Some(hooked) = &encoded.hooked {
            hooked.after(&self.shared.config.hooks.user, &outcome);
        }
        outcome
    }

    fn exchange(&self, to: To<'_>, request: &Encoded, deadline: Deadline) -> Outcome {
        for _ in 0..to.connections() {
            let called = match to {
                To::Address(address) => self.connect(address, deadline)?.call(request, deadline),
                To::Connection(connection) => connection.call(request, deadline),
            };
            match called {
                Ok(outcome) => return outcome,
                Err(Refused::Never(_, error)) => return Err(error),
                Err(Refused::Gone(..)) => {}
            }
        }
        Err(gone(to.address()))
    }

    /// A request as it goes out, after all that comes before it.
    ///
    /// # Errors
    /// `Invalid` if a hook says so.
    pub(crate) fn encode(
        &self,
        address: &Arc<str>,
        request: &Request<'_>,
        oneway: bool,
    ) -> Result<Encoded, Error> {
        let hooks = &self.shared.config.hooks;
        if !hooks.need_command() {
            return Ok(hooks.with_fixed(request, |request| {
                Encoded::new(&self.shared, request, oneway)
            }));
        }
        let hooked = Hooked::prepare(&self.shared.config, address, request, oneway)
            .map_err(|error| error.at(address))?;
        let mut encoded = Encoded::new(&self.shared, &hooked.request(), oneway);
        encoded.hooked = (!hooks.user.is_empty()).then_some(hooked);
        Ok(encoded)
    }

    /// Sends a request whose answer goes to `completion`. Connecting, if need be, happens here and
    /// now; every failure goes to the completion too.
    pub(crate) fn invoke_async(
        &self,
        to: To<'_>,
        request: &Request<'_>,
        deadline: Deadline,
        via: Via,
        completion: Box<dyn Completion>,
    ) {
        let encoded = self.encode(to.address(), request, false);
        self.dispatch(to, encoded, deadline, via, completion);
    }

    /// The same for a request that is encoded, or could not be.
    pub(crate) fn dispatch(
        &self,
        to: To<'_>,
        encoded: Result<Encoded, Error>,
        deadline: Deadline,
        via: Via,
        completion: Box<dyn Completion>,
    ) {
        let mut encoded = match encoded {
            Ok(encoded) => encoded,
            Err(error) => return self.answer(Slot::Task(completion), Err(error)),
        };
        let completion: Box<dyn Completion> = match encoded.hooked.take() {
            None => completion,
            Some(hooked) => Box::new(Observed {
                shared: self.shared.clone(),
                hooked,
                completion,
            }),
        };
        let mut slot = Slot::Task(completion);
        for connection in 1..=to.connections() {
            let (known, address) = match to {
                To::Address(address) => (self.current(address), address),
                To::Connection(connection) => (Some(connection.clone()), connection.address()),
            };
            let connected = match known {
                Some(connection) => Ok(connection),
                // A thread that has others to serve waits for no dial.
                None if self.shared.workers.retries.runs_here() => {
                    return match self.peer(address) {
                        Ok(peer) => Apart {
                            peer,
                            deadline,
                            via,
                        }
                        .dispatch(&self.shared, encoded, slot, connection),
                        Err(error) => self.answer(slot, Err(error)),
                    };
                }
                None => self.connect(address, deadline),
            };
            match give(&self.shared, connected, &encoded, slot, deadline, via) {
                None => return,
                Some(given) => slot = given,
            }
        }
        self.answer(slot, Err(gone(to.address())));
    }

    /// Queues a request that has no answer. `Ok` means accepted; the permit is given back when the
    /// socket has taken the frame, or when it is lost, which is counted.
    pub(crate) fn invoke_oneway(
        &self,
        address: &Arc<str>,
        request: &Request<'_>,
        permit: Option<Permit>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let encoded = self.encode(address, request, true)?;
        let mut permit = permit;
        for _ in 0..CONNECTIONS_PER_CALL {
            let connection = self.connect(address, deadline)?;
            match connection.submit(&encoded, None, permit, deadline, Via::WriterThread) {
                Ok(()) => return Ok(()),
                Err(Refused::Never(_, error)) => return Err(error),
                Err(Refused::Gone(_, given)) => permit = given,
            }
        }
        Err(gone(address))
    }

    /// Sends a request that has no answer over this very connection: what the peer asked there is
    /// to be answered there. It never waits, and is refused when the peer does not read or the
    /// connection is at its end. The permit is given back as with `invoke_oneway`.
    pub(crate) fn tell(
        &self,
        connection: &Arc<Connection>,
        request: &Request<'_>,
        permit: Permit,
    ) -> Result<(), Error> {
        let address = connection.address();
        let encoded = self.encode(address, request, true)?;
        let told = connection.tell(&encoded, permit);
        told.then_some(()).ok_or_else(|| gone(address))
    }

    /// The addresses with a usable connection.
    pub(crate) fn connected(&self) -> Vec<Arc<str>> {
        let peers = self.peers.read();
        peers
            .by_address
            .iter()
            .filter(|(_, p)| p.current().is_some())
            .map(|(a, _)| a.clone())
            .collect()
    }

    /// The usable connections.
    pub(crate) fn usable(&self) -> Vec<Arc<Connection>> {
        let peers = self.peers.read();
        let current = peers.by_address.values().filter_map(|peer| peer.current());
        current.collect()
    }

    /// Why there is no connection to some addresses, as the last dial has it.
    pub(crate) fn dial_failures(&self) -> Vec<(Arc<str>, Error)> {
        let peers = self.peers.read();
        let failure = |(address, peer): (&Arc<str>, &Arc<Peer>)| {
            let error = peer.dial_failure()?;
            Some((address.clone(), error))
        };
        peers.by_address.iter().filter_map(failure).collect()
    }

    /// All addresses that were asked for.
    pub(crate) fn addresses(&self) -> Vec<Arc<str>> {
        self.peers.read().by_address.keys().cloned().collect()
    }

    /// Forgets an address, closing its connections; not while answers are awaited on one of them: a
    /// question can go to brokers that no route names, such as slaves.
    pub(crate) fn forget(&self, address: &Arc<str>) {
        let known = self.peers.read().by_address.get(address).cloned();
        if known.is_some_and(|peer| peer.is_awaited()) {
            return;
        }
        let forgotten = self.peers.write().by_address.remove(address);
        if let Some(peer) = forgotten {
            logging::info!(target: LOG, "{address}: in no route any more; closing");
            // Who is just about to use it may try another one.
            let text = "the broker left all routes";
            peer.close(&Error::new(ErrorKind::Disconnected, text).at(address));
        }
    }

    /// Closes connections that were idle for too long.
    pub(crate) fn close_idle(&self, now: Instant) {
        let peers: Vec<_> = self.peers.read().by_address.values().cloned().collect();
        for connection in peers.iter().filter_map(|peer| peer.current()) {
            connection.end_if_idle(now, self.shared.config.idle_timeout);
        }
    }

    /// Closes every connection, answering all waiters, and makes no new ones.
    pub(crate) fn close(&self) {
        let mut peers = self.peers.write();
        peers.closed = true;
        let all: Vec<_> = peers.by_address.values().cloned().collect();
        drop(peers);
        for peer in all {
            peer.close(&closed());
        }
    }

    /// Oneway messages that were accepted and then lost with their connection.
    pub(crate) fn lost_oneway(&self) -> u64 {
        self.shared.lost_oneway()
    }

    #[cfg(test)]
    pub(super) fn number_next(&self, opaque: i32) {
        self.shared.number_next(opaque);
    }

    /// Answers a waiter that never came to a connection.
    fn answer(&self, slot: Slot, outcome: Outcome) {
        answer(&self.shared, slot, outcome);
    }

    /// The usable connection to this address.
    pub(crate) fn current(&self, address: &Arc<str>) -> Option<Arc<Connection>> {
        let peers = self.peers.read();
        let known = peers.by_address.get(address);
        known.and_then(|peer| peer.current())
    }

    /// The connection to this address, made if need be. The next request may yet use another one.
    pub(crate) fn connect(
        &self,
        address: &Arc<str>,
        deadline: Deadline,
    ) -> Result<Arc<Connection>, Error> {
        let peers = self.peers.read();
        let known = peers.by_address.get(address);
        if let Some(connection) = known.and_then(|peer| peer.current()) {
            return Ok(connection);
        }
        drop(peers);
        self.peer(address)?.connect(&self.shared, deadline)
    }

    /// The same for who may not wait: `then` runs once, on whatever thread; after the deadline it may be
    /// that it does not.
    pub(crate) fn connect_apart(&self, address: &Arc<str>, deadline: Deadline, then: Then) {
        match self.peer(address) {
            Ok(peer) => peer.connect_apart(&self.shared, deadline, then),
            Err(error) => then(Err(error)),
        }
    }

    fn peer(&self, address: &Arc<str>) -> Result<Arc<Peer>, Error> {
        let known = self.peers.read().by_address.get(address).cloned();
        known.map_or_else(|| self.add(address), Ok)
    }

    fn add(&self, address: &Arc<str>) -> Result<Arc<Peer>, Error> {
        let mut peers = self.peers.write();
        if peers.closed {
            return Err(closed());
        }
        let new = || Arc::new(Peer::new(address.clone()));
        let peer = peers.by_address.entry(address.clone()).or_insert_with(new);
        Ok(peer.clone())
    }
}

/// How a request is dispatched by a thread that has others to serve, and does not wait for a
/// connection.
struct Apart {
    peer: Arc<Peer>,
    deadline: Deadline,
    via: Via,
}

impl Apart {
    /// With this connection, the first one or a further one.
    fn dispatch(self, shared: &Arc<Shared>, encoded: Encoded, slot: Slot, connection: usize) {
        let (peer, deadline) = (self.peer.clone(), self.deadline);
        let waiting = Arc::new(Mutex::new(Some((encoded, slot))));
        let (late, of_late, late_peer) = (waiting.clone(), shared.clone(), peer.clone());
        let of_then = shared.clone();
        let then = move |dialled: Result<Arc<Connection>, Error>| {
            let taken = waiting.lock().take();
            let Some((encoded, slot)) = taken else {
                return;
            };
            match give(&of_then, dialled, &encoded, slot, deadline, self.via) {
                None => {}
                Some(slot) if connection < CONNECTIONS_PER_CALL => {
                    self.dispatch(&of_then, encoded, slot, connection + 1);
                }
                Some(slot) => answer(&of_then, slot, Err(gone(self.peer.address()))),
            }
        };
        peer.connect_apart(shared, deadline, Box::new(then));
        if late.lock().is_none() {
            return;
        }
        shared.workers.timer.schedule(deadline.instant(), move |_| {
            let taken = late.lock().take();
            if let Some((_, slot)) = taken {
                let error = Error::timeout(Wait::Connect).at(late_peer.address());
                answer(&of_late, slot, Err(error));
            }
        });
    }
}

/// Gives an asynchronous request to a connection, if there is one. The waiter comes back if that
/// connection was just at its end: another one may take the request.
fn give(
    shared: &Shared,
    connected: Result<Arc<Connection>, Error>,
    encoded: &Encoded,
    slot: Slot,
    deadline: Deadline,
    via: Via,
) -> Option<Slot> {
    let submitted = match connected {
        Ok(connection) => connection.submit(encoded, Some(slot), None, deadline, via),
        Err(why) => Err(Refused::Never(Some(slot), why)),
    };
    match submitted {
        Ok(()) => None,
        Err(Refused::Gone(slot, _)) => slot,
        Err(Refused::Never(slot, why)) => {
            if let Some(slot) = slot {
                answer(shared, slot, Err(why));
            }
            None
        }
    }
}

fn answer(shared: &Shared, slot: Slot, outcome: Outcome) {
    let mut ready = Ready::default();
    ready.answer(slot, outcome, Instant::now());
    ready.hand_over(shared);
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the client is shut down")
}

fn gone(address: &Arc<str>) -> Error {
    Error::new(
        ErrorKind::Disconnected,
        "the connection is gone, or breaks as soon as it is made",
    )
    .at(address)
}
