//! Commits the progress of queues, and handles the answers.

use std::time::Instant;

use crate::consumer::LOG;
use crate::consumer::control::owned::{Owned, Queues};
use crate::consumer::control::tools::Tools;
use crate::consumer::observe::Event;
use crate::consumer::offset::Commit;
use crate::error::{Error, Result};
use crate::logging;
use crate::message::MessageQueue;
use crate::protocol::code::response;
use crate::transport::Outcome;

/// Notes the progress of a queue.
pub(in crate::consumer::control) fn note(owned: &Owned, tools: &mut Tools) {
    let (generation, low_water) = {
        let window = &owned.assigned.lock().window;
        (window.generation(), window.low_water())
    };
    let progress = &mut tools.progress;
    progress.advance(owned.queue(), generation, low_water);
}

/// Sends the due commits of all queues, unless `auto_commit` is off.
pub(in crate::consumer::control) fn commit_by_itself(
    queues: &Queues,
    tools: &mut Tools,
    now: Instant,
) {
    if tools.config.auto_commit {
        commit_all(queues, tools, now);
    }
}

/// Sends the due commits of all queues, but of those in which another member may have gone on.
pub(in crate::consumer::control) fn commit_all(queues: &Queues, tools: &mut Tools, now: Instant) {
    for owned in queues.iter().filter(|owned| owned.is_active()) {
        note(owned, tools);
    }
    let may_commit = |queue: &MessageQueue| {
        let owned = queues.of(queue);
        owned.is_none_or(|owned| !owned.is_in_doubt(now))
    };
    let due = tools.progress.due(may_commit);
    for commit in due.into_values().flatten() {
        let number = queues.number(&commit.queue).unwrap_or(0);
        send(commit, number, tools, now);
    }
    save(tools);
}

/// Sends the due commit of one queue, unless `auto_commit` is off.
pub(in crate::consumer::control) fn commit_now(
    queue: &MessageQueue,
    number: u64,
    tools: &mut Tools,
    now: Instant,
) {
    if !tools.config.auto_commit {
        return;
    }
    if let Some(commit) = tools.progress.due_of(queue) {
        send(commit, number, tools, now);
        save(tools);
    }
}

fn send(commit: Commit, number: u64, tools: &mut Tools, now: Instant) {
    if let Some(local) = &mut tools.local {
        return local.put(commit);
    }
    if let Err(commit) = tools.wire.commit(commit, number, now) {
        tools.progress.failed(commit);
    }
}

/// Saves the local offsets, if the consumer has some.
fn save(tools: &mut Tools) {
    if let Some(local) = &mut tools.local {
        for commit in local.save() {
            tools.progress.confirmed(commit);
        }
    }
}

/// A save of the local offsets has ended. Returns the queues that it was for.
pub(in crate::consumer::control) fn saved(
    tools: &mut Tools,
    saved: Result<()>,
) -> Vec<MessageQueue> {
    let Some(local) = &mut tools.local else {
        return Vec::new();
    };
    let (is_event, commits) = local.ended(saved.is_ok());
    match &saved {
        Ok(()) => tools.counters.commits.add(commits.len() as u64),
        Err(error) => {
            tools.counters.commit_failures.add(commits.len() as u64);
            let what = error.to_string();
            match is_event {
                true => tools.events.tell(Event::NotSaved { what }),
                false => logging::debug!(target: LOG, "{what}"),
            }
        }
    }
    let mut queues = Vec::with_capacity(commits.len());
    for commit in commits {
        queues.push(commit.queue.clone());
        match saved.is_ok() {
            true => drop(tools.progress.confirmed(commit)),
            false => tools.progress.failed(commit),
        }
    }
    save(tools);
    queues
}

/// A commit was answered, or failed. Returns the error if the broker refused it.
pub(in crate::consumer::control) fn answered(
    commit: Commit,
    tools: &mut Tools,
    outcome: Outcome,
) -> Option<Error> {
    let (error, is_refused) = match outcome {
        Ok(answer) if answer.code == response::SUCCESS => {
            tools.counters.commits.add(1);
            tools.progress.confirmed(commit);
            return None;
        }
        Ok(answer) => {
            // A broker that does not host the queue any more is not asked again.
            let is_refused = answer.code != response::NOT_LEADER_FOR_QUEUE;
            let error = Error::response(answer.code, answer.remark.as_deref());
            (error, is_refused)
        }
        Err(error) => (error, false),
    };
    tools.counters.commit_failures.add(1);
    let queue = tools.topics.for_users(&commit.queue);
    logging::debug!(target: LOG, "{queue}: commit of {} failed: {error}", commit.offset);
    tools.progress.failed(commit);
    is_refused.then_some(error)
}
