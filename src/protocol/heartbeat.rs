//! Heartbeats and unregistering.

use serde::{Deserialize, Serialize};

use super::consumer::member::ConsumerData;
use super::fastjson::{self, objects};
use super::{ExtFields, FieldSink, Fields, ProtocolError};

/// The body of a heartbeat: which groups live in this client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// The client's id, `ip@instance`.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// Consumers; brokers iterate over it, so that it must be there even if empty.
    #[serde(default, deserialize_with = "objects")]
    pub consumer_data_set: Vec<ConsumerData>,
    /// 0: the whole heartbeat, not only its fingerprint.
    #[serde(default)]
    pub heartbeat_fingerprint: i32,
    /// Producers.
    #[serde(default, deserialize_with = "objects")]
    pub producer_data_set: Vec<ProducerData>,
    /// Only with fingerprints.
    #[serde(default)]
    pub without_sub: bool,
}

/// One producer group of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducerData {
    /// The group's name.
    pub group_name: String,
}

impl Heartbeat {
    /// The heartbeat of a client that has these producer groups and no consumers.
    pub fn of_producers<'a>(client_id: &str, groups: impl Iterator<Item = &'a str>) -> Heartbeat {
        Heartbeat {
            client_id: client_id.to_owned(),
            consumer_data_set: Vec::new(),
            heartbeat_fingerprint: 0,
            producer_data_set: groups
                .map(|group| ProducerData {
                    group_name: group.to_owned(),
                })
                .collect(),
            without_sub: false,
        }
    }

    /// The JSON body.
    pub fn encode(&self) -> Vec<u8> {
        fastjson::encode(self)
    }

    /// Reads the JSON body.
    ///
    /// # Errors
    /// It is not JSON, or has no client id.
    pub fn decode(body: &[u8]) -> Result<Heartbeat, ProtocolError> {
        fastjson::decode("heartbeat", body)
    }
}

/// The header by which a client unregisters a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unregister {
    /// The client's id.
    pub client_id: String,
    /// The producer group, if one goes.
    pub producer_group: Option<String>,
    /// The consumer group, if one goes.
    pub consumer_group: Option<String>,
}

impl Unregister {
    /// Reads the header.
    ///
    /// # Errors
    /// It has no client id.
    pub fn decode(ext: &ExtFields) -> Result<Unregister, ProtocolError> {
        let text = |name| ext.get(name).map(str::to_owned);
        let missing = || ProtocolError::new("unregister header has no clientID");
        Ok(Unregister {
            client_id: text("clientID").ok_or_else(missing)?,
            producer_group: text("producerGroup"),
            consumer_group: text("consumerGroup"),
        })
    }
}

impl Fields for Unregister {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("clientID", &self.client_id);
        if let Some(group) = &self.producer_group {
            sink.text("producerGroup", group);
        }
        if let Some(group) = &self.consumer_group {
            sink.text("consumerGroup", group);
        }
    }
}
