//! Where messages come from: each topic on each broker that has it. Which of them is popped next, and which
//! are only asked whether they have a message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock::BrokerClock;
use super::look::Look;
use crate::consumer::fetch::growing;
use crate::error::{Error, ResponseCode};

/// The number that stands for all queues of a topic on a broker.
pub(in crate::consumer) const ANY_QUEUE: i32 = -1;

/// A topic on a broker, or one queue of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::consumer) struct Source {
    /// On the wire.
    pub(in crate::consumer) topic: Arc<str>,
    /// The broker's name.
    pub(in crate::consumer) broker: Arc<str>,
    /// The queue's number, or [`ANY_QUEUE`].
    pub(in crate::consumer) queue: i32,
}

/// What a receiving thread does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Pops from this source.
    Pop(Source),
    /// Asks these whether they have a message, without waiting for the answers.
    Ask(Vec<Source>),
    /// Waits for an answer, at most until then.
    Wait(Option<Instant>),
}

/// What a broker said of a source that was asked.
#[derive(Debug, Clone)]
pub(super) enum Noticed {
    Message,
    Nothing,
    Failed(Error),
}

/// All sources in use.
#[derive(Debug, Default)]
pub(in crate::consumer) struct Sources {
    states: BTreeMap<Source, State>,
    /// The source that has the next turn.
    next: usize,
    /// Attempts begun so far.
    attempts: u64,
    /// How often other sources became known.
    changes: u64,
    /// When name servers were asked for topics that are missing, and the pause after that.
    learnt: Option<(Instant, Duration)>,
}

#[derive(Debug)]
struct State {
    /// It may have a message: it is popped without a question.
    is_ready: bool,
    /// The answer to a question is open.
    is_asked: bool,
    /// A pop was answered.
    has_answered: bool,
    not_before: Option<Instant>,
    /// Latest pops in a row that brought nothing, though there was a message; those at the same time are one.
    in_vain: u32,
    /// When the last of those was answered.
    emptied: Option<Instant>,
    /// When the last pop was answered that brought messages.
    found: Option<Instant>,
    /// Latest failures in a row, and the last of them.
    failures: u32,
    failure: Option<Error>,
    /// When the first of them came.
    failing_since: Option<Instant>,
    /// The code of the last refusal, until a pop is answered otherwise.
    refused: Option<ResponseCode>,
    /// When the last answer came that was no failure.
    last_answer: Option<Instant>,
    /// Attempts in order whose answers were not read: the broker has a batch for each.
    lost: Vec<String>,
    clock: BrokerClock,
}

impl Sources {
    /// What to do next with `all` sources there are. A single one is popped in any case: its broker holds
    /// the request.
    pub(super) fn turn(&mut self, all: &[Source], now: Instant) -> Turn {
        if self.states.len() > all.len() {
            self.states.retain(|source, _| all.contains(source));
        }
        let (mut idle, mut until) = (Vec::new(), None::<Instant>);
        for n in 0..all.len() {
            let index = self.next.wrapping_add(n) % all.len();
            let source = &all[index];
            let state = self.state(source, now);
            if let Some(at) = state.not_before.filter(|at| *at > now) {
                until = Some(until.map_or(at, |until| until.min(at)));
                continue;
            }
            state.not_before = None;
            if state.is_ready || !state.lost.is_empty() || all.len() == 1 {
                self.next = index + 1;
                return Turn::Pop(source.clone());
            }
            if !state.is_asked {
                idle.push(source.clone());
            }
        }
        for source in &idle {
            self.state(source, now).is_asked = true;
        }
        match idle.is_empty() {
            true => Turn::Wait(until),
            false => Turn::Ask(idle),
        }
    }

    /// Topics are missing: whether to ask for them now, and when to look again.
    pub(super) fn learn(&mut self, now: Instant) -> (bool, Instant) {
        const FIRST: Duration = Duration::from_millis(200);
        const LONGEST: Duration = Duration::from_secs(10);
        let pause = match self.learnt {
            None => FIRST,
            Some((at, pause)) if at + pause > now => return (false, at + pause),
            Some((_, pause)) => (pause * 2).min(LONGEST),
        };
        self.learnt = Some((now, pause));
        (true, now + pause)
    }

    /// Counts the changes of the sources there are.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// There may be other sources than before.
    pub(in crate::consumer::pop) fn changed(&mut self) {
        self.changes += 1;
    }

    /// Whether the source may have messages: a broker that has some answers at once.
    pub(super) fn is_ready(&self, source: &Source) -> bool {
        let state = self.states.get(source);
        state.is_none_or(|state| state.is_ready)
    }

    /// Whether a pop of the source was answered before.
    pub(super) fn has_answered(&self, source: &Source) -> bool {
        let state = self.states.get(source);
        state.is_some_and(|state| state.has_answered)
    }

