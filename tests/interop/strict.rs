//! A broker that creates no topics and takes small messages only.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rocketmq_blocking::{
    Batch, Error, ErrorKind, Message, Producer, PushConsumer, Retry, SendFate, SendReceipt,
    StartFrom,
};

use crate::errors::{check_illegal, check_large_batch};
use crate::servers::stored::{Sent, check};
use crate::servers::topic::Topic;
use crate::servers::wire;
use crate::servers::{Over, PATIENCE, Server, env, eventually, random, text};

pub fn server() -> Server {
    let conf = env("ROCKETMQ_BROKER_CONF");
    let strict = "autoCreateTopicEnable=false maxMessageSize=8192";
    assert!(conf.starts_with(strict), "{conf}");
    Server::from_env()
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn an_unknown_topic_has_no_route_until_it_is_created() {
    let server = server();
    let broker = &server.brokers[0].address;
    let producer = server.producer("strict-unknown").start().unwrap();
    let topic = "StrictUnknown";
    let message = Message::new(topic, "x");
    let error = producer.send(&message).unwrap_err();
    check_no_route(&error);
    assert!(error.to_string().contains(topic), "{error}");
    check_no_route(&producer.submit(message.clone()).wait().unwrap_err());
    check_no_route(&producer.send_oneway(&message).unwrap_err());

    wire::create_topic(broker, topic, 2, 6);
    let receipt = first_receipt(&producer, &message);
    let sent = [Sent::stored(message, &receipt)];
    check(server.version, &sent, &server.read_back(topic, 1));
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_topic_that_cannot_be_written_has_no_route_either() {
    let server = server();
    let broker = &server.brokers[0].address;
    let topic = "StrictReadOnly";
    wire::create_topic(broker, topic, 2, 4);
    let producer = server.producer("strict-read-only").start().unwrap();
    let message = Message::new(topic, "x");
    let mut said = String::new();
    eventually("the name server knows the topic", || {
        let error = producer.send(&message).unwrap_err();
        check_no_route(&error);
        said = error.to_string();
        said.contains("cannot be written to now")
    });
}

/// Also for a group that starts at the end: it knows that the topic is new.
#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_topic_that_is_created_later_is_consumed_from_its_first_message() {
    let server = server();
    let topic = "StrictLater";
    let (seen, bodies) = crossbeam_channel::unbounded();
    let consumer = PushConsumer::builder("strict-later")
        .name_server(&server.name_server)
        .subscribe(topic, "*")
        .start(move |message| -> Result<(), Retry> {
            seen.send(message.text()?.to_owned())?;
            Ok(())
        })
        .unwrap();
    let queues = consumer.assignment().into_iter();
    assert_eq!(queues.filter(|queue| queue.topic() == topic).count(), 0);
    wire::create_topic(&server.brokers[0].address, topic, 2, 6);
    let producer = server.producer("strict-later-send").start().unwrap();
    let receipt = first_receipt(&producer, &Message::new(topic, "first"));
    assert_eq!(receipt.queue_offset(), 0);
    let body = bodies.recv_timeout(PATIENCE).expect("the first message");
    assert_eq!(body, "first");
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_trace_without_a_topic_is_lost_and_counted_and_harms_nothing() {
    const NONE: &str = "StrictNoTrace";
    let server = server();
    let (group, topic) = ("strict-trace", Topic::create(&server, "StrictTrace", 1));
    let producer = server.producer(group).trace_topic(NONE).start().unwrap();
    for n in 0..10 {
        topic.send_by(&producer, 0, &topic.message(n.to_string()));
    }
    let (seen, bodies) = crossbeam_channel::unbounded();
    let consumer = PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic.name, "*")
        .start_from(StartFrom::First)
        .trace_topic(NONE)
        .start(move |message| -> Result<(), Retry> {
            seen.send(message.text()?.to_owned())?;
            Ok(())
        })
        .unwrap();
    let next = |_| bodies.recv_timeout(PATIENCE).expect("a message in time");
    assert_eq!((0..10).map(next).collect::<BTreeSet<_>>().len(), 10);
    assert!(consumer.shutdown_within(2 * PATIENCE).is_clean());
    assert!(producer.shutdown_within(2 * PATIENCE).is_clean());
    assert_eq!(topic.committed(group), [10]);
    assert_eq!(producer.stats().trace_lost, 10);
    // One before and one after each call of the handler.
    assert_eq!(consumer.stats().trace_lost, 20);
}

/// The name server still knows a topic that the broker has forgotten.
#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_deleted_topic_is_refused_by_the_broker_after_all_attempts() {
    let server = server();
    let broker = &server.brokers[0].address;
    let topic = "StrictDeleted";
    wire::create_topic(broker, topic, 1, 6);
    let producer = server.producer("strict-deleted").start().unwrap();
    let message = Message::new(topic, "x");
    let receipt = first_receipt(&producer, &message);
    assert_eq!(receipt.queue().id(), 0);
    wire::delete_topic(broker, topic);
    let error = producer.send(&message).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broker, "{error:?}");
    assert_eq!(error.response_code(), Some(17.into()), "{error:?}");
    assert_eq!(error.fate(), SendFate::NotSent, "{error:?}");
    assert_eq!(error.attempts().len(), 3, "{error:?}");
}

