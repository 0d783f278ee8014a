//! Which queues a member gets, if the broker decides (brokers from 5.0 on).

use serde::{Deserialize, Serialize};

use super::member::MessageModel;
use super::queues;
use crate::message::MessageQueue;
use crate::protocol::ProtocolError;
use crate::protocol::fastjson::{self, objects};

/// Asks for the queues of a member (400).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignmentQuery {
    /// The member.
    pub client_id: String,
    /// The consumer group.
    pub consumer_group: String,
    /// Whether members share the messages.
    #[serde(default)]
    pub message_model: MessageModel,
    /// `AVG` or `AVG_BY_CIRCLE`.
    pub strategy_name: String,
    /// The topic.
    pub topic: String,
}

/// The answer to [`AssignmentQuery`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignments {
    /// `None`: the broker has no answer (it does not know the members, the topic, or the strategy): keep the
    /// present queues.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "some_objects"
    )]
    pub message_queue_assignments: Option<Vec<Assignment>>,
}

/// One queue of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// The queue; number -1 means any queue of the broker.
    #[serde(with = "queues::one")]
    pub message_queue: MessageQueue,
    /// How to consume it.
    #[serde(default)]
    pub mode: RequestMode,
}

/// How the messages of a queue are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum RequestMode {
    /// By pulls, with offsets.
    #[default]
    Pull,
    /// By POP, with acknowledgements.
    Pop,
}

/// Sets how a group's messages of a topic are asked for (401).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetRequestMode {
    /// The consumer group.
    pub consumer_group: String,
    /// The mode.
    pub mode: RequestMode,
    /// The number of other members whose queues a member also pops; 0 or less means all.
    #[serde(default)]
    pub pop_share_queue_num: i32,
    /// The topic.
    pub topic: String,
}

fn some_objects<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Assignment>>, D::Error> {
    struct Some_;
    impl<'de> serde::de::Visitor<'de> for Some_ {
        type Value = Option<Vec<Assignment>>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list or null")
        }

        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: serde::Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
            objects(d).map(Some)
        }
    }
    deserializer.deserialize_option(Some_)
}

impl AssignmentQuery {
    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        fastjson::encode(self)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<AssignmentQuery, ProtocolError> {
        fastjson::decode("query for an assignment", body)
    }
}

impl Assignments {
    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        fastjson::encode(self)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<Assignments, ProtocolError> {
        fastjson::decode("assignment", body)
    }
}

impl SetRequestMode {
    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        fastjson::encode(self)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<SetRequestMode, ProtocolError> {
        fastjson::decode("request mode", body)
    }
}
