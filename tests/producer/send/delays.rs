use std::time::{Duration, SystemTime};

use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::protocol::recall::RecallHandle;
use rocketmq_blocking::{ErrorKind, Message, Producer, ResponseCode, Schedule};

use crate::support::{patient as builder, producer};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn cluster() -> Cluster {
    let builder = Cluster::builder().brokers(2).topic("T", 1).topic("U", 1);
    builder
        .hold_delayed_messages(true)
        .recall(true)
        .start()
        .unwrap()
}

fn bodies(cluster: &Cluster, topic: &str) -> Vec<String> {
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
    let messages = cluster.messages(topic);
    messages.iter().map(|m| text(&m.body())).collect()
}

#[test]
fn delayed_messages_arrive_by_the_clock_in_the_order_of_their_times() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let message = |body: &str| Message::new("T", body);
    let send = |message: Message| producer.send(&message).unwrap();
    let _ = send(message("level 2").delay_level(2));
    let _ = send(message("3 s").deliver_after(3 * SECOND));
    let _ = send(message("level 1").delay_level(1));
    let _ = send(message("past").deliver_at(SystemTime::UNIX_EPOCH));
    let _ = send(message("now").schedule(Schedule::Level(0)));
    let at = send(message("at").deliver_at(SystemTime::now() + 3600 * SECOND));
    assert!(at.recall_handle().is_some());
    assert_eq!(bodies(&cluster, "T"), ["past", "now"]);
    assert_eq!(cluster.message_count("SCHEDULE_TOPIC_XXXX"), 2);
    assert_eq!(cluster.message_count("rmq_sys_wheel_timer"), 2);
    assert_eq!(cluster.advance(999 * MS), 0);
    assert_eq!(cluster.advance(MS), 1);
    assert_eq!(cluster.advance(10 * SECOND), 2);
    let expected = ["past", "now", "level 1", "3 s", "level 2"];
    assert_eq!(bodies(&cluster, "T"), expected);
    // That time was counted from the test's own clock, which has moved since the start.
    assert_eq!(cluster.advance(2 * 3600 * SECOND), 1);
    assert_eq!(bodies(&cluster, "T").last().unwrap(), "at");
    let error = producer
        .send(&message("x").deliver_after(4 * 24 * 3600 * SECOND))
        .unwrap_err();
    assert_eq!(error.response_code(), Some(ResponseCode::MESSAGE_ILLEGAL));
}

#[test]
fn a_time_of_day_is_reckoned_from_the_clusters_clock() {
    let cluster = cluster();
    let producer = producer(&cluster);
    cluster.advance(7 * SECOND);
    let noon = cluster.now() + 3600 * SECOND;
    let _ = producer
        .send(&Message::new("T", "noon").deliver_at(noon))
        .unwrap();
    assert_eq!(cluster.advance(3600 * SECOND - MS), 0);
    assert_eq!(cluster.advance(MS), 1);
    assert_eq!(cluster.now(), noon);
}

#[test]
fn a_recalled_message_never_comes() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let send = |body: &str| {
        let message = Message::new("T", body).deliver_after(5 * SECOND);
        producer.send(&message).unwrap()
    };
    let receipts = ["a", "b", "c"].map(send);
    let handle = receipts[1].recall_handle().unwrap();
    assert_eq!(
        producer.recall("T", handle).unwrap(),
        receipts[1].message_id()
    );
    let [asked] = &cluster.requests(&On::Code(request::RECALL_MESSAGE))[..] else {
        panic!("one request")
    };
    let field = |name| asked.command().ext.get(name);
    assert_eq!(field("producerGroup"), Some("group"));
    assert_eq!(
        (field("topic"), field("recallHandle")),
        (Some("T"), Some(handle))
    );
    assert_eq!(field("bname"), Some(receipts[1].queue().broker()));
    assert_eq!(asked.server(), receipts[1].queue().broker());
    assert_eq!(cluster.advance(5 * SECOND), 2);
    let mut left = bodies(&cluster, "T");
    left.sort();
    assert_eq!(left, ["a", "c"]);
    let late = receipts[0].recall_handle().unwrap();
    let error = producer.recall("T", late).unwrap_err();
    assert_eq!(error.response_code(), Some(ResponseCode::ILLEGAL_OPERATION));
    assert_eq!(error.remark(), Some("recall failed, timestamp invalid"));
    assert!(error.to_string().starts_with("T: 127.0.0.1:"), "{error}");
}

#[test]
fn unrecallable_messages_are_refused_without_a_request() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let handle = |topic: &str| {
        let handle = RecallHandle {
            topic: topic.into(),
            broker: "broker-a".into(),
            timestamp: i64::MAX,
            unique_key: "K".into(),
        };
        handle.encode()
    };
    for (topic, handle) in [
        ("T", handle("U")),
        ("%RETRY%g", handle("%RETRY%g")),
        ("%DLQ%g", handle("%DLQ%g")),
        ("bad topic", handle("T")),
        ("T", String::new()),
        ("T", "no handle".into()),
        ("T", "djEgVA==".into()),
    ] {
        let error = producer.recall(topic, &handle).unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Invalid,
            "{topic} {handle}: {error}"
        );
    }
    assert!(cluster.requests(&On::Any).is_empty());
    let error = producer.recall("New", &handle("New")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRoute, "{error}");
    producer.shutdown();
    let error = producer.recall("T", &handle("T")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[test]
fn the_handle_of_a_broker_that_the_route_does_not_name_goes_to_any_other() {
    let cluster = cluster();
    let handle = RecallHandle {
        topic: "T".into(),
        broker: "behind-a-proxy".into(),
        timestamp: i64::MAX,
        unique_key: "K".into(),
    };
    let fresh = producer(&cluster);
    let used: Producer = builder(&cluster).instance_name("used").start().unwrap();
    let _ = used.send(&Message::new("T", "x")).unwrap();
    for producer in [fresh, used] {
        let error = producer.recall("T", &handle.encode()).unwrap_err();
        assert_eq!(
            error.remark(),
            Some("recall failed, broker service not available")
        );
    }
    for asked in cluster.requests(&On::Code(request::RECALL_MESSAGE)) {
        assert_eq!(asked.command().ext.get("bname"), Some("behind-a-proxy"));
    }
}

#[test]
fn without_the_setting_there_is_a_handle_and_no_recall() {
    let cluster = Cluster::builder()
        .topic("T", 1)
        .hold_delayed_messages(true)
        .start()
        .unwrap();
    let producer = producer(&cluster);
    let message = Message::new("T", "x").deliver_after(SECOND);
    let receipt = producer.send(&message).unwrap();
    let handle = receipt.recall_handle().unwrap();
    let error = producer.recall("T", handle).unwrap_err();
    assert_eq!(error.response_code(), Some(ResponseCode::NO_PERMISSION));
}
