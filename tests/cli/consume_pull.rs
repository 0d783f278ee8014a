//! `consume --kind pull`: what it polls, commits and leaves for the next run.

use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{Message, MessageQueue, Producer, ResponseCode};
use serde_json::Value;

use crate::consume::{Consumed, Running, body, consume, send, texts};
use crate::support::wait_until_left;

fn one_queue() -> Cluster {
    Cluster::builder().topic("T", 1).start().unwrap()
}

fn committed(cluster: &Cluster, group: &str) -> Option<i64> {
    let queue = MessageQueue::new("T", "broker-a", 0);
    cluster.group(group).committed(&queue)
}

/// The bodies in their order, and whether each was handled well.
fn outcomes(out: &Consumed) -> Vec<(String, bool)> {
    let lines = out.events("message").into_iter();
    lines
        .map(|line| (body(line), line["outcome"] == "ok"))
        .collect()
}

#[test]
fn consume_polls_and_commits() {
    let cluster = Cluster::start().unwrap();
    send(&cluster, "T", &["1", "2", "3", "4", "5"]);
    let args = "--kind pull --topic T --from first --group g";
    let out = consume(&format!("{args} --count 5"), &cluster);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.bodies(), texts(["1", "2", "3", "4", "5"]));
    let threads = out.events("message");
    assert!(threads.iter().all(|line| line["thread"] == "poll"));
    assert_eq!(out.lines[0]["event"], "started");
    assert_eq!(out.events("assigned").len(), 1, "{out:?}");
    send(&cluster, "T", &["6"]);
    let out = consume(&format!("{args} --count 1"), &cluster);
    assert_eq!(out.bodies(), texts(["6"]));
    wait_until_left(&cluster, "g");
}

