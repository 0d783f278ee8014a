//! `consume`: what it consumes, what it prints, and how it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use rocketmq_blocking::embedded::{Cluster, Fault, On, StoredMessage};
use rocketmq_blocking::{Message, MessageQueue, Producer};
use serde_json::Value;

use crate::support::*;

/// The fields of a message's line.
const MESSAGE: &str = "event t_ms thread topic broker queue_id queue_offset msg_id offset_msg_id tag keys \
                       body_base64 properties sys_flag reconsume_times born_ms stored_ms outcome";

/// What a run printed as JSON lines.
#[derive(Debug)]
pub struct Consumed {
    pub code: i32,
    pub lines: Vec<Value>,
    pub summary: Value,
}

impl Consumed {
    /// The run whose lines these are; the last one is the summary.
    #[track_caller]
    pub fn new(out: &Finished) -> Consumed {
        let lines = out.stdout.lines().map(serde_json::from_str);
        let mut lines: Vec<Value> = lines.collect::<Result<_, _>>().expect("JSON lines");
        let summary = lines.pop().expect("a summary");
        assert_eq!(summary["event"], "summary", "{out:?}");
        let expected = set("event handled refused seconds clean");
        assert_eq!(fields(&summary), expected);
        assert!(summary["seconds"].is_f64(), "{summary}");
        let code = out.code;
        Consumed {
            code,
            lines,
            summary,
        }
    }

    pub fn events(&self, event: &str) -> Vec<&Value> {
        let lines = self.lines.iter();
        lines.filter(|line| line["event"] == event).collect()
    }

    pub fn bodies(&self) -> BTreeSet<String> {
        let messages = self.events("message").into_iter();
        messages.map(body).collect()
    }
}

/// The body of a message's line. Those of these tests need no padding but for what is cut here.
pub fn body(line: &Value) -> String {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = line["body_base64"].as_str().expect("base64");
    assert_eq!(text.len() % 4, 0, "{text}");
    let digits = text.trim_end_matches('=').chars();
    let bits = digits.flat_map(|digit| {
        let value = DIGITS.find(digit).expect("a digit");
        (0..6).rev().map(move |bit| (value >> bit & 1) as u8)
    });
    let bits: Vec<u8> = bits.collect();
    let bytes = bits.chunks_exact(8);
    let bytes = bytes.map(|byte| byte.iter().fold(0, |value, bit| value << 1 | bit));
    String::from_utf8(bytes.collect()).expect("UTF-8")
}

/// Runs `consume --json` towards this cluster.
#[track_caller]
pub fn consume(args: &str, cluster: &Cluster) -> Consumed {
    let servers = cluster.name_server();
    let given = ["--json", "--name-server", &servers];
    let args = args.split_whitespace().chain(given);
    let out = run("consume", &args.collect::<Vec<_>>(), "");
    assert_eq!(out.stderr, "", "{out:?}");
    Consumed::new(&out)
}

fn producer(cluster: &Cluster) -> Producer {
    let builder = Producer::builder("sends").name_server(cluster.name_server());
    builder.start().expect("a producer")
}

/// Sends messages with these bodies to a topic.
pub fn send(cluster: &Cluster, topic: &str, bodies: &[&str]) {
    let producer = producer(cluster);
    for body in bodies {
        let sent = producer.send(&Message::new(topic, *body));
        assert!(sent.is_ok(), "{sent:?}");
    }
}

pub fn texts<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.map(str::to_owned).into()
}

/// A running `consume --json`.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    text: String,
}

impl Running {
    pub fn start(args: &str, cluster: &Cluster) -> Running {
        let servers = cluster.name_server();
        let mut command = program("consume");
        command.args(args.split_whitespace());
        command.args(["--json", "--name-server", &servers]);
        let mut child = command.spawn().expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let text = String::new();
        Running {
            child,
            stdout,
            text,
        }
    }

    /// The next line of this event.
    pub fn next(&mut self, event: &str) -> Value {
        loop {
            let start = self.text.len();
            let read = self.stdout.read_line(&mut self.text).expect("a line");
            assert!(read > 0, "no {event}: {}", self.text);
            let line: Value = serde_json::from_str(&self.text[start..]).expect("JSON");
            if line["event"] == event {
                return line;
            }
        }
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        let killed = std::process::Command::new("sh")
            .args(["-c", &kill])
            .status();
        assert!(killed.unwrap().success());
    }

    /// All that it printed, once its input and so it has ended.
    pub fn end(mut self) -> Consumed {
        drop(self.child.stdin.take());
        self.stdout.read_to_string(&mut self.text).expect("text");
        let status = self.child.wait().expect("it ends");
        Consumed::new(&Finished {
            code: status.code().expect("an exit code"),
            stdout: self.text,
            stderr: String::new(),
        })
    }
}

