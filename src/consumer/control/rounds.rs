//! The rounds of the rebalance: brokers are asked for the members, all at once; what they answer by
//! one deadline counts.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inbox::Asked;
use super::tools::Tools;
use super::wire::Wire;
use crate::client::Route;
use crate::consumer::config::Sharing;
use crate::consumer::rebalance::Pace;
use crate::consumer::topics::Topics;
use crate::protocol::code::response;
use crate::protocol::consumer::member::Members;
use crate::protocol::route::MASTER;
use crate::transport::Outcome;

/// So many brokers are asked at most: all of them know all members.
const MOST_ASKED: usize = 8;

/// How long a round waits for answers.
const PATIENCE: Duration = Duration::from_secs(3);

/// A list of members as one broker has it; `None` if it did not answer.
pub(super) type Listed = Option<Vec<Arc<str>>>;

/// When to ask, and what was answered.
pub(super) struct Rounds {
    pub(super) pace: Pace,
    number: u64,
    gathering: Option<Gathering>,
}

struct Gathering {
    answers: Vec<Listed>,
    open: usize,
    until: Instant,
}

impl Rounds {
    pub(super) fn new(now: Instant, interval: Duration) -> Rounds {
        Rounds {
            pace: Pace::new(now, interval),
            number: 0,
            gathering: None,
        }
    }

    /// When something is to be done, if nothing happens before.
    pub(super) fn due(&self) -> Instant {
        match &self.gathering {
            Some(gathering) => gathering.until,
            None => self.pace.due(),
        }
    }

    /// Starts a round if one is due. Returns the lists of a round that is complete, or whose time is
    /// up.
    pub(super) fn step(&mut self, tools: &Tools, now: Instant) -> Option<Vec<Listed>> {
        if self.gathering.is_none() && self.pace.start(now) {
            if tools.config.sharing != Sharing::Group {
                // Who the others are makes no difference.
                return Some(Vec::new());
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
            answers: vec![None; brokers.len()],
            open: brokers.len(),
            until: now + PATIENCE,
        });
        for (nth, broker) in brokers.iter().enumerate() {
            let round = self.number;
            let asked = Asked::Members { round, nth };
            tools.wire.members(broker, now, asked);
        }
    }

    /// A broker answered, or will not.
    pub(super) fn answered(&mut self, round: u64, nth: usize, outcome: Outcome) {
        let is_this = round == self.number;
        if let Some(gathering) = self.gathering.as_mut().filter(|_| is_this) {
            gathering.answers[nth] = read(outcome);
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
    let masters = masters_of_topics(&tools.topics, &tools.wire);
    let mut masters: Vec<Arc<str>> = masters.into_iter().collect();
    if masters.len() > MOST_ASKED {
        let random = RandomState::new();
        masters.sort_by_key(|address| random.hash_one(address));
        masters.truncate(MOST_ASKED);
    }
    masters
}

/// The masters of the topics whose routes are known.
pub(super) fn masters_of_topics(topics: &Topics, wire: &Wire) -> BTreeSet<Arc<str>> {
    let routes = topics.iter().filter_map(|(topic, _)| {
        let routes = &wire.core.routes;
        routes.known_route(topic, false)
    });
    routes.flat_map(|route| masters_of(&route)).collect()
}

fn masters_of(route: &Route) -> Vec<Arc<str>> {
    let brokers = route.raw().broker_datas.iter();
    let masters = brokers.filter_map(|broker| broker.broker_addrs.get(&MASTER));
    masters.map(|address| address.as_str().into()).collect()
}
