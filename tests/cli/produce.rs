//! `produce`: its messages, its output, and its failures.

use std::collections::BTreeSet;

use rocketmq_blocking::embedded::{Cluster, Fault, On};
use serde_json::Value;

use crate::support::*;

#[test]
fn produce_prints_a_json_line_for_each_stored_message() {
    for mode in ["sync", "async"] {
        let args = ["--json", "--mode", mode, "--body", "hi", "--count", "30"];
        let out = run("produce", &args, "");
        assert_eq!(out.code, 0, "{out:?}");
        let (lines, summary) = out.json();
        assert_eq!(indexes(&lines), (0..30).collect(), "{mode}");
        for line in &lines {
            assert_eq!(fields(line), set(STORED), "{line}");
            assert_eq!(line["status"], "SEND_OK");
            assert_eq!(line["topic"], "TopicTest");
            assert_eq!(line["broker"], "broker-a");
            assert_eq!(line["attempts"], 1);
            assert_eq!(line["msg_id"].as_str().unwrap().len(), 32);
            assert_eq!(line["offset_msg_id"].as_str().unwrap().len(), 32);
            let numbers = ["queue_id", "queue_offset", "elapsed_us"];
            assert!(numbers.iter().all(|n| line[n].is_u64()), "{line}");
        }
        assert_eq!(
            (&summary["sent"], &summary["failed"]),
            (&30.into(), &0.into())
        );
        assert!(summary["seconds"].is_f64(), "{summary}");
    }
}

#[test]
fn produce_in_oneway_mode_prints_only_that_it_was_accepted() {
    let cluster = Cluster::start().unwrap();
    let servers = cluster.name_server();
    let args = ["--json", "--mode", "oneway", "--body", "hi", "--count", "5"];
    let out = run(
        "produce",
        &[&args[..], &["--name-server", &servers]].concat(),
        "",
    );
    assert_eq!(out.code, 0, "{out:?}");
    let (lines, summary) = out.json();
    assert_eq!(indexes(&lines), (0..5).collect());
    for line in &lines {
        assert_eq!(fields(line), set("index status"));
        assert_eq!(line["status"], "ONEWAY");
    }
    assert_eq!(summary["sent"], 5);
    assert_eq!(cluster.wait_for_messages("TopicTest", 5, PATIENCE).len(), 5);
}

#[test]
fn produce_reads_messages_from_its_input_and_reports_empty_ones() {
    let cluster = Cluster::start().unwrap();
    let args = ["--json", "--name-server", &cluster.name_server()];
    let out = run("produce", &args, "one\n\r\ntwo\r\n\nthree");
    assert_eq!(out.code, 1, "{out:?}");
    let (lines, summary) = out.json();
    assert_eq!(indexes(&lines), (0..5).collect());
    for empty in [1, 3] {
        let error = &lines[empty]["error"];
        assert_eq!(error["kind"], "invalid");
        assert_eq!(error["delivery"], "not_sent");
        assert_eq!(error["attempts"], 0);
    }
    assert_eq!(
        (&summary["sent"], &summary["failed"]),
        (&3.into(), &2.into())
    );
    let stored = cluster.messages("TopicTest");
    let bodies: Vec<_> = stored.iter().map(|message| message.body()).collect();
    assert_eq!(bodies, [&b"one"[..], b"two", b"three"]);
}

#[test]
fn produce_sets_tags_keys_and_properties_as_asked() {
    let cluster = Cluster::start().unwrap();
    let servers = cluster.name_server();
    let dress = "--topic Orders --group shop --tag TagA --property a=1 --property b=x=y --queue \
                 broker-a:2 --header binary --compress-over 100 --body-size 1000";
    let mut args: Vec<&str> = dress.split_whitespace().collect();
    args.extend(["--keys", "K1 K2", "--name-server", &servers]);
    let out = run("produce", &args, "");
    assert_eq!(out.code, 0, "{out:?}");
    assert!(out.stdout.contains("SEND_OK"), "{out:?}");
    assert!(out.stdout.contains("sent 1, failed 0"), "{out:?}");

    let stored = &cluster.messages("Orders")[0];
    assert_eq!(stored.producer_group(), "shop");
    assert_eq!(stored.tag(), Some("TagA"));
    assert_eq!(stored.keys().collect::<Vec<_>>(), ["K1", "K2"]);
    assert_eq!(stored.property("a"), Some("1"));
    assert_eq!(stored.property("b"), Some("x=y"));
    assert_eq!(stored.queue_id(), 2);
    assert_eq!(stored.body().len(), 1000);
    assert!(stored.raw_body().len() < 1000);

    let key = ["--sharding-key", "order-1", "--body", "x", "--count", "4"];
    let out = run(
        "produce",
        &[&key[..], &["--name-server", &servers]].concat(),
        "",
    );
    assert_eq!(out.code, 0, "{out:?}");
    let stored = cluster.messages("TopicTest");
    let queues: BTreeSet<_> = stored.iter().map(|message| message.queue_id()).collect();
    assert_eq!((stored.len(), queues.len()), (4, 1));
}

