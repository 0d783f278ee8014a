use std::io::{self, Write};

use rustls::ClientConnection;

/// The most plain bytes in one TLS record.
const RECORD: usize = 16 * 1024;

/// The most plain bytes that are sealed at a time, before they are written.
pub(super) const PIECE: usize = 4 * RECORD;

/// Keys of TLS 1.2 are good for 2^24 records. Later writes are dropped but count as sealed (rustls
/// 0.23): the session is replaced this many records earlier.
const WORN: u64 = 1 << 23;

/// Sealed bytes on their way into the socket.
#[derive(Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    /// The end of each record in `bytes`, and of its content in the plain stream.
    records: Vec<(usize, usize)>,
    /// The total number of records.
    sealed: u64,
}

impl Outgoing {
    /// Takes the session's own records.
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
            self.sealed += 1;
            end += record.len();
            self.records.push((self.bytes.len(), end));
        }
        Ok(())
    }

    pub(super) fn is_worn(&self) -> bool {
        self.sealed >= WORN
    }

    /// Writes everything. `taken` is called for each whole record that the socket took: the peer
    /// cannot decrypt less.
    pub(super) fn send(
        &mut self,
        mut socket: impl Write,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes this many bytes at a time, and then fails.
    struct Socket<'a>(&'a [usize]);

    impl Write for Socket<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (&n, rest) = self.0.split_first().ok_or(io::ErrorKind::BrokenPipe)?;
            self.0 = rest;
            Ok(n.min(bytes.len()))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[track_caller]
    fn check(takes: &[usize], expected: &[usize], whole: bool) {
        let mut outgoing = Outgoing {
            bytes: vec![0; 35],
            records: vec![(10, 7), (20, 14), (35, 20)],
            sealed: 3,
        };
        let mut heard = Vec::new();
        let sent = outgoing.send(Socket(takes), |plain| heard.push(plain));
        assert_eq!((heard.as_slice(), sent.is_ok()), (expected, whole));
    }

    #[test]
    fn a_record_counts_when_it_is_taken_whole() {
        check(&[100], &[7, 14, 20], true);
        check(&[9], &[], false);
        check(&[9, 1], &[7], false);
        check(&[25], &[7, 14], false);
        check(&[34], &[7, 14], false);
        check(&[34, 1], &[7, 14, 20], true);
    }
}
