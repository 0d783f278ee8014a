//! The calls that wait for the control thread: commits until they are confirmed, and seeks.

use std::time::{Duration, Instant};

use super::answers::answer;
use super::describe::describe;
use super::reply::Reply;
use super::seeks::seek;
use crate::client::Client;
use crate::consumer::control::inbox::Order;
use crate::consumer::control::owned::{Queues, Stage};
use crate::consumer::control::stages::commits;
use crate::consumer::control::tools::Tools;
use crate::error::{Error, ErrorKind};
use crate::message::MessageQueue;
use crate::transport::Deadline;

/// The pause before a commit that a caller waits for is sent again.
const AGAIN: Duration = Duration::from_millis(200);

/// The commits that callers wait for.
#[derive(Default)]
pub(in crate::consumer::control) struct Calls(Vec<Commit>);

struct Commit {
    /// The offsets that are not confirmed yet.
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
    /// When the next step is due, unless an event comes before.
    pub(in crate::consumer::control) fn due(&self) -> Option<Instant> {
        let due = self.0.iter();
        due.map(|commit| commit.again.min(commit.deadline.instant()))
            .min()
    }

    /// Executes an order; a commit is answered later. (The controller executes a shutdown.)
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

    /// Commits the present progress of all queues.
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

    /// Repeats unconfirmed commits, and answers the calls that are complete.
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

    /// Commits that were held back can be sent.
    pub(in crate::consumer::control) fn hurry(&mut self, now: Instant) {
        for commit in &mut self.0 {
            commit.again = now;
        }
    }

    /// A broker refused a commit: a repetition cannot succeed.
    pub(in crate::consumer::control) fn refused(&mut self, queue: &MessageQueue, error: &Error) {
        self.fail(queue, None, || error.clone());
    }

    /// A queue was given up. Its last offset was not confirmed; `stored` is the last confirmed one.
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

    /// The consumer ends, after its last commits.
    pub(in crate::consumer::control) fn close(&mut self, is_clean: bool) {
        for commit in self.0.drain(..) {
            commit.done.answer(match is_clean {
                true => Ok(()),
                false => Err(Error::new(ErrorKind::Closed, "the consumer was shut down")),
            });
        }
    }

    /// Fails the calls that need a higher offset of a queue than is stored.
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
