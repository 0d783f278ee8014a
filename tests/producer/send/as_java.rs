//! The requests of this client beside those that the Java client 5.4.0 sent for the same calls
//! (captures below `tests/golden/5.4.0`), compared as decoded maps.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rocketmq_blocking::embedded::{Cluster, On, ReceivedRequest};
use rocketmq_blocking::protocol::message::decode_batch;
use rocketmq_blocking::protocol::{Command, frame, properties};
use rocketmq_blocking::{Batch, ClientOptions, Message, MessageQueue, Producer};
use serde_json::{Map, Value, json};

use crate::support::*;

/// Intended differences, with the reason. They are removed on both sides.
const DIFFERENT: &[(&str, &str)] = &[
    ("opaque", "any number that is unique on its connection"),
    ("language", "ours is RUST"),
    ("bornTimestamp", "the clock"),
    ("g", "bornTimestamp under its short name"),
    (
        "e",
        "the queue: both start at a random one; chosen ones are checked apart",
    ),
    (
        "UNIQ_KEY",
        "the id: process, time, counter; its form is checked apart",
    ),
    (
        "acceptStandardJsonOnly",
        "we request standard JSON, Java decides by the version alone",
    ),
];

/// A group that every Java client has for itself; we create none.
const INNER_GROUP: &str = "CLIENT_INNER_PRODUCER";

fn is_different(name: &str) -> bool {
    DIFFERENT.iter().any(|(different, _)| *different == name)
}

fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let mut map = Map::new();
    for (name, value) in pairs {
        if name == "UNIQ_KEY" {
            let hex = value
                .bytes()
                .all(|c| matches!(c, b'0'..=b'9' | b'A'..=b'F'));
            assert!(value.len() == 32 && hex, "{value}");
        }
        if name == "i" {
            map.insert(name.to_owned(), pairs_of_text(value));
        } else if !is_different(name) {
            map.insert(name.to_owned(), json!(value));
        }
    }
    Value::Object(map)
}

fn pairs_of_text(text: &str) -> Value {
    assert!(text.ends_with('\u{2}'), "as Java does from 5.2.0 on");
    pairs(properties::decode(text).iter())
}

/// The compared parts of a request.
fn view(command: &Command) -> Value {
    let body = match command.code {
        34 => {
            let mut body: Value = serde_json::from_slice(&command.body).unwrap();
            let groups = body["producerDataSet"].as_array_mut().unwrap();
            groups.retain(|group| group["groupName"] != INNER_GROUP);
            body
        }
        320 => decode_batch(&command.body)
            .unwrap()
            .iter()
            .map(|child| json!([child.flag, child.body, pairs_of_text(child.properties)]))
            .collect(),
        _ => json!(command.body),
    };
    json!({
        "code": command.code,
        "flag": command.flag,
        "version": command.version,
        "remark": command.remark,
        "ext": pairs(command.ext.iter()),
        "body": body,
    })
}

/// By code, since heartbeats and route queries may fall between any two sends.
type Requests = BTreeMap<i32, Vec<Value>>;

fn by_code<'a>(commands: impl Iterator<Item = &'a Command>) -> Requests {
    let mut requests = Requests::new();
    for command in commands {
        if command.ext.get("producerGroup") != Some(INNER_GROUP) {
            requests
                .entry(command.code)
                .or_default()
                .push(view(command));
        }
    }
    requests
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}

/// The requests of a capture, but those with these bodies.
fn captured(scenario: &str, without: &[&str]) -> Requests {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/5.4.0");
    let text = fs::read_to_string(file.join(scenario).with_extension("jsonl")).expect("a capture");
    let lines = text.lines().skip(1);
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let sent = lines.filter(|line| line["dir"] == "c2s");
    let decode = |line: Value| {
        let raw = unhex(line["raw_hex"].as_str().expect("the frame"));
        let raw = frame::split(&raw).expect("a frame").expect("a whole one");
        Command::decode(raw).expect("a header")
    };
    let commands: Vec<Command> = sent
        .map(decode)
        .filter(|command| !without.iter().any(|body| body.as_bytes() == command.body))
        .collect();
    by_code(commands.iter())
}

/// All that a client sent which is shut down: its goodbye may arrive a little later.
fn all_requests(cluster: &Cluster) -> Vec<ReceivedRequest> {
    assert!(cluster.broker("broker-a").wait_for_connections(0, PATIENCE));
    cluster.requests(&On::Any)
}