#[test]
fn consume_runs_alone() {
    let out = run("consume", &[], "");
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.stderr, "", "{out:?}");
    let mut lines = out.stdout.lines();
    let first = lines.next().expect("a line");
    assert!(
        first.starts_with("consuming TopicTest as consume-example (client "),
        "{first}"
    );
    for n in 0..20 {
        let shown = format!(", keys K{n}: message {n}");
        let count = out.stdout.lines().filter(|l| l.ends_with(&shown)).count();
        assert_eq!(count, 1, "{shown}: {out:?}");
    }
    let last = lines.last().expect("a summary");
    assert!(last.starts_with("handled 20, refused 0 in "), "{last}");
    assert!(!last.contains("not clean"), "{last}");
}

#[test]
fn consume_ends_alone_where_not_all_of_its_own_messages_are_handled() {
    for (args, handled) in [
        (&["--kind", "pull", "--assign", "broker-a:1"][..], 5),
        (&["--sql", "n >= 15"], 5),
    ] {
        let out = run("consume", &[args, &["--json"]].concat(), "");
        assert_eq!(out.code, 0, "{out:?}");
        assert_eq!(Consumed::new(&out).summary["handled"], handled, "{args:?}");
    }
}

#[test]
fn consume_prints_a_json_line_for_each_message() {
    let cluster = Cluster::start().unwrap();
    let producer = producer(&cluster);
    let dressed = Message::new("TopicTest", "dressed")
        .tag("TagA")
        .key("K1")
        .key("K2")
        .property("a", "b c");
    assert!(producer.send(&dressed).is_ok());
    assert!(producer.send(&Message::new("TopicTest", "plain")).is_ok());
    let large = Message::new("TopicTest", "large ".repeat(1000));
    assert!(producer.send(&large).is_ok());

    let out = consume("--from first --count 3", &cluster);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.summary["handled"], 3);
    assert_eq!(out.summary["refused"], 0);
    assert_eq!(out.summary["clean"], true);
    let started = &out.lines[0];
    assert_eq!(started["event"], "started");
    assert_eq!(fields(started), set("event client_id t_ms"));
    assert!(started["t_ms"].is_u64(), "{started}");

    let stored = cluster.messages("TopicTest");
    let lines: BTreeMap<String, &Value> = out
        .events("message")
        .into_iter()
        .map(|line| (body(line), line))
        .collect();
    assert_eq!(lines.len(), 3, "{out:?}");
    for message in &stored {
        check(lines[&message.text()], message);
    }
    let dressed = lines["dressed"];
    assert_eq!(dressed["tag"], "TagA");
    assert_eq!(dressed["keys"], "K1 K2");
    assert_eq!(dressed["properties"]["a"], "b c");
    let plain = lines["plain"];
    assert_eq!(
        (&plain["tag"], &plain["keys"]),
        (&Value::Null, &Value::Null)
    );
    // A compressed body is printed as it was sent, and its flag as it is stored.
    assert_eq!(lines[&*"large ".repeat(1000)]["sys_flag"], 0x301);
}

/// A line shows the message that is stored.
#[track_caller]
fn check(line: &Value, stored: &StoredMessage) {
    assert_eq!(fields(line), set(MESSAGE), "{line}");
    assert!(line["t_ms"].is_u64(), "{line}");
    let thread = line["thread"].as_str().unwrap();
    assert!(thread.starts_with("rmq-consume-"), "{line}");
    assert_eq!(line["topic"], stored.topic());
    assert_eq!(line["broker"], stored.broker());
    assert_eq!(line["queue_id"], stored.queue_id());
    assert_eq!(line["queue_offset"], stored.queue_offset());
    assert_eq!(line["msg_id"], stored.unique_key().unwrap());
    assert_eq!(line["offset_msg_id"], stored.offset_message_id());
    for (name, value) in stored.properties().iter() {
        assert_eq!(line["properties"][name], value, "{line}");
    }
    assert_eq!(line["sys_flag"], stored.sys_flag());
    assert_eq!(line["reconsume_times"], 0);
    assert_eq!(line["born_ms"], stored.born_timestamp());
    assert_eq!(line["stored_ms"], stored.store_timestamp());
    assert_eq!(line["outcome"], "ok");
}

