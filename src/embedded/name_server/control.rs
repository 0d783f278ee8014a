use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::embedded::faults::{Fault, Injected};
use crate::embedded::server::{Accept, Server};

/// One name server of a [`Cluster`](crate::embedded::Cluster).
pub struct NameServer {
    pub(in crate::embedded) server: Server,
}

impl NameServer {
    /// Its name: `namesrv-0`, `namesrv-1`, ..
    pub fn name(&self) -> &str {
        self.server.name()
    }

    /// Where it listens; it stays the same over restarts.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Whether it is up: not killed, or restarted.
    pub fn is_up(&self) -> bool {
        self.server.is_up()
    }

    /// Stops listening and breaks every connection. Does nothing if it is down.
    pub fn kill(&self) {
        self.server.stop();
    }

    /// Listens on the same port again. Does nothing if it is up.
    ///
    /// # Errors
    /// The port cannot be had within five seconds, or no thread can be started.
    pub fn restart(&self) -> io::Result<()> {
        self.server.restart()
    }

    /// Breaks every connection, but goes on listening. Returns at once; the connections' threads
    /// notice a little later.
    pub fn disconnect_all(&self) {
        self.server.disconnect_all();
    }

    /// What happens to new connections from now on; default: [`Accept::Serve`]. A connection that
    /// the server has not accepted yet is a new one.
    pub fn set_accept(&self, accept: Accept) {
        self.server.set_accept(accept);
    }

    /// Injects a fault. If several faults match a request, the first one injected happens. Faults
    /// survive a restart.
    pub fn inject(&self, fault: Fault) -> Injected {
        self.server.faults().inject(fault)
    }

    /// Ends all faults. Requests held at a gate stay there until it opens.
    pub fn clear_faults(&self) {
        self.server.faults().clear();
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Waits until exactly `count` connections are open; `false` at the timeout. A client's connect
    /// returns before the server has accepted the connection.
    pub fn wait_for_connections(&self, count: usize, timeout: Duration) -> bool {
        self.server.wait_for_connections(count, timeout)
    }
}

impl fmt::Debug for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameServer")
            .field("name", &self.name())
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
