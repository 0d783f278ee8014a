//! A broker that creates no topics and takes small messages only.

use rocketmq_blocking::{Batch, Delivery, Error, ErrorKind, Message, Producer, SendReceipt};

use crate::errors::{check_illegal, check_large_batch};
use crate::server::{Server, env, eventually, random, text};
use crate::stored::{Sent, check};
use crate::wire;

fn server() -> Server {
    let conf = env("ROCKETMQ_BROKER_CONF");
    assert_eq!(conf, "autoCreateTopicEnable=false maxMessageSize=8192");
    Server::from_env()
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn an_unknown_topic_has_no_route_until_somebody_creates_it() {
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
        said.contains("no writable queue")
    });
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
    assert_eq!(error.response_code(), Some(17), "{error:?}");
    assert_eq!(error.delivery(), Delivery::NotSent, "{error:?}");
    assert_eq!(error.attempts().len(), 3, "{error:?}");
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn the_brokers_limit_holds_for_what_is_on_the_wire() {
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
fn check_no_route(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::NoRoute, "{error:?}");
    assert_eq!(error.delivery(), Delivery::NotSent, "{error:?}");
    assert!(error.attempts().is_empty(), "{error:?}");
}

/// Sends as soon as the name server has heard of a new topic.
fn first_receipt(producer: &Producer, message: &Message) -> SendReceipt {
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
