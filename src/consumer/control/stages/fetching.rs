//! Asks for the messages of a queue, and handles the answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::moved;
use crate::consumer::LOG;
use crate::consumer::config::Sharing;
use crate::consumer::control::inbox::Pull;
use crate::consumer::control::owned::{Owned, Place, Stage};
use crate::consumer::control::tools::Tools;
use crate::consumer::fetch::{Moved, PullAnswer, Verdict, judge};
use crate::consumer::observe::Event;
use crate::consumer::queue::{Answer, Fetched, Grant, Payload};
use crate::error::{Error, ErrorKind, OneLine, ResponseCode};
use crate::logging;
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::protocol::consumer::pull;
use crate::protocol::message::{Messages, Packed, Unreadable};
use crate::protocol::route::MASTER;
use crate::transport::Outcome;

/// How often a queue checks whether its broker has confirmed this member, unless an event comes before.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The largest inflated inner batch, in bytes.
const MOST_INFLATED: usize = 64 << 20;

/// The messages of an answer, up to the first one that cannot be found.
#[derive(Default)]
struct Found {
    messages: Vec<(i64, u64, Payload)>,
    /// The error that ended the search early.
    unreadable: Option<Unreadable>,
    /// When the last one was stored, epoch milliseconds.
    last_stored: Option<i64>,
}

/// Sends the next request of an active queue if it may be sent now. Returns when to look again, if
/// no event comes before.
pub(in crate::consumer::control) fn step(
    owned: &mut Owned,
    tools: &mut Tools,
    now: Instant,
) -> Option<Instant> {
    if !owned.may_fetch(now) {
        return None;
    }
    if let Some(at) = owned.fetch.not_before.filter(|at| *at > now) {
        return Some(at);
    }
    let capacity = {
        let window = &owned.assigned.lock().window;
        let is_busy = window.is_asking() || window.is_full();
        (!is_busy).then(|| tools.config.window.saturating_sub(window.len()))
    };
    let capacity = capacity?;
    let grant = tools.budget.ask(owned.number(), capacity);
    owned.fetch.waits_for_bytes = grant.is_none();
    ask(owned, tools, grant?, now)
}

/// Sends a request that the budget allows. Returns when to look again.
pub(in crate::consumer::control) fn ask(
    owned: &mut Owned,
    tools: &mut Tools,
    grant: Grant,
    now: Instant,
) -> Option<Instant> {
    let fetch = &mut owned.fetch;
    fetch.not_before = None;
    fetch.waits_for_bytes = false;
    let queue = &owned.assigned.queue;
    let to = tools.wire.pull_address(queue, fetch.broker_id);
    let is_member = !matches!(tools.config.sharing, Sharing::Fixed(_));
    let known = to.and_then(|to| {
        if !is_member {
            return Some((to, None));
        }
        let registered = tools.membership.registered(&to.address);
        if registered.is_none() {
            tools.membership.announce([to.address]);
            // A slave may be down.
            fetch.broker_id = MASTER;
            return None;
        }
        Some((to, registered))
    });
    fetch.waits_for_broker = known.is_none();
    let ready = known.and_then(|known| Some((known, tools.topics.get(queue.topic())?)));
    let Some(((to, relied_on), topic)) = ready else {
        tools.budget.unanswered(owned.number());
        return Some(now + LOOK_AGAIN);
    };
    let Some(ask) = owned.assigned.lock().window.ask() else {
        tools.budget.unanswered(owned.number());
        return None;
    };
    let pull = Pull {
        number: owned.number(),
        ask,
        since: now,
        from_slave: to.is_slave,
        relied_on,
    };
    tools.counters.pulls.add(1);
    let (messages, may_park) = (grant.messages, grant.may_park);
    let wire = &tools.wire;
    wire.pull(
        &to.address,
        queue,
        &topic.subscription,
        messages,
        may_park,
        pull,
    );
    None
}

