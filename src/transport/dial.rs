//! Makes connections: an address's name resolved, a socket connected, TLS where it is asked for.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use super::shared::Shared;
use super::tls::Session;
use super::{Connection, Deadline, Tls};
use crate::error::{Error, ErrorKind, Wait};

/// A new connection to this address, which runs `ended` behind its end. All errors mean that nothing
/// was sent.
pub(super) fn open(
    address: &Arc<str>,
    shared: &Arc<Shared>,
    deadline: Deadline,
    ended: impl FnOnce() + Send + 'static,
) -> Result<Arc<Connection>, Error> {
    let addresses = shared.resolver.resolve(address, deadline)?;
    let whole = deadline.capped(Instant::now(), shared.config.connect_timeout);
    let socket = connect_any(address, &addresses, shared, deadline)?;
    let (socket, tls) = match &shared.config.tls {
        Some(tls) => secure(address, tls, socket, shared, whole, deadline)?,
        None => (socket, None),
    };
    Connection::start(socket, tls, address.clone(), shared.clone(), ended).map_err(|e| {
        let text = format!("connected, but the connection could not be set up: {e}");
        Error::new(ErrorKind::Io, text).at(address)
    })
}

/// The handshake, on this thread. A socket's own timeouts are late by up to two ticks of the system's
/// clock, of several milliseconds each: so it is the timer that ends one in time.
fn secure(
    address: &Arc<str>,
    tls: &Tls,
    socket: TcpStream,
    shared: &Shared,
    whole: Deadline,
    deadline: Deadline,
) -> Result<(TcpStream, Option<Session>), Error> {
    let socket = Arc::new(socket);
    let shaking = Arc::downgrade(&socket);
    shared.workers.timer.schedule(whole.instant(), move |_| {
        if let Some(socket) = shaking.upgrade() {
            // Fails only if the peer was faster.
            let _ = socket.shutdown(Shutdown::Both);
        }
    });
    let session = tls.handshake(&socket, address, whole);
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

/// Tries the addresses in turn, each with an equal share of what time is left.
fn connect_any(
    address: &Arc<str>,
    addresses: &[SocketAddr],
    shared: &Shared,
    deadline: Deadline,
) -> Result<TcpStream, Error> {
    let mut last = None;
    let whole = deadline.capped(Instant::now(), shared.config.connect_timeout);
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
            Ok(socket) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    if deadline.has_passed(Instant::now()) {
        return Err(Error::timeout(Wait::Connect).at(address));
    }
    let text = match &last {
        Some(e) if e.kind() == io::ErrorKind::TimedOut => {
            format!("no connection within {:?}", shared.config.connect_timeout)
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

/// Where nobody listens on this host, the system may give a dial the very port that it goes to, and
/// connects it to itself: it would hear its own requests, and keep the port from who is to listen there.
fn is_to_itself(socket: &TcpStream) -> bool {
    matches!((socket.local_addr(), socket.peer_addr()), (Ok(here), Ok(there)) if here == there)
}
