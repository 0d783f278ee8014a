//! A queue waits until no other member has it, and checks its offset if another one may have had it.

use std::time::{Duration, Instant};

use super::moved::go_on_at;
use super::starts::read_committed;
use crate::consumer::LOG;
use crate::consumer::control::inbox::Asked;
use crate::consumer::control::locks;
use crate::consumer::control::owned::{Check, Owned, Place, Stage};
use crate::consumer::control::tools::Tools;
use crate::consumer::offset::{Committed, Starting};
use crate::logging;
use crate::transport::Outcome;

/// Without locks, another member may still handle its last messages: its progress is asked for after
/// this time.
const OTHERS_END_WITHIN: Duration = Duration::from_secs(1);

/// The pause after a question that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Starts the queue once its lock is held, or no longer needed. Returns when to look again.
pub(in crate::consumer::control) fn step(
    owned: &mut Owned,
    tools: &mut Tools,
    now: Instant,
) -> Option<Instant> {
    let mut not_before = now;
    let number = owned.number();
    let (queue, fetch) = (&owned.assigned.queue, &mut owned.fetch);
    let Stage::Taking(hand_over) = &mut owned.stage else {
        return None;
    };
    match &owned.lock {
        Some(lock) if !lock.may_hand_out(now) => {
            let must_ask = lock.had_to_wait() && hand_over.must_ask(now);
            if must_ask && tools.wire.committed(queue, now, Asked::Check(number, true)) {
                hand_over.ask(now);
            }
            return None;
        }
        Some(lock) if lock.is_held(now) => {
            // Others may unlock a queue at any time.
            let above = hand_over.shown_above(now).filter(|_| tools.are_all_ours);
            fetch.handed_over_above = above;
        }
        Some(_) => {
            let queue = &owned.assigned.shown;
            logging::debug!(target: LOG, "{queue}: no lock in time; going on without it");
        }
        None if tools.has_others => not_before += OTHERS_END_WITHIN,
        None => {}
    }
    fetch.may_repeat = true;
    let topic = tools.topics.get(queue.topic());
    let is_retry = topic.is_some_and(|topic| topic.is_retry);
    let past = tools.past.get(queue, now);
    let starting = Starting::new(tools.facts.is_new(queue), is_retry, past, not_before);
    owned.enter(Stage::Starting(starting), now);
    Some(now)
}

/// Another member may have had the queue for a while.
pub(in crate::consumer::control) fn doubt(owned: &mut Owned, now: Instant) {
    if let Some(check) = owned.check() {
        check.is_stale = check.ask_at.is_none();
        return;
    }
    let check = Check {
        ask_at: Some(now),
        is_stale: false,
    };
    match &mut owned.stage {
        Stage::Active => {
            owned.assigned.lock().ours_until = Some(now);
            owned.enter(Stage::Checking(check), now);
        }
        Stage::GivingUp { place, .. } if matches!(place, Place::Ours) => {
            *place = Place::InDoubt(check);
        }
        _ => {}
    }
}

/// The same, if the queue goes on without the lock that it had.
pub(in crate::consumer::control) fn doubt_without_lock(owned: &mut Owned, now: Instant) {
    let lock = owned.lock.as_ref();
    if lock.is_some_and(|lock| lock.goes_without(now) && lock.is_in_doubt(now)) {
        doubt(owned, now);
    }
}

/// Asks for the committed offset. Returns when to look again.
pub(in crate::consumer::control) fn check(
    owned: &mut Owned,
    tools: &mut Tools,
    now: Instant,
) -> Option<Instant> {
    let number = owned.number();
    let queue = owned.assigned.queue.clone();
    let ask_at = &mut owned.check()?.ask_at;
    if ask_at.is_none_or(|at| at > now) {
        return *ask_at;
    }
    let is_asked = tools
        .wire
        .committed(&queue, now, Asked::Check(number, false));
    *ask_at = (!is_asked).then_some(now + AGAIN);
    *ask_at
}

/// The broker answered the committed offset. If it is higher than the low-water, another member went on
/// here. If it was asked for while the queue was taken (`is_taken`), it is only noted.
pub(in crate::consumer::control) fn checked(
    owned: &mut Owned,
    tools: &mut Tools,
    is_taken: bool,
    outcome: Outcome,
    now: Instant,
) {
    let (committed, _) = read_committed(outcome);
    if is_taken {
        if let Stage::Taking(hand_over) = &mut owned.stage {
            hand_over.answered(match committed {
                Committed::Known(offset) => Some(offset),
                Committed::NotFound => Some(0),
                Committed::Unknown => None,
            });
        }
        return;
    }
    let waits = owned.is_given_up() && tools.waits_for_handlers && owned.has_handlers();
    let Some(check) = owned.check() else {
        return;
    };
    let is_stale = std::mem::take(&mut check.is_stale);
    if committed == Committed::Unknown {
        check.ask_at = Some(now + AGAIN);
        return;
    }
    if waits || is_stale {
        // What handlers do until they end may be less or more than the other member's progress.
        check.ask_at = Some(now);
        return;
    }
    if let Some(lock) = &mut owned.lock {
        lock.offset_checked(now);
    }
    let low_water = owned.assigned.lock().window.low_water();
    let of_others = match committed {
        // What is behind a seek that was not confirmed yet may be this member's own.
        Committed::Known(_) if tools.progress.is_sought(owned.queue()) => None,
        Committed::Known(offset) => Some(offset).filter(|offset| *offset > low_water),
        _ => None,
    };
    match (&mut owned.stage, of_others) {
        (Stage::GivingUp { place, .. }, None) => *place = Place::Ours,
        (Stage::GivingUp { place, .. }, Some(_)) => *place = Place::Others,
        (_, None) => owned.enter(Stage::Active, now),
        (_, Some(offset)) => go_on_at(owned, tools, offset, now),
    }
}

/// Sets until when messages may be handed out.
pub(in crate::consumer::control) fn note_ours(owned: &Owned, now: Instant) {
    let until = match (locks::may_hand_out(owned, now), &owned.lock) {
        (false, _) => Some(now),
        (true, Some(lock)) => lock.must_be_renewed_by(now),
        (true, None) => None,
    };
    owned.assigned.lock().ours_until = until;
}
