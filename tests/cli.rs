//! The example programs, run as a user runs them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;
use std::{env, fs};

use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{Producer, TransactionState};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

/// The fields of a stored message's line.
const STORED: &str = "index status msg_id offset_msg_id topic broker queue_id queue_offset attempts \
                      elapsed_us";

#[test]
fn quickstart_prints_receipts_and_what_the_broker_holds() {
    let out = run("quickstart", &[], "");
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.stdout.matches("SEND_OK").count(), 2, "{out:?}");
    for body in ["hello, sync", "hello, async", "hello, oneway"] {
        assert!(out.stdout.contains(body), "{body}: {out:?}");
    }
}

#[test]
fn quickstart_sends_to_a_given_name_server() {
    let cluster = Cluster::start().unwrap();
    let out = run("quickstart", &["--name-server", &cluster.name_server()], "");
    assert_eq!(out.code, 0, "{out:?}");
    assert!(out.stdout.contains("cannot be shown"), "{out:?}");
    assert_eq!(cluster.wait_for_messages("TopicTest", 3, PATIENCE).len(), 3);
}

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
fn produce_dresses_messages_as_it_is_told() {
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
        let to = ["--name-server", &absent, "--timeout-ms", "300"];
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
fn produce_says_what_cannot_work() {
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
fn produce_ends_transactions_as_it_is_told() {
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

#[test]
fn produce_sets_up_its_client_as_it_is_told() {
    let cluster = Cluster::start().unwrap();
    let args = "--body hi --namespace ns1 --namespace-v2 ns2 --trace --latency-fault --instance-name \
                here --unit-name unit --compress zlib --json";
    let out = produce(args, &cluster, "");
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.json().0[0]["topic"], "TopicTest");

    let stored = cluster.wait_for_messages("ns1%TopicTest", 1, PATIENCE);
    assert_eq!(stored[0].producer_group(), "ns1%produce");
    let traces = cluster.wait_for_messages("RMQ_SYS_TRACE_TOPIC", 1, PATIENCE);
    assert_eq!(traces.len(), 1);
    let leaving = cluster.requests(&On::Unregister);
    let id = leaving[0].command().ext.get("clientID");
    assert_eq!(id, Some("127.0.0.1@here@unit"));
    let sends = cluster.requests(&On::Send);
    assert_eq!(sends[0].command().ext.get("ns"), Some("ns2"));
}

#[test]
fn produce_names_the_feature_that_an_option_needs() {
    for (is_on, name, value, feature) in [
        (cfg!(feature = "tls"), "--tls", "", "tls"),
        (
            cfg!(feature = "acl"),
            "--access-key",
            "k --secret-key s",
            "acl",
        ),
        (cfg!(feature = "lz4"), "--compress lz4", "", "lz4"),
        (cfg!(feature = "zstd"), "--compress zstd", "", "zstd"),
        (
            cfg!(feature = "discovery"),
            "--name-server-url",
            "http://h:1/l",
            "discovery",
        ),
    ] {
        if is_on {
            continue;
        }
        let args = format!("--body hi {name} {value}");
        let out = run("produce", &args.split_whitespace().collect::<Vec<_>>(), "");
        assert_eq!(out.code, 2, "{out:?}");
        let says = format!(
            "produce: {name} needs the feature {feature}: cargo run --features {feature} --example \
             produce -- ...\n"
        );
        assert_eq!(out.stderr, says);
        assert_eq!(out.stdout, "");
    }
}

#[cfg(feature = "acl")]
#[test]
fn produce_signs_its_requests() {
    let cluster = Cluster::start().unwrap();
    let args = "--body hi --access-key key --secret-key hush --security-token token";
    for mode in ["sync", "transaction"] {
        let out = produce(&format!("{args} --mode {mode}"), &cluster, "");
        assert_eq!(out.code, 0, "{out:?}");
    }
    for request in cluster.requests(&On::Send) {
        let ext = &request.command().ext;
        assert_eq!(ext.get("AccessKey"), Some("key"));
        assert_eq!(ext.get("SecurityToken"), Some("token"));
        assert!(ext.get("Signature").is_some());
    }
}

#[cfg(all(feature = "lz4", feature = "zstd"))]
#[test]
fn produce_compresses_as_it_is_told() {
    let cluster = Cluster::start().unwrap();
    for (kind, flag) in [("zlib", 0x301), ("lz4", 0x101), ("zstd", 0x201)] {
        let args = format!("--compress {kind} --body-size 9000");
        assert_eq!(produce(&args, &cluster, "").code, 0);
        let stored = cluster.messages("TopicTest").pop().unwrap();
        assert_eq!(stored.sys_flag(), flag, "{kind}");
        assert_eq!(stored.body().len(), 9000);
        assert!(stored.raw_body().len() < 1000);
    }
}

#[cfg(feature = "discovery")]
#[test]
fn produce_asks_for_its_name_servers() {
    let cluster = Cluster::start().unwrap();
    let addresses = cluster.name_server();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/list", listener.local_addr().unwrap());
    let page = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        let length = addresses.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all((head + &addresses).as_bytes()).unwrap();
    });
    let out = run("produce", &["--body", "hi", "--name-server-url", &url], "");
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(cluster.message_count("TopicTest"), 1);
    page.join().unwrap();
}

