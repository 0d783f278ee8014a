use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use super::connection::{Connection, Ready, Refused, Via};
use super::peer::Peer;
use super::resolve::{Lookup, Resolver};
use super::slot::Slot;
use super::{Completion, Deadline, Inbound, Outcome, Permit, Pool, Threads, Timer};
use crate::error::{Error, ErrorKind};
use crate::protocol::code::response;
use crate::protocol::{Fields, HeaderFormat, Language};

/// How a dead or retired connection found under a request is replaced before giving up: nothing
/// was sent, so that trying again cannot duplicate.
const CONNECTIONS_PER_CALL: usize = 3;

/// All connections of a client, by address.
pub(crate) struct Remoting {
    shared: Arc<Shared>,
    peers: RwLock<HashMap<Arc<str>, Arc<Peer>>>,
}

/// What connections and dials share.
pub(super) struct Shared {
    pub(super) config: RemotingConfig,
    pub(super) threads: Threads,
    pub(super) timer: Timer,
    pub(super) callbacks: Pool,
    pub(super) retries: Pool,
    pub(super) inbound: Arc<dyn Inbound>,
    pub(super) resolver: Resolver,
    lost_oneway: AtomicU64,
    random: RandomState,
    random_calls: AtomicU64,
}

#[derive(Debug, Clone)]
pub(crate) struct RemotingConfig {
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) header_format: HeaderFormat,
    pub(crate) language: Language,
    pub(crate) version: i32,
}

/// A request whose parts are borrowed until it is encoded.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) code: i32,
    pub(crate) fields: &'a dyn Fields,
    pub(crate) remark: Option<&'a str>,
    pub(crate) body: Option<&'a Arc<Vec<u8>>>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(code: i32, fields: &'a dyn Fields) -> Request<'a> {
        Request {
            code,
            fields,
            remark: None,
            body: None,
        }
    }

    pub(crate) fn with_body(self, body: &'a Arc<Vec<u8>>) -> Request<'a> {
        Request {
            body: Some(body),
            ..self
        }
    }
}

