//! What is handed out.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::consumer::ReceivedMessage;
use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{Filter, Message, MessageQueue, SimpleConsumer, StartFrom};

use super::{LONG, MEDIUM, SHORT, ack, bodies, consumer, nothing_comes, receive, start};
use crate::common::send;
use crate::support::{PATIENCE, brokers, cluster, eventually, ms, patient, producer};

#[test]
fn messages_are_received_once_and_do_not_come_again_after_their_ack() {
    let cluster = cluster();
    let sent = send(&producer(&cluster), 0..100);
    let consumer = start(consumer(&cluster));
    let received = receive(&consumer, 100, LONG);
    assert_eq!(bodies(&received), sent);
    assert_eq!(cluster.group("g").in_flight(), 100);
    nothing_comes(&consumer);
    let first = &received[0];
    assert_eq!(first.topic(), "T");
    let queue = first.queue().expect("a queue");
    assert_eq!(*queue, MessageQueue::new("T", "broker-a", first.queue_id()));
    assert_eq!(first.reconsume_times(), 0);
    assert!(!first.possibly_repeated());
    assert!(first.expires_at() > Instant::now() + LONG - PATIENCE);
    received.iter().for_each(ack);
    assert_eq!(cluster.group("g").in_flight(), 0);
    nothing_comes(&consumer);
}

#[test]
fn a_receive_waits_for_a_message() {
    let cluster = cluster();
    let consumer = start(consumer(&cluster));
    nothing_comes(&consumer);
    let waiting = consumer.clone();
    let waiting = thread::spawn(move || waiting.receive(1, LONG).map(|m| bodies(&m)));
    assert!(cluster.wait_until(PATIENCE, || cluster.group("g").parked() == 1));
    let sent = send(&producer(&cluster), 0..1);
    assert_eq!(waiting.join().expect("no panic").expect("a message"), sent);
}

#[test]
fn a_receive_ends_with_its_wait() {
    let cluster = cluster();
    let consumer = start(consumer(&cluster));
    let start = Instant::now();
    let received = consumer.receive_within(1, LONG, SHORT).expect("no error");
    assert!(received.is_empty());
    assert!((SHORT..PATIENCE).contains(&start.elapsed()));
    // The first one shows the broker's clock, and the second one is held to the end.
    assert_eq!(cluster.requests(&On::Pop).len(), 2);
}

#[test]
fn a_message_that_is_not_acked_comes_again_and_says_so() {
    let cluster = cluster();
    let sent = send(&producer(&cluster), 0..3);
    let consumer = start(consumer(&cluster));
    drop(receive(&consumer, 3, MEDIUM));
    for (times, invisible) in [(1, MEDIUM), (2, LONG)] {
        let again = receive(&consumer, 3, invisible);
        assert_eq!(bodies(&again), sent);
        for message in &again {
            assert_eq!(message.reconsume_times(), times);
            assert_eq!(message.topic(), "T");
            assert!(message.possibly_repeated());
        }
        if times == 2 {
            again.iter().for_each(ack);
        }
    }
    assert_eq!(cluster.group("g").in_flight(), 0);
    nothing_comes(&consumer);
}

#[test]
fn brokers_and_topics_have_their_turns_and_a_waiting_receive_hears_of_each() {
    let builder = Cluster::builder().brokers(2).topic("T", 4).topic("U", 4);
    let cluster = builder.start().expect("free ports");
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster).subscribe("U", "*"));
    let send_to = |topic: &str, broker: &str, body: &str| {
        let queue = MessageQueue::new(topic, broker, 0);
        let message = Message::new(topic, body);
        let sent = producer.prepare(&message).queue(queue).send();
        assert!(sent.is_ok(), "{sent:?}");
    };
    for (topic, broker) in [
        ("T", "broker-b"),
        ("U", "broker-a"),
        ("U", "broker-b"),
        ("T", "broker-a"),
    ] {
        let waiting = consumer.clone();
        let before = Instant::now();
        let waiting = thread::spawn(move || {
            let received = waiting.receive(32, LONG).expect("no error");
            let shown = |m: &ReceivedMessage| {
                let queue = m.queue().expect("a queue");
                format!(
                    "{} {} {}",
                    m.topic(),
                    queue.broker(),
                    m.text().expect("text")
                )
            };
            received.iter().map(shown).collect::<Vec<_>>()
        });
        // Each broker is asked about both topics.
        let asked = || cluster.group("g").parked() >= 4;
        assert!(cluster.wait_until(PATIENCE, asked));
        send_to(topic, broker, "one");
        let received = waiting.join().expect("no panic");
        assert_eq!(received, [format!("{topic} {broker} one")]);
        assert!(before.elapsed() < Duration::from_secs(10), "no poll ended");
    }
}