#[test]
fn consume_commits_after_each_batch_that_it_polled() {
    let cluster = one_queue();
    send(&cluster, "T", &["1", "2", "3"]);
    let args = "--kind pull --topic T --from first --count 3 --batch 1";
    assert_eq!(consume(args, &cluster).code, 0);
    let commits = cluster.requests(&On::Commit);
    let offsets = commits
        .iter()
        .filter_map(|request| request.command().ext.get("commitOffset"));
    assert_eq!(offsets.collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

#[test]
fn consume_polls_no_more_than_it_is_told() {
    let cluster = one_queue();
    send(&cluster, "T", &["1", "2", "3", "4", "5", "6"]);
    for (bodies, count) in [(texts(["1", "2"]), 2), (texts(["3", "4", "5"]), 3)] {
        let args = format!("--kind pull --topic T --from first --count {count}");
        let out = consume(&args, &cluster);
        assert_eq!(out.code, 0, "{out:?}");
        assert_eq!(out.bodies(), bodies);
    }
    assert_eq!(committed(&cluster, "consume-example"), Some(5));
}

#[test]
fn consume_commits_nothing_if_it_is_told() {
    let cluster = one_queue();
    send(&cluster, "T", &["1", "2"]);
    let args = "--kind pull --topic T --from first --count 2 --no-commit";
    for _ in 0..2 {
        let out = consume(args, &cluster);
        assert_eq!(out.code, 0, "{out:?}");
        assert_eq!(out.bodies(), texts(["1", "2"]));
    }
    assert_eq!(committed(&cluster, "consume-example"), None);
    assert!(cluster.requests(&On::Commit).is_empty());
}

/// It has no other way to come again: nothing is given back to brokers, and the count stays.
#[test]
fn what_a_pull_refuses_is_left_for_the_next_run() {
    let cluster = one_queue();
    send(&cluster, "T", &["good", "bad", "last"]);
    let args = "--kind pull --topic T --from first";
    let out = consume(&format!("{args} --fail-body bad --count 2"), &cluster);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(
        (&out.summary["handled"], &out.summary["refused"]),
        (&2.into(), &1.into())
    );
    let good = |text: &str| (text.to_owned(), true);
    let bad = |text: &str| (text.to_owned(), false);
    assert_eq!(outcomes(&out), [good("good"), bad("bad"), good("last")]);
    let refused = out.events("message")[1];
    assert_eq!(refused["outcome"], "later");
    assert_eq!(committed(&cluster, "consume-example"), Some(1));
    let out = consume(&format!("{args} --fail-first 1 --idle-ms 3000"), &cluster);
    assert_eq!(outcomes(&out), [bad("bad"), bad("last")]);
    assert_eq!(committed(&cluster, "consume-example"), Some(1));
    assert!(cluster.requests(&On::SendBack).is_empty());
    let out = consume(&format!("{args} --count 2"), &cluster);
    assert_eq!(outcomes(&out), [good("bad"), good("last")]);
}

#[test]
fn consume_polls_the_queues_that_it_is_told() {
    let cluster = Cluster::builder().topic("T", 4).sql_filters(true);
    let cluster = cluster.start().unwrap();
    let builder = Producer::builder("sends").name_server(cluster.name_server());
    let producer = builder.start().unwrap();
    for id in 0..4 {
        for tag in ["A", "B"] {
            let message = Message::new("T", format!("{id}{tag}")).tag(tag);
            let queue = MessageQueue::new("T", "broker-a", id);
            assert!(producer.prepare(&message).queue(queue).send().is_ok());
        }
    }
    let args = "--kind pull --topic T --from first --assign broker-a:3 --assign broker-a:1";
    let out = consume(&format!("{args} --group all --count 4"), &cluster);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.bodies(), texts(["1A", "1B", "3A", "3B"]));
    let assigned = &out.events("assigned")[0]["queues"];
    let expected: Value = ["T@broker-a:1", "T@broker-a:3"].as_slice().into();
    assert_eq!(*assigned, expected);
    for id in 0..4 {
        let queue = MessageQueue::new("T", "broker-a", id);
        let committed = cluster.group("all").committed(&queue);
        assert_eq!(committed, (id % 2 == 1).then_some(2));
    }
    // It is no member of the group: nobody's queues change.
    assert!(cluster.requests(&On::Members).is_empty());
    for (filter, bodies) in [("--tags B", ["1B", "3B"]), ("--sql TAGS='A'", ["1A", "3A"])] {
        let group = filter
            .trim_start_matches('-')
            .replace([' ', '=', '\''], "_");
        let args = format!("{args} --group {group} --count 2 {filter}");
        let out = consume(&args, &cluster);
        assert_eq!(out.code, 0, "{out:?}");
        assert_eq!(out.bodies(), texts(bodies));
    }
}

#[test]
fn a_commit_that_is_refused_is_told_and_tried_again() {
    let cluster = one_queue();
    send(&cluster, "T", &["1", "2"]);
    // The first one says where the queue starts.
    let refuse = Fault::answer(ResponseCode::NO_PERMISSION, "no disk").on(On::Commit);
    cluster.broker("broker-a").inject(refuse.after(1).once());
    let args = "--kind pull --topic T --from first --batch 1 --count 2";
    let out = consume(args, &cluster);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.bodies(), texts(["1", "2"]));
    let errors = out.events("error");
    assert_eq!(errors.len(), 1, "{out:?}");
    assert_eq!(errors[0]["kind"], "broker");
    assert_eq!(errors[0]["code"], 16);
    assert_eq!(committed(&cluster, "consume-example"), Some(2));
}

#[cfg(unix)]
#[test]
fn consume_ends_between_two_messages_of_a_batch() {
    let cluster = one_queue();
    send(&cluster, "T", &["1", "2", "3", "4", "5", "6", "7", "8"]);
    let args = "--kind pull --topic T --from first --work-ms 1000";
    let mut running = Running::start(args, &cluster);
    running.next("message");
    running.signal("TERM");
    let out = running.end();
    assert_eq!(out.code, 0, "{out:?}");
    let handled = out.summary["handled"].as_i64().unwrap();
    assert!((1..8).contains(&handled), "{out:?}");
    assert_eq!(committed(&cluster, "consume-example"), Some(handled));
}
