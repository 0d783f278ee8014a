//! Push consumers that ask their brokers how messages are to be asked for, on real brokers.

use std::collections::BTreeSet;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::PushConsumerBuilder;
use rocketmq_blocking::{
    Client, ClientOptions, Message, MessageQueue, MessageView, Producer, PushConsumer,
    ResponseCode, Retry, StartFrom,
};

use crate::servers::{PATIENCE, Server, Version, eventually};

/// Brokers look for messages whose time is over once a second, and copy them a while later.
const AGAIN: Duration = Duration::from_secs(60);

fn consumer(server: &Server, group: &str, topic: &str) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
        .broker_assignment(true)
}

fn send(producer: &Producer, topic: &str, count: usize) -> BTreeSet<String> {
    let bodies: BTreeSet<String> = (0..count).map(|n| format!("message {n}")).collect();
    for body in &bodies {
        let receipt = producer.send(&Message::new(topic, body.clone()));
        assert!(receipt.is_ok(), "{receipt:?}");
    }
    bodies
}

fn start(
    builder: PushConsumerBuilder,
    decide: impl Fn(&MessageView) -> Result<(), Retry> + Send + Sync + 'static,
) -> (PushConsumer, Receiver<MessageView>) {
    let (seen, messages) = unbounded();
    let started = builder.start(move |message| {
        seen.send(message.clone()).ok();
        decide(message)
    });
    (started.expect("a consumer"), messages)
}

#[track_caller]
fn take(messages: &Receiver<MessageView>, count: usize) -> BTreeSet<String> {
    let next = || messages.recv_timeout(AGAIN).expect("a message in time");
    let taken = (0..count).map(|_| next().text().expect("text").to_owned());
    taken.collect()
}

fn queues(consumer: &PushConsumer) -> Vec<MessageQueue> {
    let queues = consumer.assignment().into_iter();
    queues.filter(|queue| !queue.is_retry()).collect()
}

/// Has brokers of 5.x pop the topic. Those of 4.x say that they cannot.
fn pop(server: &Server, group: &str, topic: &str) {
    let options = ClientOptions::new().name_server(&server.name_server);
    let client = Client::start(options).unwrap();
    let set = client.admin().group(group).set_pop(topic, 0);
    match server.version {
        Version::V5 => set.expect("the mode"),
        _ => {
            let error = set.expect_err("no such request");
            let code = ResponseCode::REQUEST_CODE_NOT_SUPPORTED;
            assert_eq!(error.response_code(), Some(code), "{error}");
        }
    }
    client.shutdown();
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn brokers_have_messages_popped_or_pulled() {
    let server = Server::from_env();
    let (topic, group) = ("Popped", "popped");
    let producer = server.producer("popped-send").start().unwrap();
    let mut sent = send(&producer, topic, 40);
    pop(&server, group, topic);
    let (one, seen) = start(consumer(&server, group, topic), |_| Ok(()));
    assert_eq!(take(&seen, 40), sent);
    let any = queues(&one).iter().all(|queue| queue.id() == -1);
    assert_eq!(any, server.version == Version::V5, "{:?}", queues(&one));
    eventually("nothing is left", || one.lag().messages() == Some(0));
    // With a second member, each message has one handler.
    let builder = consumer(&server, group, topic).instance_name("two");
    let (two, more) = start(builder, |_| Ok(()));
    sent = send(&producer, topic, 40);
    eventually("all are handled", || seen.len() + more.len() >= 40);
    for member in [&one, &two] {
        assert!(member.shutdown_within(PATIENCE).is_clean());
    }
    assert_eq!(seen.len() + more.len(), 40);
    let all = seen.try_iter().chain(more.try_iter());
    let all: BTreeSet<String> = all.map(|m| m.text().unwrap().to_owned()).collect();
    assert_eq!(all, sent);
    // What was acknowledged or committed does not come again.
    let (three, seen) = start(consumer(&server, group, topic), |_| Ok(()));
    sent = send(&producer, topic, 1);
    assert_eq!(take(&seen, 1), sent);
    assert!(three.shutdown_within(PATIENCE).is_clean());
    assert!(seen.is_empty());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn failed_messages_come_again_become_dead_letters_or_stay_hidden() {
    let server = Server::from_env();
    if server.version != Version::V5 {
        // They are pulled there, which other tests cover.
        return;
    }
    let (topic, group) = ("PoppedFails", "popped-fails");
    let producer = server.producer("popped-fails-send").start().unwrap();
    let _ = send(&producer, topic, 3);
    pop(&server, group, topic);
    let builder = consumer(&server, group, topic).invisible_time(Duration::from_secs(3));
    let (popping, seen) = start(builder, |message| {
        match (message.text()?, message.reconsume_times()) {
            ("message 0", 0) => Err(Retry::level(1)),
            ("message 1", _) => Err(Retry::dead_letter()),
            // Longer than it is hidden at first.
            ("message 2", _) => {
                std::thread::sleep(Duration::from_secs(10));
                Ok(())
            }
            _ => Ok(()),
        }
    });
    let taken = take(&seen, 3);
    assert_eq!(taken.len(), 3, "{taken:?}");
    let again = seen.recv_timeout(AGAIN).expect("it comes again");
    assert_eq!(again.text().unwrap(), "message 0");
    assert_eq!((again.reconsume_times(), again.topic()), (1, topic));
    eventually("three are settled", || {
        let stats = popping.stats();
        (stats.handled, stats.dead_lettered, stats.sent_back) == (2, 1, 1)
    });
    assert!(popping.shutdown_within(PATIENCE).is_clean());
    assert_eq!(dead_letters(&server, group), ["message 1"]);
    // Nothing is left that could come again.
    let (later, seen) = start(consumer(&server, group, topic), |_| Ok(()));
    let waited = seen.recv_timeout(Duration::from_secs(10));
    assert!(waited.is_err(), "{waited:?}");
    assert!(later.shutdown_within(PATIENCE).is_clean());
}

/// The dead letters of a group, read by another one.
fn dead_letters(server: &Server, group: &str) -> Vec<String> {
    let builder = PushConsumer::builder(format!("{group}-dead"))
        .name_server(&server.name_server)
        .subscribe(format!("%DLQ%{group}"), "*")
        .start_from(StartFrom::First);
    let (reading, seen) = start(builder, |_| Ok(()));
    let first = seen.recv_timeout(AGAIN).expect("a dead letter");
    assert!(reading.shutdown_within(PATIENCE).is_clean());
    let all = std::iter::once(first).chain(seen.try_iter());
    all.map(|m| m.text().unwrap().to_owned()).collect()
}
