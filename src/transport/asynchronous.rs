//! Requests that no thread waits for: parked until there is a connection, given to it, answered by
//! hooks first.

use std::sync::Arc;
use std::time::Instant;

use super::connection::{Ready, Refused, Slot, Via};
use super::dial::{Dialled, Dialler, Peer};
use super::hook::Hooked;
use super::{Completion, Deadline, Deferred, Encoded, Next, Outcome, Shared};
use crate::error::{Error, ErrorKind, Wait};

/// A request that waits for a connection without a thread.
pub(super) struct Parked {
    pub(super) peer: Arc<Peer>,
    pub(super) deadline: Deadline,
    pub(super) via: Via,
    /// The number of connections that may still be tried.
    pub(super) connections: usize,
}

impl Parked {
    /// Until its address has a connection, or its time is up.
    pub(super) fn wait(self, dialler: &Arc<Dialler>, encoded: Encoded, slot: Slot) {
        let (peer, deadline) = (self.peer.clone(), self.deadline);
        let request = Deferred::new((encoded, slot));
        let (parked, of_run) = (request.clone(), dialler.clone());
        let run = move |dialled: Dialled| {
            if let Some((encoded, slot)) = parked.take() {
                self.go_on(&of_run, dialled, encoded, slot);
            }
        };
        peer.connect_parked(dialler, deadline, Box::new(run));
        let shared = dialler.shared.clone();
        let timer = &dialler.shared.workers.timer;
        request.expire_at(timer, deadline.instant(), move |(_, slot)| {
            let error = Error::timeout(Wait::Connect).at(peer.address());
            answer(&shared, slot, Err(error));
        });
    }

    fn go_on(mut self, dialler: &Arc<Dialler>, dialled: Dialled, encoded: Encoded, slot: Slot) {
        self.connections -= 1;
        let shared = &dialler.shared;
        match give(shared, dialled, &encoded, slot, self.deadline, self.via) {
            None => {}
            Some(slot) if self.connections > 0 => self.wait(dialler, encoded, slot),
            Some(slot) => answer(shared, slot, Err(gone(self.peer.address()))),
        }
    }
}

/// An asynchronous request whose outcome hooks see before it goes on.
pub(super) struct Observed {
    pub(super) shared: Arc<Shared>,
    pub(super) hooked: Hooked,
    pub(super) completion: Box<dyn Completion>,
}

impl Completion for Observed {
    fn complete(self: Box<Self>, outcome: Outcome, at: Instant) -> Next {
        Next::Callback(Box::new(move || self.go_on(outcome, at)))
    }
}

impl Observed {
    /// On a callback worker.
    fn go_on(self, outcome: Outcome, at: Instant) {
        let hooks = &self.shared.config.hooks.user;
        self.hooked.after(hooks, &outcome);
        match self.completion.complete(outcome, at) {
            Next::Callback(job) => job.run(),
            Next::Retry(job) => self.shared.workers.retries.submit(job),
            Next::Done => {}
        }
    }
}

/// Gives an asynchronous request to a connection, if there is one. The waiter comes back if that
/// connection was just at its end: another one may take the request.
pub(super) fn give(
    shared: &Shared,
    connected: Dialled,
    encoded: &Encoded,
    slot: Slot,
    deadline: Deadline,
    via: Via,
) -> Option<Slot> {
    let submitted = match connected {
        Ok(connection) => connection.submit(encoded, Some(slot), None, deadline, via),
        Err(why) => Err(Refused::Never(Some(slot), why)),
    };
    match submitted {
        Ok(()) => None,
        Err(Refused::Gone(slot, _)) => slot,
        Err(Refused::Never(slot, why)) => {
            if let Some(slot) = slot {
                answer(shared, slot, Err(why));
            }
            None
        }
    }
}

/// Answers a waiter that never came to a connection.
pub(super) fn answer(shared: &Shared, slot: Slot, outcome: Outcome) {
    let mut ready = Ready::default();
    ready.answer(slot, outcome, Instant::now());
    ready.hand_over(&shared.workers.callbacks, &shared.workers.retries);
}

pub(super) fn gone(address: &Arc<str>) -> Error {
    Error::new(
        ErrorKind::Disconnected,
        "the connection is gone, or breaks as soon as it is made",
    )
    .at(address)
}
