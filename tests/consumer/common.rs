//! Shared by the tests of consumers.

use std::collections::BTreeSet;

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::PushConsumerBuilder;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{
    Message, MessageQueue, Producer, PullConsumer, PushConsumer, Retry, StartFrom,
};

use crate::support::{PATIENCE, ms};

/// A consumer of all messages of `T`.
pub fn consumer(cluster: &Cluster) -> PushConsumerBuilder {
    PushConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
}

/// Starts it with a handler that sends the bodies to a channel.
pub fn bodies(builder: PushConsumerBuilder) -> (PushConsumer, Receiver<String>) {
    let (seen, bodies) = unbounded();
    let started = builder.start(move |message| -> Result<(), Retry> {
        seen.send(message.text()?.to_owned())?;
        Ok(())
    });
    (started.expect("a consumer"), bodies)
}

/// Sends messages, each with more time than a busy machine needs.
pub fn send(producer: &Producer, bodies: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    let bodies: BTreeSet<String> = bodies.into_iter().map(|n| format!("message {n}")).collect();
    for body in &bodies {
        let message = Message::new("T", body.clone());
        let sent = producer.prepare(&message).timeout(PATIENCE).send();
        assert!(sent.is_ok(), "{sent:?}");
    }
    bodies
}

#[track_caller]
pub fn take(bodies: &Receiver<String>, count: usize) -> Vec<String> {
    let next = || bodies.recv_timeout(PATIENCE).expect("a message in time");
    (0..count).map(|_| next()).collect()
}

/// A pull consumer of all messages of `T`, which commits soon.
pub fn pull(cluster: &Cluster) -> PullConsumer {
    let builder = PullConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .commit_interval(ms(10));
    builder.start().expect("a consumer")
}

/// Reads to the end, and marks everything.
pub fn read(consumer: &PullConsumer) -> Vec<i64> {
    let read = consumer.messages().until_caught_up().map(|message| {
        let message = message.expect("no error");
        let offset = message.queue_offset();
        assert!(message.done());
        offset
    });
    read.collect()
}

/// The queues of `T`, each with its end.
pub fn ends(cluster: &Cluster) -> Vec<(MessageQueue, i64)> {
    let end = |queue: i32| {
        let stored = cluster.messages("T");
        stored.iter().filter(|m| m.queue_id() == queue).count() as i64
    };
    let queue = |id| MessageQueue::new("T", "broker-a", id);
    (0..4).map(|id| (queue(id), end(id))).collect()
}
