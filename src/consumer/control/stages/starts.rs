//! Finds the start offset of a queue.

use std::time::Instant;

use crate::consumer::LOG;
use crate::consumer::control::inbox::Asked;
use crate::consumer::control::owned::{Owned, Stage};
use crate::consumer::control::tools::Tools;
use crate::consumer::control::wire::Bound;
use crate::consumer::offset::{Committed, Next, Start};
use crate::logging;
use crate::protocol::Command;
use crate::protocol::admin::OffsetAnswer;
use crate::protocol::code::response;
use crate::transport::Outcome;

/// The first version of brokers that can say that a group has no offset: V5_0_0 of Java's
/// `MQVersion`.
const V5: i32 = 413;

/// Sends the next question of a queue that is about to start, if one is due. Returns when to look again.
/// Once the start is known, the queue is active.
pub(in crate::consumer::control) fn step(
    owned: &mut Owned,
    tools: &mut Tools,
    now: Instant,
) -> Option<Instant> {
    let Stage::Starting(starting) = &mut owned.stage else {
        return None;
    };
    let (number, queue) = (owned.assigned.number, &owned.assigned.queue);
    let group = tools.facts.group_is(queue.topic());
    let was_sent = match starting.next(tools.config.start_from, group, now) {
        Next::Wait => return None,
        Next::Until(at) => return Some(at),
        Next::Begin { offset, is_stored } => {
            begin(owned, tools, offset, is_stored, now);
            return Some(now);
        }
        Next::AskCommitted => match &tools.local {
            Some(local) => {
                starting.committed(local.committed(queue));
                return Some(now);
            }
            None => tools.wire.committed(queue, now, Asked::Start(number)),
        },
        Next::AskBound(bound) => {
            let bound = match bound {
                Start::AskMax => Bound::Max,
                Start::AskTime(millis) => Bound::At(millis),
                _ => Bound::Min,
            };
            tools.wire.bound(queue, bound, now, Asked::Bound(number))
        }
        Next::AskGroup => {
            for queue in tools.facts.unknown(queue.topic()) {
                let asked = Asked::Committed(queue.clone());
                tools.wire.committed(&queue, now, asked);
            }
            false
        }
    };
    match was_sent {
        true => starting.asked(),
        false => {
            starting.failed(now);
            return step(owned, tools, now);
        }
    }
    None
}

/// The broker answered the group's offset of the queue, or the request failed.
pub(in crate::consumer::control) fn committed(owned: &mut Owned, outcome: Outcome, now: Instant) {
    let Stage::Starting(starting) = &mut owned.stage else {
        return;
    };
    match read_committed(outcome) {
        (Committed::Unknown, _) => starting.failed(now),
        (committed, _) => {
            let above = owned.fetch.handed_over_above;
            if let (Committed::Known(offset), Some(above)) = (committed, above) {
                owned.fetch.may_repeat &= offset <= above;
            }
            starting.committed(committed);
        }
    }
}

/// The broker answered a bound of the queue, or the request failed.
pub(in crate::consumer::control) fn bound(
    owned: &mut Owned,
    tools: &mut Tools,
    outcome: Outcome,
    now: Instant,
) {
    let Stage::Starting(starting) = &mut owned.stage else {
        return;
    };
    let offset = outcome.ok().as_ref().and_then(offset);
    match offset {
        Some(offset) => {
            // A group without an offset has handled nothing, unless another member has just begun.
            owned.fetch.may_repeat &= owned.had_to_wait();
            begin(owned, tools, offset, false, now);
        }
        None => starting.failed(now),
    }
}

/// The group's offset, from a broker's answer, and whether a 0 may mean that it has none.
pub(in crate::consumer::control) fn read_committed(outcome: Outcome) -> (Committed, bool) {
    let Ok(answer) = outcome else {
        return (Committed::Unknown, false);
    };
    let committed = match answer.code {
        response::QUERY_NOT_FOUND => Committed::NotFound,
        _ => offset(&answer).map_or(Committed::Unknown, Committed::Known),
    };
    (committed, answer.version < V5)
}

fn offset(answer: &Command) -> Option<u64> {
    if answer.code != response::SUCCESS {
        return None;
    }
    let answer = OffsetAnswer::decode(&answer.ext).ok()?;
    answer.offset.try_into().ok()
}

/// The queue starts here. Unless the broker has this offset already, it is committed at once, so that
/// the next member of the queue does not decide again.
fn begin(owned: &mut Owned, tools: &mut Tools, offset: u64, is_stored: bool, now: Instant) {
    let (number, generation) = (owned.number(), tools.next_generation());
    owned.assigned.restart(generation, offset);
    let queue = owned.queue().clone();
    tools.progress.begin(&queue, generation, offset, is_stored);
    tools.past.forget(&queue);
    logging::debug!(target: LOG, "{}: starts at {offset}", owned.assigned.shown);
    owned.enter(Stage::Active, now);
    super::commits::commit_now(&queue, number, tools, now);
}
