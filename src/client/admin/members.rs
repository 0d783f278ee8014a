//! The members and the topics of a group, gathered from all its brokers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::calls::Admin;
use super::questions::ask_all;
use super::reports::{GroupMember, GroupMembers, GroupSubscription};
use crate::client::api::group as groups;
use crate::error::{Error, ErrorKind, ResponseCode, Result};
use crate::message::name::RETRY_PREFIX;
use crate::protocol::consumer::member::{Connections, MessageModel};
use crate::protocol::route::MASTER;
use crate::transport::Deadline;

pub(super) fn members(admin: &Admin, group: &str) -> Result<GroupMembers> {
    let deadline = admin.begin()?;
    let brokers = brokers(admin, group, deadline)?;
    let answers = ask_all(
        "members of a group",
        &brokers,
        deadline,
        |broker, deadline| {
            let connected = groups::connections(admin.remoting(), broker, group, deadline)?;
            Ok(connected.map(|(connections, _)| connections))
        },
    )?;
    Ok(merged(admin, answers.into_iter().flatten()))
}

/// The members that any broker knows, and of each topic the latest subscription.
fn merged(admin: &Admin, answers: impl Iterator<Item = Connections>) -> GroupMembers {
    let mut members = BTreeMap::new();
    let mut subscriptions = BTreeMap::new();
    let mut broadcasting = false;
    for answer in answers {
        broadcasting |= answer.message_model == MessageModel::Broadcasting;
        for member in answer.connection_set {
            let address = member.address();
            members
                .entry(member.client_id.clone())
                .or_insert(GroupMember {
                    client_id: member.client_id,
                    address,
                    language: member.language,
                    version: member.version,
                });
        }
        for subscription in answer.subscription_table.into_values() {
            let topic = admin.names().for_users(&subscription.topic.as_str().into());
            let latest = subscriptions
                .entry(topic)
                .or_insert_with(|| subscription.clone());
            if latest.sub_version < subscription.sub_version {
                *latest = subscription;
            }
        }
    }
    let subscriptions = subscriptions.into_iter();
    GroupMembers {
        members: members.into_values().collect(),
        subscriptions: subscriptions
            .map(|(topic, subscription)| GroupSubscription {
                topic: topic.to_string(),
                expression_type: subscription.expression_type,
                expression: subscription.sub_string,
            })
            .collect(),
        broadcasting,
    }
}

pub(super) fn topics(admin: &Admin, group: &str) -> Result<Vec<String>> {
    let deadline = admin.begin()?;
    let brokers = brokers(admin, group, deadline)?;
    let answers = ask_all(
        "topics of a group",
        &brokers,
        deadline,
        |broker, deadline| {
            let remoting = admin.remoting();
            match groups::topics(remoting, broker, group, deadline) {
                Err(error) if is_unknown(&error) => {
                    groups::topics_with_progress(remoting, broker, group, deadline)
                }
                answer => answer,
            }
        },
    )?;
    let names = answers.into_iter().flatten();
    let shown = names.map(|topic| admin.names().for_users(&topic.into()).to_string());
    Ok(shown.collect::<BTreeSet<_>>().into_iter().collect())
}

fn is_unknown(error: &Error) -> bool {
    error.response_code() == Some(ResponseCode::REQUEST_CODE_NOT_SUPPORTED)
}

/// An address of each broker that knows the group: each has its retry topic.
fn brokers(admin: &Admin, group: &str, deadline: Deadline) -> Result<Vec<Arc<str>>> {
    let topic = format!("{RETRY_PREFIX}{group}");
    let brokers = admin.brokers(&topic, deadline, |data| {
        let addresses = &data.broker_addrs;
        addresses.get(&MASTER).or_else(|| addresses.values().next())
    });
    brokers.map_err(|error| match error.kind() {
        ErrorKind::NoRoute => error.detailed("no broker knows the group: it never had a member"),
        _ => error,
    })
}
