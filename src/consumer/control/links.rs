//! The connections over which brokers know this member, and the brokers that its queues are on. A broker behind a
//! new connection may be a new process: without its locks, and with older offsets. A queue of a static topic moves when
//! an operator maps it to another broker.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::inbox::Asked;
use super::locks;
use super::owned::{Owned, Queues};
use super::tools::Tools;
use crate::consumer::LOG;
use crate::consumer::consume::Mode;
use crate::logging;
use crate::protocol::code::response;
use crate::protocol::route::MASTER;
use crate::transport::{Connection, Outcome};

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
            if address.is_none() {
                locks::master_is_gone(&name, queues, now);
            } else if both.is_none_or(|(known, now)| known.as_ptr() != Arc::as_ptr(now)) {
                locks::link_broke(&name, queues, now);
            }
        }
    }
}

/// The brokers of this member's queues.
fn names(queues: &Queues) -> BTreeSet<Arc<str>> {
    queues.iter().map(|owned| owned.host.clone()).collect()
}

/// Has a route looked up if a broker answered that it does not host the queue that it was asked about.
pub(super) fn look_up_host(asked: &Asked, outcome: &Outcome, queues: &Queues, tools: &Tools) {
    let answer = outcome.as_ref().ok();
    if answer.is_none_or(|answer| answer.code != response::NOT_LEADER_FOR_QUEUE) {
        return;
    }
    let of = |number: &u64| queues.get(*number).map(Owned::queue);
    let queue = match asked {
        Asked::Start(number) | Asked::Check(number, _) | Asked::Bound(number) => of(number),
        Asked::Earliest(number) => of(number),
        Asked::Pull(pull) => of(&pull.number),
        Asked::Commit(commit, _) => Some(&commit.queue),
        Asked::Committed(queue) => Some(queue),
        Asked::Reread(unread) => Some(&unread.queue.queue),
        _ => None,
    };
    if let Some(queue) = queue {
        tools.wire.core.refresh_soon(&queue.topic().into());
    }
}

/// A route may have changed: notes the queues that other brokers host now. Their offsets are logical ones and stay;
/// the new host knows neither the locks nor, perhaps, the latest offsets.
pub(super) fn follow_hosts(queues: &mut Queues, tools: &mut Tools, now: Instant) {
    let brokers = tools.wire.core.routes.brokers();
    for number in queues.numbers() {
        let Some(owned) = queues.get_mut(number) else {
            continue;
        };
        let host = brokers.host(owned.queue()).clone();
        if host == owned.host {
            continue;
        }
        let queue = &owned.assigned.shown;
        logging::debug!(target: LOG, "{queue}: moved from {} to {host}", owned.host);
        tools.progress.is_on(owned.queue(), &host);
        owned.host = host;
        owned.fetch.broker_id = MASTER;
        locks::forget(owned, now);
        queues.look_at(number, Some(now));
    }
}
