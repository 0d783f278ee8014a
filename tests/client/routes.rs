//! Route look-up, refresh, and sends without a route.

use std::sync::Barrier;
use std::time::Instant;

use rocketmq_blocking::embedded::{Accept, Cluster, Fault, Gate, On};
use rocketmq_blocking::error::Wait;
use rocketmq_blocking::protocol::Command;
use rocketmq_blocking::protocol::route::{QueueMapping, TopicRoute};
use rocketmq_blocking::{
    ClientOptions, Error, ErrorKind, Message, Producer, ResponseCode, SendFate,
};

use crate::support::*;

#[track_caller]
fn check_no_route(producer: &Producer, topic: &str) -> Error {
    let start = Instant::now();
    let message = Message::new(topic, "x");
    let error = error(producer.prepare(&message).timeout(PATIENCE).send());
    assert_eq!(error.kind(), ErrorKind::NoRoute, "{error}");
    assert_eq!(error.fate(), SendFate::NotSent);
    assert_eq!(error.topic(), Some(topic));
    assert!(error.attempts().is_empty());
    assert!(start.elapsed() < 2 * SLACK, "no retry can help");
    error
}

#[test]
fn an_unknown_topic_gets_the_queues_of_the_default_topic_and_is_created() {
    for (queues, expected) in [(None, 4), (Some(16), 8), (Some(1), 1)] {
        let cluster = Cluster::start().unwrap();
        let mut setup = builder(&cluster);
        if let Some(queues) = queues {
            setup = setup.default_topic_queues(queues);
        }
        let producer = setup.start().unwrap();
        assert_eq!(queues_seen(&producer, "New").len(), expected);
        assert!(producer.send(&Message::new("New", "x")).is_ok());
        let made = cluster.route("New").expect("the broker made the topic");
        assert_eq!(made.queue_datas[0].write_queue_nums, expected as i32);
        let asked = cluster.requests(&On::Route);
        let topics: Vec<_> = asked.iter().map(|r| r.command().ext.get("topic")).collect();
        assert_eq!(topics, [Some("New"), Some("TBW102")]);
    }
}

#[test]
fn a_default_topic_of_ones_own_is_used() {
    let cluster = Cluster::builder().topic("Pattern", 3).start().unwrap();
    let producer = builder(&cluster).default_topic("Pattern").start().unwrap();
    assert_eq!(queues_seen(&producer, "New").len(), 3);
    let request = || sends(&cluster)[0].command().ext.get("c").map(str::to_owned);
    // The broker's own default topic has no heirs.
    let refused = error(producer.send(&Message::new("New", "x")));
    assert_eq!(refused.response_code(), Some(17.into()));
    assert_eq!(request().as_deref(), Some("Pattern"));
}

#[test]
fn without_a_default_topic_an_unknown_one_has_no_route() {
    let cluster = Cluster::builder()
        .auto_create_topics(false)
        .start()
        .unwrap();
    let error = check_no_route(&producer(&cluster), "Unknown");
    assert!(error.to_string().contains("create it first"), "{error}");
}

#[test]
fn only_writable_queues_of_brokers_with_a_master_are_used() {
    let cluster = brokers(2);
    let producer = || producer(&cluster);
    for (perm, usable) in [(6, true), (2, true), (7, true), (4, false), (0, false)] {
        cluster.set_permission("T", "broker-a", perm);
        let queues = queues_seen(&producer(), "T");
        assert_eq!(queues.len(), if usable { 8 } else { 4 }, "{perm}");
    }
    cluster.set_queues("T", "broker-b", 4, 0);
    check_no_route(&producer(), "T");
    cluster.set_queues("T", "broker-b", 4, 1);
    assert_eq!(queues_seen(&producer(), "T"), ["T@broker-b:0"]);
    let mut route = cluster.route("T").unwrap();
    for data in &mut route.broker_datas {
        let master = data.broker_addrs.remove(&0).unwrap();
        data.broker_addrs.insert(1, master);
    }
    cluster.set_route("T", Some(route));
    check_no_route(&producer(), "T");
    cluster.set_route("T", Some(TopicRoute::default()));
    check_no_route(&producer(), "T");
}

