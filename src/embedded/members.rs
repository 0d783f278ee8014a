//! The members of the groups that a broker knows from heartbeats.
//!
//! As on a real broker, a member is a *connection* of a client: a client that reconnects is listed
//! twice until its old connection has ended. A member leaves when its connection ends, when its
//! client unregisters the group over it, and after [`EXPIRE_AFTER`] without a heartbeat.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::clock::{Millis, millis};
use crate::protocol::consumer::member::ConsumerData;
use crate::protocol::heartbeat::{Heartbeat, Unregister};

/// The time after which a member without a heartbeat is removed.
pub(super) const EXPIRE_AFTER: Duration = Duration::from_secs(120);

/// The kind of a group. A producer group and a consumer group may have the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Producer,
    Consumer,
}

/// One member of a group.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) client_id: String,
    /// The connection over which its heartbeats come, and requests of the broker's own go.
    pub(super) connection: u64,
    last_heartbeat: Millis,
    consumer: Option<Arc<ConsumerData>>,
}

/// The members of all groups of one broker. Functions that change them return the consumer groups
/// whose members changed, sorted.
#[derive(Default)]
pub(super) struct Members(Mutex<BTreeMap<(Kind, String), Vec<Member>>>);

impl Member {
    /// The consumer data of the member's latest heartbeat, unchanged: its mode and subscriptions.
    /// `None` for producers.
    pub(super) fn consumer(&self) -> Option<&ConsumerData> {
        self.consumer.as_deref()
    }

    fn is(&self, connection: u64, client_id: &str) -> bool {
        self.connection == connection && self.client_id == client_id
    }

    fn expires(&self) -> Millis {
        self.last_heartbeat.saturating_add(millis(EXPIRE_AFTER))
    }
}

impl Members {
    pub(super) fn register(
        &self,
        heartbeat: &Heartbeat,
        connection: u64,
        now: Millis,
    ) -> Vec<String> {
        let member = |consumer| Member {
            client_id: heartbeat.client_id.clone(),
            connection,
            last_heartbeat: now,
            consumer,
        };
        let mut groups = self.0.lock();
        for producer in &heartbeat.producer_data_set {
            let group = (Kind::Producer, producer.group_name.clone());
            put(groups.entry(group).or_default(), member(None));
        }
        let mut changed = Vec::new();
        for consumer in &heartbeat.consumer_data_set {
            let name = &consumer.group_name;
            let group = (Kind::Consumer, name.clone());
            let joined = member(Some(Arc::new(consumer.clone())));
            if put(groups.entry(group).or_default(), joined) {
                changed.push(name.clone());
            }
        }
        changed.sort();
        changed
    }

    pub(super) fn unregister(&self, gone: &Unregister, connection: u64) -> Vec<String> {
        let left = |(kind, name): &(Kind, String), member: &Member| {
            let group = match kind {
                Kind::Producer => &gone.producer_group,
                Kind::Consumer => &gone.consumer_group,
            };
            group.as_ref() == Some(name) && member.is(connection, &gone.client_id)
        };
        self.remove(left)
    }

    pub(super) fn disconnected(&self, connection: u64) -> Vec<String> {
        self.remove(|_, member| member.connection == connection)
    }

    /// Removes members that have expired.
    pub(super) fn expire(&self, now: Millis) -> Vec<String> {
        self.remove(|_, member| member.expires() <= now)
    }

    /// When the next member expires, unless a heartbeat comes before.
    pub(super) fn next_expiry(&self) -> Option<Millis> {
        let groups = self.0.lock();
        groups.values().flatten().map(Member::expires).min()
    }

    /// The broker was killed: it forgets all members.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    /// The members of a group, in the order in which they joined.
    pub(super) fn of(&self, kind: Kind, group: &str) -> Vec<Member> {
        let groups = self.0.lock();
        let members = groups.get(&(kind, group.to_owned()));
        members.cloned().unwrap_or_default()
    }

    /// The connection of some client of a group.
    pub(super) fn any_connection(&self, kind: Kind, group: &str) -> Option<u64> {
        let groups = self.0.lock();
        let members = groups.get(&(kind, group.to_owned()))?.iter();
        let first = members.min_by(|a, b| a.client_id.cmp(&b.client_id))?;
        Some(first.connection)
    }

    /// The connection over which a client was heard of last.
    pub(super) fn connection_of(&self, client_id: &str) -> Option<u64> {
        let groups = self.0.lock();
        let members = groups.values().flatten();
        let of_it = members.filter(|member| member.client_id == client_id);
        let latest = of_it.max_by_key(|m| (m.last_heartbeat, m.connection))?;
        Some(latest.connection)
    }

    /// The ids of the clients of all groups of a kind, sorted, each once.
    pub(super) fn client_ids(&self, kind: Kind) -> BTreeMap<String, Vec<String>> {
        let groups = self.0.lock();
        let of_kind = groups.iter().filter(|((is, _), _)| *is == kind);
        let ids = |members: &Vec<Member>| {
            let mut ids: Vec<_> = members.iter().map(|m| m.client_id.clone()).collect();
            ids.sort();
            ids.dedup();
            ids
        };
        of_kind
            .map(|((_, name), members)| (name.clone(), ids(members)))
            .collect()
    }

    fn remove(&self, left: impl Fn(&(Kind, String), &Member) -> bool) -> Vec<String> {
        let mut changed = Vec::new();
        self.0.lock().retain(|group, members| {
            let before = members.len();
            members.retain(|member| !left(group, member));
            if members.len() < before && group.0 == Kind::Consumer {
                changed.push(group.1.clone());
            }
            !members.is_empty()
        });
        changed
    }
}

/// Adds or refreshes a member; returns whether it is new.
fn put(members: &mut Vec<Member>, member: Member) -> bool {
    let known = |known: &&mut Member| known.is(member.connection, &member.client_id);
    match members.iter_mut().find(known) {
        Some(known) => {
            *known = member;
            false
        }
        None => {
            members.push(member);
            true
        }
    }
}
