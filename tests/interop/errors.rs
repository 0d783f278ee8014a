//! Messages that a broker refuses, or that never reach one.

use std::net::TcpListener;

use rocketmq_blocking::{Batch, Error, ErrorKind, Message, MessageQueue, Producer, SendFate};

use crate::servers::{Server, Version, random};

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_message_over_the_brokers_limit_is_refused_and_not_tried_again() {
    let server = Server::from_env();
    let producer = server
        .producer("errors-size")
        .max_message_size(8 << 20)
        .start()
        .unwrap();
    let message = Message::new("ErrorsSize", random(5 << 20, 1));
    check_illegal(&producer.send(&message).unwrap_err());
    check_illegal(&producer.submit(message.clone()).wait().unwrap_err());
    let half = Message::new("ErrorsSize", random(3 << 20, 2));
    let batch = Batch::new([half.clone(), half.clone()]).unwrap();
    check_large_batch(server.version, &producer.send_batch(&batch).unwrap_err());
    // The connection has survived.
    assert_eq!(producer.send(&half).unwrap().attempts(), 1);
}

/// 5.4.0 has no code for it: it answers with the exception.
#[track_caller]
pub fn check_large_batch(version: Version, error: &Error) {
    if version == Version::V4 {
        return check_illegal(error);
    }
    assert_eq!(error.response_code(), Some(1.into()), "{error:?}");
    assert!(
        error.remark().unwrap().contains("size exceeded"),
        "{error:?}"
    );
    assert_eq!(error.fate(), SendFate::MaybeStored, "{error:?}");
    assert_eq!(error.attempts().len(), 3, "{error:?}");
}

#[track_caller]
pub fn check_illegal(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Broker, "{error:?}");
    assert_eq!(error.response_code(), Some(13.into()), "{error:?}");
    assert!(error.remark().is_some(), "{error:?}");
    assert_eq!(error.fate(), SendFate::NotSent, "{error:?}");
    assert_eq!(error.attempts().len(), 1, "{error:?}");
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_queue_that_does_not_exist_is_refused() {
    let server = Server::from_env();
    let producer = server.producer("errors-queue").start().unwrap();
    let topic = "ErrorsQueue";
    let message = Message::new(topic, "x");
    let last = producer.send(&message).unwrap();

    let beyond = MessageQueue::new(topic, last.queue().broker(), 99);
    let error = producer.prepare(&message).queue(beyond).send().unwrap_err();
    // 4.9 has no code for it, but the remark says so.
    let code = match server.version {
        Version::V5 => 29,
        Version::V4 => 1,
    };
    assert_eq!(error.kind(), ErrorKind::Broker, "{error:?}");
    assert_eq!(error.response_code(), Some(code.into()), "{error:?}");
    assert!(error.remark().unwrap().contains("99"), "{error:?}");
    assert_eq!(error.fate(), SendFate::NotSent, "{error:?}");
    assert_eq!(error.attempts().len(), 1, "{error:?}");

    let elsewhere = MessageQueue::new(topic, "no-such-broker", 0);
    let prepared = producer.prepare(&message).queue(elsewhere);
    let error = prepared.send().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoBroker, "{error:?}");
    assert_eq!(error.fate(), SendFate::NotSent);
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn an_illegal_topic_never_leaves_the_client() {
    let server = Server::from_env();
    let producer = server.producer("errors-topic").start().unwrap();
    for topic in [
        "no such topic!",
        "",
        "topic.with.dots",
        "RMQ_SYS_TRANS_HALF_TOPIC",
    ] {
        let error = producer.send(&Message::new(topic, "x")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{topic}: {error:?}");
        assert_eq!(error.fate(), SendFate::NotSent);
        assert!(error.attempts().is_empty());
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_name_server_that_is_not_there_is_named_and_one_of_two_is_enough() {
    let server = Server::from_env();
    // The address has no listener once this one is gone.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let free = free.unwrap().to_string();
    let message = Message::new("ErrorsNameServer", "x");
    let producer = Producer::builder("errors-name-server")
        .name_server(&free)
        .start()
        .unwrap();
    let error = producer.send(&message).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoNameServer, "{error:?}");
    assert_eq!(error.fate(), SendFate::NotSent);
    assert!(error.attempts().is_empty());
    assert!(error.to_string().contains(&free), "{error}");

    let producer = server
        .producer("errors-name-server")
        .name_server(free)
        .start()
        .unwrap();
    assert_eq!(producer.send(&message).unwrap().queue_offset(), 0);
}
