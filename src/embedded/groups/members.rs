//! The members of the groups that a broker knows from heartbeats.
//!
//! As on a real broker, a member is a *connection* of a client: a client that reconnects is listed
//! twice until its old connection has ended. Over one connection a consumer group has one
//! client. A member leaves when its connection ends, when its client unregisters the group over it, and
//! after [`EXPIRE_AFTER`] without a heartbeat.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use parking_lot::Mutex;

use super::subscribed::Subscribed;
use crate::embedded::clock::{Millis, millis};
use crate::protocol::Language;
use crate::protocol::consumer::member::{
    Connections, ConsumeFromWhere, ConsumeType, ConsumerData, MemberConnection, MessageModel,
};
use crate::protocol::consumer::subscription::Subscription;
use crate::protocol::heartbeat::{Heartbeat, Unregister};

/// The time after which a member without a heartbeat is removed.
pub(in crate::embedded) const EXPIRE_AFTER: Duration = Duration::from_secs(120);

/// The kind of a group. A producer group and a consumer group may have the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::embedded) enum Kind {
    Producer,
    Consumer,
}

/// Where a heartbeat came from.
#[derive(Debug, Clone, Copy)]
pub(in crate::embedded) struct Origin {
    pub(in crate::embedded) connection: u64,
    pub(in crate::embedded) address: SocketAddr,
    pub(in crate::embedded) language: Language,
    pub(in crate::embedded) version: i32,
}

/// One member of a group.
#[derive(Debug, Clone)]
pub(in crate::embedded) struct Member {
    pub(in crate::embedded) client_id: String,
    /// The connection of its heartbeats; the broker's own requests use it too.
    pub(in crate::embedded) origin: Origin,
    last_heartbeat: Millis,
}

/// The members of all groups of one broker. Functions that change them return the consumer groups
/// whose members are to be notified, sorted.
#[derive(Default)]
pub(in crate::embedded) struct Members(Mutex<State>);

#[derive(Default)]
struct State {
    producers: BTreeMap<String, Vec<Member>>,
    consumers: BTreeMap<String, ConsumerGroup>,
    /// The fingerprint of the latest heartbeat of each consumer group.
    fingerprints: HashMap<String, i32>,
}

/// The state of a group. The latest heartbeat of any member sets it for the whole group.
#[derive(Default)]
struct ConsumerGroup {
    members: Vec<Member>,
    subscribed: Subscribed,
    consume_type: ConsumeType,
    message_model: MessageModel,
    consume_from_where: ConsumeFromWhere,
}

/// The effects of a heartbeat.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::embedded) struct Registered {
    /// The consumer groups whose members are to be notified.
    pub(in crate::embedded) changed: Vec<String>,
    /// Whether the client must send its subscriptions in full next time.
    pub(in crate::embedded) send_subscriptions: bool,
}

impl Member {
    fn expires(&self) -> Millis {
        self.last_heartbeat.saturating_add(millis(EXPIRE_AFTER))
    }

    fn is_at(&self, connection: u64) -> bool {
        self.origin.connection == connection
    }
}

impl ConsumerGroup {
    /// Applies a heartbeat; returns whether members must be notified.
    fn update(&mut self, member: Member, data: &ConsumerData, with_subscriptions: bool) -> bool {
        self.consume_type = data.consume_type;
        self.message_model = data.message_model;
        self.consume_from_where = data.consume_from_where;
        let connection = member.origin.connection;
        let joined = put(&mut self.members, member, |known| known.is_at(connection));
        let changed = with_subscriptions && self.subscribed.update(&data.subscription_data_set);
        joined || changed
    }
}

impl Members {
    /// Applies a heartbeat; `known` says which consumer groups the broker has.
    pub(in crate::embedded) fn register(
        &self,
        heartbeat: &Heartbeat,
        origin: Origin,
        now: Millis,
        known: impl Fn(&str) -> bool,
    ) -> Registered {
        let member = || Member {
            client_id: heartbeat.client_id.clone(),
            origin,
            last_heartbeat: now,
        };
        let state = &mut *self.0.lock();
        for producer in &heartbeat.producer_data_set {
            let members = state.producers.entry(producer.group_name.clone());
            put(members.or_default(), member(), |known| {
                known.is_at(origin.connection) && known.client_id == heartbeat.client_id
            });
        }
        let by_fingerprint = heartbeat.heartbeat_fingerprint != 0;
        let mut registered = Registered {
            send_subscriptions: !by_fingerprint,
            ..Registered::default()
        };
        for data in &heartbeat.consumer_data_set {
            let name = &data.group_name;
            let fingerprint = heartbeat.heartbeat_fingerprint;
            let before = state.fingerprints.insert(name.clone(), fingerprint);
            registered.send_subscriptions |= before.is_some_and(|before| before != fingerprint);
            if !known(name) {
                continue;
            }
            let with_subscriptions = !(by_fingerprint && heartbeat.without_sub);
            let group = state.consumers.entry(name.clone()).or_default();
            if group.update(member(), data, with_subscriptions) {
                registered.changed.push(name.clone());
            }
        }
        registered.changed.sort();
        registered
    }

    pub(in crate::embedded) fn unregister(
        &self,
        gone: &Unregister,
        connection: u64,
    ) -> Vec<String> {
        self.remove(|kind, name, member| {
            let group = match kind {
                Kind::Producer if member.client_id != gone.client_id => return false,
                Kind::Producer => &gone.producer_group,
                Kind::Consumer => &gone.consumer_group,
            };
            group.as_deref() == Some(name) && member.is_at(connection)
        })
    }

