//! Heartbeats, the members of groups, and notifications of changes.

use std::sync::Arc;

use super::state::BrokerState;
use crate::embedded::clock::Millis;
use crate::embedded::groups::Origin;
use crate::embedded::server::{Peer, bad_request};
use crate::message::name::RETRY_PREFIX;
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::member::GroupName;
use crate::protocol::heartbeat::{Heartbeat, Unregister};

pub(in crate::embedded) fn heartbeat(
    broker: &Arc<BrokerState>,
    request: &Command,
    peer: Peer,
) -> Command {
    let heartbeat = match Heartbeat::decode(&request.body) {
        Ok(heartbeat) => heartbeat,
        Err(error) => return bad_request(request, &error),
    };
    let origin = Origin {
        connection: peer.connection,
        address: peer.address,
        language: request.language,
        version: request.version,
    };
    let now = real_time(broker);
    let mut changed = broker.members.expire(now);
    let known = |group: &str| broker.configs.find(group).is_some();
    let registered = broker.members.register(&heartbeat, origin, now, known);
    for consumer in &heartbeat.consumer_data_set {
        make_retry_topic(broker, &consumer.group_name);
    }
    changed.extend(registered.changed);
    notify(broker, &changed);
    // Only consumers are notified when a member is gone; producers are looked up on demand.
    if !heartbeat.consumer_data_set.is_empty() {
        watch_expiry(broker);
    }
    let mut answer = Command::response_to(request, response::SUCCESS);
    if broker.settings.release.is_5() {
        let subscriptions = registered.send_subscriptions.to_string();
        answer.ext.push("IS_SUPPORT_HEART_BEAT_V2", "true");
        answer.ext.push("IS_SUB_CHANGE", &subscriptions);
    }
    answer
}

pub(in crate::embedded) fn unregister(
    broker: &BrokerState,
    request: &Command,
    peer: Peer,
) -> Command {
    match Unregister::decode(&request.ext) {
        Ok(gone) => {
            let changed = broker.members.unregister(&gone, peer.connection);
            notify(broker, &changed);
            Command::response_to(request, response::SUCCESS)
        }
        Err(error) => bad_request(request, &error),
    }
}

pub(in crate::embedded) fn disconnected(broker: &BrokerState, connection: u64) {
    broker.asked.disconnected(connection);
    let changed = broker.members.disconnected(connection);
    notify(broker, &changed);
}

/// Makes the retry topic of a group, as brokers do at its first heartbeat.
pub(in crate::embedded) fn make_retry_topic(broker: &BrokerState, group: &str) {
    if let Some(config) = broker.configs.find(group) {
        let topic = format!("{RETRY_PREFIX}{group}");
        broker
            .topics
            .make(&topic, broker.index, config.retry_queues);
    }
}

/// Removes expired members.
pub(super) fn expire(broker: &BrokerState) {
    let changed = broker.members.expire(real_time(broker));
    notify(broker, &changed);
}

/// Removes a client, as if it had expired.
pub(super) fn forget(broker: &BrokerState, client_id: &str) {
    let changed = broker.members.forget(client_id);
    notify(broker, &changed);
}

/// Notifies all members of a group of a change; returns the number of connections notified.
pub(in crate::embedded) fn notify_group(broker: &BrokerState, group: &str) -> usize {
    let name = GroupName {
        consumer_group: group.to_owned(),
    };
    let told = broker.members.audience(group).into_iter().filter(|member| {
        let notify = Command::request(request::NOTIFY_CONSUMER_IDS_CHANGED);
        broker.push(*member, notify.with_fields(&name).oneway())
    });
    told.count()
}

fn notify(broker: &BrokerState, groups: &[String]) {
    if !broker.knobs.drops_notifications() {
        for group in groups {
            notify_group(broker, group);
        }
    }
    broker.changes.note();
}

/// Heartbeats follow the system's clock: a test that moves the cluster's clock must not expire a client
/// that is not silent.
fn real_time(broker: &BrokerState) -> Millis {
    broker.clock.unmoved()
}

/// Removes silent members when the first of them expires.
fn watch_expiry(broker: &Arc<BrokerState>) {
    let mut expiry = broker.expiry.lock();
    if expiry.is_some() || broker.clock.is_manual() {
        return;
    }
    let Some(at) = broker.members.next_expiry() else {
        return;
    };
    // It may be moved there before that time has really passed; then there is nothing to do yet.
    let at = at
        .saturating_sub(real_time(broker))
        .saturating_add(broker.clock.now());
    let weak = Arc::downgrade(broker);
    *expiry = Some(broker.clock.at(at, move || {
        if let Some(broker) = weak.upgrade() {
            let fired = broker.expiry.lock().take();
            drop(fired);
            expire(&broker);
            watch_expiry(&broker);
        }
    }));
}
