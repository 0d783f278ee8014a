//! `produce`: batches, transactions and delays.

use std::time::Duration;

use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{Producer, TransactionState};

use crate::support::*;

#[test]
fn produce_prints_a_line_for_each_message_of_a_batch() {
    let cluster = Cluster::start().unwrap();
    let input: String = (0..10).map(|i| format!("line {i}\n")).collect();
    let args = "--json --mode batch --batch-size 4 --tag TagA --queue broker-a:1";
    let out = produce(args, &cluster, &input);
    assert_eq!(out.code, 0, "{out:?}");
    let (lines, summary) = out.json();
    assert_eq!(summary["sent"], 10);
    let sends = cluster.requests(&On::Send);
    assert_eq!(sends.len(), 3, "batches of 4, 4 and 2 messages");

    let stored = cluster.messages("TopicTest");
    assert_eq!((lines.len(), stored.len()), (10, 10));
    for (i, (line, stored)) in lines.iter().zip(&stored).enumerate() {
        assert_eq!(fields(line), set(STORED), "{line}");
        assert_eq!(line["index"], i);
        assert_eq!(line["status"], "SEND_OK");
        assert_eq!(line["msg_id"], stored.unique_key().unwrap());
        assert_eq!(line["offset_msg_id"], stored.offset_message_id());
        assert_eq!(line["queue_offset"], stored.queue_offset());
        assert_eq!(line["queue_id"], 1);
        assert_eq!(stored.body(), format!("line {i}").as_bytes());
        assert_eq!(stored.tag(), Some("TagA"));
    }
}

#[test]
fn produce_keeps_an_empty_message_from_failing_its_batch() {
    let cluster = Cluster::start().unwrap();
    let out = produce("--json --mode batch", &cluster, "one\n\nthree");
    assert_eq!(out.code, 1, "{out:?}");
    let (lines, summary) = out.json();
    assert_eq!(indexes(&lines), (0..3).collect());
    for line in &lines {
        let is_empty = line["index"] == 1;
        assert_eq!(line["error"]["kind"] == "invalid", is_empty, "{line}");
    }
    assert_eq!(
        (&summary["sent"], &summary["failed"]),
        (&2.into(), &1.into())
    );
    assert_eq!(cluster.message_count("TopicTest"), 2);
}

#[test]
fn produce_reports_each_message_of_a_batch_that_failed() {
    let cluster = Cluster::start().unwrap();
    let fault = Fault::answer(13, "too large").on(On::Send).times(1);
    cluster.broker("broker-a").inject(fault);
    let args = "--json --mode batch --batch-size 2 --body x --count 5";
    let out = produce(args, &cluster, "");
    assert_eq!(out.code, 1, "{out:?}");
    let (lines, summary) = out.json();
    assert_eq!(indexes(&lines), (0..5).collect());
    for (i, line) in lines.iter().enumerate() {
        assert_eq!(line["error"]["code"] == 13, i < 2, "{line}");
    }
    assert_eq!(
        (&summary["sent"], &summary["failed"]),
        (&3.into(), &2.into())
    );
}

#[test]
fn produce_ends_transactions_as_asked() {
    for (option, state, ended, visible) in [
        ("", "COMMIT_MESSAGE", TransactionState::Commit, 2),
        (
            "--transaction commit",
            "COMMIT_MESSAGE",
            TransactionState::Commit,
            2,
        ),
        (
            "--transaction rollback",
            "ROLLBACK_MESSAGE",
            TransactionState::Rollback,
            0,
        ),
        (
            "--transaction unknown",
            "UNKNOW",
            TransactionState::Unknown,
            0,
        ),
    ] {
        let cluster = Cluster::start().unwrap();
        let args = format!("--json --mode transaction {option} --body paid --count 2");
        let out = produce(&args, &cluster, "");
        assert_eq!(out.code, 0, "{out:?}");
        let (lines, summary) = out.json();
        assert_eq!(indexes(&lines), (0..2).collect());
        assert_eq!(summary["sent"], 2);
        for line in &lines {
            let expected = format!("{STORED} transaction_id transaction_state");
            assert_eq!(fields(line), set(&expected), "{line}");
            assert_eq!(line["status"], "SEND_OK");
            assert_eq!(line["transaction_state"], state);
            assert_eq!(line["transaction_id"], line["msg_id"]);
            let id = line["transaction_id"].as_str().unwrap();
            let told = cluster.wait_for_end(id, 1, PATIENCE).expect("an end");
            assert_eq!(told.state(), ended);
            assert_eq!(told.group(), "produce");
        }
        let stored = cluster.wait_for_messages("TopicTest", visible, PATIENCE);
        assert_eq!(stored.len(), visible, "{state}");
    }
    let out = run("produce", &["--mode", "transaction", "--body", "hi"], "");
    assert!(out.stdout.contains("transaction=COMMIT_MESSAGE"), "{out:?}");
}

#[test]
fn produce_delays_messages_and_prints_the_handle_to_recall_them() {
    let builder = Cluster::builder().hold_delayed_messages(true).recall(true);
    let cluster = builder.start().unwrap();

    let args = "--json --body timer --deliver-after-ms 60000";
    let line = &produce(args, &cluster, "").json().0[0];
    assert_eq!(fields(line), set(&format!("{STORED} recall_handle")));
    let handle = line["recall_handle"].as_str().unwrap();

    let line = &produce("--json --body level --delay-level 3", &cluster, "")
        .json()
        .0[0];
    assert_eq!(fields(line), set(STORED), "a level has no handle: {line}");

    assert_eq!(cluster.message_count("TopicTest"), 0);
    let seen = |after: u64| {
        cluster.advance(Duration::from_secs(after));
        let messages = cluster.messages("TopicTest");
        let bodies = messages.iter().map(|m| m.body().into_owned());
        bodies.collect::<Vec<_>>()
    };
    assert_eq!(seen(11), [b"level"]);
    let producer = Producer::builder("recall").name_server(cluster.name_server());
    let producer = producer.start().unwrap();
    assert_eq!(producer.recall("TopicTest", handle).unwrap().len(), 32);
    assert_eq!(seen(60), [b"level"]);
}
