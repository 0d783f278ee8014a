//! Faults of the group, from the answers of brokers: a second client with this member's id, and members
//! that subscribe differently.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::twins::{Seen, Twins};
use crate::consumer::observe::Event;
use crate::consumer::topics::Topics;

/// The findings so far.
#[derive(Default)]
pub(super) struct Suspicions {
    pub(super) twins: Twins,
    /// Subscriptions that differ, and were reported.
    told: BTreeSet<(Arc<str>, String)>,
}

impl Suspicions {
    /// Checks the answers of brokers that know this member. Returns new findings.
    pub(super) fn look(
        &mut self,
        me: &str,
        seen: &[Seen<'_>],
        topics: &Topics,
        now: Instant,
    ) -> Vec<Event> {
        let twin = self.twins.look(me, seen, now);
        let twin = twin.map(|address| Event::DuplicateClient { address });
        let mut events = Vec::from_iter(twin);
        let tables = seen.iter().map(|seen| &seen.connections.subscription_table);
        let found = tables.flat_map(|table| topics.differences(table)).collect();
        for (topic, what) in BTreeSet::difference(&found, &self.told) {
            events.push(Event::SubscriptionMismatch {
                topic: topic.to_string(),
                what: what.clone(),
            });
        }
        self.told = found;
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Names;
    use crate::consumer::subscription::Subscriptions;
    use crate::protocol::consumer::member::Connections;

    fn topics(filters: &[(&str, &str)]) -> Topics {
        let mut subscriptions = Subscriptions::default();
        for (topic, filter) in filters {
            let added = subscriptions.add(*topic, (*filter).into());
            added.expect("a filter");
        }
        Topics::new(&subscriptions, Some(&"g".into()), Names::default(), 1).expect("topics")
    }

    /// A broker's answer, with the subscriptions of a member that has these filters.
    fn connections(filters: &[(&str, &str)]) -> Connections {
        let topics = topics(filters);
        let table = topics.iter();
        let table = table.map(|(name, topic)| (name.to_string(), topic.subscription.clone()));
        Connections {
            subscription_table: table.collect(),
            ..Connections::default()
        }
    }

    #[test]
    fn a_subscription_that_differs_is_reported_once_and_its_spelling_does_not_matter() {
        let now = Instant::now();
        let ours = topics(&[("T", "a || b")]);
        let mut suspicions = Suspicions::default();
        let broker = "broker".into();
        let mut look = |filters: &[(&str, &str)]| {
            let seen = Seen {
                broker: &broker,
                connections: &connections(filters),
                local: None,
            };
            let events = suspicions.look("me", &[seen], &ours, now);
            events.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let none = [] as [String; 0];
        assert_eq!(look(&[("T", "b||a")]), none);
        let differently = "members of the group subscribe differently:";
        let expected = format!(
            "{differently} T: another member has the filter \"c\", and this one \"a || b\""
        );
        assert_eq!(look(&[("T", "c")]), std::slice::from_ref(&expected));
        assert_eq!(look(&[("T", "c")]), none);
        assert_eq!(look(&[("T", "a||b")]), none);
        assert_eq!(look(&[("T", "c")]), [expected]);
        let less = format!("{differently} T: another member does not subscribe to it");
        let more =
            format!("{differently} U: another member subscribes to it, and this one does not");
        assert_eq!(look(&[("U", "*")]), [less, more]);
    }
}
