//! The other way round: the Java client, of the version under test, sends to the embedded cluster.

use std::time::Duration;

use rocketmq_blocking::embedded::{Cluster, ClusterBuilder, On, StoredMessage};
use rocketmq_blocking::protocol::HeaderFormat;

use crate::servers::{PATIENCE, java};

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn java_sends_with_json_headers() {
    check(Cluster::builder(), HeaderFormat::Json, &[]);
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn java_sends_with_binary_headers() {
    let flag = "-Drocketmq.serialize.type=ROCKETMQ";
    check(Cluster::builder(), HeaderFormat::Binary, &[flag]);
    // As real servers of 5.x answer.
    let answering_json = Cluster::builder().answer_json_always(true);
    check(answering_json, HeaderFormat::Binary, &[flag]);
}

fn check(cluster: ClusterBuilder, format: HeaderFormat, flags: &[&str]) {
    const EACH: usize = 5;
    let topic = "FromJava";
    let cluster = cluster.start().unwrap();
    let args = [&cluster.name_server(), topic, &EACH.to_string()];
    let printed = java(flags, "JavaSend.java", &args);
    let results: Vec<serde_json::Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(results.len(), 3 * EACH + 2, "{printed}");

    let count = 4 * EACH + 1;
    let stored = cluster.wait_for_messages(topic, count, Duration::from_secs(5));
    assert_eq!(stored.len(), count);
    for mode in ["sync", "async", "oneway", "batch"] {
        for i in 0..EACH {
            check_message(&stored, mode, &format!("{mode}-{i}"), format!("{mode}-{i}"));
        }
    }
    let packed: String = "compressed-0 ".repeat(385).chars().take(5000).collect();
    let packed = check_message(&stored, "compressed", "compressed-0", packed);
    assert_eq!(packed.sys_flag() & 1, 1);
    assert!(packed.raw_body().len() < 1000);

    for result in results {
        if let Some(id) = result["msg_id"].as_str().filter(|id| !id.contains(',')) {
            let found = stored.iter().find(|m| m.unique_key() == Some(id)).unwrap();
            assert_eq!(result["offset_msg_id"], found.offset_message_id());
            assert_eq!(result["queue_id"], found.queue_id());
            assert_eq!(result["queue_offset"], found.queue_offset());
        }
    }
    let sends = cluster.requests(&On::Send);
    assert_eq!(sends.len(), 3 * EACH + 2);
    assert!(sends.iter().all(|send| send.format() == format));
    let goodbye = cluster.wait_for_requests(&On::Unregister, 1, PATIENCE);
    assert!(!goodbye.is_empty());
}

#[track_caller]
fn check_message<'a>(
    stored: &'a [StoredMessage],
    mode: &str,
    name: &str,
    body: String,
) -> &'a StoredMessage {
    let key = format!("key-{name}");
    let mut of_key = stored.iter().filter(|m| m.keys().eq([key.as_str()]));
    let found = of_key.next().expect(name);
    assert!(of_key.next().is_none(), "{name} is there twice");
    assert_eq!(found.body(), body.as_bytes(), "{name}");
    assert_eq!(found.tag(), Some(format!("tag-{mode}").as_str()));
    let sender = format!("java \u{e4}\u{20ac} {name}");
    assert_eq!(found.property("sender"), Some(sender.as_str()));
    assert_eq!(found.producer_group(), "JavaSend");
    found
}
