//! Commits the progress of queues, and takes the answers.

use std::time::Instant;

use crate::consumer::LOG;
use crate::consumer::control::owned::{Owned, Queues};
use crate::consumer::control::tools::Tools;
use crate::consumer::offset::Commit;
use crate::logging;
use crate::message::MessageQueue;
use crate::protocol::code::response;
use crate::transport::Outcome;

/// Notes how far a queue is.
pub(in crate::consumer::control) fn note(owned: &Owned, tools: &mut Tools) {
    let (generation, low_water) = {
        let window = &owned.assigned.lock().window;
        (window.generation(), window.low_water())
    };
    let progress = &mut tools.progress;
    progress.advance(owned.queue(), generation, low_water);
}

/// Sends what is due of all queues.
pub(in crate::consumer::control) fn commit_all(queues: &Queues, tools: &mut Tools, now: Instant) {
    for owned in queues.iter().filter(|owned| owned.is_active()) {
        note(owned, tools);
    }
    let due = tools.progress.due();
    for commit in due.into_values().flatten() {
        let number = queues.number(&commit.queue).unwrap_or(0);
        send(commit, number, tools, now);
    }
}

/// Sends what is due of one queue.
pub(in crate::consumer::control) fn commit_now(
    queue: &MessageQueue,
    number: u64,
    tools: &mut Tools,
    now: Instant,
) {
    if let Some(commit) = tools.progress.due_of(queue) {
        send(commit, number, tools, now);
    }
}

fn send(commit: Commit, number: u64, tools: &mut Tools, now: Instant) {
    if let Err(commit) = tools.wire.commit(commit, number, now) {
        tools.progress.failed(commit);
    }
}

/// A commit was answered, or not.
pub(in crate::consumer::control) fn answered(commit: Commit, tools: &mut Tools, outcome: Outcome) {
    let refusal = match outcome {
        Ok(answer) if answer.code == response::SUCCESS => {
            tools.counters.commits.add(1);
            tools.progress.confirmed(commit);
            return;
        }
        Ok(answer) => format!("answered {}", answer.code),
        Err(error) => error.to_string(),
    };
    tools.counters.commit_failures.add(1);
    let queue = tools.topics.for_users(&commit.queue);
    logging::debug!(target: LOG, "{queue}: commit of {} failed: {refusal}", commit.offset);
    tools.progress.failed(commit);
}