#[test]
fn consume_goes_on_where_its_group_ended() {
    let cluster = Cluster::start().unwrap();
    send(&cluster, "TopicTest", &["1", "2"]);
    let out = consume("--from first --count 2 --group g", &cluster);
    assert_eq!(out.bodies(), texts(["1", "2"]));
    send(&cluster, "TopicTest", &["3"]);
    let out = consume("--from first --count 1 --group g", &cluster);
    assert_eq!(out.bodies(), texts(["3"]));
    let out = consume("--from first --idle-ms 2000 --group g", &cluster);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.summary["handled"], 0);
    wait_until_left(&cluster, "g");
}

#[test]
fn consume_starts_where_it_is_told() {
    let cluster = Cluster::builder().topic("T", 1).manual_clock(true).start();
    let cluster = cluster.unwrap();
    send(&cluster, "T", &["old"]);
    cluster.advance(Duration::from_secs(60));
    let later = cluster.now().duration_since(UNIX_EPOCH).unwrap();
    send(&cluster, "T", &["young"]);
    let first = consume("--topic T --from first --count 2 --group first", &cluster);
    assert_eq!(first.bodies(), texts(["old", "young"]));
    let args = format!(
        "--topic T --from {} --count 1 --group time",
        later.as_millis()
    );
    assert_eq!(consume(&args, &cluster).bodies(), texts(["young"]));
    // Without the option, only what comes from now on.
    let mut last = Running::start("--topic T --count 1 --group last", &cluster);
    last.next("started");
    send(&cluster, "T", &["new"]);
    assert_eq!(last.end().bodies(), texts(["new"]));
}

#[test]
fn consume_takes_only_what_its_filter_lets_through() {
    let cluster = Cluster::start().unwrap();
    let producer = producer(&cluster);
    for (topic, tag) in [("T", "A"), ("T", "B"), ("T", "C"), ("U", "B"), ("U", "C")] {
        let message = Message::new(topic, format!("{topic}{tag}")).tag(tag);
        assert!(producer.send(&message).is_ok());
    }
    let servers = cluster.name_server();
    let args = "--json --topic T --topic U --from first --count 3 --name-server";
    let args = args.split(' ').chain([&*servers, "--tags", "A || B"]);
    let out = run("consume", &args.collect::<Vec<_>>(), "");
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(Consumed::new(&out).bodies(), texts(["TA", "TB", "UB"]));
}

#[test]
fn consume_ends_when_it_is_told() {
    let cluster = Cluster::start().unwrap();
    send(&cluster, "TopicTest", &["1"]);
    let check = |args: &str| {
        let group = args.trim_start_matches('-').replace(' ', "_");
        let args = format!("--from first --group {group} {args}");
        let out = consume(&args, &cluster);
        assert_eq!(out.code, 0, "{args}: {out:?}");
        assert_eq!(out.summary["clean"], true, "{args}: {out:?}");
        if !args.contains("eof") {
            assert_eq!(out.summary["handled"], 1, "{args}: {out:?}");
        }
    };
    // At the same time: they wait, for the most part.
    thread::scope(|scope| {
        for args in [
            "--seconds 3",
            "--idle-ms 5000",
            "--until-eof", // its input is at its end already
            "--count 1 --seconds 60 --idle-ms 60000",
            "--count 2 --idle-ms 5000",
        ] {
            scope.spawn(move || check(args));
        }
    });
}

#[cfg(unix)]
#[test]
fn consume_ends_well_on_signals() {
    for signal in ["INT", "TERM"] {
        let cluster = Cluster::start().unwrap();
        send(&cluster, "TopicTest", &["1"]);
        let mut running = Running::start("--from first --group g", &cluster);
        running.next("message");
        running.signal(signal);
        let out = running.end();
        assert_eq!(out.code, 0, "{signal}: {out:?}");
        assert_eq!(out.summary["clean"], true, "{signal}: {out:?}");
        let queues = cluster
            .messages("TopicTest")
            .into_iter()
            .map(|m| m.queue_id());
        let queue = MessageQueue::new("TopicTest", "broker-a", queues.last().unwrap());
        assert_eq!(cluster.group("g").committed(&queue), Some(1), "{signal}");
    }
}