#[test]
fn an_ordered_topic_uses_exactly_the_queues_that_its_configuration_names() {
    let cluster = brokers(2);
    cluster.set_order_conf("T", Some("broker-b:1;broker-a:2"));
    let producer = producer(&cluster);
    let queues = queues_seen(&producer, "T");
    assert_eq!(queues, ["T@broker-b:0", "T@broker-a:0", "T@broker-a:1"]);
    assert!(producer.send(&message("x")).is_ok());
}

#[test]
fn fifty_first_sends_of_a_topic_ask_the_name_server_once() {
    let cluster = cluster();
    let gate = Gate::new();
    let held = cluster.name_servers()[0].inject(Fault::hold(&gate).on(On::Route));
    let producer = builder(&cluster).send_timeout(PATIENCE).start().unwrap();
    let ready = Barrier::new(51);
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                ready.wait();
                assert!(producer.send(&message("x")).is_ok());
            });
        }
        ready.wait();
        assert!(held.wait_hits(1, PATIENCE));
        gate.open();
    });
    assert_eq!(cluster.requests(&On::Route).len(), 1);
    assert_eq!(cluster.message_count("T"), 50);
}

#[test]
fn a_caller_with_more_time_than_the_first_asks_again() {
    let cluster = cluster();
    let silence = Fault::silence().on(On::Route).once();
    let lost = cluster.name_servers()[0].inject(silence);
    let producer = producer(&cluster);
    std::thread::scope(|scope| {
        let short = scope.spawn(|| producer.prepare(&message("x")).timeout(ms(2000)).send());
        assert!(lost.wait_hits(1, PATIENCE));
        let long = producer.prepare(&message("y")).timeout(PATIENCE).send();
        assert!(long.is_ok(), "{long:?}");
        let short = error(short.join().unwrap());
        assert_eq!(
            (short.kind(), short.wait()),
            (ErrorKind::Timeout, Some(Wait::Route))
        );
        assert_eq!(short.fate(), SendFate::NotSent);
    });
}

#[test]
fn a_known_route_serves_while_all_name_servers_are_down() {
    let cluster = cluster();
    let options = ClientOptions::new().route_interval(ms(10));
    let setup = builder(&cluster).options(options.api_timeout(PATIENCE));
    let producer = setup.start().unwrap();
    assert!(producer.send(&message("x")).is_ok());
    cluster.name_servers()[0].kill();
    // The refreshes of this time fail.
    for _ in 0..50 {
        assert!(producer.send(&message("x")).is_ok());
        std::thread::sleep(ms(2));
    }
    let start = Instant::now();
    let other = Message::new("Other", "x");
    let unknown = error(producer.prepare(&other).timeout(PATIENCE).send());
    assert_eq!(unknown.kind(), ErrorKind::NoNameServer, "{unknown}");
    assert!(start.elapsed() < 2 * SLACK);
    cluster.name_servers()[0].restart().unwrap();
    eventually("the name server is used again", || {
        producer.send(&other).is_ok()
    });
}

/// A name server that has just started has not heard of the brokers yet.
#[test]
fn a_route_that_name_servers_forget_is_kept_as_it_was() {
    let cluster = Cluster::builder().topic("T", 16).start().unwrap();
    let producer = builder(&cluster)
        .options(ClientOptions::new().route_interval(ms(10)))
        .start()
        .unwrap();
    assert_eq!(queues_seen(&producer, "T").len(), 16);
    cluster.remove_topic("T");
    cluster.clear_requests();
    let asked = cluster.wait_for_requests(&On::Route, 4, PATIENCE);
    assert!(asked.len() >= 4);
    assert_eq!(
        queues_seen(&producer, "T").len(),
        16,
        "sharding keys depend on it"
    );
}

