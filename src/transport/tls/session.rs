use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::OnceLock;

use rustls::{AlertDescription, ClientConnection, ProtocolVersion};

use super::outgoing::{Outgoing, PIECE};
use crate::error::{Error, ErrorKind};
use crate::sync::Mutex;

/// The TLS session of one connection, after the handshake.
///
/// The session's lock is held while bytes are sealed or opened, and never while the socket is read
/// or written. Only the connection's current writer writes, so that records leave in the order in
/// which they were sealed; the session's own records (alerts) wait for a writer.
pub(in crate::transport) struct Session {
    tls: Mutex<ClientConnection>,
    /// Why nothing can be opened any more, nor sealed.
    failed: OnceLock<Error>,
    /// Used by the reader only.
    incoming: Mutex<Incoming>,
    /// Used by the current writer only.
    outgoing: Mutex<Outgoing>,
}

impl Session {
    pub(super) fn new(tls: ClientConnection) -> Session {
        Session {
            tls: Mutex::new(tls),
            failed: OnceLock::new(),
            incoming: Mutex::new(Incoming::new()),
            outgoing: Mutex::default(),
        }
    }

    /// The negotiated version.
    pub(in crate::transport) fn version(&self) -> &'static str {
        match self.tls.lock().protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        }
    }

    /// Reads until there are plain bytes, and returns their number; 0 at the end, announced or not:
    /// frames carry their length. `receive` reads sealed bytes; `has_output` starts a writer for
    /// the session's own records.
    pub(in crate::transport) fn read(
        &self,
        space: &mut [u8],
        receive: impl Fn(&mut [u8]) -> Result<usize, Error>,
        has_output: impl Fn(),
    ) -> Result<usize, Error> {
        let mut incoming = self.incoming.lock();
        loop {
            let mut tls = self.tls.lock();
            let opened = incoming.open(&mut tls, space);
            if let Err(error) = &opened {
                self.failed.get_or_init(|| error.clone());
            }
            let wants_write = tls.wants_write();
            drop(tls);
            if wants_write {
                has_output();
            }
            if let Some(n) = opened? {
                return Ok(n);
            }
            if incoming.fill(&receive)? == 0 {
                return Ok(0);
            }
        }
    }

    /// Seals and writes. `taken` is called with the number of bytes that the socket has taken in
    /// whole records.
    pub(in crate::transport) fn write(
        &self,
        socket: &TcpStream,
        plain: &[u8],
        mut taken: impl FnMut(usize),
    ) -> Result<(), Error> {
        let mut outgoing = self.outgoing.lock();
        for (i, piece) in plain.chunks(PIECE).enumerate() {
            let sealed = outgoing.seal(&mut self.tls.lock(), piece, i * PIECE);
            sealed.map_err(|e| self.why(e))?;
            outgoing
                .send(socket, &mut taken)
                .map_err(|e| Error::socket("write", e))?;
        }
        Ok(())
    }

    /// Writes the session's own records.
    pub(in crate::transport) fn flush(&self, socket: &TcpStream) -> Result<(), Error> {
        let mut outgoing = self.outgoing.lock();
        let taken = outgoing.take(&mut self.tls.lock());
        taken.map_err(|e| self.why(e))?;
        outgoing
            .send(socket, |_| ())
            .map_err(|e| Error::socket("write", e))
    }

    /// Whether the session should be replaced. TLS 1.3 changes its keys itself.
    pub(in crate::transport) fn is_worn(&self) -> bool {
        self.outgoing.lock().is_worn() && self.version() == "TLS 1.2"
    }

    /// A session that failed for the reader fails for the writer too, which may report it first,
    /// without the reason.
    fn why(&self, error: io::Error) -> Error {
        self.failed
            .get()
            .cloned()
            .unwrap_or_else(|| Error::socket("write", error))
    }
}

/// Sealed bytes from the socket that were not opened yet.
struct Incoming {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether there ever was anything in them.
    opened_any: bool,
}

impl Incoming {
    const SIZE: usize = 64 * 1024;

    fn new() -> Incoming {
        Incoming {
            bytes: vec![0; Incoming::SIZE],
            start: 0,
            end: 0,
            opened_any: false,
        }
    }

    fn fill(
        &mut self,
        receive: impl Fn(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<usize, Error> {
        self.start = 0;
        self.end = receive(&mut self.bytes)?;
        Ok(self.end)
    }

    /// Opens records until there are plain bytes: their number (0: the peer has closed the
    /// session), or `None` if more must be received.
    fn open(
        &mut self,
        tls: &mut ClientConnection,
        space: &mut [u8],
    ) -> Result<Option<usize>, Error> {
        loop {
            match tls.reader().read(space) {
                Ok(n) => {
                    self.opened_any = true;
                    return Ok(Some(n));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(broken(e)),
            }
            if self.start == self.end {
                return Ok(None);
            }
            let n = tls
                .read_tls(&mut &self.bytes[self.start..self.end])
                .map_err(broken)?;
            if n == 0 {
                return Err(broken(io::Error::other("a record cannot be taken")));
            }
            self.start += n;
            tls.process_new_packets().map_err(|e| self.explain(e))?;
        }
    }

    /// In TLS 1.3 the client is through with the handshake before the server has looked at the
    /// client's certificate: the server's refusal comes as the first thing to be read. It has then
    /// opened nothing that was sent to it.
    fn explain(&self, error: rustls::Error) -> Error {
        use AlertDescription as Alert;
        let (kind, text) = match &error {
            rustls::Error::AlertReceived(
                Alert::HandshakeFailure
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError
                | Alert::CertificateRequired,
            ) if !self.opened_any => (ErrorKind::Tls, "the peer refused the TLS handshake"),
            rustls::Error::AlertReceived(_) => (ErrorKind::Disconnected, "the peer ended TLS"),
            _ => return broken(error),
        };
        Error::new(kind, format!("{text}: {error}")).caused_by(error)
    }
}

/// The peer's bytes are not TLS, or were changed on the wire.
fn broken(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Protocol, format!("TLS: {cause}")).caused_by(cause)
}
