//! Topic routes, as a name server answers them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::json::Object;
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
    /// Where the logical queues are known, mostly `__global__`.
    #[serde(default = "global_scope")]
    pub scope: String,
    /// How many logical queues there are in all.
    #[serde(default)]
    pub total_queues: i32,
    /// The broker.
    pub bname: String,
    /// Of two brokers that both claim a queue, the one with the later epoch has it.
    #[serde(default)]
    pub epoch: i64,
    /// Numbers of logical queues, and of the broker's own that stand for them.
    #[serde(default, deserialize_with = "few")]
    pub curr_id_map: BTreeMap<i32, i32>,
}

fn global_scope() -> String {
    "__global__".to_owned()
}

impl QueueMapping {
    /// The name that stands for the broker in a logical queue.
    pub fn logical_broker(&self) -> String {
        let scope = self.scope.as_str();
        // Java cuts the first two characters of this one scope.
        let scope = if scope == "__global__" {
            "global__"
        } else {
            scope
        };
        format!("__syslo__{scope}")
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
        // Serialising plain data to memory does not fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a route: standard JSON, or fastjson's dialect with bare numbers as keys
    /// (`{0:"10.0.0.1:10911"}`), which older name servers send.
    ///
    /// # Errors
    /// It is neither.
    pub fn decode(body: &[u8]) -> Result<TopicRoute, ProtocolError> {
        let text =
            std::str::from_utf8(body).map_err(|_| ProtocolError::new("route is not UTF-8"))?;
        serde_json::from_str(&quote_bare_keys(text))
            .map(|Object(route)| route)
            .map_err(|e| ProtocolError::new(format!("bad route: {e}")))
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

/// Puts quotes around numbers that stand where a key must: after `{` or `,`, before `:`.
fn quote_bare_keys(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    let mut key_may_follow = false;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(bytes, at);
                key_may_follow = false;
            }
            b'{' | b',' => {
                at += 1;
                key_may_follow = true;
            }
            b'0'..=b'9' | b'-' => {
                let start = at;
                while bytes
                    .get(at)
                    .is_some_and(|b| b.is_ascii_digit() || *b == b'-')
                {
                    at += 1;
                }
                let rest = &bytes[at..];
                let next = rest.iter().find(|b| !b.is_ascii_whitespace());
                if key_may_follow && next == Some(&b':') {
                    out.push_str(&text[copied..start]);
                    out.push('"');
                    out.push_str(&text[start..at]);
                    out.push('"');
                    copied = at;
                }
                key_may_follow = false;
            }
            _ => {
                key_may_follow &= byte.is_ascii_whitespace();
                at += 1;
            }
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Behind the string that starts at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// fastjson may write null for what it has not.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A list of objects; null is an empty one.
fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    null_as_default(deserializer).map(|Bounded(list)| list)
}

/// More entries than any topic has, and few enough for what they become to stay small: an entry
/// takes several times the memory that it takes on the wire.
const MOST_ENTRIES: usize = 16 * 1024;
const TOO_MANY: &str = "more entries than a topic can have";

struct Bounded<T>(Vec<T>);

impl<T> Default for Bounded<T> {
    fn default() -> Bounded<T> {
        Bounded(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bounded<T>, D::Error> {
        struct List<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = Bounded<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bounded<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(Object(item)) = seq.next_element()? {
                    if list.len() == MOST_ENTRIES {
                        return Err(de::Error::custom(TOO_MANY));
                    }
                    list.push(item);
                }
                Ok(Bounded(list))
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// A map, or null, of no more entries than a list may have.
fn few<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    null_as_default(deserializer).map(|Few(map)| map)
}

struct Few<K, V>(BTreeMap<K, V>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Few<K, V> {
        Few(BTreeMap::new())
    }
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Deserialize<'de> for Few<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Few<K, V>, D::Error> {
        struct Entries<K, V>(PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de> for Entries<K, V> {
            type Value = Few<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Few<K, V>, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    if entries.len() == MOST_ENTRIES {
                        return Err(de::Error::custom(TOO_MANY));
                    }
                    entries.insert(key, value);
                }
                Ok(Few(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
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
    fn what_is_no_route_is_an_error_and_never_a_panic() {
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
        // Digits in a row with blanks between them: no number may look ahead over all the blanks.
        let hostile = format!("{{{}", "1 ".repeat(200_000));
        assert!(TopicRoute::decode(hostile.as_bytes()).is_err());
    }
}