#[test]
fn produce_takes_the_name_servers_from_the_environment() {
    let cluster = Cluster::start().unwrap();
    let mut command = program("produce");
    command
        .args(["--body", "hi"])
        .env("NAMESRV_ADDR", cluster.name_server());
    let out = finish(command, "");
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(cluster.message_count("TopicTest"), 1);
}

#[test]
fn produce_reports_what_failed_and_why() {
    let absent = closed_port();
    for mode in ["sync", "async", "oneway"] {
        let args = ["--json", "--mode", mode, "--body", "hi", "--count", "2"];
        let to = ["--name-server", &absent, "--timeout-ms", "10000"];
        let out = run("produce", &[&args[..], &to[..]].concat(), "");
        assert_eq!(out.code, 1, "{out:?}");
        let (lines, summary) = out.json();
        assert_eq!(indexes(&lines), (0..2).collect(), "{mode}");
        for line in &lines {
            let error = &line["error"];
            assert_eq!(fields(line), set("index error"));
            assert_eq!(fields(error), set("kind code delivery attempts message"));
            assert_eq!(error["kind"], "no_name_server", "{line}");
            assert_eq!(error["code"], Value::Null);
            assert_eq!(error["delivery"], "not_sent");
            assert!(error["message"].as_str().unwrap().contains(&absent));
        }
        assert_eq!(
            (&summary["sent"], &summary["failed"]),
            (&0.into(), &2.into())
        );
    }
}

#[test]
fn produce_prints_the_code_of_a_broker_that_refused() {
    let cluster = Cluster::start().unwrap();
    cluster
        .broker("broker-a")
        .inject(Fault::answer(13, "too large").on(On::Send));
    let servers = cluster.name_server();
    let out = run(
        "produce",
        &["--json", "--body", "hi", "--name-server", &servers],
        "",
    );
    assert_eq!(out.code, 1, "{out:?}");
    let error = &out.json().0[0]["error"];
    assert_eq!(
        (&error["kind"], &error["code"]),
        (&"broker".into(), &13.into())
    );
    assert_eq!(error["attempts"], 1);
}

#[test]
fn produce_counts_what_was_stored_without_a_replica_as_sent() {
    let cluster = Cluster::start().unwrap();
    let servers = cluster.name_server();
    for (code, status) in [
        (10, "FLUSH_DISK_TIMEOUT"),
        (11, "SLAVE_NOT_AVAILABLE"),
        (12, "FLUSH_SLAVE_TIMEOUT"),
    ] {
        let fault = Fault::answer(code, "").on(On::Send).times(1);
        cluster.broker("broker-a").inject(fault.after_storing());
        let out = run(
            "produce",
            &["--json", "--body", "hi", "--name-server", &servers],
            "",
        );
        assert_eq!(out.code, 0, "{out:?}");
        let (lines, summary) = out.json();
        assert_eq!(lines[0]["status"], status);
        assert_eq!(summary["sent"], 1);
    }
}

#[test]
fn produce_refuses_options_that_cannot_work() {
    let cases: &[(&[&str], &str)] = &[
        (&["--no-such-flag"], "--no-such-flag"),
        (&["--mode", "fast"], "fast"),
        (&["--body", "a", "--body-size", "1"], "--body-size"),
        (&["--count", "2"], "--body"),
        (&["--body", "a", "--count", "few"], "--count"),
        (&["--body", "a", "--property", "novalue"], "K=V"),
        (&["--body", "a", "--queue", "broker-a"], "BROKER:ID"),
        (
            &["--body", "a", "--queue", "b:0", "--sharding-key", "k"],
            "--sharding-key",
        ),
        (&["--body", "a", "--timeout-ms", "0"], "--timeout-ms"),
        (
            &["--body", "a", "--name-server", "localhost"],
            "has no port",
        ),
        (&["--body", "a", "--name-server", ""], "no name server"),
        (&["--body", "a", "--group", "no spaces"], "group"),
    ];
    for (args, says) in cases {
        let out = run("produce", args, "");
        assert_eq!(out.code, 2, "{args:?}: {out:?}");
        assert!(out.stderr.contains(says), "{args:?}: {out:?}");
        assert_eq!(out.stdout, "", "{args:?}");
    }
}
