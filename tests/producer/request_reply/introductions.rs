//! A broker can push a reply only to a client that it knows.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crossbeam_channel::unbounded;
use rocketmq_blocking::embedded::{Cluster, Fault, Gate, On};
use rocketmq_blocking::hook::{SendContext, SendMessageHook, SendOutcome};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{Message, MessageQueue, Producer};

use super::requests::{UNANSWERED, cluster, producer, replier, text};
use crate::support::{PATIENCE, eventually};

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

/// Sends to a broker until the client has noticed that its connection was cut, and has made another one.
fn wait_for_connection(producer: &Producer, broker: &str) {
    let plain = Message::new("Prices", "x");
    eventually("there is a new connection", || {
        let queue = MessageQueue::new("Prices", broker, 0);
        producer.prepare(&plain).queue(queue).send().is_ok()
    });
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
    let gate = Gate::new();
    let _held = silent.inject(Fault::hold(&gate).on(On::Heartbeat));
    silent.disconnect_all();
    wait_for_connection(&producer, "broker-b");
    // Queues take turns: the next one is of the first broker.
    while producer.send(&plain).expect("stored").queue().broker() != "broker-b" {}
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

/// The second attempt waits until the broker knows the client, and ends there with the first one's receipt.
#[test]
fn an_attempt_that_ends_before_it_is_sent_has_its_after_and_is_counted() {
    #[derive(Clone)]
    struct Spy(Arc<Mutex<Vec<String>>>);
    impl SendMessageHook for Spy {
        fn before(&self, context: &SendContext) {
            let text = format!("before {}", context.queue.broker());
            self.0.lock().expect("no panic").push(text);
        }
        fn after(&self, context: &SendContext, outcome: &SendOutcome<'_>) {
            let what = match outcome {
                SendOutcome::Stored(receipt) => receipt.status().to_string(),
                SendOutcome::Failed(error) => error.kind().to_string(),
                other => panic!("{other:?}"),
            };
            let text = format!("after {} {what}", context.queue.broker());
            self.0.lock().expect("no panic").push(text);
        }
    }
    let cluster = Cluster::builder()
        .brokers(2)
        .topic("Prices", 1)
        .start()
        .expect("ports");
    let spy = Spy(Arc::default());
    let producer = Producer::builder("askers")
        .name_server(cluster.name_server())
        .retry_another_broker_when_not_stored(true)
        .async_retries(1)
        .send_timeout(PATIENCE)
        .send_message_hook(spy.clone())
        .start()
        .expect("a producer");
    let [storing, silent] = ["broker-a", "broker-b"].map(|name| cluster.broker(name));
    // The first request makes this client known to the first broker.
    let plain = Message::new("Prices", "x");
    let queue = MessageQueue::new("Prices", "broker-a", 0);
    let _ = producer.prepare(&plain).queue(queue).request(UNANSWERED);
    let gate = Gate::new();
    let held = silent.inject(Fault::hold(&gate).on(On::Heartbeat));
    silent.disconnect_all();
    wait_for_connection(&producer, "broker-b");
    // Queues take turns: the next one is of the first broker.
    while producer.send(&plain).expect("stored").queue().broker() != "broker-b" {}
    storing.inject(Fault::answer(10, "").after_storing().on(On::Send));
    let before = producer.stats();
    spy.0.lock().expect("no panic").clear();
    let (got, replies) = unbounded();
    let question = Message::new("Prices", "1");
    // An attempt at the first broker has half of it.
    producer.request_async(question, Duration::from_secs(4), move |reply| {
        got.send(reply).expect("the test waits");
    });
    assert!(replies.recv_timeout(PATIENCE).expect("an end").is_err());
    assert!(held.hits() > 0);
    let expected = [
        "before broker-a",
        "after broker-a FLUSH_DISK_TIMEOUT",
        "before broker-b",
        "after broker-b timeout",
    ];
    eventually("the last after", || {
        spy.0.lock().expect("no panic").len() >= 4
    });
    assert_eq!(*spy.0.lock().expect("no panic"), expected);
    let stats = producer.stats().since(&before);
    let ended = |name: &str| {
        let broker = stats.brokers.iter().find(|b| &*b.broker == name);
        broker.map_or((0, 0), |b| (b.attempts, b.failures))
    };
    assert_eq!((ended("broker-a"), ended("broker-b")), ((1, 0), (1, 1)));
    gate.open();
}
