//! The other programs: `quickstart` and `embedded_server`.

use std::io::Read;
use std::net::TcpListener;
use std::process::Command;

use rocketmq_blocking::embedded::Cluster;

use crate::support::*;

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
    assert!(
        out.stdout.contains("cannot read from a real broker"),
        "{out:?}"
    );
    assert_eq!(cluster.wait_for_messages("TopicTest", 3, PATIENCE).len(), 3);
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
fn embedded_server_reports_a_taken_port() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let out = run("embedded_server", &["--port", &port], "");
    assert_eq!(out.code, 1, "{out:?}");
    assert!(out.stderr.contains("in use"), "{out:?}");
    assert_eq!(out.stdout, "");
}
