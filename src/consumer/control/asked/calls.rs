//! What callers of the consumer wait for: commits that are confirmed, and seeks.

use std::time::{Duration, Instant};

use super::answers::answer;
use super::reply::Reply;
use super::seeks::seek;
use crate::client::Client;
use crate::consumer::control::describe::describe;
use crate::consumer::control::inbox::Order;
use crate::consumer::control::owned::{Queues, Stage};
use crate::consumer::control::stages::commits;
use crate::consumer::control::tools::Tools;
use crate::error::{Error, ErrorKind};
use crate::message::MessageQueue;
use crate::transport::Deadline;

/// Between two tries to commit what a caller waits for.
const AGAIN: Duration = Duration::from_millis(200);

/// The commits that callers wait for.
#[derive(Default)]
pub(in crate::consumer::control) struct Calls(Vec<Commit>);

struct Commit {
    /// What is not confirmed yet.
    wanted: Vec<Wanted>,
    deadline: Deadline,
    again: Instant,
    done: Reply<()>,
}

struct Wanted {
    queue: MessageQueue,
    generation: u64,
    offset: u64,
}

impl Calls {
    /// When something is to be done, if nothing happens before.
    pub(in crate::consumer::control) fn due(&self) -> Option<Instant> {
        let due = self.0.iter();
        due.map(|commit| commit.again.min(commit.deadline.instant()))
            .min()
    }

    /// Does what is asked; a commit is answered later. (A shutdown is the controller's.)
    pub(in crate::consumer::control) fn take(
        &mut self,
        order: Order,
        queues: &mut Queues,
        tools: &mut Tools,
        client: &Client,
        members: Option<usize>,
        now: Instant,
    ) {
        match order {
            Order::Commit(deadline, done) => self.commit(deadline, done, queues, tools, now),
            Order::Seek(queue, to, done) => done.answer(seek(&queue, to, queues, tools, now)),
            Order::Answer(question) => answer(*question, queues, tools, client, now),
            Order::Describe(state) => {
                state.answer(Ok(describe(queues, tools, client, members, now)));
            }
            Order::Shutdown(_) => {}
        }
    }

    /// Commits what is done now in all queues.
    fn commit(
        &mut self,
        deadline: Deadline,
        done: Reply<()>,
        queues: &Queues,
        tools: &mut Tools,
        now: Instant,
    ) {
        let started = queues.iter();
        let started = started.filter(|owned| !matches!(owned.stage, Stage::Starting(_)));
        let wanted = started.map(|owned| {
            let window = &owned.assigned.lock().window;
            Wanted {
                queue: owned.queue().clone(),
                generation: window.generation(),
                offset: window.low_water(),
            }
        });
        self.0.push(Commit {
            wanted: wanted.collect(),
            deadline,
            again: now,
            done,
        });
        self.step(queues, tools, now);
    }

    /// Tries again what has not been confirmed, and answers whom it can.
    pub(in crate::consumer::control) fn step(
        &mut self,
        queues: &Queues,
        tools: &mut Tools,
        now: Instant,
    ) {
        if self.0.iter().any(|commit| commit.again <= now) {
            commits::commit_all(queues, tools, now);
        }
        self.0.retain_mut(|commit| {
            if commit.again <= now {
                commit.again = now + AGAIN;
            }
            commit.wanted.retain(|wanted| wanted.is_open(queues, tools));
            if !commit.wanted.is_empty() && now < commit.deadline.instant() {
                return true;
            }
            commit.done.answer(match commit.wanted.first() {
                None => Ok(()),
                Some(wanted) => Err(wanted.late(tools)),
            });
            false
        });
    }

    /// A broker refused a commit: asking it again does not help.
    pub(in crate::consumer::control) fn refused(&mut self, queue: &MessageQueue, error: &Error) {
        self.fail(queue, None, || error.clone());
    }

    /// A queue is ours no longer, and its last offset was not confirmed, but this one.
    pub(in crate::consumer::control) fn lost(
        &mut self,
        queue: &MessageQueue,
        shown: &MessageQueue,
        stored: Option<u64>,
    ) {
        self.fail(queue, stored, || {
            let text = format!("{shown} was given up before its offset was confirmed");
            Error::new(ErrorKind::Disconnected, text)
        });
    }

    /// The consumer ends. What could be committed has been.
    pub(in crate::consumer::control) fn close(&mut self, is_clean: bool) {
        for commit in self.0.drain(..) {
            commit.done.answer(match is_clean {
                true => Ok(()),
                false => Err(Error::new(ErrorKind::Closed, "the consumer was shut down")),
            });
        }
    }

    /// Fails those that want more of a queue than is stored.
    fn fail(&mut self, queue: &MessageQueue, stored: Option<u64>, error: impl Fn() -> Error) {
        self.0.retain(|commit| {
            let mut wanted = commit.wanted.iter();
            let wants = wanted.any(|wanted| wanted.queue == *queue && wanted.is_above(stored));
            if wants {
                commit.done.answer(Err(error()));
            }
            !wants
        });
    }
}

impl Wanted {
    /// Not confirmed yet. A seek makes it void.
    fn is_open(&self, queues: &Queues, tools: &Tools) -> bool {
        let Some(owned) = queues.of(&self.queue) else {
            return false;
        };
        let is_current = owned.assigned.lock().window.generation() == self.generation;
        is_current && self.is_above(tools.progress.stored(&self.queue))
    }

    fn is_above(&self, stored: Option<u64>) -> bool {
        stored.is_none_or(|stored| stored < self.offset)
    }

    fn late(&self, tools: &Tools) -> Error {
        let queue = tools.topics.for_users(&self.queue);
        let text = format!("{queue}: offset {} is not confirmed", self.offset);
        Error::new(ErrorKind::Timeout, text)
    }
}
