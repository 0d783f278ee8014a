//! `consume --kind simple`: what it receives, acknowledges, and leaves to come again.

use std::time::Duration;

use rocketmq_blocking::embedded::{Cluster, Release, StoredMessage};

use crate::consume::{Consumed, Running, body, consume, send, texts};
use crate::support::{PATIENCE, wait_until_left};

fn one_queue() -> Cluster {
    Cluster::builder().topic("T", 1).start().unwrap()
}

const ARGS: &str = "--kind simple --topic T --from first --group g";

/// How long messages are hidden, by the cluster's clock: they come again when a test moves it.
const HIDDEN: Duration = Duration::from_secs(60);

/// The bodies in their order, with the tries before, and what became of each.
fn tries(out: &Consumed) -> Vec<(String, i64, String)> {
    let lines = out.events("message").into_iter();
    let text = |line: &serde_json::Value| line["outcome"].as_str().unwrap().to_owned();
    lines
        .map(|line| {
            (
                body(line),
                line["reconsume_times"].as_i64().unwrap(),
                text(line),
            )
        })
        .collect()
}

#[test]
fn consume_receives_and_acknowledges() {
    let cluster = Cluster::start().unwrap();
    send(&cluster, "T", &["1", "2", "3", "4", "5"]);
    let out = consume(&format!("{ARGS} --count 5"), &cluster);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.bodies(), texts(["1", "2", "3", "4", "5"]));
    assert!(
        out.events("message")
            .iter()
            .all(|line| line["thread"] == "poll")
    );
    assert_eq!(out.lines[0]["event"], "started");
    assert_eq!(cluster.group("g").in_flight(), 0);
    wait_until_left(&cluster, "g");
    let out = consume(&format!("{ARGS} --idle-ms 1500"), &cluster);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.summary["handled"], 0);
}

#[test]
fn consume_receives_no_more_than_it_is_told() {
    let cluster = one_queue();
    send(&cluster, "T", &["1", "2", "3", "4", "5", "6"]);
    for (bodies, count) in [(texts(["1", "2"]), 2), (texts(["3", "4", "5"]), 3)] {
        let out = consume(&format!("{ARGS} --count {count}"), &cluster);
        assert_eq!(out.code, 0, "{out:?}");
        assert_eq!(out.bodies(), bodies);
    }
}

#[test]
fn what_is_not_acknowledged_comes_again_when_its_time_is_over() {
    let cluster = one_queue();
    send(&cluster, "T", &["1"]);
    let ok = |times| ("1".to_owned(), times, "ok".to_owned());
    let later = |times| ("1".to_owned(), times, "later".to_owned());
    let args = format!("{ARGS} --invisible-ms {}", HIDDEN.as_millis());
    // What comes first comes once more in the same run.
    let run = |more: &str| {
        let mut running = Running::start(&format!("{args} {more}"), &cluster);
        running.next("message");
        cluster.advance(HIDDEN);
        running.end()
    };
    let out = run("--no-ack --count 2");
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(tries(&out), [ok(0), ok(1)]);
    cluster.advance(HIDDEN);
    // A message that is refused is not acknowledged either.
    let out = run("--fail-first 3 --count 1");
    assert_eq!(tries(&out), [later(2), ok(3)]);
    assert_eq!(out.summary["refused"], 1);
    cluster.advance(HIDDEN);
    let out = consume(&format!("{args} --idle-ms 2000"), &cluster);
    assert_eq!(tries(&out), []);
}

#[test]
fn what_is_refused_for_good_is_a_dead_letter() {
    let cluster = one_queue();
    send(&cluster, "T", &["good", "bad"]);
    // In the second run it comes three times: the third one would be a try too many.
    let twice = format!("--max-reconsume 1 --invisible-ms {}", HIDDEN.as_millis());
    for (group, more, tries) in [("a", "--retry-level -1", 1), ("b", &twice, 2)] {
        let args = format!("{ARGS}{group} --fail-body bad --until-eof {more}");
        let mut running = Running::start(&args, &cluster);
        running.next("message"); // the good one, which is acknowledged before the bad one is tried
        for _ in 0..tries {
            running.next("message");
            if tries > 1 {
                cluster.advance(HIDDEN);
            }
        }
        let dead = || cluster.group(&format!("g{group}")).dead_letters();
        assert!(cluster.wait_until(PATIENCE, || !dead().is_empty()));
        let out = running.end();
        assert_eq!(out.code, 0, "{out:?}");
        assert_eq!(out.summary["handled"], 1, "{out:?}");
        assert_eq!(out.summary["refused"], tries, "{out:?}");
        let dead: Vec<String> = dead().iter().map(StoredMessage::text).collect();
        assert_eq!(dead, ["bad"], "{group}");
    }
}

#[test]
fn a_broker_without_pop_is_told() {
    let cluster = Cluster::builder().topic("T", 1).release(Release::V4_9_7);
    let cluster = cluster.start().unwrap();
    let out = consume(ARGS, &cluster);
    assert_eq!(out.code, 1, "{out:?}");
    let error = out.events("error")[0];
    assert_eq!(
        (&error["kind"], &error["code"]),
        (&"broker".into(), &3.into())
    );
}