impl Remoting {
    pub(crate) fn new(
        config: RemotingConfig,
        threads: Threads,
        timer: Timer,
        callbacks: Pool,
        retries: Pool,
        inbound: Arc<dyn Inbound>,
        lookup: Option<Lookup>,
    ) -> Remoting {
        let resolver = Resolver::new(lookup.unwrap_or_else(Resolver::system), threads.clone());
        let shared = Shared {
            config,
            threads,
            timer,
            callbacks,
            retries,
            inbound,
            resolver,
            lost_oneway: AtomicU64::new(0),
            random: RandomState::new(),
            random_calls: AtomicU64::new(0),
        };
        Remoting {
            shared: Arc::new(shared),
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
        match self.invoke_once(address, request, deadline) {
            Ok(answer) if answer.code == response::GO_AWAY => {
                self.invoke_once(address, request, deadline)
            }
            outcome => outcome,
        }
    }

    /// Sends a request and waits for its answer, whatever that is.
    pub(crate) fn invoke_once(
        &self,
        address: &Arc<str>,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Outcome {
        for _ in 0..CONNECTIONS_PER_CALL {
            match self.connect(address, deadline)?.call(request, deadline) {
                Ok(outcome) => return outcome,
                Err(Refused::TooLarge(_)) => return Err(too_large()),
                Err(Refused::Gone(..)) => {}
            }
        }
        Err(gone(address))
    }

    /// Sends a request whose answer goes to `completion`. Connecting, if need be, happens here and
    /// now; every failure goes to the completion too.
    pub(crate) fn invoke_async(
        &self,
        address: &Arc<str>,
        request: &Request<'_>,
        deadline: Deadline,
        completion: Box<dyn Completion>,
    ) {
        let mut slot = Some(Slot::Task(completion));
        let mut error = None;
        for _ in 0..CONNECTIONS_PER_CALL {
            let connection = match self.connect(address, deadline) {
                Ok(connection) => connection,
                Err(e) => {
                    error = Some(e);
                    break;
                }
            };
            match connection.submit(request, slot.take(), None, deadline, Via::WriterThread) {
                Ok(_) => return,
                Err(Refused::Gone(given, _)) => slot = given,
                Err(Refused::TooLarge(given)) => {
                    slot = given;
                    error = Some(too_large());
                    break;
                }
            }
        }
        if let Some(slot) = slot {
            let mut ready = Ready::default();
            ready.answer(slot, Err(error.unwrap_or_else(|| gone(address))));
            ready.hand_over(&self.shared);
        }
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
        let mut permit = permit;
        for _ in 0..CONNECTIONS_PER_CALL {
            let connection = self.connect(address, deadline)?;
            match connection.submit(request, None, permit, deadline, Via::WriterThread) {
                Ok(_) => return Ok(()),
                Err(Refused::TooLarge(_)) => return Err(too_large()),
                Err(Refused::Gone(_, given)) => permit = given,
            }
        }
        Err(gone(address))
    }

    /// The addresses with a usable connection.
    pub(crate) fn connected(&self) -> Vec<Arc<str>> {
        let peers = self.peers.read();
        peers
            .iter()
            .filter(|(_, p)| p.current().is_some())
            .map(|(a, _)| a.clone())
            .collect()
    }

    /// Forgets the addresses that are not wanted any more, closing their connections.
    pub(crate) fn retain(&self, wanted: impl Fn(&str) -> bool) {
        let mut gone = Vec::new();
        self.peers.write().retain(|address, peer| {
            let keep = wanted(address);
            if !keep {
                gone.push(peer.clone());
            }
            keep
        });
        for peer in gone {
            if let Some(connection) = peer.close() {
                log::info!("{}: in no route any more; closing", connection.address());
                connection.kill(Error::new(
                    ErrorKind::Disconnected,
                    "the broker left all routes",
                ));
            }
        }
    }

    /// Closes connections that were idle for too long.
    pub(crate) fn close_idle(&self, now: Instant) {
        let peers: Vec<_> = self.peers.read().values().cloned().collect();
        for connection in peers.iter().filter_map(|peer| peer.current()) {
            connection.end_if_idle(now, self.shared.config.idle_timeout);
        }
    }

    /// Closes every connection, answering all waiters, and makes no new ones.
    pub(crate) fn close(&self) {
        let peers: Vec<_> = self.peers.read().values().cloned().collect();
        for connection in peers.iter().filter_map(|peer| peer.close()) {
            connection.kill(Error::new(ErrorKind::Closed, "the client is shut down"));
        }
    }

    /// Oneway messages that were accepted and then lost with their connection.
    pub(crate) fn lost_oneway(&self) -> u64 {
        self.shared.lost_oneway.load(Ordering::Relaxed)
    }

    fn connect(&self, address: &Arc<str>, deadline: Deadline) -> Result<Arc<Connection>, Error> {
        let peer = self.peers.read().get(address).cloned();
        let peer = peer.unwrap_or_else(|| {
            let mut peers = self.peers.write();
            peers
                .entry(address.clone())
                .or_insert_with(|| Arc::new(Peer::new(address.clone())))
                .clone()
        });
        peer.connect(&self.shared, deadline)
    }
}

impl Shared {
    pub(super) fn note_lost_oneway(&self, address: &str, lost: usize) {
        if lost > 0 {
            self.lost_oneway.fetch_add(lost as u64, Ordering::Relaxed);
            log::warn!("{address}: {lost} oneway messages were lost with the connection");
        }
    }

    /// A number nobody can foresee; good enough for jitter.
    pub(super) fn random(&self) -> u64 {
        self.random
            .hash_one(self.random_calls.fetch_add(1, Ordering::Relaxed))
    }
}

fn too_large() -> Error {
    Error::invalid("the request exceeds the protocol's 16 MiB for a frame")
}

fn gone(address: &Arc<str>) -> Error {
    Error::new(
        ErrorKind::Disconnected,
        "connections break as soon as they are made",
    )
    .at(address)
}
