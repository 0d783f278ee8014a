//! Consumers of this crate on real brokers.

use std::collections::BTreeSet;

use crossbeam_channel::unbounded;
use rocketmq_blocking::{Message, PushConsumer, Retry, StartFrom};

use crate::servers::{PATIENCE, Server};

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn all_messages_are_consumed_once_and_the_broker_knows_how_far() {
    let server = Server::from_env();
    let producer = server.producer("consumers-send").start().unwrap();
    let topic = "ConsumersAll";
    let mut sent = BTreeSet::new();
    let mut send = |count: usize| {
        for _ in 0..count {
            let body = format!("message {}", sent.len());
            let receipt = producer.send(&Message::new(topic, body.clone()));
            assert!(receipt.is_ok(), "{receipt:?}");
            sent.insert(body);
        }
    };
    send(100);
    let (seen, bodies) = unbounded();
    let consumer = PushConsumer::builder("consumers-all")
        .name_server(&server.name_server)
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
        .start(move |message| -> Result<(), Retry> {
            seen.send(message.text()?.to_owned())?;
            Ok(())
        })
        .unwrap();
    send(100);
    let mut got: Vec<String> = Vec::new();
    while got.len() < sent.len() {
        got.push(bodies.recv_timeout(PATIENCE).expect("all messages"));
    }
    assert_eq!(
        consumer.shutdown_within(PATIENCE).to_string(),
        "clean shutdown"
    );
    got.extend(bodies.try_iter());
    assert_eq!(got.len(), sent.len(), "each once");
    assert_eq!(BTreeSet::from_iter(got), sent);
    let admin = producer.admin();
    let mut committed = 0;
    for queue in admin.subscribe_queues(topic).unwrap() {
        let offset = admin.committed_offset("consumers-all", &queue).unwrap();
        let end = admin.max_offset(&queue).unwrap();
        assert_eq!(offset, Some(end), "{queue}");
        committed += end;
    }
    assert_eq!(committed, 200);
}
