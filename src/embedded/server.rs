//! What name servers and brokers have in common: a listener, connections, kill and restart.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::LOG;
use super::connection::{self, Connection};
use super::fault::Faults;
use super::requests::RequestLog;
use crate::logging;
use crate::protocol::Command;

/// How long a restart tries to get its port back: another process may hold it for a moment.
const REBIND_WITHIN: Duration = Duration::from_secs(5);

/// What a server does with new connections; see [`Broker::set_accept`](super::Broker::set_accept).
/// A killed server refuses them.
///
/// ```
/// use rocketmq_blocking::embedded::{Accept, Cluster};
/// use rocketmq_blocking::{Message, Producer};
///
/// let cluster = Cluster::start()?;
/// let producer = Producer::builder("orders").name_server(cluster.name_server()).retries(0).start()?;
/// let broker = cluster.broker("broker-a");
/// broker.set_accept(Accept::Close);
/// assert!(producer.send(&Message::new("Orders", "one")).is_err());
/// assert!(cluster.messages("Orders").is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accept {
    /// Serves them.
    #[default]
    Serve,
    /// Accepts and closes them at once.
    Close,
    /// Accepts them and never reads from them.
    NeverRead,
}

/// Carries requests out: the name server's or the broker's side.
pub(super) trait Service: Send + Sync + 'static {
    /// Carries out one request and answers it. Nobody sees the answer to a oneway request.
    fn handle(&self, request: &Command, peer: &Peer) -> Command;

    /// A connection is gone.
    fn disconnected(&self, _connection: u64) {}
}

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) connection: u64,
    pub(super) address: SocketAddr,
}

/// What all servers of a cluster share.
pub(super) struct Common {
    pub(super) log: RequestLog,
    /// What clients answered to requests of ours.
    pub(super) answers: RequestLog,
    pub(super) answer_json_always: bool,
    pub(super) connection_ids: AtomicU64,
}

pub(super) struct Server {
    pub(super) shared: Arc<Shared>,
    /// The accepting thread while the server is up. Locked for the whole of a kill or restart.
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) address: SocketAddr,
    pub(super) service: Arc<dyn Service>,
    pub(super) common: Arc<Common>,
    pub(super) faults: Faults,
    state: Mutex<State>,
    /// The number of connections changed.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stopping: bool,
    accept: Accept,
    connections: HashMap<u64, Entry>,
    /// Threads of connections that are over, to be joined.
    finished: Vec<JoinHandle<()>>,
}

struct Entry {
    connection: Arc<Connection>,
    /// Absent for a connection that is never read.
    thread: Option<JoinHandle<()>>,
}

