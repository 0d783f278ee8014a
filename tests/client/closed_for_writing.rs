//! Topics and brokers that are closed for writing, as before maintenance.

use rocketmq_blocking::embedded::{Fault, On};
use rocketmq_blocking::{
    ClientOptions, ErrorKind, MessageView, Producer, SendFate, TransactionProducer,
    TransactionState,
};

use crate::support::*;

/// Fails a send to a topic that is closed for writing, and returns the text.
const CLOSED: &str = "cannot be written to now";

#[track_caller]
fn check_closed(producer: &Producer, mode: Mode) -> bool {
    match mode.send(producer, &message("x")) {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::NoRoute => {
            assert_eq!(error.fate(), SendFate::NotSent, "{error}");
            assert_eq!(error.topic(), Some("T"), "{error}");
            assert!(error.to_string().contains(CLOSED), "{error}");
            true
        }
        Err(error) => panic!("{error}"),
    }
}

/// As before maintenance. The topic has been written to, and its queues are known.
#[test]
fn a_topic_closed_for_writing_is_left_at_the_next_refresh_and_written_to_again_when_it_is_open() {
    let cluster = cluster();
    let options = ClientOptions::new().route_interval(ms(10));
    let producer = builder(&cluster).options(options).start().unwrap();
    assert!(producer.send(&message("x")).is_ok());
    for (mode, perm) in MODES.into_iter().zip([4, 0]) {
        cluster.set_permission("T", "broker-a", perm);
        eventually("sends fail", || check_closed(&producer, mode));
        let stored = cluster.message_count("T");
        assert!(check_closed(&producer, mode));
        let oneway = producer.send_oneway(&message("x")).unwrap_err();
        assert_eq!(oneway.kind(), ErrorKind::NoRoute, "{oneway}");
        assert_eq!(cluster.message_count("T"), stored);
        cluster.set_permission("T", "broker-a", 6);
        eventually("sends succeed", || !check_closed(&producer, mode));
    }
}

/// Without waiting for the refresh each 30 s: the broker's refusal, and sends that fail, are why.
#[test]
fn a_topic_closed_for_writing_is_looked_at_out_of_turn() {
    let cluster = cluster();
    let producer = producer(&cluster);
    assert!(producer.send(&message("x")).is_ok());
    cluster.set_permission("T", "broker-a", 4);
    let refused = Fault::answer(16, "the broker is not writable").on(On::Send);
    let refused = cluster.broker("broker-a").inject(refused);
    eventually("the route is known to be closed", || {
        error(producer.send(&message("x"))).kind() == ErrorKind::NoRoute
    });
    refused.remove();
    cluster.set_permission("T", "broker-a", 6);
    eventually("sends succeed", || !check_closed(&producer, Mode::Sync));
}

/// A topic with two brokers goes on with the one that is open.
#[test]
fn a_broker_closed_for_writing_is_left_and_the_other_one_used() {
    let cluster = brokers(2);
    let options = ClientOptions::new().route_interval(ms(10));
    let producer = builder(&cluster).options(options).start().unwrap();
    assert_eq!(queues_seen(&producer, "T").len(), 8);
    cluster.set_permission("T", "broker-a", 4);
    eventually("its queues are gone", || {
        queues_seen(&producer, "T").len() == 4
    });
    for _ in 0..8 {
        let receipt = producer.send(&message("x")).expect("stored");
        assert_eq!(receipt.queue().broker(), "broker-b");
    }
}

/// It was stored before.
#[test]
fn the_end_of_a_transaction_is_sent_although_its_topic_is_closed() {
    let cluster = cluster();
    let check = |_: &MessageView| TransactionState::Unknown;
    let options = ClientOptions::new().route_interval(ms(10));
    let builder = TransactionProducer::builder("payments", check).options(options);
    let producer = builder.name_server(cluster.name_server()).start().unwrap();
    let receipt = producer.send_in_transaction(&message("x"), |_| {
        cluster.set_permission("T", "broker-a", 4);
        let plain = producer.producer();
        eventually("sends fail", || check_closed(plain, Mode::Sync));
        Ok(TransactionState::Commit)
    });
    let id = receipt.expect("sent").transaction_id().to_owned();
    let end = cluster.wait_for_end(&id, 1, PATIENCE).expect("told");
    assert_eq!(end.state(), TransactionState::Commit);
}