/// Runs calls as the Java program did, and returns what was sent.
fn ours(calls: impl FnOnce(&Producer, &Cluster)) -> Requests {
    let cluster = Cluster::builder().topic("GoldenTopic", 4).start().unwrap();
    let producer = Producer::builder("GoldenGroup")
        .name_server(cluster.name_server())
        .options(ClientOptions::new().client_ip("127.0.0.1".parse().unwrap()))
        .instance_name("golden")
        .options(ClientOptions::new().heartbeat_interval(ms(30_000)))
        .send_timeout(PATIENCE)
        .start()
        .unwrap();
    calls(&producer, &cluster);
    let report = producer.shutdown_within(PATIENCE);
    assert!(report.is_clean(), "{report}");
    let requests = all_requests(&cluster);
    by_code(requests.iter().map(|request| request.command()))
}

#[track_caller]
fn check(scenario: &str, without: &[&str], ours: Requests) {
    let captured = captured(scenario, without);
    let codes = |requests: &Requests| -> Vec<(i32, usize)> {
        requests
            .iter()
            .map(|(code, all)| (*code, all.len()))
            .collect()
    };
    assert_eq!(codes(&ours), codes(&captured), "{scenario}");
    for (code, expected) in &captured {
        for (i, expected) in expected.iter().enumerate() {
            let ours = &ours[code][i];
            assert_eq!(ours, expected, "{scenario}: request {i} of code {code}");
        }
    }
}

fn golden(body: impl Into<Vec<u8>>) -> Message {
    Message::new("GoldenTopic", body)
}

#[test]
fn synchronous_sends_are_those_of_java() {
    let queue = MessageQueue::new("GoldenTopic", "broker-a", 2);
    let lines: String = (0..400).map(|i| format!("golden line {i}\n")).collect();
    let requests = ours(|producer, cluster| {
        let send = |message: Message| drop(producer.send(&message).unwrap());
        send(golden("hello"));
        send(golden("with tag").tag("TagA"));
        send(golden("with key").tag("TagA").key("key1"));
        send(golden("two keys").tag("TagA").key("k1").key("k2"));
        let user = golden("user props").tag("TagB").key("k3");
        send(
            user.property("color", "red")
                .property("uni", "\u{4f60}\u{597d}"),
        );
        send(golden("flag 7").flag(7));
        send(golden("no wait").wait_store(false));
        send(
            golden("\u{e9}\u{4e2d}\u{1f600}")
                .tag("\u{6807}\u{7b7e}")
                .key("\u{952e}"),
        );
        send(golden([0, 1, 2, 0xFF, 0x80, 0]));
        let message = golden("to queue 2").tag("TagQ");
        assert!(producer.prepare(&message).queue(queue).send().is_ok());
        send(golden(&lines.as_bytes()[..4095]));
        let chosen = &sends(cluster)[9];
        assert_eq!(chosen.command().ext.get("e"), Some("2"));
    });
    // There is no setter for BUYER_ID, a name from RocketMQ's youth.
    check("sync-send", &["buyer"], requests);
}

#[test]
fn asynchronous_sends_are_those_of_java() {
    let requests = ours(|producer, _| {
        for i in 0..3 {
            let message = golden(format!("async {i}")).tag("A").key(format!("ak{i}"));
            assert!(only(&send_async(producer, message)).is_ok());
        }
    });
    let mut expected = requests.clone();
    // Java's two threads both look up the route; here one look-up serves all.
    expected
        .get_mut(&105)
        .unwrap()
        .extend(requests[&105].clone());
    check("async", &[], expected);
}

#[test]
fn oneway_sends_are_those_of_java() {
    let requests = ours(|producer, cluster| {
        let message = |i: usize| golden(format!("oneway {i}")).tag("O").key(format!("ok{i}"));
        producer.send_oneway(&message(1)).unwrap();
        let queue = MessageQueue::new("GoldenTopic", "broker-a", 1);
        producer
            .prepare(&message(2))
            .queue(queue)
            .send_oneway()
            .unwrap();
        producer
            .prepare(&message(3))
            .select(|_| 3)
            .send_oneway()
            .unwrap();
        cluster.wait_for_messages("GoldenTopic", 3, PATIENCE);
        let chosen: Vec<_> = sends(cluster)[1..]
            .iter()
            .map(|request| request.command().ext.get("e").map(str::to_owned))
            .collect();
        assert_eq!(chosen, [Some("1".to_owned()), Some("3".to_owned())]);
    });
    check("oneway", &[], requests);
}

