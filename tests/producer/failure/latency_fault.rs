use std::time::Duration;

use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::producer::FaultStrategy;
use rocketmq_blocking::{ClientOptions, Message};

use crate::support::{PATIENCE, patient as builder, two_brokers};

#[test]
fn a_broker_that_failed_is_avoided_until_its_time_is_over() {
    let cluster = two_brokers();
    let forever = FaultStrategy::default().levels([(Duration::ZERO, Duration::from_secs(3600))]);
    // Only failures are slow enough for this level.
    let strategy = forever
        .levels([(Duration::from_secs(60), Duration::from_secs(3600))])
        .failure_counts_as(Duration::from_secs(60));
    let producer = builder(&cluster).latency_fault(strategy).start().unwrap();
    let message = Message::new("T", "x");
    let failing = cluster
        .broker("broker-a")
        .inject(Fault::answer(14, "away").on(On::Send));
    let brokers = || -> Vec<String> {
        let send = |_| producer.send(&message).unwrap().queue().broker().to_owned();
        (0..8).map(send).collect()
    };
    assert!(brokers().iter().all(|broker| broker == "broker-b"));
    assert_eq!(failing.hits(), 1, "tried once, and never again");
    failing.remove();
    assert!(
        brokers().iter().all(|broker| broker == "broker-b"),
        "it does not know yet"
    );
}

#[test]
fn when_every_broker_is_bad_messages_still_go_out() {
    let cluster = two_brokers();
    let strategy = FaultStrategy::default().levels([(Duration::ZERO, Duration::from_secs(3600))]);
    let producer = builder(&cluster).latency_fault(strategy).start().unwrap();
    for _ in 0..20 {
        let _ = producer.send(&Message::new("T", "x")).unwrap();
    }
}

#[test]
fn the_detector_finds_a_broker_that_is_back() {
    let cluster = two_brokers();
    let strategy = FaultStrategy::v4()
        .levels([(Duration::from_secs(60), Duration::from_secs(3600))])
        .failure_counts_as(Duration::from_secs(60))
        .detector(Duration::from_millis(10), Duration::from_secs(5));
    let producer = builder(&cluster).latency_fault(strategy).start().unwrap();
    let failing = cluster
        .broker("broker-a")
        .inject(Fault::answer(14, "away").on(On::Send));
    while failing.hits() == 0 {
        let _ = producer.send(&Message::new("T", "x")).unwrap();
    }
    // It refused, so that it counts as unreachable until a probe is answered.
    let probes = cluster.wait_for_requests(&On::Code(30), 1, PATIENCE);
    assert_eq!(probes[0].command().ext.get("queueId"), Some("0"));
}

#[test]
fn routes_of_topics_named_at_start_are_learnt_before_the_first_send() {
    let cluster = two_brokers();
    let _producer = builder(&cluster).topics(["T"]).start().unwrap();
    let asked = cluster.wait_for_requests(&On::Route, 1, PATIENCE);
    assert_eq!(asked[0].command().ext.get("topic"), Some("T"));
}

#[test]
fn a_topic_named_at_start_that_is_not_there_yet_is_learnt_later() {
    let cluster = Cluster::builder()
        .auto_create_topics(false)
        .start()
        .unwrap();
    let setup = builder(&cluster).topics(["Later"]);
    let producer = setup
        .options(ClientOptions::new().route_interval(Duration::from_millis(20)))
        .start()
        .unwrap();
    let _ = cluster.wait_for_requests(&On::Route, 1, PATIENCE);
    cluster.create_topic("Later", 1);
    let start = std::time::Instant::now();
    while producer.client().describe().topics.is_empty() {
        assert!(start.elapsed() < PATIENCE, "it is not learnt");
        std::thread::yield_now();
    }
}

#[test]
fn however_many_topics_are_named_at_start_all_their_routes_are_learnt() {
    let cluster = two_brokers();
    let topics: Vec<String> = (0..60).map(|i| format!("Topic{i}")).collect();
    for topic in &topics {
        cluster.create_topic(topic, 1);
    }
    let _producer = builder(&cluster).topics(topics.clone()).start().unwrap();
    let asked = cluster.wait_for_requests(&On::Route, topics.len(), PATIENCE);
    let asked: Vec<_> = asked
        .iter()
        .filter_map(|request| request.command().ext.get("topic").map(str::to_owned))
        .collect();
    assert_eq!(asked, topics);
}
