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
    /// Latest pops in a row that brought nothing, though there was a message.
    in_vain: u32,
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
    }

    /// A pop brought nothing, at once or after it was held.
    pub(super) fn nothing(&mut self, source: &Source, was_held: bool, now: Instant) {
        let state = self.state(source, now);
        state.popped(now);
        state.is_ready = false;
        if was_held {
            state.in_vain = 0;
            return;
        }
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
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn source(topic: &str, broker: &str) -> Source {
        Source {
            topic: topic.into(),
            broker: broker.into(),
            queue: ANY_QUEUE,
        }
    }

    fn error() -> Error {
        Error::new(ErrorKind::Connect, "no")
    }

    #[test]
    fn each_source_is_popped_once_and_asked_while_it_has_nothing() {
        let now = Instant::now();
        let all = ["a", "b", "c"].map(|broker| source("T", broker));
        let mut sources = Sources::default();
        for one in &all {
            assert_eq!(sources.turn(&all, now), Turn::Pop(one.clone()));
            sources.nothing(one, false, now);
        }
        assert_eq!(sources.turn(&all, now), Turn::Ask(all.to_vec()));
        assert_eq!(sources.turn(&all, now), Turn::Wait(None), "all are asked");
        sources.noticed(&all[1], Noticed::Message, now);
        assert_eq!(sources.turn(&all, now), Turn::Pop(all[1].clone()));
        sources.found(&all[1], now);
        assert_eq!(sources.turn(&all, now), Turn::Pop(all[1].clone()), "more");
        sources.nothing(&all[1], false, now);
        sources.noticed(&all[2], Noticed::Nothing, now);
        let again = Turn::Ask(vec![all[2].clone(), all[1].clone()]);
        assert_eq!(sources.turn(&all, now), again);
    }

    #[test]
    fn sources_with_messages_have_turns() {
        let now = Instant::now();
        let all = ["T", "U"].map(|topic| source(topic, "a"));
        let mut sources = Sources::default();
        let mut popped = Vec::new();
        for _ in 0..4 {
            let Turn::Pop(one) = sources.turn(&all, now) else {
                panic!("there are messages");
            };
            sources.found(&one, now);
            popped.push(one.topic.to_string());
        }
        assert_eq!(popped, ["T", "U", "T", "U"]);
    }

    #[test]
    fn one_source_alone_is_popped_and_never_asked() {
        let now = Instant::now();
        let all = [source("T", "a")];
        let mut sources = Sources::default();
        for _ in 0..2 {
            assert_eq!(sources.turn(&all, now), Turn::Pop(all[0].clone()));
            sources.nothing(&all[0], false, now);
        }
        // One whose broker answers at once, again and again, has a pause.
        let Turn::Wait(Some(until)) = sources.turn(&all, now) else {
            panic!("a pause");
        };
        assert_eq!(until, now + Duration::from_millis(20));
        assert_eq!(sources.turn(&all, until), Turn::Pop(all[0].clone()));
        sources.nothing(&all[0], true, until);
        assert_eq!(
            sources.turn(&all, until),
            Turn::Pop(all[0].clone()),
            "it was held"
        );
    }

    #[test]
    fn failures_are_told_if_all_fail_and_pause_their_source() {
        let now = Instant::now();
        let all = ["a", "b"].map(|broker| source("T", broker));
        let mut sources = Sources::default();
        assert_eq!(sources.turn(&all, now), Turn::Pop(all[0].clone()));
        sources.failed(&all[0], error(), now);
        assert_eq!(sources.turn(&all, now), Turn::Pop(all[1].clone()));
        assert!(sources.failure(&all).is_none());
        sources.failed(&all[1], error(), now);
        assert!(sources.failure(&all).is_some());
        let pause = now + Duration::from_millis(50);
        assert_eq!(sources.turn(&all, now), Turn::Wait(Some(pause)));
        assert_eq!(sources.turn(&all, pause), Turn::Ask(all.to_vec()));
        sources.noticed(&all[0], Noticed::Failed(error()), pause);
        assert!(sources.failure(&all).is_some());
        sources.noticed(&all[1], Noticed::Nothing, pause);
        assert!(sources.failure(&all).is_none());
        assert!(sources.failure(&[]).is_none());
    }

    #[test]
    fn a_refusal_pauses_its_source_alone_and_is_new_once() {
        let zero = Instant::now();
        let all = ["T", "U"].map(|topic| source(topic, "a"));
        let mut sources = Sources::default();
        let refusal = |code| Error::response(code, None);
        assert!(sources.refused(&all[0], refusal(16), zero));
        let mut now = zero;
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert_eq!(sources.turn(&all, now), Turn::Pop(all[1].clone()));
            sources.found(&all[1], now);
            let until = sources.states[&all[0]].not_before.expect("a pause");
            pauses.push(until.duration_since(now).as_millis());
            now = until;
            // The broker says that there is a message, or would say so of anything that it refuses.
            sources.states.get_mut(&all[1]).expect("it").is_ready = false;
            assert_eq!(sources.turn(&all, now), Turn::Ask(all.to_vec()));
            sources.noticed(&all[0], Noticed::Message, now);
            sources.noticed(&all[1], Noticed::Message, now);
            assert!(!sources.refused(&all[0], refusal(16), now), "again");
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_000, 1_000]);
        assert!(sources.refused(&all[0], refusal(23), now), "another code");
        sources.noticed(&all[0], Noticed::Nothing, now);
        assert!(!sources.refused(&all[0], refusal(23), now), "nobody popped");
        sources.nothing(&all[0], false, now);
        assert!(sources.refused(&all[0], refusal(23), now), "it was over");
    }

    #[test]
    fn an_attempt_whose_answer_was_lost_is_repeated() {
        let now = Instant::now();
        let all = ["a", "b"].map(|broker| source("T", broker));
        let mut sources = Sources::default();
        let first = sources.begin_attempt(&all[0], "me", now);
        let second = sources.begin_attempt(&all[0], "me", now);
        assert_ne!(first, second);
        for one in &all {
            assert_eq!(sources.turn(&all, now), Turn::Pop(one.clone()));
            sources.nothing(one, false, now);
        }
        sources.lost_attempt(&all[0], first.clone(), now);
        assert_eq!(
            sources.turn(&all, now),
            Turn::Pop(all[0].clone()),
            "not asked"
        );
        assert_eq!(sources.begin_attempt(&all[0], "me", now), first);
        assert_ne!(sources.begin_attempt(&all[0], "me", now), first);
    }

    #[test]
    fn name_servers_are_asked_less_and_less_often_for_missing_topics() {
        let mut sources = Sources::default();
        let start = Instant::now();
        let mut asked = Vec::new();
        let mut now = start;
        while asked.len() < 9 {
            let (is_due, next) = sources.learn(now);
            if is_due {
                asked.push(now.duration_since(start).as_millis());
                assert!(!sources.learn(now).0, "just asked");
            }
            now = next;
        }
        let expected = [0, 200, 600, 1_400, 3_000, 6_200, 12_600, 22_600, 32_600];
        assert_eq!(asked, expected);
    }

    #[test]
    fn sources_that_are_gone_are_forgotten() {
        let now = Instant::now();
        let all = ["a", "b"].map(|broker| source("T", broker));
        let mut sources = Sources::default();
        assert_eq!(sources.turn(&all, now), Turn::Pop(all[0].clone()));
        assert_eq!(sources.turn(&all, now), Turn::Pop(all[1].clone()));
        assert_eq!(sources.turn(&all[..1], now), Turn::Pop(all[0].clone()));
        assert_eq!(sources.states.len(), 1);
        sources.noticed(&all[1], Noticed::Message, now);
        assert_eq!(sources.states.len(), 1);
    }
}