    /// The index of the source to begin with where all are popped.
    pub(super) fn first(&mut self, all: &[Source]) -> usize {
        let first = self.next.checked_rem(all.len()).unwrap_or(0);
        self.next = first + 1;
        first
    }

    /// A pop brought messages: there may be more.
    pub(super) fn found(&mut self, source: &Source, now: Instant) {
        let state = self.state(source, now);
        state.popped(now);
        state.is_ready = true;
        state.in_vain = 0;
        state.found = Some(now);
    }

    /// A pop that was `sent` then brought nothing, at once or after it was held.
    pub(super) fn nothing(&mut self, source: &Source, sent: Instant, was_held: bool, now: Instant) {
        let state = self.state(source, now);
        state.popped(now);
        // Another pop may have found some meanwhile.
        state.is_ready &= state.found.is_some_and(|at| sent < at);
        if was_held {
            state.in_vain = 0;
            return;
        }
        if state.emptied.is_some_and(|at| sent < at) {
            // Another pop of that moment has shown the same.
            return;
        }
        state.emptied = Some(now);
        if state.in_vain > 0 {
            // The broker says again and again that there is a message.
            state.not_before = Some(now + growing(10, state.in_vain));
        }
        state.in_vain = state.in_vain.saturating_add(1);
    }

    /// A pop or question failed.
    pub(super) fn failed(&mut self, source: &Source, error: Error, now: Instant) {
        self.state(source, now).fail(error, now);
    }

    /// A broker refuses a pop. Returns whether this is new: not just another time of the same.
    pub(super) fn refused(&mut self, source: &Source, error: Error, now: Instant) -> bool {
        let state = self.state(source, now);
        let code = error.response_code();
        state.fail(error, now);
        let is_new = state.refused != code;
        state.refused = code;
        is_new
    }

    /// A question was answered.
    pub(super) fn noticed(&mut self, source: &Source, noticed: Noticed, now: Instant) {
        let Some(state) = self.states.get_mut(source) else {
            return;
        };
        state.is_asked = false;
        match noticed {
            // Whether it can be had, a pop will tell: failures before still count.
            Noticed::Message => state.is_ready = true,
            Noticed::Nothing => {
                state.answered(now);
                state.in_vain = 0;
            }
            Noticed::Failed(error) => state.fail(error, now),
        }
    }

    /// Why nothing can come, if each of the sources fails.
    pub(super) fn failure(&self, all: &[Source]) -> Option<Error> {
        let mut failures = all.iter().map(|source| {
            let state = self.states.get(source)?;
            state.failure.clone()
        });
        let first = failures.next()??;
        failures.all(|failure| failure.is_some()).then_some(first)
    }

    /// The state of a source.
    pub(in crate::consumer) fn look(&self, source: &Source, now: Instant) -> Look {
        let Some(state) = self.states.get(source) else {
            return Look::default();
        };
        let waits = state.not_before.is_some_and(|at| at > now);
        Look {
            answered: state.last_answer,
            error: state.failure.clone(),
            backing_off: state.failing_since.filter(|_| waits),
        }
    }

    /// The id of a pop in order: that of one whose answer was not read, or a new one.
    pub(super) fn begin_attempt(&mut self, source: &Source, of: &str, now: Instant) -> String {
        if let Some(lost) = self.state(source, now).lost.pop() {
            return lost;
        }
        self.attempts += 1;
        format!("{of}-{}", self.attempts)
    }

    /// The answer to a pop in order was not read.
    pub(super) fn lost_attempt(&mut self, source: &Source, id: String, now: Instant) {
        self.state(source, now).lost.push(id);
    }

    /// The clock of a source's broker.
    pub(super) fn clock(&mut self, source: &Source, now: Instant) -> &mut BrokerClock {
        &mut self.state(source, now).clock
    }

    fn state(&mut self, source: &Source, now: Instant) -> &mut State {
        self.states
            .entry(source.clone())
            .or_insert_with(|| State::new(now))
    }
}

impl State {
    fn new(now: Instant) -> State {
        State {
            is_ready: true,
            is_asked: false,
            has_answered: false,
            not_before: None,
            in_vain: 0,
            emptied: None,
            found: None,
            failures: 0,
            failure: None,
            failing_since: None,
            refused: None,
            last_answer: None,
            lost: Vec::new(),
            clock: BrokerClock::new(now),
        }
    }

    fn popped(&mut self, now: Instant) {
        self.answered(now);
        (self.has_answered, self.refused) = (true, None);
    }

    fn answered(&mut self, now: Instant) {
        (self.failures, self.failure, self.failing_since) = (0, None, None);
        self.last_answer = Some(now);
    }

    fn fail(&mut self, error: Error, now: Instant) {
        self.is_ready = false;
        self.not_before = Some(now + growing(50, self.failures));
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(error);
        self.failing_since.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests;
