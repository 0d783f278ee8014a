//! Faults of the group, from the answers of brokers: a second client with this member's id, and members
//! that subscribe differently.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::consumer::observe::Event;
use crate::consumer::topics::Topics;
use crate::protocol::consumer::member::Connections;
use crate::protocol::consumer::subscription::Subscription;

/// A broker lists the old connection of a client beside the new one for up to two minutes. After that,
/// a second connection is another client.
const OLD_ONE_GONE_AFTER: Duration = Duration::from_secs(130);

/// The findings so far.
#[derive(Default)]
pub(super) struct Suspicions {
    /// Since when a broker lists this member's id with several addresses.
    twice_since: Option<Instant>,
    is_twice_told: bool,
    /// Subscriptions that differ, and were reported.
    told: BTreeSet<(String, String)>,
}

impl Suspicions {
    /// Checks the connections in the answers of brokers that know this member. Returns new findings.
    pub(super) fn look(
        &mut self,
        me: &str,
        connections: &[&Connections],
        topics: &Topics,
        now: Instant,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        events.extend(self.look_for_twin(me, connections, now));
        let mut found = BTreeSet::new();
        for connections in connections {
            for (topic, ours) in topics.iter() {
                let theirs = connections.subscription_table.get(&**topic);
                if let Some(what) = differs(&ours.subscription, theirs) {
                    found.insert((topics.names().for_users(topic).to_string(), what));
                }
            }
        }
        for (topic, what) in found.difference(&self.told) {
            events.push(Event::SubscriptionMismatch {
                topic: topic.clone(),
                what: what.clone(),
            });
        }
        self.told = found;
        events
    }

    fn look_for_twin(
        &mut self,
        me: &str,
        connections: &[&Connections],
        now: Instant,
    ) -> Option<Event> {
        let twins = connections.iter().find_map(|connections| {
            let own = connections.connection_set.iter();
            let own = own.filter(|member| member.client_id == me);
            let addresses: BTreeSet<&str> = own.map(|member| &*member.client_addr).collect();
            (addresses.len() > 1).then_some(addresses)
        });
        let Some(addresses) = twins else {
            (self.twice_since, self.is_twice_told) = (None, false);
            return None;
        };
        let since = *self.twice_since.get_or_insert(now);
        let is_sure = now.saturating_duration_since(since) >= OLD_ONE_GONE_AFTER;
        if !is_sure || std::mem::replace(&mut self.is_twice_told, true) {
            return None;
        }
        let addresses: Vec<&str> = addresses.into_iter().collect();
        Some(Event::DuplicateClient {
            address: addresses.join(" and "),
        })
    }
}

/// How the broker's subscription of a topic differs from this member's, if it does.
fn differs(ours: &Subscription, theirs: Option<&Subscription>) -> Option<String> {
    let Some(theirs) = theirs else {
        return Some("another member does not subscribe to it".to_owned());
    };
    let is_same = ours.expression_type == theirs.expression_type
        && match ours.is_by_tags() {
            // In whichever order and spacing the tags are written.
            true => ours.tags_set == theirs.tags_set,
            false => ours.sub_string == theirs.sub_string,
        };
    let (ours, theirs) = (&ours.sub_string, &theirs.sub_string);
    (!is_same).then(|| format!("another member has the filter {theirs:?}, and this one {ours:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Names;
    use crate::consumer::subscription::Subscriptions;
    use crate::protocol::consumer::member::MemberConnection;

    fn topics(filter: &str) -> Topics {
        let mut subscriptions = Subscriptions::default();
        subscriptions.add("T", filter.into()).expect("a filter");
        Topics::new(&subscriptions, Some(&"g".into()), Names::default(), 1).expect("topics")
    }

    /// A broker's answer, with the subscriptions of a member that has this filter.
    fn connections(addresses: &[&str], filter: &str) -> Connections {
        let connection = |address: &&str| MemberConnection {
            client_addr: (*address).to_owned(),
            client_id: "me".to_owned(),
            language: "RUST".to_owned(),
            version: 1,
        };
        let topics = topics(filter);
        let table = topics.iter();
        let table = table.map(|(name, topic)| (name.to_string(), topic.subscription.clone()));
        Connections {
            connection_set: addresses.iter().map(connection).collect(),
            subscription_table: table.collect(),
            ..Connections::default()
        }
    }

    #[test]
    fn a_subscription_that_differs_is_reported_once_and_its_spelling_does_not_matter() {
        let now = Instant::now();
        let ours = topics("a || b");
        let mut suspicions = Suspicions::default();
        let mut look = |filter| {
            let seen = connections(&["x:1"], filter);
            let events = suspicions.look("me", &[&seen], &ours, now);
            events.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(look("b||a"), [] as [String; 0]);
        let expected = "members of the group subscribe differently: T: another member has the \
                        filter \"c\", and this one \"a || b\"";
        assert_eq!(look("c"), [expected]);
        assert_eq!(look("c"), [] as [String; 0]);
        assert_eq!(look("a||b"), [] as [String; 0]);
        assert_eq!(look("c"), [expected]);
    }

    #[test]
    fn a_second_client_with_this_id_is_reported_once_it_cannot_be_an_old_connection() {
        let zero = Instant::now();
        let ours = topics("*");
        let mut suspicions = Suspicions::default();
        let mut look = |addresses: &[&str], seconds| {
            let seen = connections(addresses, "*");
            let now = zero + Duration::from_secs(seconds);
            suspicions.look("me", &[&seen], &ours, now)
        };
        assert_eq!(look(&["x:1", "x:2"], 0), []);
        assert_eq!(look(&["x:1", "x:2"], 129), []);
        let twin = Event::DuplicateClient {
            address: "x:1 and x:2".to_owned(),
        };
        assert_eq!(look(&["x:1", "x:2"], 130), [twin]);
        assert_eq!(look(&["x:1", "x:2"], 150), []);
        assert_eq!(look(&["x:2"], 170), []);
        assert_eq!(look(&["x:1", "x:2"], 190), []);
    }
}