#[test]
fn one_call_survives_a_name_server_that_is_down_or_silent() {
    for first in [0, 1] {
        for silent in [false, true] {
            let cluster = Cluster::builder().name_servers(2).topic("T", 4);
            let cluster = cluster.start().unwrap();
            let bad = &cluster.name_servers()[first];
            match silent {
                true => bad.set_accept(Accept::NeverRead),
                false => kill_unused_name_server(bad),
            }
            let options = ClientOptions::new().api_timeout(ms(6000));
            let producer = patient(&cluster).options(options).start().unwrap();
            for topic in ["T", "A", "B", "C"] {
                let sent = producer.send(&Message::new(topic, "x"));
                assert!(sent.is_ok(), "{sent:?}");
            }
            let bad = bad.address().to_string();
            let servers = producer.client().describe().name_servers;
            let first = servers.iter().find(|server| server.is_current);
            assert_ne!(*first.unwrap().address, *bad, "the good one is remembered");
        }
    }
}

#[test]
fn a_silent_name_server_costs_a_send_its_own_time_and_no_more() {
    let cluster = cluster();
    cluster.name_servers()[0].inject(Fault::silence());
    let producer = builder(&cluster).send_timeout(ms(500)).start().unwrap();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let error = error(producer.send(&message("x")));
                // A caller with slightly more time than the one that asked finds the address in
                // back-off.
                let kinds = [ErrorKind::Timeout, ErrorKind::NoNameServer];
                assert!(kinds.contains(&error.kind()), "{error}");
                assert_eq!(error.fate(), SendFate::NotSent);
            });
        }
    });
    assert!(start.elapsed() >= ms(500));
    assert!(
        start.elapsed() < ms(500) + 2 * SLACK,
        "not one after the other"
    );
}

#[test]
fn a_wrong_answer_is_the_name_servers_error_and_a_known_route_stays() {
    let cluster = cluster();
    let setup = builder(&cluster).options(ClientOptions::new().route_interval(ms(10)));
    let producer = setup.start().unwrap();
    assert!(producer.send(&message("x")).is_ok());
    let server = &cluster.name_servers()[0];
    for (fault, code) in [
        (Fault::answer(1, "not ready"), Some(1)),
        (Fault::answer(0, "no body"), None),
    ] {
        let fault = server.inject(fault);
        let error = error(producer.send(&Message::new("Other", "x")));
        assert_eq!(error.kind(), ErrorKind::NameServer, "{error}");
        assert_eq!(error.response_code(), code.map(ResponseCode::new));
        assert!(fault.wait_hits(3, PATIENCE));
        assert!(producer.send(&message("x")).is_ok());
        fault.remove();
    }
}

#[test]
fn routes_with_bare_numbers_as_keys_are_understood() {
    let cluster = Cluster::builder().bare_route_keys(true).topic("T", 4);
    let cluster = cluster.start().unwrap();
    assert!(producer(&cluster).send(&message("x")).is_ok());
}

#[test]
fn new_queues_and_brokers_are_found_while_sending() {
    let cluster = brokers(2);
    cluster.set_queues("T", "broker-b", 0, 0);
    let producer = builder(&cluster)
        .options(ClientOptions::new().route_interval(ms(10)))
        .start()
        .unwrap();
    assert_eq!(queues_seen(&producer, "T").len(), 4);
    cluster.set_queues("T", "broker-b", 8, 8);
    eventually("the new queues are used", || {
        assert!(producer.send(&message("x")).is_ok());
        queues_seen(&producer, "T").len() == 12
    });
}

/// Each failure of one topic asks for its route out of turn.
#[test]
fn a_topic_that_keeps_failing_does_not_put_off_the_refresh_of_the_others() {
    let cluster = cluster();
    let nobody = Stub::start(drop);
    cluster.set_route("Bad", Some(route(&[("broker-x", 1, nobody.address)])));
    let setup = builder(&cluster)
        .options(ClientOptions::new().route_interval(ms(200)))
        .retries(0);
    let producer = setup.start().unwrap();
    assert_eq!(queues_seen(&producer, "T").len(), 4);
    cluster.create_topic("T", 8);
    eventually("the new queues are found", || {
        assert!(producer.send(&Message::new("Bad", "x")).is_err());
        queues_seen(&producer, "T").len() == 8
    });
}

