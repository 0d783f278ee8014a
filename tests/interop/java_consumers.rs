//! The consumers of the Java client, of the version under test, on the embedded cluster.

use std::collections::{BTreeMap, BTreeSet};

use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::{Batch, Message, MessageQueue, Producer};
use serde_json::Value;

use crate::servers::{PATIENCE, java};

const COUNT: usize = 1000;
/// Every so many messages one is to be retried.
const RETRIED: usize = 50;
const BINARY: &str = "-Drocketmq.serialize.type=ROCKETMQ";

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_push_consumer_gets_all_messages_and_retries_some() {
    for flags in [&[][..], &[BINARY]] {
        let cluster = start();
        let consumed = consume(&cluster, flags, "push");
        for (index, line) in consumed.iter().enumerate() {
            assert_eq!(line["topic"], "T", "{index}");
            let retried = line["body"].as_str().unwrap().starts_with("retry");
            assert_eq!(line["reconsume_times"], i32::from(retried), "{line}");
        }
        let retries = COUNT / RETRIED;
        assert_eq!(cluster.requests(&On::SendBack).len(), retries);
        let group = cluster.group("java");
        assert_eq!(group.retries().len(), retries);
        assert!(group.dead_letters().is_empty());
        check_end(&cluster);
        let retry_queue = MessageQueue::new("%RETRY%java", "broker-a", 0);
        let committed = || group.committed(&retry_queue).unwrap_or(0);
        let ends = group
            .retries()
            .iter()
            .filter(|m| m.broker() == "broker-a")
            .count();
        assert!(cluster.wait_until(PATIENCE, || committed() == ends as i64));
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn an_orderly_consumer_gets_each_queue_in_order_and_gives_its_locks_back() {
    let cluster = start();
    let consumed = consume(&cluster, &[], "orderly");
    let mut next: BTreeMap<(String, i64), i64> = BTreeMap::new();
    for line in &consumed {
        // Queues of both brokers have the same numbers: the message's body says which it is.
        let broker = broker_of(&cluster, line["body"].as_str().unwrap());
        let queue = (broker, line["queue_id"].as_i64().unwrap());
        let expected = next.entry(queue).or_default();
        assert_eq!(line["queue_offset"], *expected, "{line}");
        *expected += 1;
    }
    assert!(!cluster.requests(&On::Lock).is_empty());
    let group = cluster.group("java");
    assert!(cluster.wait_until(PATIENCE, || group.locks().is_empty()));
    check_end(&cluster);
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_lite_pull_consumer_gets_all_messages_and_commits() {
    let cluster = start();
    consume(&cluster, &[], "pull");
    check_end(&cluster);
}

fn start() -> Cluster {
    let builder = Cluster::builder().brokers(2).topic("T", 4);
    // Delays run with real time.
    let builder = builder.hold_delayed_messages(true).manual_clock(false);
    builder.start().unwrap()
}

/// Sends messages from here, has Java consume them, and returns what it says of each.
fn consume(cluster: &Cluster, flags: &[&str], kind: &str) -> Vec<Value> {
    let producer = Producer::builder("ours").name_server(cluster.name_server());
    let producer = producer.start().unwrap();
    let body = |index: usize| match index % RETRIED {
        7 => format!("retry {index}"),
        _ => format!("plain {index}"),
    };
    let bodies: Vec<String> = (0..COUNT).map(body).collect();
    for some in bodies.chunks(10) {
        let messages = some.iter().map(|body| Message::new("T", body.as_str()));
        let _receipt = producer.send_batch(&Batch::new(messages).unwrap()).unwrap();
    }
    let args = [
        &*cluster.name_server(),
        kind,
        "java",
        "T",
        &COUNT.to_string(),
    ];
    let printed = java(flags, "JavaConsume.java", &args);
    let lines = printed.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>().unwrap();
    assert_eq!(lines.len(), COUNT, "each once");
    let consumed = lines.iter().map(|line| line["body"].as_str().unwrap());
    let consumed: BTreeSet<&str> = consumed.collect();
    assert_eq!(consumed, bodies.iter().map(String::as_str).collect());
    lines
}

fn broker_of(cluster: &Cluster, body: &str) -> String {
    let all = cluster.messages("T").into_iter();
    let found = all
        .filter(|message| message.body() == body.as_bytes())
        .last();
    found.unwrap().broker().to_owned()
}

/// Everything is committed, and the consumer has said that it goes.
fn check_end(cluster: &Cluster) {
    let group = cluster.group("java");
    assert!(
        cluster.wait_until(PATIENCE, || group.lag("T") == 0),
        "{:?}",
        group.offsets()
    );
    assert!(!cluster.requests(&On::Unregister).is_empty());
    assert!(cluster.wait_until(PATIENCE, || group.members().is_empty()));
}
