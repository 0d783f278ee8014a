//! `consume --broker-assignment`: what brokers have popped, and pulled.

use rocketmq_blocking::embedded::{Cluster, On, Release};
use rocketmq_blocking::{Client, ClientOptions};

use crate::consume::{Consumed, Running, consume, send, texts};
use crate::support::*;

const ARGS: &str = "--broker-assignment --topic T --from first --group g";

/// Brokers have the group pop `T`.
fn popped() -> Cluster {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    let options = ClientOptions::new().name_server(cluster.name_server());
    let client = Client::start(options).unwrap();
    client.admin().group("g").set_pop("T", 0).unwrap();
    cluster
}

fn queues_of_t(out: &Consumed) -> Vec<String> {
    let last = out.events("assigned").into_iter().rev();
    let lists = last.filter_map(|line| line["queues"].as_array());
    let queues = lists.flatten().map(|queue| queue.as_str().unwrap());
    queues
        .filter(|q| q.starts_with("T@"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn consume_pops_what_brokers_have_popped() {
    let cluster = popped();
    send(&cluster, "T", &["1", "2", "3"]);
    let out = consume(&format!("{ARGS} --count 3"), &cluster);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.bodies(), texts(["1", "2", "3"]));
    assert_eq!(queues_of_t(&out)[0], "T@broker-a:-1");
    let thread = |line: &serde_json::Value| line["thread"].as_str().unwrap().to_owned();
    let threads = out.events("message").into_iter().map(thread);
    assert!(
        threads
            .into_iter()
            .all(|name| name.starts_with("rmq-consume-"))
    );
    assert_eq!(cluster.group("g").in_flight(), 0);
    wait_until_left(&cluster, "g");
}

#[test]
fn refused_messages_come_again_at_their_level_or_are_dead_letters() {
    let cluster = popped();
    send(&cluster, "T", &["1"]);
    let out = consume(
        &format!("{ARGS} --fail-first 1 --retry-level 1 --count 1"),
        &cluster,
    );
    assert_eq!(out.code, 0, "{out:?}");
    let tries = out.events("message").into_iter();
    let tries = tries.map(|line| (line["reconsume_times"].clone(), line["outcome"].clone()));
    let expected = [(0.into(), "later".into()), (1.into(), "ok".into())];
    assert_eq!(tries.collect::<Vec<_>>(), expected);
    send(&cluster, "T", &["2"]);
    let args = format!("{ARGS} --fail-first 1 --retry-level -1 --until-eof");
    let running = Running::start(&args, &cluster);
    let is_dead = || !cluster.group("g").dead_letters().is_empty();
    assert!(cluster.wait_until(PATIENCE, is_dead));
    let out = running.end();
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(cluster.group("g").dead_letters().len(), 1);
}

#[test]
fn brokers_without_pop_have_it_pulled() {
    let old = Cluster::builder().topic("T", 1).release(Release::V4_9_7);
    let cluster = old.start().unwrap();
    send(&cluster, "T", &["1"]);
    let out = consume(&format!("{ARGS} --count 1"), &cluster);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(queues_of_t(&out)[0], "T@broker-a:0");
    assert!(cluster.requests(&On::Pop).is_empty());
}

#[test]
fn the_cluster_of_the_program_itself_has_all_popped() {
    let out = run("consume", &["--broker-assignment", "--json"], "");
    let out = Consumed::new(&out);
    assert_eq!(
        (out.code, &out.summary["handled"]),
        (0, &20.into()),
        "{out:?}"
    );
    let assigned = out.events("assigned")[0]["queues"].to_string();
    assert!(assigned.contains("TopicTest@broker-a:-1"), "{assigned}");
}
