//! The connections over which brokers know this member. A broker behind a new connection may be a new
//! process: without its locks, and with older offsets.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::locks;
use super::owned::Queues;
use super::tools::Tools;
use crate::consumer::consume::Mode;
use crate::transport::Connection;

/// The connections over which brokers have confirmed this member, by address.
#[derive(Default)]
pub(super) struct Links(HashMap<Arc<str>, Weak<Connection>>);

impl Links {
    /// A broker has confirmed this member over this connection.
    pub(super) fn confirmed(
        &mut self,
        connection: &Arc<Connection>,
        queues: &mut Queues,
        tools: &mut Tools,
        now: Instant,
    ) {
        let address = connection.address();
        let link = Arc::downgrade(connection);
        let before = self.0.insert(address.clone(), link.clone());
        if before.is_none_or(|before| before.ptr_eq(&link)) {
            return;
        }
        let brokers = tools.wire.core.routes.brokers();
        for name in names(queues) {
            if brokers.master(&name) == Some(address) {
                tools.progress.broker_came_back(&name);
                locks::link_broke(&name, queues, now);
            }
        }
    }

    /// Finds brokers whose connection broke: their locks do not count until they have confirmed them
    /// again.
    pub(super) fn check(&self, queues: &mut Queues, tools: &Tools, now: Instant) {
        if !tools.leases && tools.config.mode != Mode::Ordered {
            return;
        }
        let core = &tools.wire.core;
        let brokers = core.routes.brokers();
        for name in names(queues) {
            let address = brokers.master(&name);
            let known = address.and_then(|address| self.0.get(address));
            let current = address.and_then(|address| core.remoting.current(address));
            let both = known.zip(current.as_ref());
            if both.is_none_or(|(known, current)| known.as_ptr() != Arc::as_ptr(current)) {
                locks::link_broke(&name, queues, now);
            }
        }
    }
}

/// The brokers of this member's queues.
fn names(queues: &Queues) -> BTreeSet<Arc<str>> {
    let names = queues.iter().map(|owned| owned.queue().shared_broker());
    names.cloned().collect()
}