#[test]
fn consume_shows_how_far_a_group_is() {
    let cluster = Cluster::builder().brokers(2).start().unwrap();
    send(&cluster, "T", &["1", "2", "3", "4", "5", "6", "7", "8"]);
    let of = |lines: &Consumed| -> Vec<(Value, i64, i64)> {
        let lags = lines.events("lag").into_iter().map(|line| {
            let expected = "event topic broker queue_id committed newest lag";
            assert_eq!(fields(line), set(expected));
            assert_eq!(line["topic"], "T");
            let number = |name: &str| line[name].as_i64().unwrap();
            (line["committed"].clone(), number("newest"), number("lag"))
        });
        lags.collect()
    };
    let before = consume("--lag --topic T --group g", &cluster);
    assert_eq!(before.code, 0, "{before:?}");
    let lags = of(&before);
    assert_eq!(lags.len(), 8, "{before:?}");
    assert!(
        lags.iter()
            .all(|(c, newest, lag)| c.is_null() && newest == lag)
    );
    assert_eq!(lags.iter().map(|(.., lag)| lag).sum::<i64>(), 8);
    assert_eq!(before.lines.len(), 8, "nothing else is printed: {before:?}");
    let queues: Vec<String> = before
        .lines
        .iter()
        .map(|line| format!("{}{}", line["broker"], line["queue_id"]))
        .collect();
    assert!(queues.is_sorted(), "{queues:?}");

    consume("--topic T --group g --from first --count 8", &cluster);
    send(&cluster, "T", &["9"]);
    let after = of(&consume("--lag --topic T --group g", &cluster));
    for (committed, newest, lag) in &after {
        assert_eq!(committed.as_i64(), Some(newest - lag), "{after:?}");
    }
    assert_eq!(after.iter().map(|(.., lag)| lag).sum::<i64>(), 1);
    // For people.
    let servers = cluster.name_server();
    let args = [
        "--lag",
        "--topic",
        "T",
        "--group",
        "g",
        "--name-server",
        &servers,
    ];
    let out = run("consume", &args, "");
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.stdout.lines().count(), 8, "{out:?}");
    assert_eq!(out.stdout.matches(", lag 1").count(), 1, "{out:?}");
}

#[test]
fn consume_that_cannot_start_says_why() {
    let nobody = closed_port();
    let start = ["--name-server", &nobody];
    let out = run("consume", &[&start[..], &["--json"]].concat(), "");
    let says = format!("{nobody}: no name server answered");
    let lines = Consumed::new(&out);
    assert_eq!(lines.code, 1, "{out:?}");
    assert_eq!(lines.summary["clean"], false);
    assert_eq!(lines.lines.len(), 1, "{out:?}");
    let error = &lines.lines[0];
    assert_eq!(fields(error), set("event kind code message"));
    assert_eq!(error["kind"], "no_name_server");
    assert_eq!(error["code"], Value::Null);
    assert!(
        error["message"].as_str().unwrap().contains(&says),
        "{error}"
    );

    let out = run("consume", &[&start[..], &["--lag"]].concat(), "");
    assert_eq!(out.code, 1, "{out:?}");
    assert!(out.stderr.contains(&says), "{out:?}");
    assert_eq!(out.stdout, "");
}

#[cfg(unix)]
#[test]
fn consume_does_not_wait_for_its_progress_after_a_second_signal() {
    let cluster = Cluster::start().unwrap();
    send(&cluster, "TopicTest", &["1"]);
    let answer = Fault::answer(1, "no disk").on(On::Commit);
    cluster.broker("broker-a").inject(answer);
    let mut running = Running::start("--from first", &cluster);
    running.next("message");
    running.signal("INT");
    running.signal("TERM");
    let out = running.end();
    assert_eq!(out.code, 1, "{out:?}");
    assert_eq!(out.summary["handled"], 1);
    assert_eq!(out.summary["clean"], false);
}

#[cfg(unix)]
#[test]
fn consume_shows_its_progress_on_a_terminal_only() {
    let cluster = Cluster::builder().topic("TopicTest", 1).start().unwrap();
    let servers = cluster.name_server();
    let check = |terminal_kind: &str, is_able: bool| {
        let (mut ours, theirs) = crate::produce_terminal::terminal();
        let mut command = program("consume");
        command
            .args(["--name-server", &servers, "--seconds", "6"])
            .env("TERM", terminal_kind)
            .stderr(std::process::Stdio::from(theirs));
        let child = command.spawn().unwrap();
        drop(command); // and with it the test's copy of the program's end
        let mut seen = Vec::new();
        let _ = ours.read_to_end(&mut seen); // Linux calls the end an error
        let out = child.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(0));
        let seen = String::from_utf8_lossy(&seen);
        assert_eq!(
            seen.contains("handled 0, refused 0, 0/s"),
            is_able,
            "{seen}"
        );
        let out = String::from_utf8(out.stdout).unwrap();
        assert!(out.contains("handled 0, refused 0 in "), "{out}");
        assert!(!out.contains('\u{1b}'), "{out}");
    };
    thread::scope(|scope| {
        scope.spawn(|| check("xterm", true));
        scope.spawn(|| check("dumb", false));
    });
}
