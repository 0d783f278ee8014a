//! A consumer group: in heartbeats, its members, and the check of a filter.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::subscription::Subscription;
use crate::protocol::fastjson::{self, few, list, null_as_default, objects};
use crate::protocol::{ExtFields, FieldSink, Fields, ProtocolError};

/// One consumer group of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerData {
    /// Where the group starts without an offset.
    #[serde(default)]
    pub consume_from_where: ConsumeFromWhere,
    /// How messages come to the group.
    #[serde(default)]
    pub consume_type: ConsumeType,
    /// The group's name.
    pub group_name: String,
    /// Whether members share the messages.
    #[serde(default)]
    pub message_model: MessageModel,
    /// The group's subscriptions, by topic.
    #[serde(default, deserialize_with = "objects")]
    pub subscription_data_set: Vec<Subscription>,
    /// Whether the client belongs to a unit.
    #[serde(default)]
    pub unit_mode: bool,
}

impl ConsumerData {
    /// A push consumer without subscriptions.
    pub fn new(group_name: impl Into<String>) -> ConsumerData {
        ConsumerData {
            consume_from_where: ConsumeFromWhere::default(),
            consume_type: ConsumeType::default(),
            group_name: group_name.into(),
            message_model: MessageModel::default(),
            subscription_data_set: Vec::new(),
            unit_mode: false,
        }
    }
}

/// How messages come to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ConsumeType {
    /// To a handler (push consumers).
    #[default]
    ConsumePassively,
    /// When the program asks (pull consumers).
    ConsumeActively,
    /// By POP, through a proxy.
    ConsumePop,
}

/// Whether members of a group share the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum MessageModel {
    /// Each message goes to one of them.
    #[default]
    Clustering,
    /// Each message goes to all of them.
    Broadcasting,
}

/// Where a group starts without an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ConsumeFromWhere {
    /// With new messages only; three old names mean the same.
    #[default]
    #[serde(
        alias = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        alias = "CONSUME_FROM_MIN_OFFSET",
        alias = "CONSUME_FROM_MAX_OFFSET"
    )]
    ConsumeFromLastOffset,
    /// With the oldest message.
    ConsumeFromFirstOffset,
    /// With the messages stored at a given time.
    ConsumeFromTimestamp,
}

/// Asks for the member list (38) or the connections (203) of a group, and tells a client that a group's
/// members have changed (40, oneway).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupName {
    /// The consumer group.
    pub consumer_group: String,
}

impl GroupName {
    /// Reads the header.
    ///
    /// # Errors
    /// The group is missing.
    pub fn decode(ext: &ExtFields) -> Result<GroupName, ProtocolError> {
        let consumer_group = ext.must("consumerGroup")?;
        Ok(GroupName { consumer_group })
    }
}

impl Fields for GroupName {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("consumerGroup", &self.consumer_group);
    }
}

/// The member list of a group. A client with two connections is in it twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Members {
    /// Client ids.
    #[serde(default, deserialize_with = "list")]
    pub consumer_id_list: Vec<String>,
}

impl Members {
    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        fastjson::encode(self)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<Members, ProtocolError> {
        fastjson::decode("member list", body)
    }
}

/// The connections of a group, and its subscriptions (answer to 203).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connections {
    /// One for each connection.
    #[serde(default, deserialize_with = "objects")]
    pub connection_set: Vec<MemberConnection>,
    /// Where the group starts without an offset.
    #[serde(default)]
    pub consume_from_where: ConsumeFromWhere,
    /// How messages come to the group.
    #[serde(default)]
    pub consume_type: ConsumeType,
    /// Whether members share the messages.
    #[serde(default)]
    pub message_model: MessageModel,
    /// Subscriptions by topic.
    #[serde(default, deserialize_with = "few")]
    pub subscription_table: BTreeMap<String, Subscription>,
}

/// One connection of a group's member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberConnection {
    /// The client's address as the broker sees it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub client_addr: String,
    /// The client's id.
    #[serde(default, deserialize_with = "null_as_default")]
    pub client_id: String,
    /// The name of its language; brokers that do not know it have none.
    #[serde(default, deserialize_with = "null_as_default")]
    pub language: String,
    /// Its version, by Java's numbers.
    #[serde(default)]
    pub version: i32,
}

impl MemberConnection {
    /// The client's address, if it can be parsed.
    pub fn address(&self) -> Option<SocketAddr> {
        self.client_addr.parse().ok()
    }
}

impl Connections {
    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        fastjson::encode(self)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<Connections, ProtocolError> {
        fastjson::decode("list of connections", body)
    }
}

/// Asks a broker whether it can evaluate a subscription (46).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilterCheck {
    /// The client's id.
    pub client_id: String,
    /// The consumer group.
    pub group: String,
    /// The client's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The subscription to check.
    pub subscription_data: Subscription,
}

impl FilterCheck {
    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        fastjson::encode(self)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<FilterCheck, ProtocolError> {
        fastjson::decode("check of a filter", body)
    }
}
