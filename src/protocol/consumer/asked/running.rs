//! A consumer's report of its state (Java's `ConsumerRunningInfo`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{few, objects};
use crate::message::MessageQueue;
use crate::protocol::ProtocolError;
use crate::protocol::consumer::queues;
use crate::protocol::consumer::subscription::Subscription;
use crate::protocol::fastjson;

/// The state of a consumer.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningInfo {
    /// Stacks of its threads, if asked for.
    #[serde(default)]
    pub jstack: Option<String>,
    /// Queues that are consumed by POP.
    #[serde(default, deserialize_with = "queues::map")]
    pub mq_pop_table: BTreeMap<MessageQueue, PopQueueInfo>,
    /// Queues that are pulled.
    #[serde(default, deserialize_with = "queues::map")]
    pub mq_table: BTreeMap<MessageQueue, QueueInfo>,
    /// Settings, as texts. Java's tools read `PROP_CONSUMER_START_TIMESTAMP` without checking that it
    /// exists.
    #[serde(default, deserialize_with = "few")]
    pub properties: BTreeMap<String, String>,
    /// Figures by topic.
    #[serde(default, deserialize_with = "few")]
    pub status_table: BTreeMap<String, ConsumeStatus>,
    /// Its subscriptions.
    #[serde(default, deserialize_with = "objects")]
    pub subscription_set: Vec<Subscription>,
    /// Data that the user's program adds.
    #[serde(default, deserialize_with = "few")]
    pub user_consumer_info: BTreeMap<String, String>,
}

/// A queue that is pulled (Java's `ProcessQueueInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueInfo {
    /// Messages in memory.
    pub cached_msg_count: i32,
    /// The highest offset in memory.
    pub cached_msg_max_offset: i64,
    /// The lowest offset in memory.
    pub cached_msg_min_offset: i64,
    /// The size of the messages, in MiB.
    pub cached_msg_size_in_mi_b: i32,
    /// The first offset that is not consumed.
    pub commit_offset: i64,
    /// Whether the queue was given up.
    pub droped: bool,
    /// When a message was consumed last, epoch milliseconds.
    pub last_consume_timestamp: i64,
    /// When the queue was locked last, epoch milliseconds.
    pub last_lock_timestamp: i64,
    /// When the queue was pulled last, epoch milliseconds.
    pub last_pull_timestamp: i64,
    /// Whether this consumer holds its lock.
    pub locked: bool,
    /// Messages whose batch is not committed.
    pub transaction_msg_count: i32,
    /// Their highest offset.
    pub transaction_msg_max_offset: i64,
    /// Their lowest offset.
    pub transaction_msg_min_offset: i64,
    /// How often unlocking was tried.
    pub try_unlock_times: i64,
}

/// A queue that is consumed by POP.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PopQueueInfo {
    /// Whether the queue was given up.
    pub droped: bool,
    /// When it was popped last, epoch milliseconds.
    pub last_pop_timestamp: i64,
    /// Messages that are not acknowledged.
    pub wait_ack_count: i32,
}

/// Figures of one topic.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStatus {
    /// Failed messages of the last hour.
    pub consume_failed_msgs: i64,
    /// Failed messages a second.
    #[serde(rename = "consumeFailedTPS")]
    pub consume_failed_tps: f64,
    /// Consumed messages a second.
    #[serde(rename = "consumeOKTPS")]
    pub consume_ok_tps: f64,
    /// Milliseconds that consuming takes.
    #[serde(rename = "consumeRT")]
    pub consume_rt: f64,
    /// Milliseconds that a pull takes.
    #[serde(rename = "pullRT")]
    pub pull_rt: f64,
    /// Pulled messages a second.
    #[serde(rename = "pullTPS")]
    pub pull_tps: f64,
}

impl RunningInfo {
    /// The body, with objects as keys.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields: Vec<(&str, String)> = Vec::new();
        if let Some(jstack) = &self.jstack {
            fields.push(("jstack", fastjson::part(jstack)));
        }
        fields.extend([
            ("mqPopTable", queues::map_part(&self.mq_pop_table)),
            ("mqTable", queues::map_part(&self.mq_table)),
            ("properties", fastjson::part(&self.properties)),
            ("statusTable", fastjson::part(&self.status_table)),
            ("subscriptionSet", fastjson::part(&self.subscription_set)),
            ("userConsumerInfo", fastjson::part(&self.user_consumer_info)),
        ]);
        let fields = fields
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(",")).into_bytes()
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<RunningInfo, ProtocolError> {
        fastjson::decode("running info", body)
    }
}
