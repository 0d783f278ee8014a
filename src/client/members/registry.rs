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
/// before it was made: whatever has a lower or the same one is in it. That holds for as long as nothing
/// changes, which is its epoch; a heartbeat of an earlier epoch must not go out any more.
#[derive(Default)]
pub(in crate::client) struct Registry(Mutex<State>);

#[derive(Default)]
struct State {
    members: BTreeMap<(MemberKind, Arc<str>), Entry>,
    version: u64,
    /// The number of changes, also of those that no broker has to hear of by a heartbeat.
    epoch: u64,
    closed: bool,
}

/// A heartbeat of all members.
pub(super) struct Made {
    pub(super) heartbeat: Heartbeat,
    pub(super) version: u64,
    pub(super) epoch: u64,
}

struct Entry {
    member: Arc<dyn Member>,
    /// The version from which on brokers know the member as it is.
    since: u64,
    /// Brokers hear that it goes away: it is in no heartbeat, and its name is not free yet.
    leaving: bool,
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
        state.epoch += 1;
        let entry = Entry {
            member,
            since: state.version,
            leaving: false,
        };
        state.members.insert(key, entry);
        Some(state.version)
    }

    /// Takes a member out of the heartbeats.
    pub(super) fn begin_to_leave(&self, kind: MemberKind, group: &Arc<str>) {
        let mut state = self.0.lock();
        if let Some(entry) = state.members.get_mut(&(kind, group.clone())) {
            entry.leaving = true;
            state.epoch += 1;
        }
    }

    pub(super) fn leave(&self, kind: MemberKind, group: &Arc<str>) {
        let mut state = self.0.lock();
        state.members.remove(&(kind, group.clone()));
        state.epoch += 1;
    }

    /// The version from which on brokers know a member as it is; `None` if it is not here.
    pub(super) fn since(&self, kind: MemberKind, group: &str) -> Option<u64> {
        let state = self.0.lock();
        let entry = state.members.get(&(kind, group.into()));
        let entry = entry.filter(|entry| !entry.leaving)?;
        Some(entry.since)
    }

    /// The version of the last change.
    pub(super) fn version(&self) -> u64 {
        self.0.lock().version
    }

    /// A heartbeat of all members that do not leave; `None` if there is none, or none any more.
    pub(super) fn heartbeat(&self, client_id: &str) -> Option<Made> {
        let state = self.0.lock();
        let staying = state.members.values().filter(|entry| !entry.leaving);
        let members: Vec<_> = staying.map(|entry| entry.member.clone()).collect();
        if state.closed || members.is_empty() {
            return None;
        }
        let (version, epoch) = (state.version, state.epoch);
        drop(state);
        let mut heartbeat = Heartbeat::of_producers(client_id, std::iter::empty());
        for member in members {
            member.add_to(&mut heartbeat);
        }
        Some(Made {
            heartbeat,
            version,
            epoch,
        })
    }

    /// Whether nothing has changed since a heartbeat of this epoch was made.
    pub(super) fn is_current(&self, epoch: u64) -> bool {
        self.0.lock().epoch == epoch
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
        let between = entries.filter(|e| e.since > before && e.since <= version && !e.leaving);
        between.map(|e| e.member.clone()).collect()
    }

    /// Whether there is a member that brokers are to know.
    pub(super) fn has_any(&self) -> bool {
        let state = self.0.lock();
        !state.closed && state.members.values().any(|entry| !entry.leaving)
    }

    /// Whether there is a consumer, which needs slaves too.
    pub(super) fn has_consumers(&self) -> bool {
        let state = self.0.lock();
        let mut kinds = state.members.keys().map(|(kind, _)| *kind);
        kinds.any(|kind| kind == MemberKind::Consumer)
    }

    /// No heartbeat is made from now on.
    pub(in crate::client) fn close(&self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.epoch += 1;
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
        let made = registry.heartbeat("id").expect("members");
        assert_eq!((made.heartbeat.client_id.as_str(), made.version), ("id", 2));
        assert_eq!(made.heartbeat.producer_data_set.len(), 1);
        assert_eq!(made.heartbeat.consumer_data_set.len(), 1);
        registry.leave(MemberKind::Producer, &"g".into());
        let made = registry.heartbeat("id").expect("a member");
        assert!(made.heartbeat.producer_data_set.is_empty());
        registry.close();
        assert!(registry.heartbeat("id").is_none());
    }

    #[test]
    fn a_member_that_leaves_is_in_no_heartbeat_and_keeps_its_name_until_it_has_left() {
        let registry = Registry::default();
        let (kind, name) = (MemberKind::Consumer, "g".into());
        registry.join(group(kind, "g"));
        let made = registry.heartbeat("id").expect("a member");
        assert!(registry.is_current(made.epoch));
        registry.begin_to_leave(kind, &name);
        assert!(!registry.is_current(made.epoch));
        assert!(registry.heartbeat("id").is_none() && registry.since(kind, "g").is_none());
        assert!(registry.between(0, made.version).is_empty());
        assert_eq!(registry.join(group(kind, "g")), None, "in use");
        registry.leave(kind, &name);
        assert_eq!(registry.join(group(kind, "g")), Some(2));
        let made = registry.heartbeat("id").expect("a member");
        registry.close();
        assert!(!registry.is_current(made.epoch));
    }

    #[test]
    fn a_heartbeat_confirms_what_is_not_newer_than_it() {
        let registry = Registry::default();
        let consumer = MemberKind::Consumer;
        for name in ["a", "b"] {
            registry.join(group(consumer, name));
        }
        let version = registry.heartbeat("id").expect("members").version;
        registry.leave(consumer, &"a".into());
        assert_eq!(registry.join(group(consumer, "a")), Some(3));
        assert_eq!(registry.since(consumer, "a"), Some(3));
        let names = |before, version| {
            let members = registry.between(before, version).into_iter();
            members.map(|m| m.group().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(0, version), ["b"], "a is another member since");
        assert_eq!(names(version, registry.version()), ["a"]);
        assert_eq!(registry.since(consumer, "b"), Some(2));
        assert_eq!(registry.since(MemberKind::Producer, "b"), None);
    }
}