/// In whatever order they are asked for.
#[test]
fn a_bad_route_of_one_topic_does_not_stop_the_refresh_of_others() {
    let cluster = cluster();
    let topics: Vec<String> = (0..8).map(|i| format!("Topic{i}")).collect();
    topics
        .iter()
        .for_each(|topic| cluster.create_topic(topic, 4));
    let setup = builder(&cluster).options(ClientOptions::new().route_interval(ms(20)));
    let producer = setup.start().unwrap();
    for topic in &topics {
        assert_eq!(queues_seen(&producer, topic).len(), 4);
    }
    let is_bad = |command: &Command| command.ext.get("topic") == Some("Topic0");
    let server = &cluster.name_servers()[0];
    let bad = server.inject(Fault::answer(1, "a broken route").on(On::when(is_bad)));
    assert!(bad.wait_hits(1, PATIENCE));
    topics
        .iter()
        .for_each(|topic| cluster.create_topic(topic, 8));
    for topic in &topics[1..] {
        eventually("the new queues are found", || {
            queues_seen(&producer, topic).len() == 8
        });
    }
    assert_eq!(queues_seen(&producer, "Topic0").len(), 4);
}

#[test]
fn a_broker_that_leaves_all_routes_is_not_dialled_again() {
    let cluster = brokers(2);
    let producer = builder(&cluster)
        .options(ClientOptions::new().route_interval(ms(10)))
        .start()
        .unwrap();
    for _ in 0..8 {
        assert!(producer.send(&message("x")).is_ok());
    }
    let (a, b) = (cluster.broker("broker-a"), cluster.broker("broker-b"));
    assert!(a.wait_for_connections(1, PATIENCE) && b.wait_for_connections(1, PATIENCE));
    cluster.set_route("T", Some(route(&[("broker-b", 4, b.address())])));
    assert!(
        a.wait_for_connections(0, PATIENCE),
        "its connection is closed"
    );
    for _ in 0..8 {
        assert_eq!(
            producer.send(&message("x")).unwrap().queue().broker(),
            "broker-b"
        );
    }
    assert_eq!(b.connections(), 1);
}

#[test]
fn a_broker_that_moves_is_found_through_the_failure() {
    let cluster = brokers(2);
    let (a, b) = (cluster.broker("broker-a"), cluster.broker("broker-b"));
    cluster.set_route("T", Some(route(&[("broker-x", 1, a.address())])));
    let producer = producer(&cluster);
    assert!(producer.send(&message("x")).is_ok());
    cluster.set_route("T", Some(route(&[("broker-x", 1, b.address())])));
    a.kill();
    let start = Instant::now();
    eventually("the new address is used", || {
        producer.send(&message("x")).is_ok()
    });
    assert!(start.elapsed() < 5 * SLACK, "not by the refresh each 30 s");
    assert_eq!(cluster.messages("T").last().unwrap().broker(), "broker-b");
}

/// The dial would go to an address without a listener, and never succeed.
#[test]
fn a_topic_that_does_not_exist_yet_follows_the_default_topic() {
    let cluster = brokers(2);
    let (a, b) = (cluster.broker("broker-a"), cluster.broker("broker-b"));
    cluster.set_route("TBW102", Some(route(&[("broker-x", 1, a.address())])));
    let producer = producer(&cluster);
    a.kill();
    let new = Message::new("New", "x");
    assert!(producer.send(&new).is_err());
    cluster.set_route("TBW102", Some(route(&[("broker-x", 1, b.address())])));
    eventually("the new address is used", || producer.send(&new).is_ok());
    assert_eq!(cluster.messages("New").last().unwrap().broker(), "broker-b");
}

