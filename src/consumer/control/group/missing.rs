//! Topics that do not exist yet: name servers are asked for them, with growing pauses.

use std::time::{Duration, Instant};

use super::cut::Cut;
use crate::consumer::control::tools::Tools;

/// The first pause between two questions; each pause is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(200);

/// The client looks all topics up at intervals of its own.
const LONGEST: Duration = Duration::from_secs(10);

/// When to ask for the topics that are missing.
pub(in crate::consumer::control) struct Missing {
    /// `None`: no topic is missing.
    next: Option<Instant>,
    pause: Duration,
    cut: Cut,
}

impl Missing {
    pub(in crate::consumer::control) fn new(now: Instant) -> Missing {
        Missing {
            next: Some(now),
            pause: FIRST,
            cut: Cut::default(),
        }
    }

    pub(in crate::consumer::control) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// A broker knows this member now: it has created the retry topic if that did not exist.
    pub(in crate::consumer::control) fn ask_soon(&mut self, now: Instant) {
        (self.next, self.pause) = (Some(now), FIRST);
    }

    /// Looks up the missing topics, and those whose route has lost a broker, if that is due.
    pub(in crate::consumer::control) fn step(&mut self, tools: &Tools, now: Instant) {
        self.cut.step(tools, now);
        if self.next.is_none_or(|at| at > now) {
            return;
        }
        let routes = &tools.wire.core.routes;
        let mut topics = tools.topics.iter();
        let is_missing = topics.any(|(topic, _)| routes.known_route(topic, false).is_none());
        self.next = is_missing.then_some(now + self.pause);
        if is_missing {
            tools.wire.core.learn_soon();
            self.pause = (self.pause * 2).min(LONGEST);
        }
    }
}