/// Takes the answer of a pull.
pub(in crate::consumer::control) fn answered(
    owned: &mut Owned,
    tools: &mut Tools,
    pull: Pull,
    outcome: Outcome,
    now: Instant,
) {
    if !owned.assigned.lock().window.is_current(&pull.ask) {
        return late(owned, tools, &pull, outcome, now);
    }
    let answer = match outcome {
        Ok(answer) => answer,
        Err(error) => return failed(owned, tools, pull, &error, now),
    };
    owned.fetch.failures = 0;
    owned.fetch.last_answer = Some(now);
    owned.fetch.last_error = None;
    let header = pull::PullAnswer::decode(&answer.ext).ok();
    let (code, took) = (answer.code, now.saturating_duration_since(pull.since));
    let remark = answer.remark.clone();
    let found = find(answer, header.as_ref());
    let verdict = judge_answer(owned, &pull, code, header.as_ref(), &found);
    if let Some(header) = &header {
        owned.fetch.broker_id = header.suggested_broker_id;
        owned.fetch.end = header.max_offset.try_into().ok();
    }
    if !matches!(verdict, Verdict::Moved(_)) {
        owned.fetch.moved_since = None;
    }
    let is_event = owned.fetch.streak.note(&verdict, pull.ask.offset, took);
    if let Some(what) = trouble(&verdict, code, remark) {
        tools.counters.pull_failures.add(1);
        if is_event {
            tools.events.tell(Event::Refused {
                queue: owned.assigned.shown.clone(),
                code: (code != response::SUCCESS).then(|| ResponseCode::from(code)),
                what: what.clone(),
            });
        }
        owned.fetch.last_error = Some(what);
    }
    apply(owned, tools, pull, found, verdict, now);
}

/// An answer to a request from before a seek or reset. Its messages are not used: their reservation has
/// ended. But brokers report an operator's reset only once, in the answer to the request that they serve
/// next, which may have been parked for long.
fn late(owned: &mut Owned, tools: &mut Tools, pull: &Pull, outcome: Outcome, now: Instant) {
    let Ok(answer) = outcome else {
        return;
    };
    let header = pull::PullAnswer::decode(&answer.ext).ok();
    let verdict = judge_answer(owned, pull, answer.code, header.as_ref(), &Found::default());
    if let Verdict::Moved(moved @ Moved::Reset { .. }) = verdict {
        let from = owned.assigned.lock().window.low_water();
        follow(owned, tools, moved, from, true, now);
    }
}

/// A broker answered that the queue goes on elsewhere. It tells of a reset only once, and of anything else again
/// with the next pull. Returns how long to wait before that.
fn follow(
    owned: &mut Owned,
    tools: &mut Tools,
    to: Moved,
    from: u64,
    is_master: bool,
    now: Instant,
) -> Duration {
    match (&mut owned.stage, to) {
        (Stage::Active, _) | (Stage::Checking(_), Moved::Reset { .. }) => {
            return moved::moved(owned, tools, to, from, is_master, now);
        }
        (Stage::GivingUp { place, .. }, Moved::Reset { .. }) => *place = Place::Others,
        _ => {}
    }
    Duration::ZERO
}

/// A pull failed without an answer.
fn failed(owned: &mut Owned, tools: &mut Tools, pull: Pull, error: &Error, now: Instant) {
    unanswered(owned, tools, pull);
    tools.counters.pull_failures.add(1);
    let fetch = &mut owned.fetch;
    fetch.failures = fetch.failures.saturating_add(1);
    fetch.not_before = Some(now + pause_after(fetch.failures));
    fetch.last_error = Some(error.to_string());
    if matches!(
        error.kind(),
        ErrorKind::Connect | ErrorKind::Disconnected | ErrorKind::Dns
    ) {
        tools.wire.core.refresh_soon(&owned.queue().topic().into());
    }
    logging::debug!(target: LOG, "{}: pull failed: {error}", owned.assigned.shown);
}

