//! The locks of queues at their brokers: asked for, renewed and given back.
//!
//! An ordered consumer hands out nothing without them. A concurrent one takes them as leases for the
//! hand-over while all members of the group use this library: the new member of a queue waits until
//! the old one has committed and unlocked it.

use std::time::Instant;

use super::inbox::Asked;
use super::owned::{Owned, Queues, Stage};
use super::tools::Tools;
use crate::consumer::LOG;
use crate::consumer::queue::{Granted, Need, QueueLock};
use crate::logging;
use crate::message::MessageQueue;
use crate::protocol::code::response;
use crate::protocol::consumer::lock::Locked;
use crate::transport::Outcome;

/// Notes a queue whose lock must be asked for or renewed now. Returns when to look again.
pub(super) fn step(owned: &mut Owned, tools: &mut Tools, now: Instant) -> Option<Instant> {
    if owned.is_given_up() && !owned.has_handlers() && tools.progress.is_settled(owned.queue()) {
        // It is given back as soon as no request is in flight.
        return None;
    }
    let number = owned.number();
    let broker = owned.host.clone();
    let lock = owned.lock.as_mut()?;
    if lock.ask_at().is_some_and(|at| at <= now) {
        lock.ask(now);
        tools.to_lock.entry(broker).or_default().push(number);
    }
    [lock.ask_at(), lock.changes_at(now)]
        .into_iter()
        .flatten()
        .filter(|at| *at > now)
        .min()
}

/// Sends one request to each broker.
pub(super) fn ask(queues: &mut Queues, tools: &mut Tools, now: Instant) {
    for (broker, numbers) in std::mem::take(&mut tools.to_lock) {
        let name = |number: &u64| Some(queues.get_mut(*number)?.queue().clone());
        let names: Vec<MessageQueue> = numbers.iter().filter_map(name).collect();
        if !tools
            .wire
            .lock(&broker, names, now, Asked::Lock(numbers.clone()))
        {
            fail(&numbers, queues, now);
        }
    }
}

/// The broker has no address, or did not answer.
fn fail(numbers: &[u64], queues: &mut Queues, now: Instant) {
    for number in numbers {
        if let Some(lock) = queues
            .get_mut(*number)
            .and_then(|owned| owned.lock.as_mut())
        {
            lock.failed();
        }
        queues.look_at(*number, Some(now));
    }
}

/// A broker answered which of the queues it has locked for this member. Returns those that another
/// member may have had in between.
pub(super) fn answered(
    numbers: &[u64],
    outcome: Outcome,
    queues: &mut Queues,
    now: Instant,
) -> Vec<u64> {
    let locked = outcome
        .ok()
        .filter(|answer| answer.code == response::SUCCESS);
    let Some(locked) = locked.and_then(|answer| Locked::decode(&answer.body).ok()) else {
        fail(numbers, queues, now);
        return Vec::new();
    };
    let mut again = Vec::new();
    for number in numbers {
        let Some(owned) = queues.get_mut(*number) else {
            continue;
        };
        let is_ours = locked.queues.contains(owned.queue());
        if let Some(lock) = owned.lock.as_mut() {
            match is_ours {
                true if lock.granted() == Some(Granted::Again) => again.push(*number),
                true => {}
                false => lock.refused(now),
            }
        }
        queues.look_at(*number, Some(now));
    }
    again
}

/// Whether messages of a queue may be handed out.
pub(super) fn may_hand_out(owned: &Owned, now: Instant) -> bool {
    match &owned.lock {
        None => true,
        Some(lock) if lock.need() == Need::Required => lock.is_held(now),
        // A lease is for the hand-over only: unless another member has it, the queue goes on.
        Some(lock) => lock.waits_for_another().is_none() || lock.goes_without(now),
    }
}

/// A queue was given up, with all of its progress committed or not, and with so many messages that are not done.
///
/// An unlock tells other members that the queue is handed over: that nothing of it is done twice. Otherwise they wait
/// until a lock expires, or for as long as they wait for a lease. A lease without messages is given back all the same:
/// brokers take no copies for the retry topic while there is one.
pub(super) fn end(
    owned: &mut Owned,
    tools: &Tools,
    is_committed: bool,
    running: usize,
    now: Instant,
) {
    if running > 0 && tools.waits_for_handlers {
        return;
    }
    let is_handed_over = is_committed && running == 0;
    let is_lease = tools.leases && tools.config.auto_commit && running == 0;
    if is_handed_over || is_lease || !tools.has_others {
        unlock(owned, tools, now);
    }
}

/// Gives the lock of a queue back.
fn unlock(owned: &mut Owned, tools: &Tools, now: Instant) {
    let lock = owned.lock.take();
    if lock.is_some_and(|lock| lock.was_asked()) {
        let queue = owned.queue().clone();
        tools.wire.unlock(&owned.host, vec![queue], now);
    }
}

/// Begins or ends the use of leases.
pub(super) fn use_leases(on: bool, queues: &mut Queues, tools: &mut Tools, now: Instant) {
    if tools.leases == on {
        return;
    }
    let group = &tools.config.group;
    match on {
        true => logging::debug!(target: LOG, "{group}: all members use this library"),
        false => logging::debug!(target: LOG, "{group}: not all members use this library"),
    }
    (tools.leases, tools.holds_locks) = (on, on);
    for number in queues.numbers() {
        let Some(owned) = queues.get_mut(number).filter(|owned| !owned.is_given_up()) else {
            continue;
        };
        match on {
            true => owned.lock = Some(QueueLock::new(Need::Preferred, now)),
            false => unlock(owned, tools, now),
        }
        queues.look_at(number, Some(now));
    }
}

/// The connection to a broker is new: the broker may have forgotten its locks.
pub(super) fn link_broke(broker: &str, queues: &mut Queues, now: Instant) {
    lose_all(broker, queues, QueueLock::link_broke, now);
}

/// The broker has no master in any route.
pub(super) fn master_is_gone(broker: &str, queues: &mut Queues, now: Instant) {
    lose_all(broker, queues, QueueLock::master_is_gone, now);
}

/// The broker of a queue may not have its lock any more.
pub(super) fn forget(owned: &mut Owned, now: Instant) {
    lose(owned, QueueLock::link_broke, now);
}

fn lose_all(broker: &str, queues: &mut Queues, how: fn(&mut QueueLock, Instant), now: Instant) {
    for number in queues.numbers() {
        let owned = queues.get_mut(number);
        if let Some(owned) = owned.filter(|owned| *owned.host == *broker) {
            lose(owned, how, now);
            queues.look_at(number, Some(now));
        }
    }
}

fn lose(owned: &mut Owned, how: fn(&mut QueueLock, Instant), now: Instant) {
    let Some(lock) = &mut owned.lock else {
        return;
    };
    how(lock, now);
    if let Stage::Taking(hand_over) = &mut owned.stage {
        hand_over.forget();
    }
    // A broker that has forgotten its locks may have forgotten the last commits too.
    owned.fetch.may_be_forgotten |= owned.fetch.last_answer.is_none();
}
