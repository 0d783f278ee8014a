//! Message trace, found on real brokers as RocketMQ's tools find it, and read by Java's decoder.

use std::time::Duration;

use rocketmq_blocking::consumer::AckStatus;
use rocketmq_blocking::{Message, PullConsumer, PushConsumer, Retry, SimpleConsumer, StartFrom};
use serde_json::{Value, json};

use crate::servers::{PATIENCE, Server, Version, java};

const TOPIC: &str = "InteropTrace";

/// The records of a message, as Java reads them.
fn records(server: &Server, id: &str, count: usize) -> Vec<Value> {
    let args = [&server.name_server, id, &count.to_string()];
    let lines = java(&[], "JavaTrace.java", &args);
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// How a group consumed the message: `[retries, success, code]` of each time, by the time of its beginning.
#[track_caller]
fn consumed_by(server: &Server, records: &[Value], group: &str) -> Vec<Value> {
    let of = |kind: &'static str| {
        let of_group = records
            .iter()
            .filter(move |record| record["group"] == group);
        of_group.filter(move |record| record["type"] == kind)
    };
    let mut begun: Vec<&Value> = of("SubBefore").collect();
    begun.sort_by_key(|record| record["time"].as_i64());
    let pairs = begun.into_iter().map(|before| {
        let mut ends = of("SubAfter").filter(|after| after["request"] == before["request"]);
        let after = ends.next().expect("its end");
        assert!(ends.next().is_none(), "{records:#?}");
        let region = match server.version {
            // It is not in the messages.
            Version::V4 => "null",
            Version::V5 => "DefaultRegion",
        };
        assert_eq!(before["region"], region);
        assert_eq!(
            (&before["keys"], &after["keys"]),
            (&json!("k"), &json!("k"))
        );
        assert!(after["time"].as_i64() >= before["time"].as_i64());
        assert!((0..30_000).contains(&after["cost"].as_i64().unwrap()));
        json!([before["retries"], after["success"], after["code"]])
    });
    pairs.collect()
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn javas_decoder_reads_the_records_of_producers_and_consumers() {
    let server = Server::from_env();
    let producer = server.producer("trace-send").trace().start().unwrap();
    let sent = producer
        .send(&Message::new(TOPIC, "traced").key("k"))
        .unwrap();
    let id = sent.message_id().to_owned();

    let (tell, told) = std::sync::mpsc::channel();
    let more = tell.clone();
    let push = |group| {
        let builder = PushConsumer::builder(group).name_server(&server.name_server);
        let builder = builder.subscribe(TOPIC, "*").start_from(StartFrom::First);
        builder.trace()
    };
    let concurrent = push("trace-push").start(move |message| -> Result<(), Retry> {
        tell.send(())?;
        match message.reconsume_times() {
            0 => Err(Retry::level(1)),
            _ => Ok(()),
        }
    });
    let concurrent = concurrent.unwrap();
    let ordered = push("trace-ordered").start_ordered(move |_| Ok(more.send(())?));
    let ordered = ordered.unwrap();
    for _ in 0..3 {
        told.recv_timeout(PATIENCE).expect("a message in time");
    }
    let pull = PullConsumer::builder("trace-pull").name_server(&server.name_server);
    let pull = pull.subscribe(TOPIC, "*").start_from(StartFrom::First);
    let pull = pull.trace().start().unwrap();
    let mut polled = pull.poll(PATIENCE).unwrap();
    assert!(polled.pop().expect("the message").done());
    let mut count = 9;
    if server.version == Version::V5 {
        let simple = SimpleConsumer::builder("trace-simple").name_server(&server.name_server);
        let simple = simple.subscribe(TOPIC, "*").start_from(StartFrom::First);
        let simple = simple.trace().start().unwrap();
        let received = simple
            .receive_within(1, Duration::from_secs(60), PATIENCE)
            .unwrap();
        assert_eq!(received[0].ack().unwrap(), AckStatus::Confirmed);
        drop(received);
        assert!(simple.shutdown_within(PATIENCE).is_clean());
        count += 2;
    }
    // A member that ends sends what waits, in the time that is left: the others are asked for it before.
    let records = records(&server, &id, count);
    assert!(producer.shutdown_within(PATIENCE).is_clean());
    assert!(concurrent.shutdown_within(PATIENCE).is_clean());
    assert!(ordered.shutdown_within(PATIENCE).is_clean());
    assert!(pull.shutdown_within(PATIENCE).is_clean());

    let stored: Vec<&Value> = records.iter().filter(|r| r["type"] == "Pub").collect();
    assert_eq!(stored.len(), 1, "{records:#?}");
    assert_eq!(
        (&stored[0]["topic"], &stored[0]["success"]),
        (&json!(TOPIC), &json!(true))
    );
    assert_eq!(stored[0]["group"], "trace-send");
    let retried = [json!([0, false, 4]), json!([1, true, 0])];
    assert_eq!(consumed_by(&server, &records, "trace-push"), retried);
    for group in ["trace-ordered", "trace-pull"] {
        assert_eq!(
            consumed_by(&server, &records, group),
            [json!([0, true, 0])],
            "{group}"
        );
    }
    if server.version == Version::V5 {
        assert_eq!(
            consumed_by(&server, &records, "trace-simple"),
            [json!([0, true, 0])]
        );
    }
}
