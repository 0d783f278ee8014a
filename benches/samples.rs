//! Inputs of the benchmarks: realistic values of a producer and its servers.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

use rocketmq_blocking::protocol::route::{BrokerData, QueueData, TopicRoute, perm};
use rocketmq_blocking::protocol::send::SendHeader;
use rocketmq_blocking::protocol::{Command, Head, HeaderFormat, Language, code, frame};

/// The topic of everything here.
pub const TOPIC: &str = "TopicTest";

/// Both forms of a header, with a name for figures.
pub const FORMATS: [(&str, HeaderFormat); 2] = [
    ("json", HeaderFormat::Json),
    ("binary", HeaderFormat::Binary),
];

/// The properties of a message with a tag, a key and two of the user's own.
pub const PROPERTIES: [(&str, &str); 6] = [
    ("WAIT", "true"),
    ("TAGS", "TagA"),
    ("KEYS", "OrderID188"),
    ("UNIQ_KEY", "7F00000136A418B4AAC27F1E0E5A0000"),
    ("region", "eu-central"),
    ("attempt-of-order", "1"),
];

/// The header of a send with these properties, in their text form.
pub fn send_header(properties: &str) -> SendHeader<'_> {
    SendHeader {
        producer_group: "orders",
        topic: TOPIC,
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        queue_id: 3,
        sys_flag: 0,
        born_timestamp: 1_760_000_000_000,
        flag: 0,
        properties,
        reconsume_times: 0,
        unit_mode: false,
        max_reconsume_times: None,
        batch: false,
        broker_name: Some("broker-a"),
    }
}

/// The fixed part of a send's header.
pub fn send_head(format: HeaderFormat) -> Head<'static> {
    Head {
        code: code::request::SEND_MESSAGE_V2,
        flag: 0,
        opaque: 4711,
        language: Language::RUST,
        version: frame::VERSION,
        remark: None,
        format,
    }
}

/// A broker's answer to a send that it stored.
pub fn send_answer() -> Command {
    let mut answer = Command::request(code::response::SUCCESS);
    answer.flag = 1;
    answer.opaque = 4711;
    answer.language = Language::JAVA;
    for (name, value) in [
        ("queueId", "3"),
        ("TRACE_ON", "true"),
        ("MSG_REGION", "DefaultRegion"),
        ("msgId", "7F00000100002A9F00000000000003E8"),
        ("queueOffset", "1200"),
    ] {
        answer.ext.push(name, value);
    }
    answer
}

/// A route over brokers with a master and a slave each.
pub fn route(brokers: usize, queues: i32) -> TopicRoute {
    let name = |i| format!("broker-{i}");
    let queue_data = |i| QueueData {
        broker_name: name(i),
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm: perm::READ | perm::WRITE,
        topic_sys_flag: 0,
    };
    let broker_data = |i| BrokerData {
        cluster: "DefaultCluster".to_owned(),
        broker_name: name(i),
        broker_addrs: [0, 1].map(|id| (id, format!("10.0.{id}.{i}:10911"))).into(),
        enable_acting_master: false,
    };
    TopicRoute {
        queue_datas: (0..brokers).map(queue_data).collect(),
        broker_datas: (0..brokers).map(broker_data).collect(),
        ..TopicRoute::default()
    }
}
