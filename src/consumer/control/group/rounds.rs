//! The rounds of the rebalance: all brokers are asked for the members at once. Answers that come before
//! the deadline count.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::consumer::config::Sharing;
use crate::consumer::control::inbox::Asked;
use crate::consumer::control::tools::Tools;
use crate::consumer::rebalance::Pace;
use crate::protocol::code::response;
use crate::protocol::consumer::member::{Connections, Members};
use crate::transport::Outcome;

/// The most brokers that are asked: each of them knows all members.
const MOST_ASKED: usize = 8;

/// The language that members of this library announce, unless it is set.
const OUR_LANGUAGE: &str = "RUST";

/// How long a round waits for answers.
const PATIENCE: Duration = Duration::from_secs(3);

/// A list of members as one broker has it; `None` if it did not answer.
pub(super) type Listed = Option<Vec<Arc<str>>>;

/// The answers of a round.
pub(in crate::consumer::control) struct Answers {
    /// The brokers that were asked.
    pub(super) brokers: Vec<Arc<str>>,
    pub(super) lists: Vec<Listed>,
    /// The connections of the group, of the same brokers.
    pub(super) connections: Vec<Option<Connections>>,
}

impl Answers {
    /// Whether all members use this library, as far as brokers know; `None` if that is not sure. A
    /// broker that has just restarted knows no member yet, and does not count.
    pub(in crate::consumer::control) fn are_all_ours(&self) -> Option<bool> {
        let known = self.connections.iter().flatten();
        let mut members = known.flat_map(|known| &known.connection_set).peekable();
        let knows_some = members.peek().is_some();
        if !members.all(|member| member.language == OUR_LANGUAGE) {
            return Some(false);
        }
        let mut both = self.lists.iter().zip(&self.connections);
        let is_unsure = both.any(|(list, known)| {
            let has_members = list.as_ref().is_some_and(|list| !list.is_empty());
            has_members && known.is_none()
        });
        (knows_some && !is_unsure).then_some(true)
    }
}

/// When to ask, and the answers.
pub(in crate::consumer::control) struct Rounds {
    pub(in crate::consumer::control) pace: Pace,
    number: u64,
    gathering: Option<Gathering>,
}

struct Gathering {
    answers: Answers,
    open: usize,
    until: Instant,
}

impl Rounds {
    pub(in crate::consumer::control) fn new(now: Instant, interval: Duration) -> Rounds {
        Rounds {
            pace: Pace::new(now, interval),
            number: 0,
            gathering: None,
        }
    }

    /// When the next step is due, unless an event comes before.
    pub(in crate::consumer::control) fn due(&self) -> Instant {
        match &self.gathering {
            Some(gathering) => gathering.until,
            None => self.pace.due(),
        }
    }

    /// Starts a round if one is due. Returns the lists of a round that is complete, or whose deadline has
    /// passed.
    pub(in crate::consumer::control) fn step(
        &mut self,
        tools: &Tools,
        now: Instant,
    ) -> Option<Answers> {
        if self.gathering.is_none() && self.pace.start(now) {
            if tools.config.sharing != Sharing::Group {
                // The other members make no difference.
                return Some(Answers {
                    brokers: Vec::new(),
                    lists: Vec::new(),
                    connections: Vec::new(),
                });
            }
            self.ask(tools, now);
        }
        let gathering = self.gathering.as_ref()?;
        if gathering.open > 0 && now < gathering.until {
            return None;
        }
        self.gathering.take().map(|gathering| gathering.answers)
    }

    fn ask(&mut self, tools: &Tools, now: Instant) {
        self.number += 1;
        let brokers = masters(tools);
        self.gathering = Some(Gathering {
            answers: Answers {
                lists: vec![None; brokers.len()],
                connections: vec![None; brokers.len()],
                brokers: brokers.clone(),
            },
            open: 2 * brokers.len(),
            until: now + PATIENCE,
        });
        for (nth, broker) in brokers.iter().enumerate() {
            let round = self.number;
            let asked = Asked::Members { round, nth };
            tools.wire.members(broker, now, asked);
            let asked = Asked::Connections { round, nth };
            tools.wire.connections(broker, now, asked);
        }
    }

    /// A broker answered, or its request failed.
    pub(in crate::consumer::control) fn answered(
        &mut self,
        round: u64,
        nth: usize,
        outcome: Outcome,
    ) {
        let is_this = round == self.number;
        if let Some(gathering) = self.gathering.as_mut().filter(|_| is_this) {
            gathering.answers.lists[nth] = read(outcome);
            gathering.open -= 1;
        }
    }

    /// The same for the connections.
    pub(in crate::consumer::control) fn connected(
        &mut self,
        round: u64,
        nth: usize,
        outcome: Outcome,
    ) {
        let is_this = round == self.number;
        if let Some(gathering) = self.gathering.as_mut().filter(|_| is_this) {
            let answer = outcome
                .ok()
                .filter(|answer| answer.code == response::SUCCESS);
            let read = answer.and_then(|answer| Connections::decode(&answer.body).ok());
            gathering.answers.connections[nth] = read;
            gathering.open -= 1;
        }
    }
}

fn read(outcome: Outcome) -> Listed {
    let answer = outcome.ok()?;
    match answer.code {
        response::SUCCESS => {
            let members = Members::decode(&answer.body).ok()?;
            let ids = members.consumer_id_list.into_iter();
            Some(ids.map(Arc::from).collect())
        }
        // Java's brokers have no other code for "no member of this group".
        response::SYSTEM_ERROR => Some(Vec::new()),
        _ => None,
    }
}

/// The masters of the subscribed topics; a few of them, chosen at random, if there are many.
fn masters(tools: &Tools) -> Vec<Arc<str>> {
    let masters = tools.topics.masters(&tools.wire.core);
    let mut masters: Vec<Arc<str>> = masters.into_iter().collect();
    if masters.len() > MOST_ASKED {
        let random = RandomState::new();
        masters.sort_by_key(|address| random.hash_one(address));
        masters.truncate(MOST_ASKED);
    }
    masters
}
