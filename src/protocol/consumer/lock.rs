//! Queues locked for one member of a group.

use serde::{Deserialize, Serialize};

use super::queues;
use crate::message::MessageQueue;
use crate::protocol::ProtocolError;
use crate::protocol::fastjson;

/// Locks queues for a member (41), or gives them back (42). A lock lives for 60 s from the last request
/// of its holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LockRequest {
    /// The member.
    pub client_id: String,
    /// The consumer group.
    pub consumer_group: String,
    /// The queues.
    #[serde(default, with = "queues::set")]
    pub mq_set: Vec<MessageQueue>,
    /// Only at this broker, not at its other replicas (brokers from 5.x on).
    #[serde(default)]
    pub only_this_broker: bool,
}

/// The queues that a member holds now (answer to 41).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Locked {
    /// The queues of the request that are locked for it.
    #[serde(default, rename = "lockOKMQSet", with = "queues::set")]
    pub queues: Vec<MessageQueue>,
}

impl LockRequest {
    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        fastjson::encode(self)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<LockRequest, ProtocolError> {
        fastjson::decode("lock request", body)
    }
}

impl Locked {
    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        fastjson::encode(self)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<Locked, ProtocolError> {
        fastjson::decode("list of locked queues", body)
    }
}