#[test]
fn produce_refuses_options_that_do_not_go_together() {
    for (args, says) in [
        ("--batch-size 2", "--batch-size needs --mode batch"),
        ("--mode batch --batch-size 0", "--batch-size"),
        (
            "--transaction commit",
            "--transaction needs --mode transaction",
        ),
        ("--mode transaction --transaction maybe", "maybe"),
        ("--mode batch --delay-level 1", "--mode batch"),
        (
            "--mode transaction --deliver-after-ms 1",
            "--mode transaction",
        ),
        (
            "--mode transaction --queue broker-a:0",
            "--mode transaction",
        ),
        ("--mode transaction --sharding-key k", "--mode transaction"),
        ("--delay-level 0", "--delay-level"),
        ("--delay-level 1 --deliver-after-ms 1", "--deliver-after-ms"),
        ("--secret-key s", "--access-key"),
        ("--access-key k", "--secret-key"),
        ("--security-token t", "--access-key"),
        ("--tls-ca ca.pem", "--tls"),
        ("--tls-insecure", "--tls"),
        ("--tls --tls-insecure --tls-ca ca.pem", "--tls-ca"),
        ("--compress gzip", "gzip"),
        ("--vip", "--vip needs --name-server"),
        (
            "--name-server localhost:1 --name-server-url http://localhost:1/list",
            "--name-server-url",
        ),
        ("--namespace no%percent", "namespace"),
        ("--instance-name a@b", "instance_name"),
        ("--unit-name a@b", "unit_name"),
        #[cfg(feature = "tls")]
        ("--tls", "--tls needs --name-server"),
        #[cfg(feature = "tls")]
        (
            "--name-server localhost:1 --tls --tls-ca no-such-file.pem",
            "no-such-file.pem",
        ),
    ] {
        let args: Vec<_> = args.split(' ').chain(["--body", "hi"]).collect();
        let out = run("produce", &args, "");
        assert_eq!(out.code, 2, "{args:?}: {out:?}");
        assert!(out.stderr.contains(says), "{args:?}: {out:?}");
        assert_eq!(out.stdout, "", "{args:?}");
    }
}

#[test]
fn produce_sums_up_many_messages() {
    let out = run(
        "produce",
        &["--body", "hi", "--count", "100", "--mode", "async"],
        "",
    );
    assert_eq!(out.code, 0, "{out:?}");
    assert!(out.stdout.starts_with("sent 100, failed 0 in "), "{out:?}");
    assert!(out.stdout.contains("latency p50 "), "{out:?}");
    assert_eq!(out.stdout.lines().count(), 2, "{out:?}");
}

