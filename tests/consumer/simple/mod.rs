//! Consumers that acknowledge messages one by one: what is handed out, what an ack achieves, and what comes
//! again.

mod acks;
mod ends;
mod ledger;
mod observe;
mod ordered;
mod receives;
mod refusals;
mod wire;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rocketmq_blocking::consumer::{AckStatus, ReceivedMessage, SimpleConsumerBuilder};
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{SimpleConsumer, StartFrom};

use crate::support::{PATIENCE, eventually};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

/// Soon over, and yet longer than an answer takes on a loaded machine.
const SHORT: Duration = Duration::from_secs(2);

/// Over within a test, for messages that are handed out or settled before, also on a loaded machine.
const MEDIUM: Duration = Duration::from_secs(4);

fn consumer(cluster: &Cluster) -> SimpleConsumerBuilder {
    SimpleConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .wait(PATIENCE)
}

fn start(builder: SimpleConsumerBuilder) -> SimpleConsumer {
    builder.start().expect("a consumer")
}

/// Receives until so many have come.
#[track_caller]
fn receive(consumer: &SimpleConsumer, count: usize, invisible: Duration) -> Vec<ReceivedMessage> {
    let (start, mut received) = (Instant::now(), Vec::new());
    while received.len() < count {
        assert!(start.elapsed() < PATIENCE, "{} of {count}", received.len());
        received.extend(consumer.receive(32, invisible).expect("no error"));
    }
    assert_eq!(received.len(), count);
    received
}

#[track_caller]
fn nothing_comes(consumer: &SimpleConsumer) {
    let received = consumer.receive_within(32, LONG, Duration::ZERO);
    assert_eq!(bodies(&received.expect("no error")), BTreeSet::new());
}

fn bodies<'a>(messages: impl IntoIterator<Item = &'a ReceivedMessage>) -> BTreeSet<String> {
    let body = |message: &ReceivedMessage| message.text().expect("text").to_owned();
    messages.into_iter().map(body).collect()
}

#[track_caller]
fn ack(message: &ReceivedMessage) {
    assert_eq!(message.ack().expect("no error"), AckStatus::Confirmed);
}

/// Waits until the message's time is over.
fn expire(message: &ReceivedMessage) {
    eventually("its time is over", || {
        Instant::now() >= message.expires_at()
    });
}