fn judge_answer(
    owned: &Owned,
    pull: &Pull,
    code: i32,
    header: Option<&pull::PullAnswer>,
    found: &Found,
) -> Verdict {
    let offsets: Vec<i64> = found.messages.iter().map(|(offset, ..)| *offset).collect();
    if found.unreadable.is_some() && offsets.is_empty() {
        return Verdict::Broken {
            what: "the first message cannot be found",
            pause: Duration::from_secs(1),
        };
    }
    let judged = PullAnswer {
        code,
        next: match (&found.unreadable, offsets.last()) {
            // The messages after it are asked for again.
            (Some(_), Some(last)) => Some(last.saturating_add(1)),
            _ => header.map(|header| header.next_offset),
        },
        min: header.map(|header| header.min_offset),
        max: header.map(|header| header.max_offset),
        offsets: &offsets,
    };
    judge(&judged, pull.ask.offset, owned.fetch.streak.count())
}

/// The fault of an answer, if it has one.
fn trouble(verdict: &Verdict, code: i32, remark: Option<String>) -> Option<String> {
    let said = || {
        let remark = remark.map(|remark| format!(": {}", OneLine(&remark)));
        format!("{}{}", ResponseCode::new(code), remark.unwrap_or_default())
    };
    match verdict {
        Verdict::Found { .. } | Verdict::Nothing { .. } | Verdict::Moved(_) => None,
        Verdict::Broken { what, .. } => Some(format!("an answer cannot be used: {what}")),
        _ => Some(format!("the broker answered {}", said())),
    }
}

fn apply(
    owned: &mut Owned,
    tools: &mut Tools,
    pull: Pull,
    found: Found,
    verdict: Verdict,
    now: Instant,
) {
    let pause = match verdict {
        Verdict::Found { next } => return take(owned, tools, pull, found, next, now),
        Verdict::Nothing { next, pause } => {
            tools.budget.answered(owned.number(), 0, 0);
            let _ = owned.assigned.lock().window.answer(pull.ask, [], next);
            pause
        }
        Verdict::HeartbeatFirst { pause } => {
            if let Some(relied_on) = &pull.relied_on {
                tools.membership.forgotten(relied_on);
            }
            unanswered(owned, tools, pull);
            pause
        }
        Verdict::Gone { pause } => {
            unanswered(owned, tools, pull);
            tools.wire.core.refresh_soon(&owned.queue().topic().into());
            pause
        }
        Verdict::Moved(moved) => {
            let (from, is_master) = (pull.ask.offset, !pull.from_slave);
            unanswered(owned, tools, pull);
            follow(owned, tools, moved, from, is_master, now)
        }
        Verdict::Busy { pause }
        | Verdict::Refused { pause }
        | Verdict::NotMine { pause }
        | Verdict::Failed { pause }
        | Verdict::Broken { pause, .. } => {
            unanswered(owned, tools, pull);
            pause
        }
    };
    if !pause.is_zero() {
        owned.fetch.not_before = Some(now + pause);
    }
}