#[test]
fn embedded_server_prints_what_it_stores_until_its_input_ends() {
    let mut server = Server::start(&["--json", "--until-eof", "--brokers", "2"]);
    let args = ["--name-server", &server.address, "--property", "a=b"];
    // A topic is made on the broker that gets its first message, and on no other.
    for (topic, queue, body) in [("A", "broker-a:1", "hello"), ("B", "broker-b:3", "a")] {
        let what = ["--topic", topic, "--queue", queue, "--body", body];
        let out = run("produce", &[&what[..], &args[..]].concat(), "");
        assert_eq!(out.code, 0, "{out:?}");
    }
    let first = server.line();
    let expected = "topic queue_id queue_offset body_base64 properties sys_flag";
    assert_eq!(fields(&first), set(expected));
    assert_eq!(first["topic"], "A");
    assert_eq!(first["queue_id"], 1);
    assert_eq!(first["queue_offset"], 0);
    assert_eq!(first["body_base64"], "aGVsbG8=");
    assert_eq!(first["properties"]["a"], "b");
    assert_eq!(first["sys_flag"], 0);
    assert_eq!(server.line()["body_base64"], "YQ==");

    drop(server.child.stdin.take());
    assert!(server.child.wait().unwrap().success());
    let mut rest = String::new();
    server.stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[cfg(unix)]
#[test]
fn embedded_server_stops_on_signals() {
    for signal in ["INT", "TERM"] {
        let mut server = Server::start(&[]);
        let kill = format!("kill -{signal} {}", server.child.id());
        let killed = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(killed.success());
        assert!(server.child.wait().unwrap().success(), "{signal}");
    }
}

#[test]
fn embedded_server_says_that_a_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let out = run("embedded_server", &["--port", &port], "");
    assert_eq!(out.code, 1, "{out:?}");
    assert!(out.stderr.contains("in use"), "{out:?}");
    assert_eq!(out.stdout, "");
}

#[test]
fn bench_prints_the_line_that_all_bench_programs_print() {
    for (mode, inflight, batch) in [
        ("sync", 0, 1),
        ("async", 64, 1),
        ("oneway", 0, 1),
        ("batch", 0, 8),
    ] {
        let args = "--embedded --seconds 0.1 --warmup 0.01 --threads 2 --inflight 64 --batch 8 \
                    --body 100 --mode";
        let args: Vec<_> = args.split_whitespace().chain([mode]).collect();
        let line = bench(&args);
        let expected = "client mode threads inflight body batch msgs secs msgs_per_s p50_us \
                        p99_us p999_us cpu_s rss_mb errors sent_total first_error";
        assert_eq!(fields(&line), set(expected), "{line}");
        assert_eq!(line["client"], "ours");
        assert_eq!(line["mode"], mode);
        assert_eq!(line["threads"], 2);
        assert_eq!(line["inflight"], inflight);
        assert_eq!(line["batch"], batch);
        assert_eq!(line["body"], 100);
        assert_eq!(line["errors"], 0, "{line}");
        assert_eq!(line["first_error"], Value::Null);
        assert!(line["msgs"].as_u64().unwrap() > 0, "{line}");
        assert!(line["sent_total"].as_u64() >= line["msgs"].as_u64());
        assert!(line["p50_us"].as_f64() > Some(0.0), "{line}");
        assert!(line["p50_us"].as_f64() <= line["p999_us"].as_f64());
        assert!(line["secs"].as_f64() >= Some(0.1), "{line}");
    }
}

#[test]
fn bench_counts_messages_where_it_is_told_to() {
    let cluster = Cluster::start().unwrap();
    let target = cluster.name_server();
    for (mode, header) in [
        ("sync", "json"),
        ("async", "binary"),
        ("oneway", "json"),
        ("batch", "binary"),
    ] {
        let topic = format!("Bench-{mode}");
        let line = bench(&[
            "--target", &target, "--warmup", "0", "--count", "64", "--mode", mode, "--topic",
            &topic, "--header", header,
        ]);
        assert_eq!(line["msgs"], 64, "{line}");
        assert_eq!(line["sent_total"], 64, "{line}");
        // One send comes before everything, and one ends each run, the warm-up too, in oneway mode.
        let others = if mode == "oneway" { 3 } else { 1 };
        assert_eq!(cluster.message_count(&topic), 64 + others, "{mode}");
    }
}

