//! The library's table of pending requests and their waiters, and a connection without a socket.

#[path = "../../../../src/transport/connection/pending.rs"]
pub(super) mod pending;
#[path = "../../../../src/transport/connection/slot.rs"]
pub(super) mod slot;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::error::Error;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// The part of the queue of frames that budgets know.
pub(crate) trait Guard: Sized {
    fn merge(&mut self, other: Self) -> Option<Self>;
}

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

    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        None
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

    pub(crate) fn was_of_use(&self) -> bool {
        true
    }

    pub(crate) fn death(&self) -> Option<Error> {
        self.death.lock().clone()
    }
}

pub(crate) fn retire_if_quiet(connection: &Connection) -> bool {
    connection.retire();
    true
}

pub(crate) fn kill(connection: &Connection, cause: Error) {
    connection.death.lock().get_or_insert(cause);
    connection.dead.store(true, SeqCst);
    let ended = connection.ended.lock().take();
    if let Some(ended) = ended {
        ended();
    }
}