#[test]
fn many_threads_receive_from_many_sources_and_lose_nothing() {
    let cluster = brokers(2);
    let producer = patient(&cluster).start().expect("a producer");
    let consumer = start(consumer(&cluster));
    let (seen, all) = crossbeam_channel::unbounded();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (own, seen) = (consumer.clone(), seen.clone());
            thread::spawn(move || {
                while let Ok(messages) = own.receive(8, LONG) {
                    for message in &messages {
                        ack(message);
                        seen.send(message.text().expect("text").to_owned())
                            .expect("heard");
                    }
                }
            })
        })
        .collect();
    let sent = send(&producer, 0..300);
    let mut received = BTreeSet::new();
    for _ in 0..300 {
        let body = all.recv_timeout(PATIENCE).expect("in time");
        assert!(received.insert(body), "none twice");
    }
    assert_eq!(received, sent);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!(cluster.group("g").in_flight(), 0);
}

#[test]
fn only_messages_with_a_wanted_tag_come() {
    let cluster = cluster();
    let producer = producer(&cluster);
    // "Aa" and "BB" have the same hash: the broker hands both out.
    for (body, tag) in [("one", "Aa"), ("two", "BB"), ("three", "C")] {
        let sent = producer.send(&Message::new("T", body).tag(tag));
        assert!(sent.is_ok(), "{sent:?}");
    }
    let tagged = SimpleConsumer::builder("h")
        .name_server(cluster.name_server())
        .subscribe("T", "Aa")
        .start_from(StartFrom::First)
        .start()
        .expect("a consumer");
    let received = receive(&tagged, 1, LONG);
    assert_eq!(received[0].text(), Ok("one"));
    eventually("the unwanted one is acked", || {
        nothing_comes(&tagged);
        cluster.group("h").in_flight() == 1
    });
}

#[test]
fn sql_filters_are_evaluated_by_the_broker() {
    let builder = Cluster::builder();
    let cluster = builder.topic("T", 4).sql_filters(true).start();
    let cluster = cluster.expect("free ports");
    let producer = producer(&cluster);
    for amount in ["5", "500"] {
        let message = Message::new("T", amount).property("amount", amount);
        assert!(producer.send(&message).is_ok());
    }
    let consumer = SimpleConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", Filter::sql("amount > 100"))
        .start_from(StartFrom::First)
        .start()
        .expect("a consumer");
    assert_eq!(receive(&consumer, 1, LONG)[0].text(), Ok("500"));
    nothing_comes(&consumer);
}

#[test]
fn a_message_that_came_too_late_is_not_handed_out() {
    let cluster = cluster();
    let sent = send(&producer(&cluster), 0..1);
    let consumer = start(consumer(&cluster));
    // The answer is late by more than the message's time.
    let late = Fault::late(ms(2_500)).on(On::Pop).after_storing().once();
    cluster.broker("broker-a").inject(late);
    let received = consumer.receive_within(1, SHORT, Duration::ZERO);
    // One that is even later is an error.
    assert!(received.map_or(true, |received| received.is_empty()));
    let again = receive(&consumer, 1, LONG);
    assert_eq!(bodies(&again), sent);
    assert_eq!(again[0].reconsume_times(), 1);
}
