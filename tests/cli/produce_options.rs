//! `produce`: the options of its client, and those that do not go together.

#[cfg(feature = "discovery")]
use std::io::{BufRead, BufReader, Write};
#[cfg(feature = "discovery")]
use std::net::TcpListener;

use rocketmq_blocking::embedded::{Cluster, On};

use crate::support::*;

#[test]
fn produce_configures_its_client_as_asked() {
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
    let leaving = cluster.wait_for_requests(&On::Unregister, 1, PATIENCE);
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
fn produce_compresses_as_asked() {
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
