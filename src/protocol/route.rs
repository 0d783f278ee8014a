//! Topic routes, as a name server answers them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fastjson::{self, few, null_as_default, objects};
use super::{FieldSink, Fields, ProtocolError};

/// The id of a broker's master in [`BrokerData::broker_addrs`].
pub const MASTER: i64 = 0;

/// Bits of [`QueueData::perm`].
pub mod perm {
    /// Readable.
    pub const READ: i32 = 4;
    /// Writable.
    pub const WRITE: i32 = 2;
    /// A topic made on demand takes its settings from this one.
    pub const INHERIT: i32 = 1;
}

/// Which brokers hold a topic, and with how many queues.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicRoute {
    /// `broker-a:4;broker-b:4`: the queues of a globally ordered topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_topic_conf: Option<String>,
    /// Queues by broker.
    #[serde(default, deserialize_with = "objects")]
    pub queue_datas: Vec<QueueData>,
    /// Addresses by broker.
    #[serde(default, deserialize_with = "objects")]
    pub broker_datas: Vec<BrokerData>,
    /// Static topics only: which logical queues each broker hosts.
    #[serde(
        default,
        deserialize_with = "few",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub topic_queue_mapping_by_broker: BTreeMap<String, QueueMapping>,
}

/// The logical queues of a static topic that one broker hosts (brokers from 5.x on).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueMapping {
    /// The scope of the logical queues, mostly `__global__`.
    #[serde(default = "global_scope")]
    pub scope: String,
    /// How many logical queues there are in all.
    #[serde(default)]
    pub total_queues: i32,
    /// The broker.
    pub bname: String,
    /// If two brokers claim a queue, the later epoch wins.
    #[serde(default)]
    pub epoch: i64,
    /// Numbers of logical queues, each with the number of the broker's own queue.
    #[serde(default, deserialize_with = "few")]
    pub curr_id_map: BTreeMap<i32, i32>,
}

/// What the broker names of logical queues begin with.
const LOGICAL: &str = "__syslo__";

/// Whether this broker name is that of logical queues.
pub(crate) fn is_logical(broker: &str) -> bool {
    broker.starts_with(LOGICAL)
}

fn global_scope() -> String {
    "__global__".to_owned()
}

impl QueueMapping {
    /// The broker name that a logical queue uses.
    pub fn logical_broker(&self) -> String {
        let scope = self.scope.as_str();
        // Java cuts the first two characters of this one scope.
        let scope = if scope == "__global__" {
            "global__"
        } else {
            scope
        };
        format!("{LOGICAL}{scope}")
    }
}

/// How many queues a topic has on one broker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueData {
    /// The broker's name.
    pub broker_name: String,
    /// Queues that can be read.
    #[serde(default)]
    pub read_queue_nums: i32,
    /// Queues that can be written.
    #[serde(default)]
    pub write_queue_nums: i32,
    /// See [`perm`].
    #[serde(default)]
    pub perm: i32,
    /// The topic's own flags; old name servers spell the name wrong.
    #[serde(default, alias = "topicSynFlag")]
    pub topic_sys_flag: i32,
}

/// The addresses of one broker: its master and its slaves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerData {
    /// The cluster's name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub cluster: String,
    /// The broker's name.
    pub broker_name: String,
    /// Addresses (`host:port`) by id; [`MASTER`] is the one to write to.
    #[serde(default, deserialize_with = "few")]
    pub broker_addrs: BTreeMap<i64, String>,
    /// Whether a slave may stand in for a lost master (brokers from 5.x on).
    #[serde(default)]
    pub enable_acting_master: bool,
}

impl TopicRoute {
    /// The JSON body, with standard keys.
    pub fn encode(&self) -> Vec<u8> {
        fastjson::encode(self)
    }

    /// Reads a route: standard JSON, or fastjson's dialect with bare numbers as keys
    /// (`{0:"10.0.0.1:10911"}`), which older name servers send.
    ///
    /// # Errors
    /// It is neither.
    pub fn decode(body: &[u8]) -> Result<TopicRoute, ProtocolError> {
        fastjson::decode("route", body)
    }

    /// The master's address of a broker, if the route has one.
    pub fn master(&self, broker: &str) -> Option<&str> {
        let data = self
            .broker_datas
            .iter()
            .find(|data| data.broker_name == broker)?;
        data.broker_addrs.get(&MASTER).map(String::as_str)
    }
}

/// The header of a route request.
#[derive(Debug, Clone, Copy)]
pub struct RouteRequest<'a> {
    /// The topic.
    pub topic: &'a str,
}

impl Fields for RouteRequest<'_> {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("topic", self.topic);
        // Name servers from 4.9.4 on then write keys as JSON demands.
        sink.text("acceptStandardJsonOnly", "true");
    }
}

#[cfg(test)]
mod tests {
    use super::super::fastjson::MOST_ENTRIES;
    use super::*;

    #[track_caller]
    fn check(json: &str, broker_addrs: &[(i64, &str)]) {
        let route = TopicRoute::decode(json.as_bytes()).unwrap();
        let addrs: Vec<_> = route.broker_datas[0]
            .broker_addrs
            .iter()
            .map(|(id, a)| (*id, a.as_str()))
            .collect();
        assert_eq!(addrs, broker_addrs);
        assert_eq!(TopicRoute::decode(&route.encode()).unwrap(), route);
    }

    #[test]
    fn a_list_of_too_many_entries_is_an_error() {
        let route = |entries: usize| {
            let list = vec![r#"{"brokerName":"b"}"#; entries].join(",");
            TopicRoute::decode(format!(r#"{{"queueDatas":[{list}]}}"#).as_bytes())
        };
        let most = route(MOST_ENTRIES).unwrap().queue_datas.len();
        assert_eq!(most, MOST_ENTRIES);
        assert!(route(MOST_ENTRIES + 1).is_err());
    }

    #[test]
    fn keys_may_be_texts_or_bare_numbers() {
        check(
            r#"{"brokerDatas":[{"brokerAddrs":{"0":"a:1"},"brokerName":"b"}]}"#,
            &[(0, "a:1")],
        );
        check(
            r#"{"brokerDatas":[{"brokerAddrs":{0:"a:1", 12 :"b,3:4","-1":"\"{5:"},"brokerName":"b","cluster":null}],"queueDatas":null}"#,
            &[(-1, "\"{5:"), (0, "a:1"), (12, "b,3:4")],
        );
    }

    #[test]
    fn an_invalid_route_is_an_error_and_never_a_panic() {
        for bad in [
            "",
            "{",
            "[]",
            "[1]",
            "{0:",
            "{\"a",
            "\"\\",
            "{\"queueDatas\":[{}]}",
            "{\"queueDatas\":[[\"broker-a\"]]}",
        ] {
            assert!(TopicRoute::decode(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(TopicRoute::decode("[".repeat(1_000_000).as_bytes()).is_err());
        assert!(TopicRoute::decode(&[0xFF]).is_err());
    }

    #[test]
    fn quoting_a_hostile_text_takes_linear_time() {
        // Digits in a row with blanks between them: reading a number must not scan all the blanks
        // ahead.
        let hostile = format!("{{{}", "1 ".repeat(200_000));
        assert!(TopicRoute::decode(hostile.as_bytes()).is_err());
    }
}
