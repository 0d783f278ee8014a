//! `consume`: what its handler makes of messages, on which threads, and what follows.

use rocketmq_blocking::MessageQueue;
use rocketmq_blocking::embedded::{Cluster, StoredMessage};
use serde_json::Value;

use crate::consume::{Running, body, consume, send, texts};
use crate::support::*;

#[test]
fn consume_refuses_messages_as_it_is_told() {
    let cluster = Cluster::start().unwrap();
    send(&cluster, "TopicTest", &["good", "bad"]);
    let out = consume("--from first --count 1 --fail-body bad", &cluster);
    assert_eq!(out.summary["handled"], 1, "{out:?}");
    for line in out.events("message") {
        let is_bad = body(line) == "bad";
        let outcome = if is_bad { "later" } else { "ok" };
        assert_eq!(line["outcome"], outcome, "{line}");
    }
    // The embedded cluster does not wait before it hands them out again.
    let args = "--from first --group other --fail-first 1 --count 2";
    let out = consume(args, &cluster);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.summary["handled"], 2);
    assert_eq!(out.summary["refused"], 2);
    for text in ["good", "bad"] {
        let lines = out.events("message").into_iter();
        let lines: Vec<_> = lines.filter(|line| body(line) == text).collect();
        let tries = lines.iter().map(|line| line["reconsume_times"].as_i64());
        assert!(tries.eq([Some(0), Some(1)]), "{lines:?}");
        let outcomes = lines.iter().map(|line| line["outcome"].as_str());
        assert!(outcomes.eq([Some("later"), Some("ok")]), "{lines:?}");
        assert!(lines.iter().all(|line| line["topic"] == "TopicTest"));
        assert_eq!(lines[0]["msg_id"], lines[1]["msg_id"]);
    }
}

#[test]
fn consume_works_on_as_many_threads_as_it_is_told() {
    let cluster = Cluster::start().unwrap();
    let bodies: Vec<String> = (0..8).map(|n| n.to_string()).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    send(&cluster, "TopicTest", &bodies);
    let args = "--from first --count 8 --threads 1 --work-ms 10";
    let out = consume(args, &cluster);
    let lines = out.events("message");
    assert_eq!(lines.len(), 8);
    let times: Vec<u64> = lines
        .iter()
        .map(|line| line["t_ms"].as_u64().unwrap())
        .collect();
    for (line, two) in lines.iter().zip(times.windows(2)) {
        assert_eq!(line["thread"], "rmq-consume-1");
        assert!(two[1] >= two[0] + 9, "{times:?}");
    }
}

#[test]
fn consume_does_not_take_more_than_it_is_told() {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    send(&cluster, "T", &["1", "2", "3", "4", "5", "6"]);
    for (bodies, count) in [(texts(["1", "2"]), 2), (texts(["3", "4", "5"]), 3)] {
        let args = format!("--topic T --from first --threads 1 --count {count}");
        let out = consume(&args, &cluster);
        assert_eq!(out.summary["handled"], count, "{out:?}");
        assert_eq!(out.bodies(), bodies);
    }
    let queue = MessageQueue::new("T", "broker-a", 0);
    let committed = cluster.group("consume-example").committed(&queue);
    assert_eq!(committed, Some(5));
}

#[test]
fn consume_says_which_queues_it_has() {
    let cluster = Cluster::builder().topic("T", 4).start().unwrap();
    let queues = |line: &Value| -> Vec<String> {
        assert_eq!(fields(line), set("event t_ms queues"));
        let queues = line["queues"].as_array().expect("a list").iter();
        queues
            .map(|q| q.as_str().expect("text").to_owned())
            .collect()
    };
    let all: Vec<String> = (0..4).map(|id| format!("T@broker-a:{id}")).collect();
    let mut one = Running::start("--topic T --until-eof", &cluster);
    assert_eq!(queues(&one.next("assigned")), all);
    let mut two = Running::start("--topic T --until-eof", &cluster);
    let mut parts = queues(&one.next("assigned"));
    assert_eq!(parts.len(), 2);
    let mut others = queues(&two.next("assigned"));
    while others.len() < 2 {
        others = queues(&two.next("assigned")); // those that the first one has given up
    }
    parts.extend(others);
    parts.sort();
    assert_eq!(parts, all);
    for running in [two, one] {
        let out = running.end();
        assert_eq!(out.code, 0, "{out:?}");
    }
    // A topic that is not there yet.
    let mut none = Running::start("--topic U --until-eof", &cluster);
    assert_eq!(queues(&none.next("assigned")), [] as [&str; 0]);
    assert_eq!(none.end().code, 0);
}

#[test]
fn consume_gives_messages_back_as_it_is_told() {
    let cluster = Cluster::start().unwrap();
    send(&cluster, "TopicTest", &["good", "bad"]);
    let check = |group: &str, args: &str, tries: usize| {
        let args = format!("--from first --group {group} --fail-body bad --until-eof {args}");
        let mut running = Running::start(&args, &cluster);
        // The good one, and the tries of the bad one.
        (0..=tries).for_each(|_| drop(running.next("message")));
        let dead = || cluster.group(group).dead_letters();
        assert!(cluster.wait_until(PATIENCE, || !dead().is_empty()));
        let out = running.end();
        assert_eq!(out.code, 0, "{out:?}");
        assert_eq!(out.summary["handled"], 1);
        let outcome = if args.contains("-1") { "dead" } else { "later" };
        let lines = out.events("message").into_iter();
        let refused: Vec<_> = lines.filter(|line| line["outcome"] != "ok").collect();
        assert!(refused.iter().all(|line| line["outcome"] == outcome));
        assert!(refused.iter().all(|line| body(line) == "bad"));
        assert_eq!(refused.len(), tries, "{out:?}");
        let dead: Vec<String> = dead().iter().map(StoredMessage::text).collect();
        assert_eq!(dead, ["bad"]);
    };
    check("dead", "--retry-level -1", 1);
    check("twice", "--max-reconsume 1 --retry-level 1", 2);
    check("batch", "--batch 8 --max-reconsume 2", 3);
    let levels = cluster.group("twice").retries();
    assert_eq!(levels[0].property("DELAY"), Some("1"), "{levels:?}");
}

#[test]
fn consume_keeps_the_order_if_it_is_told() {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    send(&cluster, "T", &["1", "2", "3"]);
    let run = |group: &str, args: &str| -> Vec<(String, bool)> {
        let args = format!("--topic T --from first --orderly --group {group} {args}");
        let out = consume(&args, &cluster);
        assert_eq!(out.code, 0, "{out:?}");
        let lines = out.events("message").into_iter();
        lines
            .map(|line| (body(line), line["outcome"] == "ok"))
            .collect()
    };
    let good = |text: &str| (text.to_owned(), true);
    let bad = |text: &str| (text.to_owned(), false);
    // The queue waits for a message that is refused, and tries it again in place.
    let expected = ["1", "2", "3"].map(|text| [bad(text), good(text)]).concat();
    assert_eq!(
        run("again", "--fail-first 1 --retry-level 1 --count 3"),
        expected
    );
    // Two tries, then it is a dead letter.
    let args = "--fail-body 2 --max-reconsume 1 --count 2";
    let expected = [good("1"), bad("2"), bad("2"), good("3")];
    assert_eq!(run("dead", args), expected);
    let dead = cluster.group("dead").dead_letters();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].text(), "2");
}
