//! Gives a queue up: no handler starts, running handlers end, the progress is committed.

use std::time::{Duration, Instant};

use super::{commits, taking};
use crate::consumer::control::owned::{Owned, Place, Stage};
use crate::consumer::control::tools::Tools;
use crate::consumer::queue::QueueLock;

/// How often a queue is looked at whose next message waits for a consume thread.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The pause between two commits of a queue.
const COMMIT_AGAIN: Duration = Duration::from_millis(500);

/// The state of a queue that is given up.
pub(in crate::consumer::control) enum Left {
    /// Handlers or commits are in flight; look again at this time, unless an event comes before.
    Busy(Instant),
    /// All is committed.
    Clean,
    /// The time is up.
    Late,
}

/// Stops a queue. Handlers and commits have until this time.
pub(in crate::consumer::control) fn begin(
    owned: &mut Owned,
    tools: &mut Tools,
    until: Instant,
    now: Instant,
) {
    // The rest of the time is for the handlers that run then, and for the commit.
    let half = |until: Instant| now + until.saturating_duration_since(now) / 2;
    if let Stage::GivingUp { until: before, .. } = &mut owned.stage {
        *before = until.min(*before);
        owned.assigned.lock().window.drain(half(*before));
        return;
    }
    tools.assignment.remove(&owned.assigned.shown);
    let place = match owned.stage {
        Stage::Checking(check) => Place::InDoubt(check),
        _ => Place::Ours,
    };
    let had_started = owned.is_active() || matches!(place, Place::InDoubt(_));
    let freed = owned.assigned.lock().window.drain(half(until));
    tools.budget.release(owned.number(), freed);
    let until = if had_started { until } else { now };
    let is_away = !tools.is_in_route(owned.queue());
    let stage = Stage::GivingUp {
        until,
        is_away,
        place,
    };
    owned.enter(stage, now);
}

pub(in crate::consumer::control) fn step(
    owned: &mut Owned,
    tools: &mut Tools,
    now: Instant,
) -> Left {
    let Stage::GivingUp { until, .. } = owned.stage else {
        return Left::Clean;
    };
    commits::note(owned, tools);
    let busy = |at: Instant| match now >= until {
        true => Left::Late,
        false => Left::Busy(at.min(until)),
    };
    if tools.waits_for_handlers && !owned.assigned.has_drained(now) {
        // The end of a handler is an event.
        return busy(if owned.has_handlers() {
            until
        } else {
            now + LOOK_AGAIN
        });
    }
    if tools.config.auto_commit && owned.check().is_some() {
        return busy(taking::check(owned, tools, now).unwrap_or(until));
    }
    if let Stage::GivingUp {
        place: Place::Others,
        ..
    } = owned.stage
    {
        return Left::Clean;
    }
    let queue = owned.queue().clone();
    let (is_in_doubt, lock) = (owned.waits_for_lock(now), owned.lock.as_ref());
    if is_in_doubt && lock.is_some_and(|lock| lock.waits_for_another().is_some()) {
        // It has gone on, and a commit would undo that.
        return match tools.progress.is_settled(&queue) {
            true => Left::Clean,
            false => Left::Late,
        };
    }
    if now < until && !is_in_doubt {
        commits::commit_now(&queue, owned.number(), tools, now);
    }
    let is_stored = match tools.config.auto_commit {
        true => tools.progress.is_settled(&queue),
        // No caller asked to commit the rest.
        false => !tools.progress.is_in_flight(&queue) && !tools.progress.is_held_back(&queue),
    };
    // A request for the lock must not arrive behind the one that gives it back.
    let is_asking = owned.lock.as_ref().is_some_and(QueueLock::is_asking);
    match is_stored {
        true if is_asking && now < until => Left::Busy(until),
        true => Left::Clean,
        false => busy(now + COMMIT_AGAIN),
    }
}
