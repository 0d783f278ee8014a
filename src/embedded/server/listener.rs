//! One server: its port, its accepting thread, kill and restart.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::common::Common;
use super::connection::Connection;
use super::connections::Connections;
use super::service::Service;
use super::worker::{self, Serving};
use crate::embedded::LOG;
use crate::embedded::faults::Faults;
use crate::logging;

/// How long a restart tries to bind its port again: another process may hold it for a moment.
const REBIND_WITHIN: Duration = Duration::from_secs(5);

/// What a server does with new connections; see [`Broker::set_accept`](crate::embedded::Broker::set_accept).
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

pub(in crate::embedded) struct Server {
    shared: Arc<Shared>,
    /// The accepting thread while the server is up. Locked for the whole of a kill or restart.
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    address: SocketAddr,
    serving: Arc<Serving>,
    connections: Arc<Connections>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stopping: bool,
    accept: Accept,
}

/// A listener on 127.0.0.1, and its address. Port 0 takes a free one.
pub(in crate::embedded) fn bind(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

impl Server {
    pub(in crate::embedded) fn start(
        name: Arc<str>,
        (listener, address): (TcpListener, SocketAddr),
        service: Arc<dyn Service>,
        connections: Arc<Connections>,
        common: Arc<Common>,
    ) -> io::Result<Server> {
        let shared = Arc::new(Shared {
            address,
            serving: Arc::new(Serving {
                name,
                service,
                common,
                faults: Faults::default(),
            }),
            connections,
            state: Mutex::default(),
        });
        let acceptor = shared.spawn_acceptor(listener)?;
        Ok(Server {
            shared,
            acceptor: Mutex::new(Some(acceptor)),
        })
    }

    pub(in crate::embedded) fn name(&self) -> &str {
        &self.shared.serving.name
    }

    pub(in crate::embedded) fn address(&self) -> SocketAddr {
        self.shared.address
    }

    pub(in crate::embedded) fn faults(&self) -> &Faults {
        &self.shared.serving.faults
    }

    pub(in crate::embedded) fn is_up(&self) -> bool {
        self.acceptor.lock().is_some()
    }

    /// Stops listening, then breaks every connection. All threads have ended when this returns.
    pub(in crate::embedded) fn stop(&self) {
        let mut acceptor = self.acceptor.lock();
        let Some(thread) = acceptor.take() else {
            return;
        };
        self.shared.state.lock().stopping = true;
        wake(self.shared.address, &thread);
        let _ = thread.join();
        self.shared.connections.end_all();
    }

    /// Listens again on the same port.
    pub(in crate::embedded) fn restart(&self) -> io::Result<()> {
        let mut acceptor = self.acceptor.lock();
        if acceptor.is_none() {
            let listener = rebind(self.shared.address)?;
            self.shared.state.lock().stopping = false;
            *acceptor = Some(self.shared.spawn_acceptor(listener)?);
        }
        Ok(())
    }

    pub(in crate::embedded) fn set_accept(&self, accept: Accept) {
        self.shared.state.lock().accept = accept;
    }

    pub(in crate::embedded) fn connections(&self) -> usize {
        self.shared.connections.count()
    }

    pub(in crate::embedded) fn wait_for_connections(
        &self,
        count: usize,
        timeout: Duration,
    ) -> bool {
        self.shared.connections.wait_for(count, timeout)
    }

    /// Breaks every connection, and goes on listening.
    pub(in crate::embedded) fn disconnect_all(&self) {
        self.shared.connections.disconnect_all();
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
            // Held until the connection is in the table: set_accept affects all later ones.
            let state = self.state.lock();
            if state.stopping {
                return;
            }
            match accepted {
                Ok((stream, peer)) => self.admit(state.accept, stream, peer),
                Err(error) => {
                    drop(state);
                    logging::warn!(target: LOG, "{}: cannot accept a connection: {error}", self.serving.name);
                    // Most likely the process is out of file descriptors: do not spin.
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }

    fn admit(self: &Arc<Shared>, accept: Accept, stream: TcpStream, peer: SocketAddr) {
        if accept == Accept::Close {
            return;
        }
        // Without it answers would only be late.
        let _ = stream.set_nodelay(true);
        let id = self.serving.common.next_connection();
        let connection = Arc::new(Connection::new(id, stream, peer));
        let served = Arc::clone(&connection);
        let admitted = self.connections.admit(connection, || {
            if accept == Accept::NeverRead {
                return Ok(None);
            }
            let shared = Arc::clone(self);
            let thread = thread::Builder::new().name("mq-conn".into());
            thread.spawn(move || shared.serve(&served)).map(Some)
        });
        if let Err(error) = admitted {
            logging::warn!(target: LOG, "{}: no thread: {error}", self.serving.name);
        }
    }

    /// The body of a connection's thread.
    fn serve(&self, connection: &Arc<Connection>) {
        // Also if a function of the test panics.
        let _leave = Leave {
            shared: self,
            connection,
        };
        worker::serve(&self.serving, connection);
    }
}

struct Leave<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        // The test may read the server's list as soon as the peer sees the end: leave the list
        // first.
        let service = &self.shared.serving.service;
        service.disconnected(self.connection.peer.connection);
        self.shared.connections.leave(self.connection);
        self.connection.close();
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
                // No event reports when the system frees a port.
                thread::sleep(Duration::from_millis(10));
            }
            bound => return bound,
        }
    }
}
