//! Asks for the messages of a queue, and takes the answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::consumer::LOG;
use crate::consumer::control::inbox::Pull;
use crate::consumer::control::owned::Owned;
use crate::consumer::control::tools::Tools;
use crate::consumer::fetch::{PullAnswer, Verdict, judge};
use crate::consumer::queue::{Answer, Fetched, Grant, Payload};
use crate::error::ErrorKind;
use crate::logging;
use crate::protocol::code::response;
use crate::protocol::consumer::pull;
use crate::protocol::message::{Messages, Packed, Unreadable};
use crate::protocol::{Command, ProtocolError};
use crate::transport::Outcome;

/// A broker that has not confirmed that it knows us is looked at again, if nothing happens before.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What an inner batch may inflate to.
const MOST_INFLATED: usize = 64 << 20;

/// The messages of an answer, as far as they could be found.
struct Found {
    messages: Vec<(i64, u64, Payload)>,
    /// What ended it early.
    unreadable: Option<Unreadable>,
}

/// Sends the next request of an active queue if it may be sent now. Returns when to look again, if
/// nothing happens before.
pub(in crate::consumer::control) fn step(
    owned: &mut Owned,
    tools: &mut Tools,
    now: Instant,
) -> Option<Instant> {
    if owned.assigned.is_paused() {
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
    let grant = tools.budget.ask(owned.number(), capacity?)?;
    ask(owned, tools, grant, now)
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
    let queue = &owned.assigned.queue;
    let to = tools.wire.pull_address(queue, fetch.broker_id);
    let known = to.filter(|to| match tools.membership.registered(&to.address) {
        Some(_) => true,
        None => {
            tools.membership.announce([to.address.clone()]);
            false
        }
    });
    fetch.waits_for_broker = known.is_none();
    let ready = known.and_then(|to| Some((to, tools.topics.get(queue.topic())?)));
    let Some((to, topic)) = ready else {
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
    };
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
    let answer = match outcome {
        Ok(answer) => answer,
        Err(error) => {
            unanswered(owned, tools, pull);
            owned.fetch.failures = owned.fetch.failures.saturating_add(1);
            owned.fetch.not_before = Some(now + pause_after(owned.fetch.failures));
            if matches!(
                error.kind(),
                ErrorKind::Connect | ErrorKind::Disconnected | ErrorKind::Dns
            ) {
                tools.wire.core.refresh_soon(&owned.queue().topic().into());
            }
            logging::debug!(target: LOG, "{}: pull failed: {error}", owned.assigned.shown);
            return;
        }
    };
    owned.fetch.failures = 0;
    let header = pull::PullAnswer::decode(&answer.ext);
    let (code, took) = (answer.code, now.saturating_duration_since(pull.since));
    let found = find(answer, &header);
    let offsets: Vec<i64> = found.messages.iter().map(|(offset, ..)| *offset).collect();
    let number = |value: fn(&pull::PullAnswer) -> i64| header.as_ref().ok().map(value);
    let judged = PullAnswer {
        code,
        next: match (&found.unreadable, offsets.last()) {
            // What follows is asked for again.
            (Some(_), Some(last)) => Some(last.saturating_add(1)),
            _ => number(|header| header.next_offset),
        },
        min: number(|header| header.min_offset),
        max: number(|header| header.max_offset),
        offsets: &offsets,
    };
    let verdict = match &found.unreadable {
        Some(_) if offsets.is_empty() => Verdict::Broken {
            what: "the first message cannot be read",
            pause: Duration::from_secs(1),
        },
        _ => judge(&judged, pull.ask.offset, owned.fetch.streak.count()),
    };
    if owned.fetch.streak.note(&verdict, pull.ask.offset, took) {
        let queue = &owned.assigned.shown;
        logging::warn!(target: LOG, "{queue}: a pull is answered {code}: {verdict:?}");
    }
    if let Ok(header) = &header {
        owned.fetch.broker_id = header.suggested_broker_id;
    }
    apply(owned, tools, pull, found, verdict, now);
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
        Verdict::Found { next } => return take(owned, tools, pull, found, next),
        Verdict::Nothing { next, pause } => {
            tools.budget.answered(owned.number(), 0, 0);
            let _ = owned.assigned.lock().window.answer(pull.ask, [], next);
            pause
        }
        Verdict::HeartbeatFirst { pause } => {
            unanswered(owned, tools, pull);
            tools.membership.change();
            pause
        }
        Verdict::NotMine { pause } | Verdict::Gone { pause } => {
            unanswered(owned, tools, pull);
            tools.wire.core.refresh_soon(&owned.queue().topic().into());
            pause
        }
        Verdict::Moved(_) => {
            unanswered(owned, tools, pull);
            Duration::from_secs(1)
        }
        Verdict::Busy { pause }
        | Verdict::Refused { pause }
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
fn take(owned: &mut Owned, tools: &mut Tools, pull: Pull, found: Found, next: u64) {
    let number = owned.number();
    let total: u64 = found.messages.iter().map(|(_, bytes, _)| bytes).sum();
    let count = found.messages.len();
    if tools.budget.answered(number, count, total) == Answer::Dropped {
        // The next request reserves their real size.
        let _ = owned.assigned.lock().window.no_answer(pull.ask);
        return;
    }
    let messages = found.messages.into_iter();
    let messages = messages.map(|(offset, bytes, payload)| Fetched {
        offset: offset.try_into().unwrap_or(0),
        bytes,
        payload,
    });
    let answered = owned
        .assigned
        .lock()
        .window
        .answer(pull.ask, messages, next);
    let kept = answered.map_or(0, |answered| answered.bytes);
    tools.budget.release(number, total - kept);
    tools.dispatcher.offer(&owned.assigned);
}

fn unanswered(owned: &mut Owned, tools: &mut Tools, pull: Pull) {
    tools.budget.unanswered(owned.number());
    let _ = owned.assigned.lock().window.no_answer(pull.ask);
}

/// Finds the messages of an answer, up to the first one that cannot be found.
fn find(answer: Command, header: &Result<pull::PullAnswer, ProtocolError>) -> Found {
    let mut found = Found {
        messages: Vec::new(),
        unreadable: None,
    };
    if answer.code != response::SUCCESS {
        return found;
    }
    let delta = header.as_ref().ok().and_then(|header| header.offset_delta);
    let delta = delta.unwrap_or(0);
    let size = answer.body.len() as u64;
    let bytes = Arc::new(answer.body);
    for message in Messages::new(bytes) {
        match message {
            Ok(packed) if packed.is_inner_batch() => {
                if let Err(error) = take_apart(packed, delta, &mut found.messages) {
                    found.unreadable = Some(error);
                    break;
                }
            }
            Ok(packed) => {
                let offset = packed.queue_offset().saturating_add(delta);
                let bytes = packed.stored_body().len() as u64;
                let message = (offset, bytes, Payload::Packed(packed));
                found.messages.push(message);
            }
            Err(error) => {
                found.unreadable = Some(error);
                break;
            }
        }
    }
    // What is around the bodies belongs to all of them.
    let bodies: u64 = found.messages.iter().map(|(_, bytes, _)| bytes).sum();
    let each = size.saturating_sub(bodies) / (found.messages.len() as u64).max(1);
    found
        .messages
        .iter_mut()
        .for_each(|(_, bytes, _)| *bytes += each);
    found
}

/// The messages of an inner batch have offsets of their own, which only its body tells.
fn take_apart(
    packed: Packed,
    delta: i64,
    messages: &mut Vec<(i64, u64, Payload)>,
) -> Result<(), Unreadable> {
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
        let offset = child.queue_offset().saturating_add(delta);
        let bytes = child.body().len() as u64;
        (offset, bytes, Payload::Unpacked(child))
    }));
    Ok(())
}

/// The first failure may be one connection's; then the broker is down.
fn pause_after(failures: u32) -> Duration {
    let millis = 50_u64 << failures.min(5);
    Duration::from_millis(millis).min(Duration::from_secs(1))
}