#[test]
fn batches_are_those_of_java() {
    let requests = ours(|producer, _| {
        let batch = |messages: Vec<Message>| Batch::new(messages).unwrap();
        let send = |batch: Batch| drop(producer.send_batch(&batch).unwrap());
        send(batch(vec![
            golden("batch one").tag("B").key("b1"),
            golden("batch two").tag("B").key("b2"),
            golden("batch three"),
        ]));
        send(batch(vec![golden("batch single").tag("B").key("b1")]));
        let first = golden("props")
            .tag("B")
            .key("b4")
            .property("color", "red")
            .flag(5);
        send(batch(vec![first, golden("\u{4e2d}\u{6587}").tag("B")]));
        let queue = MessageQueue::new("GoldenTopic", "broker-a", 1);
        let last = batch(vec![
            golden("q one").tag("B").key("q1"),
            golden("q two").tag("B").key("q2"),
        ]);
        assert!(producer.prepare_batch(&last).queue(queue).send().is_ok());
    });
    check("batch", &[], requests);
}

#[test]
fn schedules_and_selectors_are_those_of_java() {
    let requests = ours(|producer, _| {
        for level in [1, 3, 18, 99] {
            let message = golden(format!("delay level {level}")).tag("D");
            assert!(producer.send(&message.delay_level(level)).is_ok());
        }
    });
    check("delay-level", &[], requests);
    let requests = ours(|producer, cluster| {
        // Java's SelectMessageQueueByHash writes no property: the hash is computed here by hand.
        for (key, queue) in [
            ("order-1", 2),
            ("order-2", 1),
            ("order-1", 2),
            ("\u{8ba2}\u{5355}", 3),
        ] {
            let message = golden(format!("ordered {key}")).tag("S").key(key);
            let sent = producer.prepare(&message).select(move |_| queue).send();
            assert!(sent.is_ok());
            let by_key = producer.prepare(&message).sharding_key(key).send().unwrap();
            assert_eq!(
                by_key.queue().id(),
                queue as i32,
                "the queue that Java chose"
            );
        }
        let message = golden("custom selector").tag("S").key("c");
        assert!(
            producer
                .prepare(&message)
                .select(|queues| queues.len() - 1)
                .send()
                .is_ok()
        );
        assert_eq!(sends(cluster).len(), 9);
    });
    let mut without_keys = requests.clone();
    without_keys
        .get_mut(&310)
        .unwrap()
        .retain(|request| request["ext"]["i"].get("__SHARDINGKEY").is_none());
    check("ordered-selector", &[], without_keys);
}

#[test]
fn an_idle_producer_sends_nothing_and_heartbeats_are_those_of_java() {
    // Java's capture of an idle start has no frame either.
    assert_eq!(ours(|_, _| {}), Requests::new());
    let cluster = Cluster::builder().topic("GoldenTopic", 4).start().unwrap();
    let producer = Producer::builder("GoldenGroup")
        .name_server(cluster.name_server())
        .options(ClientOptions::new().client_ip("127.0.0.1".parse().unwrap()))
        .instance_name("golden")
        .options(ClientOptions::new().heartbeat_interval(ms(10)))
        .start()
        .unwrap();
    assert!(producer.send(&golden("heartbeat")).is_ok());
    cluster.wait_for_requests(&On::Heartbeat, 3, PATIENCE);
    drop(producer);
    let requests = all_requests(&cluster);
    let mut requests = by_code(requests.iter().map(|request| request.command()));
    requests.get_mut(&34).unwrap().truncate(3);
    check("heartbeat", &[], requests);
}

#[test]
fn questions_for_routes_are_those_of_java() {
    let requests = ours(|producer, cluster| {
        cluster.remove_topic("TBW102");
        assert_eq!(queues_seen(producer, "GoldenTopic").len(), 4);
        assert!(queues_seen(producer, "NoSuchTopicGolden").is_empty());
    });
    let mut requests = requests;
    // A send asks for the pattern of new topics too; Java's capture only looked.
    let pattern = requests.get_mut(&105).unwrap().pop().unwrap();
    assert_eq!(pattern["ext"]["topic"], "TBW102");
    check("route-query", &[], requests);
}
