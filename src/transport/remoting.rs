use std::cell::Cell;
use std::collections::HashMap;
use std::process;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::asynchronous::{Observed, Parked, answer, give, gone};
use super::connection::{self, Connection, Refused, Slot, Via};
use super::dial::{Continuation, Dialler, Lookup, Peer};
use super::hook::Hooked;
use super::{Completion, Deadline, Encoded, Inbound, LOG, Outcome, Permit, RemotingConfig};
use super::{Request, Shared, Workers};
use crate::error::{Error, ErrorKind};
use crate::logging;
use crate::protocol::code::response;
use crate::protocol::{Command, Head};
use crate::sync::RwLock;

/// The most connections that a request tries if it finds a dead or retired one: nothing was sent,
/// so a retry cannot duplicate.
pub(crate) const CONNECTIONS_PER_CALL: usize = 3;

/// The destination of a request.
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

    /// The most connections to try.
    fn connections(self) -> usize {
        match self {
            To::Address(_) => CONNECTIONS_PER_CALL,
            To::Connection(_) => 1,
        }
    }
}

/// Whether the calling thread may wait for a connection to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dial {
    /// It dials itself if need be, and waits, until the deadline.
    Wait,
    /// It has others to serve: the request is parked until another thread has dialled.
    Park,
}

/// A prepared request, and the hooks that see its answer.
pub(crate) struct Prepared {
    encoded: Encoded,
    hooked: Option<Hooked>,
}

/// All connections of a client, by address.
pub(crate) struct Remoting {
    pub(crate) process: Process,
    dialler: Arc<Dialler>,
    peers: RwLock<Peers>,
}

