//! Opens connections: resolves the name, connects a socket, and does the TLS handshake if
//! configured.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use super::preference::Preference;
use super::resolve::{Lookup, Resolver};
use crate::error::{Error, ErrorKind, Wait};
use crate::sync::Mutex;
use crate::transport::connection::{self, Connection};
use crate::transport::tls::{Session, Tls};
use crate::transport::{Deadline, Inbound, Shared};

/// State that all dials of a client share.
pub(crate) struct Dialler {
    pub(crate) shared: Arc<Shared>,
    /// Hears of connections that are up, and of requests that come over them.
    pub(crate) inbound: Arc<dyn Inbound>,
    resolver: Resolver,
}

impl Dialler {
    /// `lookup` resolves host names; the system's resolver if there is none.
    pub(crate) fn new(
        shared: Arc<Shared>,
        inbound: Arc<dyn Inbound>,
        lookup: Option<Lookup>,
    ) -> Dialler {
        let lookup = lookup.unwrap_or_else(Resolver::system);
        Dialler {
            resolver: Resolver::new(lookup, shared.workers.threads.clone()),
            shared,
            inbound,
        }
    }

    /// A new connection to this address, which calls `ended` after its end. All errors mean that
    /// nothing was sent.
    pub(super) fn open(
        &self,
        address: &Arc<str>,
        preference: &Mutex<Preference>,
        deadline: Deadline,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<Arc<Connection>, Error> {
        let resolved = self.resolver.resolve(address, deadline)?;
        let addresses = preference.lock().order(resolved);
        let whole = deadline.capped(Instant::now(), self.shared.config.connect_timeout);
        let connected = self.connect_any(address, &addresses, preference, deadline)?;
        let (socket, remote) = connected;
        let (socket, tls) = match &self.shared.config.tls {
            Some(tls) => {
                let secured = self.secure(address, tls, socket, whole, deadline);
                secured.inspect_err(|_| preference.lock().failed(remote))?
            }
            None => (socket, None),
        };
        let (shared, inbound) = (&self.shared, self.inbound.clone());
        connection::start(socket, tls, address.clone(), shared, inbound, ended).map_err(|e| {
            let text = format!("connected, but the connection could not be set up: {e}");
            Error::new(ErrorKind::Io, text).at(address)
        })
    }

    /// The handshake, on this thread. A socket's own timeouts are late by up to two ticks of the
    /// system's clock, of several milliseconds each: so it is the timer that ends one in time.
    fn secure(
        &self,
        address: &Arc<str>,
        tls: &Tls,
        socket: TcpStream,
        whole: Deadline,
        deadline: Deadline,
    ) -> Result<(TcpStream, Option<Session>), Error> {
        let socket = Arc::new(socket);
        let shaking = Arc::downgrade(&socket);
        let timer = &self.shared.workers.timer;
        let watch = timer.schedule(whole.instant(), move |_| {
            if let Some(socket) = shaking.upgrade() {
                // Fails only if the peer was faster.
                let _ = socket.shutdown(Shutdown::Both);
            }
        });
        let session = tls.handshake(&socket, address, whole);
        watch.cancel();
        // The timer has it: then its time is up just now.
        let socket = Arc::into_inner(socket).ok_or_else(|| Error::timeout(Wait::Connect));
        let made = session.and_then(|session| Ok((socket?, Some(session))));
        made.map_err(|e| {
            if e.kind() == ErrorKind::Timeout && !deadline.has_passed(Instant::now()) {
                let text = "connected, but the TLS handshake took too long";
                return Error::new(ErrorKind::Connect, text).at(address);
            }
            e.at(address)
        })
    }

    /// Tries the addresses in turn, each with an equal share of the remaining time.
    fn connect_any(
        &self,
        address: &Arc<str>,
        addresses: &[SocketAddr],
        preference: &Mutex<Preference>,
        deadline: Deadline,
    ) -> Result<(TcpStream, SocketAddr), Error> {
        let mut last = None;
        let timeout = self.shared.config.connect_timeout;
        let whole = deadline.capped(Instant::now(), timeout);
        for (i, one) in addresses.iter().enumerate() {
            let now = Instant::now();
            let left = whole.remaining(now) / (addresses.len() - i) as u32;
            if left.is_zero() {
                break;
            }
            match TcpStream::connect_timeout(one, left) {
                Ok(socket) if is_to_itself(&socket) => {
                    last = Some(io::ErrorKind::ConnectionRefused.into());
                }
                Ok(socket) => return Ok((socket, *one)),
                Err(error) => last = Some(error),
            }
            preference.lock().failed(*one);
        }
        if deadline.has_passed(Instant::now()) {
            return Err(Error::timeout(Wait::Connect).at(address));
        }
        let text = match &last {
            Some(e) if e.kind() == io::ErrorKind::TimedOut => {
                format!("no connection within {timeout:?}")
            }
            Some(error) => format!("cannot connect: {error}"),
            None => "cannot connect: no time left".to_owned(),
        };
        let error = Error::new(ErrorKind::Connect, text).at(address);
        Err(match last {
            Some(cause) => error.caused_by(cause),
            None => error,
        })
    }
}

/// Without a listener on this host, the system may give a dial its own target port, and connect it
/// to itself: the client would read its own requests, and block the port for the server.
fn is_to_itself(socket: &TcpStream) -> bool {
    matches!((socket.local_addr(), socket.peer_addr()), (Ok(here), Ok(there)) if here == there)
}
