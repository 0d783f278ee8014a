//! The members of a client, by kind and group. No clock, no socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::member::{Member, MemberKind};
use crate::client::routes::{NeededTopic, RouteNeeds};
use crate::protocol::heartbeat::Heartbeat;
use crate::sync::Mutex;

/// The members, and the version of what brokers are to know of them.
///
/// A version is given to each member that joins or changes. A heartbeat has the version of the moment
/// before it was made: whatever has a lower or the same one is in it.
#[derive(Default)]
pub(in crate::client) struct Registry(Mutex<State>);

#[derive(Default)]
struct State {
    members: BTreeMap<(MemberKind, Arc<str>), Entry>,
    version: u64,
    closed: bool,
}

struct Entry {
    member: Arc<dyn Member>,
    /// The version from which on brokers know the member as it is.
    since: u64,
}

impl Registry {
    /// Adds a member; `None` if there is one of this kind and group, else its version.
    pub(super) fn join(&self, member: Arc<dyn Member>) -> Option<u64> {
        let mut state = self.0.lock();
        let key = (member.kind(), member.group().clone());
        if state.members.contains_key(&key) {
            return None;
        }
        state.version += 1;
        let since = state.version;
        state.members.insert(key, Entry { member, since });
        Some(since)
    }

    pub(super) fn leave(&self, kind: MemberKind, group: &Arc<str>) {
        self.0.lock().members.remove(&(kind, group.clone()));
    }

    /// The member's part of the heartbeat has changed; `None` if it has left.
    pub(super) fn change(&self, kind: MemberKind, group: &Arc<str>) -> Option<Arc<dyn Member>> {
        let mut state = self.0.lock();
        let next = state.version + 1;
        let entry = state.members.get_mut(&(kind, group.clone()))?;
        entry.since = next;
        let member = entry.member.clone();
        state.version = next;
        Some(member)
    }

    /// The version from which on brokers know a member as it is; `None` if it is not here.
    pub(super) fn since(&self, kind: MemberKind, group: &str) -> Option<u64> {
        let state = self.0.lock();
        let entry = state.members.get(&(kind, group.into()))?;
        Some(entry.since)
    }

    /// The version of the last change.
    pub(super) fn version(&self) -> u64 {
        self.0.lock().version
    }

    /// A heartbeat of all members, and its version; `None` if there is no member, or none any more.
    pub(super) fn heartbeat(&self, client_id: &str) -> Option<(Heartbeat, u64)> {
        let state = self.0.lock();
        if state.closed || state.members.is_empty() {
            return None;
        }
        let version = state.version;
        let members: Vec<_> = state.members.values().map(|e| e.member.clone()).collect();
        drop(state);
        let mut heartbeat = Heartbeat::of_producers(client_id, std::iter::empty());
        for member in members {
            member.add_to(&mut heartbeat);
        }
        Some((heartbeat, version))
    }

    /// All members.
    pub(in crate::client) fn all(&self) -> Vec<Arc<dyn Member>> {
        let state = self.0.lock();
        state.members.values().map(|e| e.member.clone()).collect()
    }

    /// The members whose version is after the first and up to the second one.
    pub(super) fn between(&self, before: u64, version: u64) -> Vec<Arc<dyn Member>> {
        let state = self.0.lock();
        let entries = state.members.values();
        let between = entries.filter(|e| e.since > before && e.since <= version);
        between.map(|e| e.member.clone()).collect()
    }

    /// Whether there is a consumer, which needs slaves too.
    pub(super) fn has_consumers(&self) -> bool {
        let state = self.0.lock();
        let mut kinds = state.members.keys().map(|(kind, _)| *kind);
        kinds.any(|kind| kind == MemberKind::Consumer)
    }

    /// No heartbeat is made from now on.
    pub(in crate::client) fn close(&self) {
        self.0.lock().closed = true;
    }
}

impl RouteNeeds for Registry {
    fn topics(&self) -> Vec<NeededTopic> {
        let members = self.all();
        members.iter().flat_map(|member| member.topics()).collect()
    }

    fn are_asked(&self) -> bool {
        self.all().iter().any(|member| member.is_asked())
    }
}

#[cfg(test)]
mod tests {
    use super::super::member::BrokerRequest;
    use super::*;
    use crate::protocol::consumer::member::ConsumerData;
    use crate::protocol::heartbeat::ProducerData;
    use crate::transport::Deadline;

    struct Group(MemberKind, Arc<str>);

    impl Member for Group {
        fn kind(&self) -> MemberKind {
            self.0
        }

        fn group(&self) -> &Arc<str> {
            &self.1
        }

        fn add_to(&self, heartbeat: &mut Heartbeat) {
            match self.0 {
                MemberKind::Producer => heartbeat.producer_data_set.push(ProducerData {
                    group_name: self.1.to_string(),
                }),
                MemberKind::Consumer => {
                    heartbeat
                        .consumer_data_set
                        .push(ConsumerData::new(&*self.1));
                }
            }
        }

        fn topics(&self) -> Vec<NeededTopic> {
            Vec::new()
        }

        fn is_asked(&self) -> bool {
            self.0 == MemberKind::Consumer
        }

        fn answer(&self, request: BrokerRequest) -> Option<BrokerRequest> {
            Some(request)
        }

        fn stop(&self) {}

        fn join(&self, _: Deadline) -> Vec<String> {
            Vec::new()
        }
    }

    fn group(kind: MemberKind, name: &str) -> Arc<dyn Member> {
        Arc::new(Group(kind, name.into()))
    }

    #[test]
    fn a_producer_and_a_consumer_group_may_have_one_name_and_two_of_a_kind_may_not() {
        let registry = Registry::default();
        assert!(registry.heartbeat("id").is_none());
        assert_eq!(registry.join(group(MemberKind::Producer, "g")), Some(1));
        assert!(!registry.has_consumers() && !registry.are_asked());
        assert_eq!(registry.join(group(MemberKind::Producer, "g")), None);
        assert_eq!(registry.join(group(MemberKind::Consumer, "g")), Some(2));
        assert!(registry.has_consumers() && registry.are_asked());
        let (heartbeat, version) = registry.heartbeat("id").expect("members");
        assert_eq!((heartbeat.client_id.as_str(), version), ("id", 2));
        assert_eq!(heartbeat.producer_data_set.len(), 1);
        assert_eq!(heartbeat.consumer_data_set.len(), 1);
        registry.leave(MemberKind::Producer, &"g".into());
        let (heartbeat, _) = registry.heartbeat("id").expect("a member");
        assert!(heartbeat.producer_data_set.is_empty());
        registry.close();
        assert!(registry.heartbeat("id").is_none());
    }

    #[test]
    fn a_heartbeat_confirms_what_is_not_newer_than_it() {
        let registry = Registry::default();
        let consumer = MemberKind::Consumer;
        for name in ["a", "b"] {
            registry.join(group(consumer, name));
        }
        let (_, version) = registry.heartbeat("id").expect("members");
        assert!(registry.change(consumer, &"a".into()).is_some());
        assert!(registry.change(consumer, &"c".into()).is_none());
        assert_eq!(registry.since(consumer, "a"), Some(3));
        let names = |before, version| {
            let members = registry.between(before, version).into_iter();
            members.map(|m| m.group().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(0, version), ["b"], "a has changed since");
        assert_eq!(names(version, registry.version()), ["a"]);
        assert_eq!(registry.since(consumer, "b"), Some(2));
        assert_eq!(registry.since(MemberKind::Producer, "b"), None);
    }
}