/// A listener on 127.0.0.1, and its address. Port 0 takes a free one.
pub(super) fn bind(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

impl Server {
    pub(super) fn start(
        name: Arc<str>,
        listener: TcpListener,
        address: SocketAddr,
        service: Arc<dyn Service>,
        common: Arc<Common>,
    ) -> io::Result<Server> {
        let shared = Arc::new(Shared {
            name,
            address,
            service,
            common,
            faults: Faults::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let acceptor = shared.spawn_acceptor(listener)?;
        Ok(Server {
            shared,
            acceptor: Mutex::new(Some(acceptor)),
        })
    }

    pub(super) fn is_up(&self) -> bool {
        self.acceptor.lock().is_some()
    }

    /// Stops listening, then breaks every connection. All threads have ended when this returns.
    pub(super) fn stop(&self) {
        let mut acceptor = self.acceptor.lock();
        let Some(thread) = acceptor.take() else {
            return;
        };
        self.shared.state.lock().stopping = true;
        wake(self.shared.address, &thread);
        let _ = thread.join();
        for thread in self.shared.close_connections() {
            // A thread that panicked did so in a function that the test gave us, and said so.
            let _ = thread.join();
        }
    }

    /// Listens again on the same port.
    pub(super) fn restart(&self) -> io::Result<()> {
        let mut acceptor = self.acceptor.lock();
        if acceptor.is_none() {
            let listener = rebind(self.shared.address)?;
            self.shared.state.lock().stopping = false;
            *acceptor = Some(self.shared.spawn_acceptor(listener)?);
        }
        Ok(())
    }

    pub(super) fn set_accept(&self, accept: Accept) {
        self.shared.state.lock().accept = accept;
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.state.lock().connections.len()
    }

    pub(super) fn wait_for_connections(&self, count: usize, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.state.lock();
        while state.connections.len() != count {
            let changed = &self.shared.changed;
            if changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.connections.len() == count
    }

    /// Breaks every connection, and goes on listening.
    pub(super) fn disconnect_all(&self) {
        let state = self.shared.state.lock();
        for entry in state.connections.values() {
            entry.connection.close();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn spawn_acceptor(self: &Arc<Shared>, listener: TcpListener) -> io::Result<JoinHandle<()>> {
        let shared = Arc::clone(self);
        let accepting = move || shared.accept_all(&listener);
        thread::Builder::new()
            .name("mq-accept".into())
            .spawn(accepting)
    }

    fn accept_all(self: &Arc<Shared>, listener: &TcpListener) {
        loop {
            let accepted = listener.accept();
            let mut state = self.state.lock();
            if state.stopping {
                return;
            }
            match accepted {
                Ok((stream, peer)) => self.admit(&mut state, stream, peer),
                Err(error) => {
                    drop(state);
                    logging::warn!(target: LOG, "{}: cannot accept a connection: {error}", self.name);
                    // Most likely the process is out of file descriptors: do not spin.
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }

    fn admit(self: &Arc<Shared>, state: &mut State, stream: TcpStream, peer: SocketAddr) {
        // They have nothing left to do but end.
        for thread in state.finished.drain(..) {
            let _ = thread.join();
        }
        if state.accept == Accept::Close {
            return;
        }
        // Without it answers would only be late.
        let _ = stream.set_nodelay(true);
        let id = self.common.connection_ids.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::new(id, stream, peer));
        let mut thread = None;
        if state.accept == Accept::Serve {
            let (shared, connection) = (Arc::clone(self), Arc::clone(&connection));
            let serving = move || connection::serve(&shared, &connection);
            match thread::Builder::new().name("mq-conn".into()).spawn(serving) {
                Ok(spawned) => thread = Some(spawned),
                Err(error) => {
                    return logging::warn!(target: LOG, "{}: no thread: {error}", self.name);
                }
            }
        }
        // The thread cannot end before this: leaving takes the lock that the caller holds.
        state.connections.insert(id, Entry { connection, thread });
        self.changed.notify_all();
    }

    /// Writes to one of the connections; says whether it is there and took the bytes.
    pub(super) fn write_to(&self, connection: u64, bytes: &[u8]) -> bool {
        let state = self.state.lock();
        let connection = state.connections.get(&connection);
        let connection = connection.map(|entry| Arc::clone(&entry.connection));
        drop(state);
        connection.is_some_and(|connection| connection.write(bytes).is_ok())
    }

    /// The connection's own thread says that it ends.
    pub(super) fn leave(&self, connection: u64) {
        self.service.disconnected(connection);
        let mut state = self.state.lock();
        let entry = state.connections.remove(&connection);
        state.finished.extend(entry.and_then(|entry| entry.thread));
        self.changed.notify_all();
    }

    fn close_connections(&self) -> Vec<JoinHandle<()>> {
        let mut state = self.state.lock();
        let mut threads = std::mem::take(&mut state.finished);
        for (_, entry) in state.connections.drain() {
            entry.connection.close();
            threads.extend(entry.thread);
        }
        self.changed.notify_all();
        threads
    }
}

/// Ends the wait for a connection by making one.
fn wake(address: SocketAddr, acceptor: &JoinHandle<()>) {
    while !acceptor.is_finished() {
        match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            Ok(_) => return,
            // The queue of connections is full, or we are out of file descriptors: both pass.
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn rebind(address: SocketAddr) -> io::Result<TcpListener> {
    let deadline = Instant::now() + REBIND_WITHIN;
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                // Nobody tells when the system gives a port back.
                thread::sleep(Duration::from_millis(10));
            }
            bound => return bound,
        }
    }
}
