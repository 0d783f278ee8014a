use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::Session;
use crate::error::{Error, ErrorKind, Wait};
use crate::transport::Deadline;

/// The common configuration of a client's TLS sessions.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    /// The name to be verified, if it is not the one that is connected to.
    server_name: Option<ServerName<'static>>,
}

impl Tls {
    pub(super) fn new(config: ClientConfig, server_name: Option<ServerName<'static>>) -> Tls {
        Tls {
            config: Arc::new(config),
            server_name,
        }
    }

    /// Opens a session over a connected socket, on the calling thread. The timer may shut the
    /// socket down at the deadline. Errors are of kind `Tls` and mean that nothing was sent, or
    /// report the passed deadline.
    pub(in crate::transport) fn handshake(
        &self,
        socket: &TcpStream,
        address: &str,
        deadline: Deadline,
    ) -> Result<Session, Error> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => host_of(address)?,
        };
        let mut tls = ClientConnection::new(self.config.clone(), name).map_err(failed)?;
        let broken = |error: io::Error| match error.kind() {
            // Whatever the error looks like: the timer shut the socket down.
            _ if deadline.has_passed(Instant::now()) => Error::timeout(Wait::Connect),
            // A socket's error after its own timeout.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::timeout(Wait::Connect),
            io::ErrorKind::UnexpectedEof => Error::new(
                ErrorKind::Tls,
                "the peer closed the connection during the TLS handshake; does it speak TLS?",
            ),
            _ => failed(error),
        };
        socket.set_nodelay(true).map_err(broken)?;
        loop {
            while tls.wants_write() {
                send(&mut tls, socket, deadline).map_err(broken)?;
            }
            if !tls.is_handshaking() {
                break;
            }
            receive(&mut tls, socket, deadline).map_err(broken)?;
            if let Err(error) = tls.process_new_packets() {
                // Sends the alert, if that does not block.
                let _ = send(&mut tls, socket, deadline);
                return Err(failed(error));
            }
        }
        let unlimited = socket.set_read_timeout(None);
        unlimited
            .and_then(|()| socket.set_write_timeout(None))
            .map_err(broken)?;
        Ok(Session::new(tls))
    }
}

fn send(tls: &mut ClientConnection, mut socket: &TcpStream, deadline: Deadline) -> io::Result<()> {
    loop {
        socket.set_write_timeout(Some(left(deadline)?))?;
        match tls.write_tls(&mut socket) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            other => return other.map(drop),
        }
    }
}

fn receive(
    tls: &mut ClientConnection,
    mut socket: &TcpStream,
    deadline: Deadline,
) -> io::Result<()> {
    loop {
        socket.set_read_timeout(Some(left(deadline)?))?;
        match tls.read_tls(&mut socket) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            other => return other.map(drop),
        }
    }
}

/// The time left: a peer that sends a byte now and then must not win any.
fn left(deadline: Deadline) -> io::Result<Duration> {
    match deadline.remaining(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

fn failed(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    let text = format!("the TLS handshake failed: {cause}");
    Error::new(ErrorKind::Tls, text).caused_by(cause)
}

fn host_of(address: &str) -> Result<ServerName<'static>, Error> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(failed)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