fn bench(args: &[&str]) -> Value {
    let out = run("bench", args, "");
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.stdout.lines().count(), 1, "{out:?}");
    serde_json::from_str(&out.stdout).unwrap()
}

/// What a program left behind.
#[derive(Debug)]
struct Finished {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Finished {
    /// The lines of all messages, and the summary that comes last.
    fn json(&self) -> (Vec<Value>, Value) {
        let lines = self.stdout.lines().map(serde_json::from_str);
        let mut lines: Vec<Value> = lines.collect::<Result<_, _>>().expect("JSON lines");
        let last = lines.pop().expect("a summary");
        assert_eq!(fields(&last), set("summary"));
        assert_eq!(fields(&last["summary"]), set("sent failed seconds"));
        (lines, last["summary"].clone())
    }
}

/// An example program, which cargo has built next to this test.
fn program(name: &str) -> Command {
    let test = env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(|deps| deps.parent());
    let mut path: PathBuf = profile.expect("target/PROFILE/deps").join("examples");
    path.push(format!("{name}{}", env::consts::EXE_SUFFIX));
    assert!(
        is_up_to_date(&path),
        "{path:?} is missing or older than its sources: run cargo build --examples first, or the \
         whole of cargo test"
    );
    let mut command = Command::new(path);
    command
        .env_remove("NAMESRV_ADDR")
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Whether a program is newer than the sources that cargo lists beside it. `cargo test --test cli`
/// does not build examples, and an old one must not pass for the new.
fn is_up_to_date(program: &Path) -> bool {
    let modified = |path: &Path| path.metadata()?.modified();
    let Ok(built) = modified(program) else {
        return false;
    };
    let list = fs::read_to_string(program.with_extension("d")).expect("cargo's list of sources");
    let (_, sources) = list.split_once(": ").expect("PROGRAM: SOURCES");
    let mut sources = sources.split_whitespace().map(Path::new);
    !sources.any(|source| modified(source).is_ok_and(|changed| changed > built))
}

fn run(name: &str, args: &[&str], input: &str) -> Finished {
    let mut command = program(name);
    command.args(args);
    finish(command, input)
}

/// Runs `produce` towards this cluster.
fn produce(args: &str, cluster: &Cluster, input: &str) -> Finished {
    let servers = cluster.name_server();
    let args = args.split_whitespace().chain(["--name-server", &servers]);
    run("produce", &args.collect::<Vec<_>>(), input)
}

fn finish(mut command: Command, input: &str) -> Finished {
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that does not read its input may have ended before.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("the program ends");
    Finished {
        code: status.code().expect("an exit code"),
        stdout: String::from_utf8(stdout).expect("UTF-8"),
        stderr: String::from_utf8(stderr).expect("UTF-8"),
    }
}

/// A running `embedded_server`.
struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    fn start(args: &[&str]) -> Server {
        let mut child = program("embedded_server").args(args).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        let address = ready
            .trim_end()
            .strip_prefix("ready ")
            .expect(&ready)
            .to_owned();
        Server {
            child,
            stdout,
            address,
        }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect(&line)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address where nobody listens.
fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn indexes(lines: &[Value]) -> BTreeSet<u64> {
    let indexes: Vec<_> = lines
        .iter()
        .map(|line| line["index"].as_u64().unwrap())
        .collect();
    let set: BTreeSet<_> = indexes.iter().copied().collect();
    assert_eq!(set.len(), indexes.len(), "an index came twice");
    set
}

fn fields(value: &Value) -> BTreeSet<&str> {
    let object = value
        .as_object()
        .unwrap_or_else(|| panic!("not an object: {value}"));
    object.keys().map(String::as_str).collect()
}

fn set(words: &str) -> BTreeSet<&str> {
    words.split_whitespace().collect()
}
