//! The state of one broker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::asked::Asked;
use super::knobs::Knobs;
use super::parked::Parked;
use super::sends::Delays;
use super::transactions::Transactions;
use crate::embedded::changes::Changes;
use crate::embedded::clock::{Clock, Timer};
use crate::embedded::groups::{Configs, Locks, Members, Modes, Offsets, Pops};
use crate::embedded::release::Release;
use crate::embedded::server::Connections;
use crate::embedded::store::{QueueRef, Store};
use crate::embedded::topics::Topics;
use crate::protocol::Command;

/// State that the brokers of a cluster share.
#[derive(Debug, Clone, Copy)]
pub(in crate::embedded) struct Settings {
    pub(in crate::embedded) release: Release,
    pub(in crate::embedded) max_message_size: usize,
    /// Whether pull consumers may use their own request (361).
    pub(in crate::embedded) lite_pull: bool,
    /// Whether filters by SQL92 are served.
    pub(in crate::embedded) sql_filters: bool,
}

pub(in crate::embedded) struct BrokerState {
    /// Its place among the brokers of the cluster.
    pub(in crate::embedded) index: usize,
    pub(in crate::embedded) name: Arc<str>,
    pub(in crate::embedded) address: SocketAddr,
    pub(in crate::embedded) settings: Settings,
    pub(in crate::embedded) clock: Arc<Clock>,
    pub(in crate::embedded) topics: Arc<Topics>,
    pub(in crate::embedded) store: Arc<Store>,
    pub(in crate::embedded) delays: Arc<Delays>,
    pub(in crate::embedded) transactions: Arc<Transactions>,
    pub(in crate::embedded) members: Members,
    pub(in crate::embedded) configs: Configs,
    pub(in crate::embedded) offsets: Offsets,
    pub(in crate::embedded) locks: Locks,
    pub(in crate::embedded) modes: Modes,
    pub(in crate::embedded) pops: Pops,
    /// Held while a pop takes messages.
    pub(in crate::embedded) popping: Mutex<()>,
    /// Long polls that wait for a message.
    pub(in crate::embedded) parked: Parked,
    /// The deviations that a test has set.
    pub(in crate::embedded) knobs: Knobs,
    /// The broker's own requests that clients have not answered yet.
    pub(in crate::embedded) asked: Asked,
    /// Wakes tests that wait.
    pub(in crate::embedded) changes: Arc<Changes>,
    /// The next check for expired members.
    pub(in crate::embedded) expiry: Mutex<Option<Timer>>,
    /// Sends the broker's own requests to clients.
    pub(in crate::embedded) connections: Arc<Connections>,
    /// Counts on where the broker chooses a queue or an id itself.
    pub(in crate::embedded) counter: AtomicU32,
}

impl BrokerState {
    pub(in crate::embedded) fn count(&self) -> u32 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// A queue of this broker.
    pub(in crate::embedded) fn queue<'a>(&self, topic: &'a str, queue_id: i32) -> QueueRef<'a> {
        QueueRef {
            broker: self.index,
            topic,
            queue_id,
        }
    }

    /// Sends a request to a client; `false` if the connection is gone.
    pub(in crate::embedded) fn push(&self, connection: u64, request: Command) -> bool {
        self.connections.push(connection, request).is_some()
    }

    /// The broker was killed: it loses its state in memory. Stored messages stay.
    pub(in crate::embedded) fn forget(&self) {
        self.delays.set_down(self.index, true);
        self.members.clear();
        self.locks.clear();
        self.offsets.forget(self.clock.now());
        self.asked.clear();
        self.changes.note();
        // Dropping it may run other code: not under the lock.
        let timer = self.expiry.lock().take();
        drop(timer);
    }
}
