//! What brokers learn about the groups of a client, and when.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::unbounded;
use parking_lot::Mutex;
use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::protocol::Command;
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{
    Client, ClientOptions, Message, MessageView, Producer, TransactionProducer, TransactionState,
};

use crate::support::*;

/// A server that is name server and broker under one address, as the proxy of brokers 5.x: its
/// routes name itself. Records the request codes by connection.
fn proxy() -> (Stub, Arc<Mutex<Vec<i32>>>) {
    let codes = Arc::new(Mutex::new(Vec::new()));
    let (seen, own) = (codes.clone(), Arc::new(Mutex::new(None)));
    let address = own.clone();
    let stub = Stub::start(move |mut peer| {
        while let Some(command) = peer.read() {
            seen.lock().push(command.code);
            match command.code {
                request::GET_ROUTEINFO_BY_TOPIC => {
                    let own = address.lock().expect("it was started");
                    let route = route(&[("proxy", 4, own)]).encode();
                    let answer = Command::response_to(&command, 0);
                    peer.write(&answer.with_body(route));
                }
                _ => peer.answer(&command),
            }
        }
    });
    *own.lock() = Some(stub.address);
    (stub, codes)
}

#[test]
fn an_address_that_is_name_server_and_broker_gets_heartbeats_and_unregistrations() {
    let (stub, codes) = proxy();
    let count = |code: i32| codes.lock().iter().filter(|seen| **seen == code).count();
    let builder = Producer::builder("g").name_server(stub.address.to_string());
    let producer = builder.start().unwrap();
    assert!(producer.send(&message("x")).is_ok());
    // Long before the interval of 30 s.
    eventually("it gets the group", || count(request::HEART_BEAT) >= 1);
    let other = Producer::builder("other").client(producer.client());
    let other = other.start().unwrap();
    eventually("it gets another one", || count(request::HEART_BEAT) >= 2);
    assert!(other.shutdown_within(PATIENCE).is_clean());
    // A client that ends waits only a moment for it.
    eventually("one leaves", || count(request::UNREGISTER_CLIENT) == 1);
    assert!(producer.shutdown_within(PATIENCE).is_clean());
    eventually("both leave", || count(request::UNREGISTER_CLIENT) == 2);
}

/// The broker whose heartbeat answer a request waits for.
#[test]
fn a_request_over_such_an_address_waits_until_it_has_heard_of_the_group() {
    let (stub, codes) = proxy();
    let builder = Producer::builder("g").name_server(stub.address.to_string());
    let producer = builder.start().unwrap();
    // There is no reply.
    assert!(producer.request(&message("x"), ms(2000)).is_err());
    let codes = codes.lock();
    let first = |code| codes.iter().position(|seen| *seen == code);
    let (beat, send) = (first(request::HEART_BEAT), first(request::SEND_MESSAGE_V2));
    assert!(beat.is_some() && beat < send, "{codes:?}");
}

#[test]
fn a_name_server_outside_all_routes_gets_no_heartbeat() {
    let cluster = cluster();
    let options = ClientOptions::new().heartbeat_interval(ms(10));
    let producer = builder(&cluster).options(options).start().unwrap();
    assert!(producer.send(&message("x")).is_ok());
    let beats = cluster.wait_for_requests(&On::Heartbeat, 5, PATIENCE);
    assert!(
        beats.iter().all(|beat| beat.server() == "broker-a"),
        "{beats:?}"
    );
    drop(producer);
    let gone = cluster.wait_for_requests(&On::Unregister, 1, PATIENCE);
    assert!(!gone.is_empty());
    assert!(
        gone.iter().all(|gone| gone.server() == "broker-a"),
        "{gone:?}"
    );
}

fn groups(cluster: &Cluster, broker: &str) -> BTreeMap<String, Vec<String>> {
    cluster.broker(broker).producers()
}

/// The half messages of the process before it are asked about within their time.
#[test]
fn a_transaction_producer_that_only_starts_is_found_by_the_brokers_of_its_topics_at_once() {
    let cluster = brokers(2);
    let start = |state: TransactionState| {
        let (asked, questions) = unbounded();
        let check = move |half: &MessageView| {
            let _ = asked.send(half.unique_key().map(str::to_owned));
            state
        };
        let builder = TransactionProducer::builder("payments", check);
        let builder = builder.name_server(cluster.name_server()).topics(["T"]);
        (builder.start().expect("started"), questions)
    };
    let (before, _) = start(TransactionState::Unknown);
    let open = before.send_in_transaction(&message("x"), |_| Ok(TransactionState::Unknown));
    let id = open.expect("sent").transaction_id().to_owned();
    cluster.wait_for_end(&id, 1, PATIENCE).expect("told");
    before.shutdown();
    for broker in ["broker-a", "broker-b"] {
        eventually("the broker knows that it is gone", || {
            groups(&cluster, broker).is_empty()
        });
    }
    assert_eq!(cluster.check_transactions(), 0, "no producer is connected");

    let (_after, questions) = start(TransactionState::Commit);
    for broker in ["broker-a", "broker-b"] {
        eventually("the broker knows the producer", || {
            groups(&cluster, broker).contains_key("payments")
        });
    }
    assert_eq!(cluster.check_transactions(), 1);
    let asked = questions.recv_timeout(PATIENCE).expect("a question");
    assert_eq!(asked, Some(id));
}

/// As in Java. A producer without topics connects nothing.
#[test]
fn brokers_of_named_topics_get_a_heartbeat_before_the_first_send() {
    let cluster = cluster();
    let _producer = builder(&cluster).topics(["T"]).start().unwrap();
    let all = cluster.wait_for_requests(&On::Any, 2, PATIENCE);
    let codes: Vec<i32> = all.iter().map(|r| r.command().code).collect();
    assert_eq!(
        codes,
        [request::GET_ROUTEINFO_BY_TOPIC, request::HEART_BEAT]
    );
}

/// The route names it at its new address, and nothing was sent there yet.
#[test]
fn a_new_broker_of_a_needed_topic_gets_a_heartbeat_at_once() {
    let cluster = brokers(2);
    cluster.set_queues("T", "broker-b", 0, 0);
    let mut only_a = cluster.route("T").expect("a route");
    only_a
        .broker_datas
        .retain(|data| data.broker_name == "broker-a");
    cluster.set_route("T", Some(only_a));
    let check = |_: &MessageView| TransactionState::Commit;
    let builder = TransactionProducer::builder("payments", check).topics(["T"]);
    let options = ClientOptions::new().route_interval(ms(20));
    let builder = builder.name_server(cluster.name_server()).options(options);
    let _producer = builder.start().expect("started");
    eventually("the first broker knows the producer", || {
        groups(&cluster, "broker-a").contains_key("payments")
    });
    assert!(groups(&cluster, "broker-b").is_empty());
    cluster.set_route("T", None);
    eventually("the other broker knows it", || {
        groups(&cluster, "broker-b").contains_key("payments")
    });
}

#[test]
fn a_second_producer_of_a_group_is_refused_until_the_first_one_is_gone() {
    let cluster = cluster();
    let client = Client::start(ClientOptions::new().name_server(cluster.name_server())).unwrap();
    let start = || Producer::builder("g").client(&client).start();
    let first = start().expect("started");
    let refused = start().expect_err("a second one");
    let text = refused.to_string();
    assert!(
        text.contains("producer group g is already in use"),
        "{text}"
    );
    drop(first);
    let again = start().expect("started");
    assert!(again.send(&Message::new("T", "x")).is_ok());
}
