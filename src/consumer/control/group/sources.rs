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
    /// For each topic the place of the broker that is asked: another one after a failure.
    nth: HashMap<Arc<str>, usize>,
}

impl Sources {
    pub(in crate::consumer::control) fn new(interval: Duration, now: Instant) -> Sources {
        Sources {
            pace: Pace::new(now, interval),
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
        let me = tools.wire.core.identity.client_id();
        for topic in popping.topics() {
            let masters = masters_of(topic, &tools.wire.core);
            let nth = self.nth.get(topic).copied().unwrap_or(0);
            if let Some(broker) = masters.get(nth % masters.len().max(1)) {
                let query = query(popping.consumer(), me, topic);
                let asked = Asked::Sources(topic.clone());
                tools.wire.assignment(broker, &query, now, asked);
            }
        }
    }

    /// A broker answered. Returns whether this member pops from other sources than before.
    pub(in crate::consumer::control) fn answered(
        &mut self,
        topic: &Arc<str>,
        outcome: Outcome,
        tools: &Tools,
        now: Instant,
    ) -> bool {
        let Some(popping) = &tools.popping else {
            return false;
        };
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
