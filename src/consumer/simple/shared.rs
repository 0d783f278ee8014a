//! What all handles and messages of a simple consumer share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::config::SimpleConfig;
use super::held::Held;
use crate::consumer::consume::Trace;
use crate::consumer::observe::Count;
use crate::consumer::pop::{ANY_QUEUE, Known, PopShared, Source};
use crate::sync::Mutex;

pub(super) struct SimpleShared {
    pub(super) config: SimpleConfig,
    pub(super) pop: Arc<PopShared>,
    pub(super) held: Held,
    pub(super) calls: Calls,
    pub(super) receiving: Receiving,
    /// Message trace, if it is on.
    pub(super) trace: Option<Arc<Trace>>,
}

/// Counts calls that settle messages, apart from the ends of messages, which `held` counts.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) extended: Count,
    pub(super) unknown: Count,
    pub(super) refused: Count,
}

/// How many threads receive, and since when there are some, or none.
pub(super) struct Receiving(Mutex<(usize, Instant)>);

impl Receiving {
    pub(super) fn new(now: Instant) -> Receiving {
        Receiving(Mutex::new((0, now)))
    }

    /// This thread receives until the value is dropped.
    pub(super) fn begin(&self) -> WhileReceiving<'_> {
        self.change(1, usize::saturating_add);
        WhileReceiving(self)
    }

    /// Whether a thread receives, and since when that is so.
    pub(super) fn look(&self) -> (bool, Instant) {
        let (threads, since) = *self.0.lock();
        (threads > 0, since)
    }

    fn change(&self, by: usize, change: fn(usize, usize) -> usize) {
        let mut state = self.0.lock();
        let threads = change(state.0, by);
        if (threads == 0) != (state.0 == 0) {
            state.1 = Instant::now();
        }
        state.0 = threads;
    }
}

/// A thread receives as long as this lives.
pub(super) struct WhileReceiving<'a>(&'a Receiving);

impl Drop for WhileReceiving<'_> {
    fn drop(&mut self) {
        self.0.change(1, usize::saturating_sub);
    }
}

impl SimpleShared {
    /// Each topic on each broker that the routes name now.
    pub(super) fn known(&self) -> Known {
        let (mut sources, mut is_missing) = (BTreeSet::new(), false);
        for (topic, _) in self.pop.topics.iter() {
            let Some(route) = self.pop.core.routes.known_route(topic, false) else {
                is_missing = true;
                continue;
            };
            sources.extend(route.popped().map(|broker| Source {
                topic: topic.clone(),
                broker: broker.into(),
                queue: ANY_QUEUE,
            }));
        }
        Known {
            sources: sources.into_iter().collect(),
            is_missing,
        }
    }
}
