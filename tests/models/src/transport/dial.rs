//! The library's peer, and stand-ins for dialling.

#[path = "../../../../src/transport/dial/peer.rs"]
mod peer;
#[path = "../../../../src/transport/dial/preference.rs"]
mod preference;

use std::sync::Arc;

use shuttle::rand::{RngCore, thread_rng};

pub(super) use peer::{Dialled, Peer};
use preference::Preference;

use super::connection::Connection;
use super::{Deadline, Threads};
use crate::error::{Error, ErrorKind};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use crate::sync::thread;

/// No pause after a failure, or a very long one.
mod backoff {
    use std::time::Duration;

    pub(crate) fn delay(_: u32, random: u64) -> Duration {
        match random % 2 {
            0 => Duration::ZERO,
            _ => Duration::from_secs(7200),
        }
    }
}

#[derive(Default)]
pub(crate) struct Workers {
    pub(crate) threads: Threads,
}

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) workers: Workers,
}

impl Shared {
    pub(crate) fn random(&self) -> u64 {
        thread_rng().next_u64()
    }
}

#[derive(Default)]
pub(crate) struct Inbound {
    connected: AtomicUsize,
}

impl Inbound {
    pub(crate) fn connected(&self, _: &Arc<Connection>) {
        self.connected.fetch_add(1, SeqCst);
    }
}

#[derive(Default)]
pub(crate) struct Dialler {
    pub(crate) shared: Shared,
    pub(crate) inbound: Inbound,
    /// Dials that are being made.
    pub(crate) dialling: AtomicUsize,
    /// Those that ended without time for the leader.
    pub(crate) timeouts: AtomicUsize,
    /// All connections ever opened.
    pub(crate) made: Mutex<Vec<Arc<Connection>>>,
}

impl Dialler {
    /// Succeeds or not.
    pub(crate) fn open(
        &self,
        address: &Arc<str>,
        _: &Mutex<Preference>,
        _: Deadline,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<Arc<Connection>, Error> {
        let others = self.dialling.fetch_add(1, SeqCst);
        assert_eq!(others, 0, "one dial at a time");
        thread::yield_now();
        self.dialling.fetch_sub(1, SeqCst);
        match self.shared.random() % 4 {
            0 => return Err(Error::new(ErrorKind::Connect, "cannot connect")),
            1 => {
                self.timeouts.fetch_add(1, SeqCst);
                return Err(Error::timeout(crate::error::Wait::Connect));
            }
            _ => {}
        }
        let connection = Arc::new(Connection::new(address, ended));
        self.made.lock().push(connection.clone());
        Ok(connection)
    }
}