#[test]
fn a_static_topic_is_sent_to_the_hosts_of_its_logical_queues() {
    let cluster = brokers(2);
    let mut route = cluster.route("T").expect("a route");
    let mapping = |broker: &str, ids: &[i32]| QueueMapping {
        scope: "__global__".into(),
        total_queues: 4,
        bname: broker.into(),
        epoch: 1,
        curr_id_map: ids.iter().map(|id| (*id, *id)).collect(),
    };
    let by_broker = [("broker-a", [0, 3]), ("broker-b", [1, 2])];
    let by_broker = by_broker.map(|(name, ids)| (name.to_owned(), mapping(name, &ids)));
    route.topic_queue_mapping_by_broker = by_broker.into();
    cluster.set_route("T", Some(route));
    let producer = producer(&cluster);
    for _ in 0..4 {
        let receipt = producer.send(&message("x")).expect("a receipt");
        assert_eq!(receipt.queue().broker(), "__syslo__global__");
    }
    let mut places: Vec<_> = sends(&cluster)
        .iter()
        .map(|request| {
            let field = |name| request.command().ext.get(name).expect("a field").to_owned();
            (field("e"), field("n"))
        })
        .collect();
    places.sort();
    let hosts = ["broker-a", "broker-b", "broker-b", "broker-a"];
    let expected: Vec<_> = hosts
        .iter()
        .enumerate()
        .map(|(id, host)| (id.to_string(), (*host).to_owned()))
        .collect();
    assert_eq!(places, expected);
    // Queries go there too, with a known route and with a new look-up.
    let elsewhere = Producer::builder("other").name_server(cluster.name_server());
    for producer in [producer, elsewhere.start().unwrap()] {
        let admin = producer.admin();
        for queue in admin.publish_queues("T").expect("queues") {
            assert_eq!(admin.max_offset(&queue).expect("an answer"), 1, "{queue}");
        }
    }
}

#[test]
fn a_send_finds_the_new_host_of_a_logical_queue() {
    let cluster = Cluster::builder().brokers(2).start().expect("free ports");
    cluster.create_static_topic("T", &["broker-a"]);
    let producer = producer(&cluster);
    let send = || producer.send(&message("x")).expect("a receipt");
    assert_eq!(send().queue_offset(), 0);
    cluster.move_queue("T", 0, "broker-b");
    let receipt = send();
    assert_eq!((receipt.queue_offset(), receipt.attempts()), (10_000, 2));
    assert_eq!(receipt.queue().broker(), "__syslo__global__");
    let queue = receipt.queue();
    let elsewhere = Producer::builder("other").name_server(cluster.name_server());
    let elsewhere = elsewhere.start().expect("a producer");
    assert!(elsewhere.send(&message("x")).is_ok());
    cluster.move_queue("T", 0, "broker-a");
    assert_eq!(
        elsewhere.admin().max_offset(queue).expect("an answer"),
        20_000
    );
    // A send to a chosen queue has one attempt; the next one has the new route.
    let to_queue = || producer.prepare(&message("x")).queue(queue.clone()).send();
    let error = to_queue().expect_err("another host");
    assert_eq!(
        error.response_code(),
        Some(ResponseCode::NOT_LEADER_FOR_QUEUE)
    );
    eventually("it has the new route", || to_queue().is_ok());
}

/// Its connection is kept by refreshes, as slaves are read from.
#[test]
fn the_connection_to_a_slave_that_a_route_names_is_kept() {
    let cluster = brokers(2);
    let mut route = cluster.route("T").expect("a route");
    let slave = cluster.broker("broker-b").address();
    route
        .broker_datas
        .retain(|data| data.broker_name == "broker-a");
    route
        .queue_datas
        .retain(|data| data.broker_name == "broker-a");
    route.broker_datas[0]
        .broker_addrs
        .insert(1, slave.to_string());
    cluster.set_route("T", Some(route));
    let options = ClientOptions::new()
        .route_interval(ms(10))
        .heartbeat_interval(ms(10));
    let producer = builder(&cluster).options(options).start().unwrap();
    assert!(producer.send(&message("x")).is_ok());
    // Anything that goes there will do: offset ids name addresses.
    let port = slave.port();
    let id = format!("7F000001{port:08X}0000000000000000");
    assert!(producer.admin().view_message("T", &id).is_err());
    assert!(cluster.broker("broker-b").wait_for_connections(1, PATIENCE));
    cluster.clear_requests();
    cluster.wait_for_requests(&On::Route, 5, PATIENCE);
    assert_eq!(cluster.broker("broker-b").connections(), 1);
    let beats = cluster.wait_for_requests(&On::Heartbeat, 5, PATIENCE);
    // A producer is no concern of slaves.
    assert!(
        beats.iter().all(|beat| beat.server() == "broker-a"),
        "{beats:?}"
    );
}