#[derive(Default)]
struct Peers {
    by_address: HashMap<Arc<str>, Arc<Peer>>,
    /// A connection added from now on would never be closed.
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
        let shared = Arc::new(Shared::new(config, workers));
        Remoting {
            process: Process(process::id()),
            dialler: Arc::new(Dialler::new(shared, inbound, lookup)),
            peers: RwLock::default(),
        }
    }

    /// Sends a request and waits for its answer. A peer that answers GO_AWAY has not executed it:
    /// the request is sent once more, over a new connection.
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
        let prepared = self.encode(to.address(), request, false)?;
        let outcome = self.exchange(to, &prepared.encoded, deadline);
        if let Some(hooked) = &prepared.hooked {
            let hooks = &self.shared().config.hooks;
            hooked.after(&hooks.user, &outcome);
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
    /// `Invalid` if a hook refuses.
    pub(crate) fn encode(
        &self,
        address: &Arc<str>,
        request: &Request<'_>,
        oneway: bool,
    ) -> Result<Prepared, Error> {
        let shared = self.shared();
        let (config, hooks) = (&shared.config, &shared.config.hooks);
        let hooked = if shared.need_command {
            let hooked = Hooked::prepare(hooks, address, request, oneway);
            Some(hooked.map_err(|error| error.at(address))?)
        } else {
            None
        };
        let request = match &hooked {
            Some(hooked) => hooked.request(),
            None => Request {
                fixed: &hooks.fixed,
                ..*request
            },
        };
        let head = Head {
            code: request.code,
            flag: if oneway { Command::ONEWAY } else { 0 },
            opaque: shared.next_opaque.fetch_add(1, Ordering::Relaxed),
            language: config.language,
            version: config.version,
            remark: request.remark,
            format: config.header_format,
        };
        let encoded = Encoded::new(&head, &request);
        // Without hooks, the answer has no observer.
        let hooked = hooked.filter(|_| !hooks.user.is_empty());
        Ok(Prepared { encoded, hooked })
    }

    /// Sends a request. Its answer, or any failure, goes to `completion`.
    pub(crate) fn invoke_async(
        &self,
        to: To<'_>,
        request: &Request<'_>,
        deadline: Deadline,
        via: Via,
        dial: Dial,
        completion: Box<dyn Completion>,
    ) {
        let prepared = self.encode(to.address(), request, false);
        self.dispatch(to, prepared, deadline, via, dial, completion);
    }

    /// The same for a request that is encoded, or could not be.
    pub(crate) fn dispatch(
        &self,
        to: To<'_>,
        prepared: Result<Prepared, Error>,
        deadline: Deadline,
        via: Via,
        dial: Dial,
        completion: Box<dyn Completion>,
    ) {
        let Prepared { encoded, hooked } = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return answer(self.shared(), Slot::Task(completion), Err(error)),
        };
        let mut slot = self.slot(hooked, completion);
        for _ in 0..to.connections() {
            let (known, address) = match to {
                To::Address(address) => (self.current(address), address),
                To::Connection(connection) => (Some(connection.clone()), connection.address()),
            };
            let connected = match known {
                Some(connection) => Ok(connection),
                None if dial == Dial::Park => {
                    return match self.peer(address) {
                        Ok(peer) => Parked {
                            peer,
                            deadline,
                            via,
                            connections: CONNECTIONS_PER_CALL,
                        }
                        .wait(&self.dialler, encoded, slot),
                        Err(error) => answer(self.shared(), slot, Err(error)),
                    };
                }
                None => self.connect(address, deadline),
            };
            match give(self.shared(), connected, &encoded, slot, deadline, via) {
                None => return,
                Some(given) => slot = given,
            }
        }
        answer(self.shared(), slot, Err(gone(to.address())));
    }

    /// The same over this very connection, for a request whose place among others matters. What is `held` is
    /// dropped as soon as it has its place, before anything is written or answered.
    pub(crate) fn dispatch_in_order<H>(
        &self,
        connection: &Arc<Connection>,
        prepared: Result<Prepared, Error>,
        deadline: Deadline,
        completion: Box<dyn Completion>,
        held: H,
    ) {
        let Prepared { encoded, hooked } = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                drop(held);
                return answer(self.shared(), Slot::Task(completion), Err(error));
            }
        };
        let slot = self.slot(hooked, completion);
        let (slot, error) = match connection.submit_in_order(&encoded, slot, deadline, held) {
            Ok(()) => return,
            Err(Refused::Gone(slot, _)) => (slot, gone(connection.address())),
            Err(Refused::Never(slot, error)) => (slot, error),
        };
        if let Some(slot) = slot {
            answer(self.shared(), slot, Err(error));
        }
    }

    /// The same, waiting for the answer.
    pub(crate) fn exchange_in_order<H>(
        &self,
        connection: &Arc<Connection>,
        prepared: &Prepared,
        deadline: Deadline,
        held: H,
    ) -> Outcome {
        let outcome = match connection.call_in_order(&prepared.encoded, deadline, held) {
            Ok(outcome) => outcome,
            Err(Refused::Gone(..)) => Err(gone(connection.address())),
            Err(Refused::Never(_, error)) => Err(error),
        };
        if let Some(hooked) = &prepared.hooked {
            hooked.after(&self.shared().config.hooks.user, &outcome);
        }
        outcome
    }

    fn slot(&self, hooked: Option<Hooked>, completion: Box<dyn Completion>) -> Slot {
        Slot::Task(match hooked {
            None => completion,
            Some(hooked) => Box::new(Observed {
                shared: self.shared().clone(),
                hooked,
                completion,
            }),
        })
    }

    /// Queues a oneway request. `Ok` means accepted; the permit is returned when the socket has
    /// taken the frame, or when it is lost, which is counted.
    pub(crate) fn invoke_oneway(
        &self,
        address: &Arc<str>,
        request: &Request<'_>,
        permit: Option<Permit>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let encoded = self.encode(address, request, true)?.encoded;
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

    /// Sends a oneway request over this connection, as the answer to the peer's request on it. It
    /// never blocks, and is refused if the peer does not read or the connection has ended. The
    /// permit is returned as with `invoke_oneway`.
    pub(crate) fn send_on(
        &self,
        connection: &Arc<Connection>,
        request: &Request<'_>,
        permit: Permit,
    ) -> Result<(), Error> {
        let address = connection.address();
        let encoded = self.encode(address, request, true)?.encoded;
        let sent = connection.send_on(&encoded, permit);
        sent.then_some(()).ok_or_else(|| gone(address))
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

    /// All addresses that were used.
    pub(crate) fn addresses(&self) -> Vec<Arc<str>> {
        self.peers.read().by_address.keys().cloned().collect()
    }

    /// Forgets an address, closing its connections; not while answers are due soon on one of them: a
    /// question can go to brokers that no route names, such as slaves. Parked requests fail.
    pub(crate) fn forget(&self, address: &Arc<str>) {
        let mut peers = self.peers.write();
        let Some(peer) = peers.by_address.get(address) else {
            return;
        };
        // A thread that has the peer too is about to dial, or waits for a dial. None can get it meanwhile,
        // and what finds the connection retired takes another one.
        if Arc::strong_count(peer) > 1 || !peer.retire_if_quiet() {
            return;
        }
        let forgotten = peers.by_address.remove(address);
        drop(peers);
        if let Some(peer) = forgotten {
            logging::info!(target: LOG, "{address}: in no route any more; closing");
            let text = "the broker left all routes";
            peer.close(&Error::new(ErrorKind::Disconnected, text).at(address));
        }
    }

    /// Closes connections that were idle for too long.
    pub(crate) fn close_idle(&self, now: Instant) {
        let peers: Vec<_> = self.peers.read().by_address.values().cloned().collect();
        for connection in peers.iter().filter_map(|peer| peer.current()) {
            connection::end_if_idle(&connection, now, self.shared().config.idle_timeout);
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
        self.shared().lost_oneway()
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
        self.peer(address)?.connect(&self.dialler, deadline)
    }

    /// The same for a thread that must not wait: `run` runs once, on any thread; after the deadline
    /// possibly not at all.
    pub(crate) fn connect_parked(&self, address: &Arc<str>, deadline: Deadline, run: Continuation) {
        match self.peer(address) {
            Ok(peer) => peer.connect_parked(&self.dialler, deadline, run),
            Err(error) => run(Err(error)),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.dialler.shared
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

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the client is shut down")
}

/// The process that a client belongs to.
///
/// A fork has the client's sockets but none of its threads: its writes would mix with those of the
/// parent, and its shutdown would close the parent's connections. So calls in a fork are refused:
/// all calls except sends check each time, sends check at intervals.
pub(crate) struct Process(u32);

thread_local! {
    /// The process id of the last check, and its time.
    static LOOKED: Cell<Option<(u32, Instant)>> = const { Cell::new(None) };
}

/// The interval at which the sends of a thread check: at this rate the system call costs nothing.
const EVERY: Duration = Duration::from_millis(100);

impl Process {
    /// Whether the current process is a fork of it. A system call.
    pub(crate) fn is_forked(&self) -> bool {
        process::id() != self.0
    }

    /// The same for every send: this thread's check of less than a tenth of a second ago is still
    /// valid.
    pub(crate) fn is_forked_at(&self, now: Instant) -> bool {
        let looked = LOOKED.get();
        let looked = looked.filter(|(_, at)| now.saturating_duration_since(*at) < EVERY);
        let (here, _) = looked.unwrap_or_else(|| {
            let looked = (process::id(), now);
            LOOKED.set(Some(looked));
            looked
        });
        // A check from before the fork is not valid for a client of the fork.
        here != self.0 && self.is_forked()
    }
}

#[cfg(test)]
mod tests;
