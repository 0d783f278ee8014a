//! Heartbeats, the members of groups, and notifications of changes.

use std::sync::Arc;

use super::state::BrokerState;
use crate::embedded::members::Kind;
use crate::embedded::server::{Peer, bad_request};
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::member::MessageModel;
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
    let now = broker.clock.now();
    let mut changed = broker.members.expire(now);
    changed.extend(broker.members.register(&heartbeat, peer.connection, now));
    notify(broker, &changed);
    // Only consumers are notified when a member is gone; producers are looked up on demand.
    if !heartbeat.consumer_data_set.is_empty() {
        watch_expiry(broker);
    }
    let mut answer = Command::response_to(request, response::SUCCESS);
    answer.ext.push("IS_SUPPORT_HEART_BEAT_V2", "true");
    answer.ext.push("IS_SUB_CHANGE", "true");
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
    let changed = broker.members.disconnected(connection);
    notify(broker, &changed);
}

/// Removes expired members.
pub(super) fn expire(broker: &BrokerState) {
    let changed = broker.members.expire(broker.clock.now());
    notify(broker, &changed);
}

/// Notifies all members of these consumer groups of a change.
fn notify(broker: &BrokerState, groups: &[String]) {
    for group in groups {
        for member in broker.members.of(Kind::Consumer, group) {
            let model = member.consumer().map(|data| data.message_model);
            if model == Some(MessageModel::Broadcasting) {
                continue;
            }
            let mut notify = Command::request(request::NOTIFY_CONSUMER_IDS_CHANGED).oneway();
            notify.ext.push("consumerGroup", group);
            broker.connections.push(member.connection, notify);
        }
    }
}

/// Looks for silent members when the first of them expires.
fn watch_expiry(broker: &Arc<BrokerState>) {
    let mut expiry = broker.expiry.lock();
    if expiry.is_some() {
        return;
    }
    let Some(at) = broker.members.next_expiry() else {
        return;
    };
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