/// Puts messages into the window.
fn take(owned: &mut Owned, tools: &mut Tools, pull: Pull, found: Found, next: u64, now: Instant) {
    let number = owned.number();
    let total: u64 = found.messages.iter().map(|(_, bytes, _)| bytes).sum();
    let count = found.messages.len();
    if tools.budget.answered(number, count, total) == Answer::Dropped {
        // The next request reserves their real size.
        let _ = owned.assigned.lock().window.no_answer(pull.ask);
        return;
    }
    tools.counters.fetched.add(count as u64);
    tools.counters.fetched_bytes.add(total);
    if let Some(topic) = tools.topics.get(owned.queue().topic()) {
        let took = now.saturating_duration_since(pull.since);
        topic.counts.pulled(count, took);
    }
    owned.fetch.last_stored = found.last_stored.or(owned.fetch.last_stored);
    let fetch = &mut owned.fetch;
    let may_repeat =
        std::mem::take(&mut fetch.may_repeat) | std::mem::take(&mut fetch.may_be_forgotten);
    let end = owned.fetch.end.filter(|_| may_repeat);
    // Another member may be at the same messages.
    let is_shared = owned
        .lock
        .as_ref()
        .is_some_and(|lock| lock.goes_without(now));
    let end = end.max(is_shared.then_some(next));
    let by_key = tools.config.by_key.is_some();
    let messages = found.messages.into_iter();
    let messages = messages.map(|(offset, bytes, payload)| Fetched {
        offset: offset.try_into().unwrap_or(0),
        bytes,
        key: by_key.then(|| payload.sharding_key()).flatten(),
        payload,
    });
    let mut contents = owned.assigned.lock();
    contents.may_repeat_below = end.unwrap_or(contents.may_repeat_below);
    let window = &mut contents.window;
    let kept = window
        .answer(pull.ask, messages, next)
        .map(|answered| answered.bytes);
    tools.budget.release(number, total - kept.unwrap_or(0));
}

/// No messages came. The next request goes to the master, if there is one: a slave that it suggested may not
/// know the topic yet, or serve no reads, or be down.
fn unanswered(owned: &mut Owned, tools: &mut Tools, pull: Pull) {
    owned.fetch.broker_id = MASTER;
    tools.budget.unanswered(owned.number());
    let _ = owned.assigned.lock().window.no_answer(pull.ask);
}

/// Finds the messages of an answer, up to the first one that cannot be found.
fn find(answer: Command, header: Option<&pull::PullAnswer>) -> Found {
    let mut found = Found::default();
    if answer.code != response::SUCCESS {
        return found;
    }
    let delta = header.map_or(0, pull::PullAnswer::delta);
    let size = answer.body.len() as u64;
    let bytes = Arc::new(answer.body);
    for message in Messages::new(bytes) {
        match message {
            Ok(packed) if packed.is_inner_batch() => {
                if let Err(error) = take_apart(packed.shifted(delta), &mut found.messages) {
                    found.unreadable = Some(error);
                    break;
                }
            }
            Ok(packed) => {
                let packed = packed.shifted(delta);
                let offset = packed.queue_offset();
                let bytes = packed.stored_body().len() as u64;
                found.last_stored = Some(packed.store_timestamp());
                let message = (offset, bytes, Payload::Packed(packed));
                found.messages.push(message);
            }
            Err(error) => {
                found.unreadable = Some(error);
                break;
            }
        }
    }
    // The size around the bodies is shared by all of them.
    let bodies: u64 = found.messages.iter().map(|(_, bytes, _)| bytes).sum();
    let each = size.saturating_sub(bodies) / (found.messages.len() as u64).max(1);
    found
        .messages
        .iter_mut()
        .for_each(|(_, bytes, _)| *bytes += each);
    found
}

/// The messages of an inner batch have offsets of their own, which are in its body only.
fn take_apart(packed: Packed, messages: &mut Vec<(i64, u64, Payload)>) -> Result<(), Unreadable> {
    let (mut limit, mut error) = (MOST_INFLATED, None);
    let mut children = Vec::new();
    packed.unpack_all(&mut limit, |child| match child {
        Ok(child) => children.push(child),
        Err(unreadable) => error = error.take().or(Some(unreadable)),
    });
    if let Some(error) = error {
        return Err(error);
    }
    messages.extend(children.into_iter().map(|child| {
        let offset = child.queue_offset();
        let bytes = child.body().len() as u64;
        (offset, bytes, Payload::Unpacked(child))
    }));
    Ok(())
}

/// The pause after failures in a row: the first one may be that of one connection.
fn pause_after(failures: u32) -> Duration {
    let millis = 50_u64 << failures.min(5);
    Duration::from_millis(millis).min(Duration::from_secs(1))
}
