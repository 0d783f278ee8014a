//! Routes that have lost a broker. The broker may come back at any moment, and members with the old
//! route divide other queues than members with the new one: so the route is looked up often until then.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::consumer::control::tools::Tools;
use crate::consumer::topics::masters_of;

/// Between two lookups while a broker is away.
const ASK_EACH: Duration = Duration::from_secs(1);

/// From then on a route is complete without the broker.
const EXPECTED_FOR: Duration = Duration::from_secs(10 * 60);

/// The brokers that the routes of the topics have had.
#[derive(Default)]
pub(super) struct Cut {
    looked: Option<Instant>,
    topics: HashMap<Arc<str>, Masters>,
}

/// The addresses of the masters of one topic.
#[derive(Default)]
struct Masters {
    expected: BTreeSet<Arc<str>>,
    /// Since when some of them are not in the route.
    cut_since: Option<Instant>,
}

impl Cut {
    /// Looks up the routes of which a broker is away: it has left the route, or the connection to it broke.
    /// A broker that is back gets a heartbeat at once: as long as it does not know a member, the others
    /// divide wrongly.
    pub(super) fn step(&mut self, tools: &Tools, now: Instant) {
        let waits = |at| now.saturating_duration_since(at) < ASK_EACH;
        if self.looked.is_some_and(waits) {
            return;
        }
        self.looked = Some(now);
        let core = &tools.wire.core;
        let is_cut_off = |address: &&Arc<str>| core.remoting.current(address).is_none();
        for (topic, _) in tools.topics.iter() {
            let masters: BTreeSet<Arc<str>> = masters_of(topic, core).into_iter().collect();
            let cut_off: Vec<Arc<str>> = masters.iter().filter(is_cut_off).cloned().collect();
            let of_topic = self.topics.entry(topic.clone()).or_default();
            if of_topic.is_cut(masters, now) || !cut_off.is_empty() {
                core.refresh_soon(topic);
            }
            tools.membership.announce(cut_off);
        }
    }
}

impl Masters {
    /// Whether the route, which has these masters now, has lost some.
    fn is_cut(&mut self, masters: BTreeSet<Arc<str>>, now: Instant) -> bool {
        let since = self.cut_since.unwrap_or(now);
        let is_given_up = now.saturating_duration_since(since) >= EXPECTED_FOR;
        if is_given_up || masters.is_superset(&self.expected) {
            (self.expected, self.cut_since) = (masters, None);
            return false;
        }
        self.expected.extend(masters);
        self.cut_since = Some(since);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_cut_until_its_brokers_are_back_or_are_not_expected_any_more() {
        let start = Instant::now();
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let set = |masters: &str| masters.split_whitespace().map(Arc::from).collect();
        let mut masters = Masters::default();
        for (minute, now, is_cut) in [
            (0, "a b", false),
            (1, "b", true),
            (2, "b c", true),
            (3, "a b", true),
            (4, "a b c", false),
            (5, "", true),
            (14, "a", true),
            (15, "a", false),
            (16, "a", false),
            (17, "a b", false),
        ] {
            let found = masters.is_cut(set(now), at(minute));
            assert_eq!(found, is_cut, "{minute}: {now}");
        }
    }
}
