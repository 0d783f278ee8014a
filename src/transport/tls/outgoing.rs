use std::io::{self, Write};
use std::net::TcpStream;

use rustls::ClientConnection;

/// The most plain bytes in one TLS record.
const RECORD: usize = 16 * 1024;

/// How many plain bytes are sealed at a time, before they are written.
pub(super) const PIECE: usize = 4 * RECORD;

/// Sealed bytes on their way into the socket.
#[derive(Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    /// The end of each record in `bytes`, and of what it holds in the plain stream.
    records: Vec<(usize, usize)>,
}

impl Outgoing {
    /// Takes what the session has to say by itself.
    pub(super) fn take(&mut self, tls: &mut ClientConnection) -> io::Result<()> {
        while tls.wants_write() {
            tls.write_tls(&mut self.bytes)?;
        }
        Ok(())
    }

    /// Seals bytes that begin at `position` of the plain stream.
    pub(super) fn seal(
        &mut self,
        tls: &mut ClientConnection,
        plain: &[u8],
        position: usize,
    ) -> io::Result<()> {
        let mut end = position;
        for record in plain.chunks(RECORD) {
            if tls.writer().write(record)? < record.len() {
                return Err(io::Error::other("the TLS session has ended"));
            }
            self.take(tls)?;
            end += record.len();
            self.records.push((self.bytes.len(), end));
        }
        Ok(())
    }

    /// Writes everything. `taken` hears of each whole record that the socket took: the peer can
    /// make nothing of less.
    pub(super) fn send(
        &mut self,
        mut socket: &TcpStream,
        mut taken: impl FnMut(usize),
    ) -> io::Result<()> {
        let mut written = 0;
        let mut records = self.records.iter().peekable();
        while written < self.bytes.len() {
            match socket.write(&self.bytes[written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            while let Some((_, plain)) = records.next_if(|(sealed, _)| *sealed <= written) {
                taken(*plain);
            }
        }
        self.bytes.clear();
        self.records.clear();
        Ok(())
    }
}
