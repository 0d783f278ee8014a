//! The subscriptions of one consumer group, by the heartbeats of all its members.

use std::collections::BTreeMap;

use crate::protocol::consumer::subscription::Subscription;

/// The subscriptions of a group, by topic. All members share one table: the subscription of one
/// member holds for the others too.
#[derive(Default)]
pub(super) struct Subscribed(BTreeMap<String, Subscription>);

impl Subscribed {
    /// Applies a heartbeat. Only a higher version replaces a stored subscription. Topics that the heartbeat
    /// lacks are removed, even if another member subscribed them. Returns whether topics were added or
    /// removed.
    pub(super) fn update(&mut self, latest: &[Subscription]) -> bool {
        let mut changed = false;
        for subscription in latest {
            match self.0.get_mut(&subscription.topic) {
                Some(stored) if subscription.sub_version > stored.sub_version => {
                    *stored = subscription.clone();
                }
                Some(_) => {}
                None => {
                    changed = true;
                    let topic = subscription.topic.clone();
                    self.0.insert(topic, subscription.clone());
                }
            }
        }
        let before = self.0.len();
        self.0.retain(|topic, _| {
            latest
                .iter()
                .any(|subscription| subscription.topic == *topic)
        });
        changed || self.0.len() < before
    }

    pub(super) fn of(&self, topic: &str) -> Option<&Subscription> {
        self.0.get(topic)
    }

    pub(super) fn all(&self) -> &BTreeMap<String, Subscription> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_version_replaces_a_subscription_and_the_latest_heartbeat_names_the_topics() {
        #[track_caller]
        fn check(
            group: &mut Subscribed,
            heartbeat: &[(&str, &str, i64)],
            changed: bool,
            now: &str,
        ) {
            let latest: Vec<Subscription> = heartbeat
                .iter()
                .map(|(topic, tags, version)| Subscription::tags(*topic, tags, *version).unwrap())
                .collect();
            assert_eq!(group.update(&latest), changed);
            let all: Vec<String> = group
                .all()
                .values()
                .map(|s| format!("{}:{}@{}", s.topic, s.sub_string, s.sub_version))
                .collect();
            assert_eq!(all.join(" "), now);
        }
        let group = &mut Subscribed::default();
        check(group, &[("T", "a", 5), ("U", "*", 1)], true, "T:a@5 U:*@1");
        // A member with an older one, and the same version again.
        check(group, &[("T", "b", 4), ("U", "*", 1)], false, "T:a@5 U:*@1");
        check(group, &[("T", "b", 5), ("U", "*", 1)], false, "T:a@5 U:*@1");
        check(group, &[("T", "b", 6), ("U", "*", 1)], false, "T:b@6 U:*@1");
        // A member that subscribes something else takes the topics of the others away.
        check(group, &[("V", "*", 1)], true, "V:*@1");
        check(group, &[], true, "");
        check(group, &[], false, "");
        check(group, &[("T", "a", 1)], true, "T:a@1");
        assert_eq!(group.of("T").map(|s| s.sub_version), Some(1));
        assert!(group.of("U").is_none());
    }
}
