//! The asked offset does not exist at the broker.

use std::time::{Duration, Instant};

use crate::consumer::control::inbox::Asked;
use crate::consumer::control::owned::{Owned, Stage};
use crate::consumer::control::tools::Tools;
use crate::consumer::control::wire::Bound;
use crate::consumer::fetch::{Move, Moved, judge_move};
use crate::consumer::observe::{Event, MoveReason};
use crate::protocol::admin::StoreTimeAnswer;
use crate::transport::Outcome;

use super::commits;

/// Applies the policy. Returns how long to wait before the offset is asked for again.
pub(in crate::consumer::control) fn moved(
    owned: &mut Owned,
    tools: &mut Tools,
    moved: Moved,
    from: u64,
    from_master: bool,
    now: Instant,
) -> Duration {
    let since = *owned.fetch.moved_since.get_or_insert(now);
    let is_new_topic = owned.fetch.is_new_topic;
    let took = now.saturating_duration_since(since);
    let policy = tools.config.on_offset_moved;
    let (to, why) = match judge_move(policy, moved, took, from_master, is_new_topic) {
        Move::Stay { pause } => {
            // Ask the master: only it knows whether the topic was created again.
            owned.fetch.broker_id = 0;
            if matches!(moved, Moved::TooLarge { .. }) {
                let (queue, number) = (&owned.assigned.queue, owned.number());
                let asked = Asked::Earliest(number);
                tools.wire.bound(queue, Bound::StoreTime, now, asked);
            }
            return pause;
        }
        Move::Go { to } => (Some(to), reason(moved)),
        Move::Stop => (None, reason(moved)),
    };
    tools.events.tell(Event::OffsetMoved {
        queue: owned.assigned.shown.clone(),
        from,
        to,
        why,
    });
    match to {
        Some(to) => go_on_at(owned, tools, to, now),
        None => owned.enter(Stage::Stopped, now),
    }
    Duration::ZERO
}

/// Begins anew at another offset. Messages that handlers have belong to the old generation.
pub(in crate::consumer::control) fn go_on_at(
    owned: &mut Owned,
    tools: &mut Tools,
    to: u64,
    now: Instant,
) {
    let generation = tools.next_generation();
    let freed = owned.assigned.restart(generation, to);
    tools.budget.release(owned.number(), freed);
    tools.budget.unanswered(owned.number());
    owned.fetch.forget_place();
    let queue = owned.queue().clone();
    tools.progress.seek(&queue, generation, to);
    tools.past.forget(&queue);
    owned.enter(Stage::Active, now);
    commits::commit_now(&queue, owned.number(), tools, now);
}

/// The broker answered when the first message of the queue was stored. If that is later than the last
/// message that was fetched, the topic was created again.
pub(in crate::consumer::control) fn earliest(owned: &mut Owned, outcome: Outcome) {
    let read = |answer| StoreTimeAnswer::decode(&answer).ok();
    let answer = outcome.ok().and_then(|answer| read(answer.ext));
    if let (Some(answer), Some(last)) = (answer, owned.fetch.last_stored) {
        owned.fetch.is_new_topic = answer.timestamp > last;
    }
}

fn reason(moved: Moved) -> MoveReason {
    match moved {
        Moved::TooSmall { .. } => MoveReason::Expired,
        Moved::TooLarge { .. } => MoveReason::BehindEnd,
        Moved::Reset { .. } => MoveReason::Reset,
    }
}
