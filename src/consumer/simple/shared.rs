//! What all handles and messages of a simple consumer share.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::config::SimpleConfig;
use super::held::Held;
use crate::consumer::consume::Trace;
use crate::consumer::pop::{ANY_QUEUE, Known, PopShared, Source};

pub(super) struct SimpleShared {
    pub(super) config: SimpleConfig,
    pub(super) pop: Arc<PopShared>,
    pub(super) held: Held,
    /// Message trace, if it is on.
    pub(super) trace: Option<Arc<Trace>>,
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
