//! A broker can push a reply only to a client that it knows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::unbounded;
use rocketmq_blocking::embedded::{Cluster, Fault, Gate, On};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{Message, MessageQueue};

use super::requests::{UNANSWERED, cluster, producer, replier, text};
use crate::support::PATIENCE;

#[test]
fn every_broker_knows_the_client_before_it_gets_the_request() {
    let cluster = Cluster::builder()
        .brokers(2)
        .topic("Prices", 1)
        .start()
        .expect("ports");
    let producer = producer(&cluster, "askers");
    let question = Message::new("Prices", "x");
    for _ in 0..3 {
        thread::scope(|scope| {
            for i in 0..8 {
                let (producer, question) = (&producer, &question);
                let queue = ["broker-a", "broker-b"][i % 2];
                let queue = MessageQueue::new("Prices", queue, 0);
                let timeout = UNANSWERED;
                scope.spawn(move || {
                    // There is no reply, or the connection has just been broken.
                    let asked = producer.prepare(question).queue(queue).request(timeout);
                    assert!(asked.is_err());
                });
            }
        });
        for broker in cluster.brokers() {
            broker.disconnect_all();
        }
    }
    let mut known = BTreeSet::new();
    for one in cluster.requests(&On::Any) {
        match one.command().code {
            request::HEART_BEAT => drop(known.insert(one.connection())),
            request::SEND_MESSAGE_V2 => assert!(known.contains(&one.connection())),
            _ => {}
        }
    }
    assert!(known.len() >= 4, "{known:?}");
    assert!(cluster.message_count("Prices") >= 8);
}

/// The new connection also gets the background heartbeat, without a waiter: both are held.
#[test]
fn a_request_sent_again_goes_over_a_connection_that_the_broker_knows() {
    for asynchronous in [false, true] {
        let cluster = cluster();
        replier(&cluster, |question| format!("re {question}"));
        let broker = cluster.broker("broker-a");
        let producer = Arc::new(producer(&cluster, "askers"));
        assert!(
            producer
                .request(&Message::new("Prices", "1"), PATIENCE)
                .is_ok()
        );
        let away = broker.inject(Fault::go_away().on(On::send_to("Prices")).once());
        let gate = Gate::new();
        let held = broker.inject(Fault::hold(&gate).on(On::Heartbeat));
        let (got, replies) = unbounded();
        let answered = move |reply| got.send(reply).expect("the test waits");
        let question = Message::new("Prices", "2");
        match asynchronous {
            true => producer.request_async(question, PATIENCE, answered),
            false => {
                let asker = producer.clone();
                thread::spawn(move || answered(asker.request(&question, PATIENCE)));
            }
        }
        assert!(held.wait_hits(2, PATIENCE), "{asynchronous}");
        assert_eq!((away.hits(), cluster.message_count("Prices")), (1, 1));
        gate.open();
        let reply = replies.recv_timeout(PATIENCE).expect("an end");
        assert_eq!(text(&reply.expect("a reply")), "re 2");
    }
}

/// The broker of the retries does not answer heartbeats: that must not affect other sends.
#[test]
fn requests_that_wait_to_be_introduced_hold_up_no_other_retries() {
    let cluster = Cluster::builder()
        .brokers(2)
        .topic("Prices", 1)
        .start()
        .expect("ports");
    replier(&cluster, |question| format!("re {question}"));
    let producer = producer(&cluster, "askers");
    let [failing, silent] = ["broker-a", "broker-b"].map(|name| cluster.broker(name));
    let plain = Message::new("Prices", "x");
    // Queues take turns: the next one is of the first broker.
    while producer.send(&plain).expect("stored").queue().broker() != "broker-b" {}
    let gate = Gate::new();
    let _held = silent.inject(Fault::hold(&gate).on(On::Heartbeat));
    silent.disconnect_all();
    failing.inject(Fault::hang_up().on(On::Send));
    let (got, replies) = unbounded();
    for _ in 0..4 {
        let got = got.clone();
        producer.request_async(Message::new("Prices", "1"), PATIENCE, move |reply| {
            got.send(reply).expect("the test waits");
        });
        assert!(producer.send(&Message::new("Prices", "not asking")).is_ok());
    }
    let sent = producer.submit(Message::new("Prices", "not asking either"));
    assert_eq!(sent.wait().expect("stored").attempts(), 2);
    assert!(replies.is_empty());
    gate.open();
    for _ in 0..4 {
        let reply = replies.recv_timeout(PATIENCE).expect("all");
        assert_eq!(text(&reply.expect("a reply")), "re 1");
    }
}
