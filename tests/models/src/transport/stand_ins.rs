//! In place of files with sockets, as small as what is modelled allows.

/// The part of the queue of frames that budgets know.
pub(super) mod outbox {
    pub(crate) trait Guard: Sized {
        fn merge(&mut self, other: Self) -> Option<Self>;
    }
}

/// No pause after a failure, or a very long one.
pub(super) mod backoff {
    use std::time::Duration;

    pub(crate) fn delay(_: u32, random: u64) -> Duration {
        match random % 2 {
            0 => Duration::ZERO,
            _ => Duration::from_secs(7200),
        }
    }
}

pub(super) mod connection {
    use std::sync::Arc;

    use crate::error::Error;
    use crate::sync::Mutex;
    use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};

    /// A connection without a socket.
    pub(crate) struct Connection {
        address: Arc<str>,
        death: Mutex<Option<Error>>,
        ended: Mutex<Option<Box<dyn FnOnce() + Send>>>,
        dead: AtomicBool,
        retired: AtomicBool,
    }

    impl Connection {
        pub(crate) fn new(address: &Arc<str>, ended: impl FnOnce() + Send + 'static) -> Connection {
            Connection {
                address: address.clone(),
                death: Mutex::new(None),
                ended: Mutex::new(Some(Box::new(ended))),
                dead: AtomicBool::new(false),
                retired: AtomicBool::new(false),
            }
        }

        pub(crate) fn address(&self) -> &Arc<str> {
            &self.address
        }

        pub(crate) fn is_usable(&self) -> bool {
            !self.dead.load(SeqCst) && !self.retired.load(SeqCst)
        }

        pub(crate) fn is_awaited(&self) -> bool {
            false
        }

        pub(crate) fn is_retired(&self) -> bool {
            self.retired.load(SeqCst)
        }

        pub(crate) fn retire(&self) {
            self.retired.store(true, SeqCst);
        }

        pub(crate) fn has_served(&self) -> bool {
            true
        }

        pub(crate) fn death(&self) -> Option<Error> {
            self.death.lock().clone()
        }

        pub(crate) fn kill(&self, cause: Error) {
            self.death.lock().get_or_insert(cause);
            self.dead.store(true, SeqCst);
            let ended = self.ended.lock().take();
            if let Some(ended) = ended {
                ended();
            }
        }
    }
}

pub(super) mod shared {
    use std::sync::Arc;

    use shuttle::rand::{RngCore, thread_rng};

    use super::super::Threads;
    use super::connection::Connection;
    use crate::sync::Mutex;
    use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[derive(Default)]
    pub(crate) struct Workers {
        pub(crate) threads: Threads,
    }

    #[derive(Default)]
    pub(crate) struct Shared {
        pub(crate) workers: Workers,
        pub(crate) inbound: Inbound,
        /// Dials that are being made.
        pub(crate) dialling: AtomicUsize,
        /// All connections that ever were.
        pub(crate) made: Mutex<Vec<Arc<Connection>>>,
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
}

pub(super) mod dial {
    use std::sync::Arc;

    use super::super::Deadline;
    use super::connection::Connection;
    use super::shared::Shared;
    use crate::error::{Error, ErrorKind};
    use crate::sync::atomic::Ordering::SeqCst;
    use crate::sync::thread;

    /// Succeeds or not.
    pub(crate) fn open(
        address: &Arc<str>,
        shared: &Arc<Shared>,
        _: Deadline,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<Arc<Connection>, Error> {
        let others = shared.dialling.fetch_add(1, SeqCst);
        assert_eq!(others, 0, "one dial at a time");
        thread::yield_now();
        shared.dialling.fetch_sub(1, SeqCst);
        if shared.random() % 3 == 0 {
            return Err(Error::new(ErrorKind::Connect, "cannot connect"));
        }
        let connection = Arc::new(Connection::new(address, ended));
        shared.made.lock().push(connection.clone());
        Ok(connection)
    }
}