    pub(in crate::embedded) fn disconnected(&self, connection: u64) -> Vec<String> {
        self.remove(|_, _, member| member.is_at(connection))
    }

    /// Removes members that have expired.
    pub(in crate::embedded) fn expire(&self, now: Millis) -> Vec<String> {
        self.remove(|_, _, member| member.expires() <= now)
    }

    /// Removes a client from all groups, as if it had expired.
    pub(in crate::embedded) fn forget(&self, client_id: &str) -> Vec<String> {
        self.remove(|_, _, member| member.client_id == client_id)
    }

    /// When the next member expires, unless a heartbeat comes before.
    pub(in crate::embedded) fn next_expiry(&self) -> Option<Millis> {
        let state = self.0.lock();
        state.all().map(Member::expires).min()
    }

    /// The broker was killed: it forgets all members.
    pub(in crate::embedded) fn clear(&self) {
        *self.0.lock() = State::default();
    }

    /// The members of a group, in the order in which they joined.
    pub(in crate::embedded) fn of(&self, kind: Kind, group: &str) -> Vec<Member> {
        let state = self.0.lock();
        state.members(kind, group).to_vec()
    }

    /// The connections on which a consumer group's members are notified of changes: none for a
    /// broadcasting group.
    pub(in crate::embedded) fn audience(&self, group: &str) -> Vec<u64> {
        let state = self.0.lock();
        let group = state.consumers.get(group);
        let shared = group.filter(|group| group.message_model == MessageModel::Clustering);
        let members = shared.map_or(&[][..], |group| &group.members);
        members.iter().map(|m| m.origin.connection).collect()
    }

    /// The message model of a group, if it has members.
    pub(in crate::embedded) fn message_model(&self, group: &str) -> Option<MessageModel> {
        let state = self.0.lock();
        state.consumers.get(group).map(|group| group.message_model)
    }

    /// The group's subscription of a topic.
    pub(in crate::embedded) fn subscription(
        &self,
        group: &str,
        topic: &str,
    ) -> Option<Subscription> {
        let state = self.0.lock();
        state.consumers.get(group)?.subscribed.of(topic).cloned()
    }

    /// The description of a consumer group that has members.
    pub(in crate::embedded) fn connections(&self, group: &str) -> Option<Connections> {
        let state = self.0.lock();
        let group = state.consumers.get(group)?;
        let connection = |member: &Member| MemberConnection {
            client_addr: member.origin.address.to_string(),
            client_id: member.client_id.clone(),
            language: member.origin.language.name().to_owned(),
            version: member.origin.version,
        };
        Some(Connections {
            connection_set: group.members.iter().map(connection).collect(),
            consume_from_where: group.consume_from_where,
            consume_type: group.consume_type,
            message_model: group.message_model,
            subscription_table: group.subscribed.all().clone(),
        })
    }

    /// The connection of one client of a group.
    pub(in crate::embedded) fn any_connection(&self, kind: Kind, group: &str) -> Option<u64> {
        let state = self.0.lock();
        let members = state.members(kind, group).iter();
        let first = members.min_by(|a, b| a.client_id.cmp(&b.client_id))?;
        Some(first.origin.connection)
    }

    /// The connection of a client's latest heartbeat.
    pub(in crate::embedded) fn connection_of(&self, client_id: &str) -> Option<u64> {
        let state = self.0.lock();
        let of_it = state.all().filter(|member| member.client_id == client_id);
        let latest = of_it.max_by_key(|m| (m.last_heartbeat, m.origin.connection))?;
        Some(latest.origin.connection)
    }

    /// The ids of the clients of all groups of a kind, sorted, each once.
    pub(in crate::embedded) fn client_ids(&self, kind: Kind) -> BTreeMap<String, Vec<String>> {
        let state = self.0.lock();
        let ids = |members: &[Member]| {
            let mut ids: Vec<_> = members.iter().map(|m| m.client_id.clone()).collect();
            ids.sort();
            ids.dedup();
            ids
        };
        let names = match kind {
            Kind::Producer => state.producers.keys().collect::<Vec<_>>(),
            Kind::Consumer => state.consumers.keys().collect(),
        };
        let names = names.into_iter();
        names
            .map(|name| (name.clone(), ids(state.members(kind, name))))
            .collect()
    }

    fn remove(&self, left: impl Fn(Kind, &str, &Member) -> bool) -> Vec<String> {
        let state = &mut *self.0.lock();
        state.producers.retain(|name, members| {
            members.retain(|member| !left(Kind::Producer, name, member));
            !members.is_empty()
        });
        let mut changed = Vec::new();
        // With its last member the group's subscriptions go.
        state.consumers.retain(|name, group| {
            let before = group.members.len();
            group
                .members
                .retain(|member| !left(Kind::Consumer, name, member));
            if group.members.len() < before {
                changed.push(name.clone());
            }
            !group.members.is_empty()
        });
        changed
    }
}

impl State {
    fn members(&self, kind: Kind, group: &str) -> &[Member] {
        match kind {
            Kind::Producer => self.producers.get(group).map_or(&[], |members| members),
            Kind::Consumer => self
                .consumers
                .get(group)
                .map_or(&[], |group| &group.members),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Member> {
        let consumers = self.consumers.values().flat_map(|group| &group.members);
        self.producers.values().flatten().chain(consumers)
    }
}

/// Adds a member, or replaces the same one; returns whether it is new.
fn put(members: &mut Vec<Member>, member: Member, is_same: impl Fn(&Member) -> bool) -> bool {
    match members.iter_mut().find(|known| is_same(known)) {
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