/// Senders have queues in mind that are not there any more.
#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn the_number_of_queues_may_change_under_load_and_no_error_reaches_a_sender() {
    let server = server();
    let broker = &server.brokers[0].address;
    let topic = "StrictResized";
    wire::create_topic(broker, topic, 8, 6);
    // The name server gets the change a moment later, or more on a busy machine.
    let setup = server.producer("strict-resized").retries(50);
    let producer = setup.async_retries(50).start().unwrap();
    let message = Message::new(topic, "x");
    let _ = first_receipt(&producer, &message);
    let (sent, over) = (AtomicUsize::new(1), AtomicBool::new(false));
    thread::scope(|scope| {
        let _over = Over(&over);
        for i in 0..8 {
            let (producer, message, sent, over) = (&producer, &message, &sent, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let result = match i % 2 {
                        0 => producer.send(message),
                        _ => producer.submit(message.clone()).wait(),
                    };
                    let _ = result.unwrap();
                    sent.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(1));
                }
            });
        }
        for queues in [4, 8, 2, 6, 1] {
            wire::create_topic(broker, topic, queues, 6);
            let before = sent.load(Ordering::Relaxed);
            eventually("sends go on", || {
                sent.load(Ordering::Relaxed) >= before + 500
            });
        }
    });
    let receipt = producer.send(&message).unwrap();
    assert_eq!(receipt.queue().id(), 0);
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn the_brokers_limit_applies_to_the_size_on_the_wire() {
    let server = server();
    let broker = &server.brokers[0].address;
    let topic = "StrictSize";
    wire::create_topic(broker, topic, 1, 6);
    let producer = server.producer("strict-size").start().unwrap();
    let small = Message::new(topic, random(8000, 1));
    let mut sent = vec![Sent::stored(
        small.clone(),
        &first_receipt(&producer, &small),
    )];
    let large = Message::new(topic, random(9000, 2));
    check_illegal(&producer.send(&large).unwrap_err());
    let batch = Batch::new([small.clone(), small]).unwrap();
    check_large_batch(server.version, &producer.send_batch(&batch).unwrap_err());
    // Compressed, it fits.
    let large = Message::new(topic, text(50_000, "large"));
    let receipt = producer.send(&large).unwrap();
    sent.push(Sent::stored(large, &receipt).compressed(true));
    check(server.version, &sent, &server.read_back(topic, sent.len()));
}

#[track_caller]
pub fn check_no_route(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::NoRoute, "{error:?}");
    assert_eq!(error.fate(), SendFate::NotSent, "{error:?}");
    assert!(error.attempts().is_empty(), "{error:?}");
}

/// Sends as soon as the name server has heard of a new topic.
pub fn first_receipt(producer: &Producer, message: &Message) -> SendReceipt {
    let mut receipt = None;
    eventually("the topic has a route", || match producer.send(message) {
        Ok(stored) => {
            receipt = Some(stored);
            true
        }
        Err(error) => {
            check_no_route(&error);
            false
        }
    });
    receipt.unwrap()
}
