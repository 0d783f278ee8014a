//! The state of the control thread, for people.

use std::time::Instant;

use crate::client::Client;
use crate::consumer::control::owned::{Owned, Queues, Stage};
use crate::consumer::control::tools::Tools;
use crate::consumer::observe::{ConsumerState, Doing, QueueState};

pub(super) fn describe(
    queues: &Queues,
    tools: &Tools,
    client: &Client,
    members: Option<usize>,
    now: Instant,
) -> ConsumerState {
    let states = queues.iter().map(|owned| state_of(owned, tools, now));
    let mut states: Vec<QueueState> = states.collect();
    let popping = tools.popping.as_ref();
    states.extend(popping.into_iter().flat_map(|p| p.describe(now)));
    states.sort_by(|a, b| a.queue.cmp(&b.queue));
    ConsumerState {
        group: tools.config.group.to_string(),
        client_id: client.id().to_owned(),
        members,
        held_bytes: tools.budget.held() + popping.map_or(0, |p| p.held_bytes()),
        queues: states,
    }
}

fn state_of(owned: &Owned, tools: &Tools, now: Instant) -> QueueState {
    let fetch = &owned.fetch;
    let contents = owned.assigned.lock();
    let window = &contents.window;
    let doing = match owned.stage {
        Stage::Taking(_) => Doing::WaitingForLock,
        Stage::Starting(_) | Stage::Checking(_) => Doing::Starting,
        Stage::Stopped => Doing::Stopped,
        Stage::GivingUp { .. } => Doing::GivingUp,
        Stage::Active if owned.assigned.is_paused() => Doing::Paused,
        Stage::Active if window.is_full() => Doing::Full,
        Stage::Active if fetch.waits_for_bytes => Doing::WaitingForBytes,
        Stage::Active if fetch.not_before.is_some_and(|at| at > now) => Doing::BackingOff,
        Stage::Active => Doing::Fetching,
    };
    QueueState {
        queue: owned.assigned.shown.clone(),
        doing,
        is_popped: false,
        since: now.saturating_duration_since(owned.since),
        low_water: window.low_water(),
        next: window.end(),
        committed: tools.progress.stored(owned.queue()),
        end: fetch.end,
        held: window.len(),
        running: window.handlers(),
        last_fetch: fetch
            .last_answer
            .map(|at| now.saturating_duration_since(at)),
        last_error: fetch.last_error.clone(),
    }
}
