//! The state of one broker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::delays::Delays;
use super::transactions::Transactions;
use crate::embedded::clock::{Clock, Timer};
use crate::embedded::members::Members;
use crate::embedded::server::Connections;
use crate::embedded::store::{QueueRef, Store};
use crate::embedded::topics::Topics;

pub(in crate::embedded) struct BrokerState {
    /// Its place among the brokers of the cluster.
    pub(in crate::embedded) index: usize,
    pub(in crate::embedded) name: Arc<str>,
    pub(in crate::embedded) address: SocketAddr,
    pub(in crate::embedded) max_message_size: usize,
    pub(in crate::embedded) clock: Arc<Clock>,
    pub(in crate::embedded) topics: Arc<Topics>,
    pub(in crate::embedded) store: Arc<Store>,
    pub(in crate::embedded) delays: Arc<Delays>,
    pub(in crate::embedded) transactions: Arc<Transactions>,
    pub(in crate::embedded) members: Members,
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

    /// The broker was killed: it loses its state in memory. Stored messages stay.
    pub(in crate::embedded) fn forget(&self) {
        self.members.clear();
        // Dropping it may run other code: not under the lock.
        let timer = self.expiry.lock().take();
        drop(timer);
    }
}
