//! What this member pops: the broker is asked as often as the members are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::consumer::LOG;
use crate::consumer::control::inbox::Asked;
use crate::consumer::control::tools::Tools;
use crate::consumer::popping::{Told, query, read};
use crate::consumer::rebalance::Pace;
use crate::consumer::topics::masters_of;
use crate::logging;
use crate::transport::Outcome;

/// When to ask which sources of the popped topics are this member's.
pub(in crate::consumer::control) struct Sources {
    pub(in crate::consumer::control) pace: Pace,
    rounds: Rounds,
    /// For each topic the place of the broker that is asked: another one after a failure.
    nth: HashMap<Arc<str>, usize>,
}

/// Which answers still count: one may come after that of a later round.
#[derive(Default)]
struct Rounds {
    last: u64,
    /// For each topic the latest round with an answer.
    answered: HashMap<Arc<str>, u64>,
}

impl Rounds {
    fn begin(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// An answer came. False: a later round was answered before.
    fn answered(&mut self, topic: &Arc<str>, round: u64) -> bool {
        let latest = self.answered.entry(topic.clone()).or_default();
        let counts = round >= *latest;
        *latest = round.max(*latest);
        counts
    }
}

impl Sources {
    pub(in crate::consumer::control) fn new(interval: Duration, now: Instant) -> Sources {
        Sources {
            pace: Pace::new(now, interval),
            rounds: Rounds::default(),
            nth: HashMap::new(),
        }
    }

    /// Asks one broker for each topic, if it is time.
    pub(in crate::consumer::control) fn step(&mut self, tools: &Tools, now: Instant) {
        let Some(popping) = &tools.popping else {
            return;
        };
        if !self.pace.start(now) {
            return;
        }
        let round = self.rounds.begin();
        let me = tools.wire.core.identity.client_id();
        for topic in popping.topics() {
            let masters = masters_of(topic, &tools.wire.core);
            let nth = self.nth.get(topic).copied().unwrap_or(0);
            if let Some(broker) = masters.get(nth % masters.len().max(1)) {
                let query = query(popping.consumer(), me, topic);
                let topic = topic.clone();
                let asked = Asked::Sources { topic, round };
                tools.wire.assignment(broker, &query, now, asked);
            }
        }
    }

    /// A broker answered. Returns whether this member pops from other sources than before.
    pub(in crate::consumer::control) fn answered(
        &mut self,
        topic: &Arc<str>,
        round: u64,
        outcome: Outcome,
        tools: &Tools,
        now: Instant,
    ) -> bool {
        let Some(popping) = &tools.popping else {
            return false;
        };
        if !self.rounds.answered(topic, round) {
            return false;
        }
        match outcome.map(|answer| read(topic, &answer)) {
            Ok(Told::Pop(sources)) => popping.assign(topic, sources, now),
            // The mode stays as it was at the start.
            Ok(Told::Pull) => false,
            failed => {
                logging::debug!(target: LOG, "{topic}: no answer which queues to pop: {failed:?}");
                *self.nth.entry(topic.clone()).or_default() += 1;
                self.pace.ask_again(now);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_does_not_count_after_that_of_a_later_round() {
        let mut rounds = Rounds::default();
        let (t, u): (Arc<str>, Arc<str>) = ("T".into(), "U".into());
        let [first, second, third] = [(); 3].map(|()| rounds.begin());
        assert!(rounds.answered(&t, first));
        assert!(rounds.answered(&t, third));
        assert!(!rounds.answered(&t, second), "it comes too late");
        assert!(rounds.answered(&u, second), "each topic by itself");
        let fourth = rounds.begin();
        assert!(rounds.answered(&t, fourth));
    }
}
