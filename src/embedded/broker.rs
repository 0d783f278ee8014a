use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::delays::Delays;
use super::producers::Producers;
use super::server::{Peer, Server, Service, Shared};
use super::store::Store;
use super::topics::Topics;
use super::transactions::Transactions;
use super::{Accept, Fault, Injected, Transaction};
use crate::protocol::code::{request, response};
use crate::protocol::heartbeat::{Heartbeat, Unregister};
use crate::protocol::{Command, HeaderFormat, Language, ProtocolError};

/// One broker of a [`Cluster`](super::Cluster): always a master.
pub struct Broker {
    pub(super) server: Server,
    pub(super) service: Arc<BrokerService>,
}

/// The broker's side of the protocol.
pub(super) struct BrokerService {
    /// Its place among the brokers of the cluster.
    pub(super) index: usize,
    pub(super) name: Arc<str>,
    pub(super) address: SocketAddr,
    pub(super) topics: Arc<Topics>,
    pub(super) store: Arc<Store>,
    pub(super) delays: Arc<Delays>,
    pub(super) max_message_size: usize,
    pub(super) producers: Producers,
    pub(super) transactions: Arc<Transactions>,
    /// Where its connections are, to ask clients something.
    pub(super) server: OnceLock<Weak<Shared>>,
    /// Counts on where the broker chooses a queue or an id itself.
    pub(super) counter: AtomicU32,
}

impl Broker {
    /// Its name: `broker-a`, `broker-b`, ..
    pub fn name(&self) -> &str {
        &self.service.name
    }

    /// Where it listens; it stays the same over restarts.
    pub fn address(&self) -> SocketAddr {
        self.service.address
    }

    /// Whether it is up: not killed, or restarted.
    pub fn is_up(&self) -> bool {
        self.server.is_up()
    }

    /// Leaves the routes, stops listening and breaks every connection. What it stored stays. Does
    /// nothing if it is down.
    pub fn kill(&self) {
        self.service.topics.set_alive(self.service.index, false);
        self.server.stop();
    }

    /// Listens on the same port again and is back in the routes. Does nothing if it is up.
    ///
    /// # Errors
    /// The port cannot be had within five seconds, or no thread can be started.
    pub fn restart(&self) -> io::Result<()> {
        self.server.restart()?;
        self.service.topics.set_alive(self.service.index, true);
        Ok(())
    }

    /// Breaks every connection, but goes on listening. Returns at once; the connections' threads
    /// notice a little later.
    pub fn disconnect_all(&self) {
        self.server.disconnect_all();
    }

    /// What happens to new connections from now on; default: [`Accept::Serve`]. A connection that
    /// the server has not come to yet is a new one.
    pub fn set_accept(&self, accept: Accept) {
        self.server.set_accept(accept);
    }

    /// Makes something go wrong. Of several faults that match a request, the one injected first
    /// happens. Faults outlive a restart.
    pub fn inject(&self, fault: Fault) -> Injected {
        self.server.shared.faults.inject(fault)
    }

    /// Ends all faults; those who wait at a gate still wait for it.
    pub fn clear_faults(&self) {
        self.server.shared.faults.clear();
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Waits until exactly so many connections are open; says whether that came in time. A client's
    /// connect returns before the server has come to the connection.
    pub fn wait_for_connections(&self, count: usize, timeout: Duration) -> bool {
        self.server.wait_for_connections(count, timeout)
    }

    /// The producers it knows from heartbeats: client ids by group. A client is forgotten when it
    /// unregisters or when its connection ends.
    pub fn producers(&self) -> BTreeMap<String, Vec<String>> {
        self.service.producers.all()
    }

    /// The transactions whose half messages it stored, ended or not, in order of arrival.
    pub fn transactions(&self) -> Vec<Transaction> {
        let all = self.service.transactions.all().into_iter();
        all.filter(|one| one.half().broker() == self.name())
            .collect()
    }

    /// Asks, for each open transaction, a producer of its group about the end; says how many
    /// questions went out. A transaction whose group is not connected waits for the next call.
    pub fn check_transactions(&self) -> usize {
        self.service.check_transactions()
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("name", &self.service.name)
            .field("address", &self.service.address)
            .finish_non_exhaustive()
    }
}

impl Service for BrokerService {
    fn handle(&self, request: &Command, peer: &Peer) -> Command {
        match request.code {
            request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => {
                self.send(request, peer)
            }
            request::SEND_REPLY_MESSAGE | request::SEND_REPLY_MESSAGE_V2 => {
                self.reply(request, peer)
            }
            request::END_TRANSACTION => self.end_transaction(request),
            request::HEART_BEAT => self.heartbeat(request, peer),
            request::UNREGISTER_CLIENT => self.unregister(request),
            request::RECALL_MESSAGE => self.recall(request),
            request::UPDATE_AND_CREATE_TOPIC => self.create_topic(request),
            request::VIEW_MESSAGE_BY_ID => self.view_message(request),
            request::QUERY_MESSAGE => self.query_message(request),
            request::GET_MAX_OFFSET
            | request::GET_MIN_OFFSET
            | request::SEARCH_OFFSET_BY_TIMESTAMP
            | request::GET_EARLIEST_MSG_STORETIME => self.query_queue(request),
            _ => not_supported(request),
        }
    }

    fn disconnected(&self, connection: u64) {
        self.producers.disconnected(connection);
    }
}

impl BrokerService {
    /// Sends a request of the broker's own to a client; says whether the connection took it.
    pub(super) fn ask_client(&self, connection: u64, request: Command) -> bool {
        let server = self.server.get().and_then(Weak::upgrade);
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let numbered = Command {
            opaque: (count >> 1) as i32,
            language: Language::JAVA,
            ..request
        };
        let mut frame = Vec::new();
        numbered.encode(HeaderFormat::Json, &mut frame);
        server.is_some_and(|server| server.write_to(connection, &frame))
    }

    fn heartbeat(&self, request: &Command, peer: &Peer) -> Command {
        match Heartbeat::decode(&request.body) {
            Ok(heartbeat) => {
                self.producers.register(&heartbeat, peer.connection);
                let mut answer = Command::response_to(request, response::SUCCESS);
                answer.ext.push("IS_SUPPORT_HEART_BEAT_V2", "true");
                answer.ext.push("IS_SUB_CHANGE", "true");
                answer
            }
            Err(error) => bad_request(request, &error),
        }
    }

    fn unregister(&self, request: &Command) -> Command {
        match Unregister::decode(&request.ext) {
            Ok(gone) => {
                self.producers.unregister(&gone);
                Command::response_to(request, response::SUCCESS)
            }
            Err(error) => bad_request(request, &error),
        }
    }
}

/// A code that this server does not know.
pub(super) fn not_supported(request: &Command) -> Command {
    let remark = format!(" request type {} not supported", request.code);
    Command::response_to(request, response::REQUEST_CODE_NOT_SUPPORTED).with_remark(remark)
}

/// A request that cannot be understood; in Java an exception, which becomes this code.
pub(super) fn bad_request(request: &Command, error: &ProtocolError) -> Command {
    Command::response_to(request, response::SYSTEM_ERROR).with_remark(error.to_string())
}
