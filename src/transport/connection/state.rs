use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use super::outbox::Outbox;
use super::pending::Pending;
use super::registration::Registration;
use super::slot::Slot;
use crate::error::{Error, Wait};
use crate::sync::{Condvar, Mutex};
use crate::transport::tls::Session;
use crate::transport::{Permit, Shared, Spin};

/// One TCP connection: its waiters, the frames that wait to be written, and the socket.
///
/// It dies once. Death answers every waiter at once, and nothing can be registered afterwards.
pub(crate) struct Connection {
    pub(super) address: Arc<str>,
    /// Used through `&TcpStream`, outside any lock: only `shutdown` wakes a thread that is blocked
    /// in a read or write of another.
    pub(super) socket: TcpStream,
    /// The socket's other end, unless the peer had gone again at once.
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
    /// None: the connection is plain.
    pub(super) tls: Option<Session>,
    pub(super) state: Mutex<State>,
    /// Wakes the writer thread.
    pub(super) work: Condvar,
    /// Wakes callers that wait for the writer thread to get on.
    pub(super) capacity: Condvar,
    pub(super) shared: Arc<Shared>,
    /// The number of the stream's bytes that the socket has taken.
    pub(super) written: AtomicU64,
    /// In how many system calls; not counted with TLS.
    pub(super) writes: AtomicU64,
    /// The value of `written` when a byte was last read.
    pub(super) read_mark: AtomicU64,
    /// The number of threads that wait for answers due soon.
    pub(super) callers: AtomicUsize,
    pub(super) spin: Spin,
    /// Whether the peer asked us to go away: no new requests, then the end.
    pub(super) retired: AtomicBool,
    /// Whether it has died, readable without the lock; `State::death` has the reason.
    pub(super) dead: AtomicBool,
    /// Whether the peer has answered anything but "go away".
    pub(super) served: AtomicBool,
    /// Whether it died since the peer neither read nor wrote for long.
    pub(super) unresponsive: AtomicBool,
    /// What the peer knows of this client's members.
    registration: Registration,
    /// The number of pauses and yields of threads here.
    #[cfg(test)]
    pub(crate) pauses: AtomicUsize,
}

/// The state under the lock.
pub(super) struct State {
    pub(super) pending: Pending<Slot>,
    pub(super) outbox: Outbox<Permit>,
    /// Whether some thread is writing; only that thread may.
    pub(super) writing: bool,
    pub(super) writer_thread: WriterThread,
    /// Callers that wait for the writer thread to get on.
    pub(super) braked: usize,
    /// Whether frames are being written, as far as those callers know.
    pub(super) moves: bool,
    /// Whether a thread waits for the answer to a frame that waits to be written.
    pub(super) urgent: bool,
    /// Why the connection died.
    pub(super) death: Option<Error>,
    /// A silence of the peer: what `read_mark` is for as long as it lasts, and when it began.
    pub(super) silence: Option<(u64, Instant)>,
    /// A frame whose waiter is gone before it was known to be written.
    pub(super) unsent: Option<Unsent>,
    /// Whether the timer watches frames without a waiter.
    pub(super) watched: bool,
    /// The activity seen by the last idle check, and when it last changed.
    pub(super) idle_since: (u64, u64, Instant),
}

/// A frame that ends here must be written by this time; the timer checks it at `look`.
#[derive(Clone, Copy)]
pub(super) struct Unsent {
    pub(super) end: u64,
    pub(super) by: Instant,
    pub(super) look: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriterThread {
    NotStarted,
    /// Waits for something to write.
    Idle,
    /// Waits for more, or a short time.
    Gathering,
    Busy,
}

/// The load of a connection, and its totals.
pub(crate) struct Load {
    /// Requests whose answers are due soon.
    pub(crate) in_flight: usize,
    /// Requests that the peer may have parked.
    pub(crate) parked: usize,
    pub(crate) queued_bytes: u64,
    pub(crate) written_bytes: u64,
    pub(crate) writes: u64,
    /// The version of TLS.
    pub(crate) tls: Option<&'static str>,
}

impl Connection {
    /// Over a connected socket. It needs its reader thread before it is of any use.
    pub(super) fn new(
        socket: TcpStream,
        tls: Option<Session>,
        address: Arc<str>,
        shared: Arc<Shared>,
    ) -> Connection {
        Connection {
            address,
            remote: socket.peer_addr().ok(),
            local: socket.local_addr().ok(),
            socket,
            tls,
            state: Mutex::new(State {
                pending: Pending::new(),
                outbox: Outbox::new(),
                writing: false,
                writer_thread: WriterThread::NotStarted,
                braked: 0,
                moves: true,
                urgent: false,
                death: None,
                silence: None,
                unsent: None,
                watched: false,
                idle_since: (0, 0, Instant::now()),
            }),
            work: Condvar::new(),
            capacity: Condvar::new(),
            shared,
            written: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            read_mark: AtomicU64::new(0),
            callers: AtomicUsize::new(0),
            spin: Spin::default(),
            retired: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            served: AtomicBool::new(false),
            unresponsive: AtomicBool::new(false),
            registration: Registration::default(),
            #[cfg(test)]
            pauses: AtomicUsize::new(0),
        }
    }

    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// The address behind the name to which it is connected.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// This end's address.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// The load, and the totals.
    pub(crate) fn load(&self) -> Load {
        let state = self.state.lock();
        Load {
            in_flight: state.pending.soon(),
            parked: state.pending.parked(),
            queued_bytes: state.outbox.len(),
            written_bytes: self.written.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            tls: self.tls.as_ref().map(|session| session.version()),
        }
    }

    /// Whether an answer is due soon.
    pub(crate) fn is_awaited(&self) -> bool {
        self.state.lock().pending.soon() > 0
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Why it died.
    pub(crate) fn death(&self) -> Option<Error> {
        self.state.lock().death.clone()
    }

    /// Whether the peer has answered anything but "go away", and was not found silent in the end.
    pub(crate) fn was_of_use(&self) -> bool {
        self.served.load(Ordering::Relaxed) && !self.unresponsive.load(Ordering::Relaxed)
    }

    /// Whether the peer has answered anything but "go away".
    pub(crate) fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// What the peer knows of this client's members by this connection.
    pub(crate) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// The version of the last heartbeat that the peer has confirmed over this connection. 0 before the
    /// first.
    pub(crate) fn confirmed(&self) -> u64 {
        self.registration.confirmed()
    }

    pub(super) fn timed_out(&self, wait: Wait) -> Error {
        Error::timeout(wait).at(&self.address)
    }

    /// A thread is about to pause, or to let others go first.
    pub(super) fn note_pause(&self) {
        #[cfg(test)]
        self.pauses.fetch_add(1, Ordering::Relaxed);
    }
}
