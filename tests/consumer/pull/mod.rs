//! Pull consumers: polls, marks, and changes while they run.

mod ends;
mod marks;
mod polls;
mod queues;

use std::time::Instant;

use rocketmq_blocking::consumer::{PullConsumerBuilder, PulledMessage};
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, MessageQueue, Producer, PullConsumer, StartFrom};

use crate::support::{PATIENCE, ms};

fn consumer(cluster: &Cluster) -> PullConsumerBuilder {
    PullConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
}

fn start(builder: PullConsumerBuilder) -> PullConsumer {
    builder.start().expect("a consumer")
}

fn queue(id: i32) -> MessageQueue {
    MessageQueue::new("T", "broker-a", id)
}

/// Sends the numbers to one queue.
fn send(producer: &Producer, queue: &MessageQueue, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        let message = Message::new("T", number.to_string());
        let prepared = producer.prepare(&message).queue(queue.clone());
        let sent = prepared.timeout(PATIENCE).send();
        assert!(sent.is_ok(), "{sent:?}");
    }
}

fn number(message: &PulledMessage) -> usize {
    message.text().expect("text").parse().expect("a number")
}

/// Polls until `count` messages were returned.
#[track_caller]
fn poll(consumer: &PullConsumer, count: usize) -> Vec<PulledMessage> {
    let (start, mut polled) = (Instant::now(), Vec::new());
    while polled.len() < count {
        assert!(start.elapsed() < PATIENCE, "{} of {count}", polled.len());
        polled.extend(consumer.poll(ms(500)).expect("no error"));
    }
    assert_eq!(polled.len(), count);
    polled
}

fn numbers(messages: &[PulledMessage]) -> Vec<usize> {
    messages.iter().map(number).collect()
}

#[track_caller]
fn mark(messages: impl IntoIterator<Item = PulledMessage>) {
    assert!(messages.into_iter().all(PulledMessage::done));
}

#[track_caller]
fn nothing_comes(consumer: &PullConsumer) {
    let polled = consumer.poll(ms(50)).expect("no error");
    assert_eq!(numbers(&polled), [0_usize; 0]);
}
