//! Messages in order.

use std::thread;
use std::time::Instant;

use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{Message, MessageQueue, Producer, SimpleConsumer};

use super::{LONG, MEDIUM, SHORT, ack, consumer, nothing_comes, receive, start};
use crate::support::{PATIENCE, cluster, eventually, ms, producer};

fn ordered(cluster: &Cluster) -> SimpleConsumer {
    start(consumer(cluster).ordered())
}

fn send(producer: &Producer, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        let queue = MessageQueue::new("T", "broker-a", 0);
        let message = Message::new("T", number.to_string());
        let prepared = producer.prepare(&message).queue(queue);
        let sent = prepared.timeout(PATIENCE).send();
        assert!(sent.is_ok(), "{sent:?}");
    }
}

fn numbers(messages: &[rocketmq_blocking::consumer::ReceivedMessage]) -> Vec<usize> {
    let number = |m: &rocketmq_blocking::consumer::ReceivedMessage| {
        m.text().expect("text").parse().expect("a number")
    };
    messages.iter().map(number).collect()
}

#[test]
fn a_queue_yields_nothing_until_its_batch_is_acked() {
    let cluster = cluster();
    send(&producer(&cluster), 0..6);
    let consumer = ordered(&cluster);
    let first = consumer.receive(4, LONG).expect("no error");
    assert_eq!(numbers(&first), [0, 1, 2, 3]);
    nothing_comes(&consumer);
    first[1..].iter().for_each(ack);
    nothing_comes(&consumer);
    let waiting = consumer.clone();
    let waiting = thread::spawn(move || waiting.receive(4, LONG).map(|m| numbers(&m)));
    assert!(cluster.wait_until(PATIENCE, || cluster.group("g").parked() == 1));
    ack(&first[0]);
    assert_eq!(waiting.join().expect("no panic").expect("no error"), [4, 5]);
}

#[test]
fn what_is_not_acked_comes_again_before_what_follows() {
    let cluster = cluster();
    send(&producer(&cluster), 0..4);
    let consumer = ordered(&cluster);
    let first = consumer.receive(2, MEDIUM).expect("no error");
    assert_eq!(numbers(&first), [0, 1]);
    ack(&first[0]);
    let again = consumer.receive(32, LONG).expect("no error");
    assert_eq!(numbers(&again), [1, 2, 3]);
    let times: Vec<i32> = again.iter().map(|m| m.reconsume_times()).collect();
    assert_eq!(times, [1, 0, 0]);
    assert!(again[0].possibly_repeated() && !again[1].possibly_repeated());
    consumer.ack_all(&again).expect("no error");
    assert_eq!(cluster.group("g").in_flight(), 0);
}

#[test]
fn a_lost_answer_is_asked_for_again_with_the_same_attempt() {
    let cluster = cluster();
    send(&producer(&cluster), 0..3);
    let consumer = ordered(&cluster);
    let lost = Fault::hang_up().after_storing().on(On::Pop).once();
    cluster.broker("broker-a").inject(lost);
    let received = receive(&consumer, 3, LONG);
    assert_eq!(numbers(&received), [0, 1, 2]);
    assert_eq!(received[0].reconsume_times(), 0, "not delivered before");
    let attempts: Vec<String> = cluster
        .requests(&On::Pop)
        .iter()
        .map(|r| r.command().ext.get("attemptId").expect("an id").to_owned())
        .collect();
    assert_eq!(attempts[0], attempts[1]);
    consumer.ack_all(&received).expect("no error");
    nothing_comes(&consumer);
    let attempts: std::collections::BTreeSet<String> = cluster
        .requests(&On::Pop)
        .iter()
        .map(|r| r.command().ext.get("attemptId").expect("an id").to_owned())
        .collect();
    assert_eq!(attempts.len(), 2, "a new receive has a new one");
}

#[test]
fn a_message_is_hidden_for_longer_and_given_back_in_order() {
    let cluster = cluster();
    send(&producer(&cluster), 0..2);
    let consumer = ordered(&cluster);
    let first = consumer.receive(1, MEDIUM).expect("no error");
    let over = first[0].expires_at() + ms(1_000);
    let _ = first[0].extend(LONG).expect("no error");
    eventually("its first time is over", || Instant::now() >= over);
    nothing_comes(&consumer);
    let _ = first[0].retry_after(SHORT).expect("no error");
    let again = consumer.receive(32, LONG).expect("no error");
    assert_eq!(numbers(&again), [0, 1]);
    assert_eq!(again[0].reconsume_times(), 1);
}
