//! Polls and iterations: the messages that they return, and how much is fetched.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use rocketmq_blocking::consumer::Seek;
use rocketmq_blocking::{ErrorKind, Message, PullConsumer, StartFrom};

use super::{consumer, mark, nothing_comes, number, numbers, poll, queue, send, start};
use crate::support::{PATIENCE, cluster, eventually, ms, noise, producer};

#[test]
fn a_poll_returns_when_a_message_comes_or_its_time_is_up() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster));
    let before = Instant::now();
    nothing_comes(&consumer);
    assert!(before.elapsed() >= ms(50));
    eventually("all queues wait", || cluster.group("g").parked() == 4);
    let polling = consumer.clone();
    let polling = thread::spawn(move || numbers(&polling.poll(PATIENCE).expect("no error")));
    send(&producer, &queue(2), [7]);
    assert_eq!(polling.join().expect("no panic"), [7]);
    // Else the long poll ends after 15 s.
    assert!(before.elapsed() < Duration::from_secs(10));
    consumer.shutdown();
}

#[test]
fn one_poll_takes_from_several_queues_and_no_more_than_its_batch() {
    let cluster = cluster();
    let producer = producer(&cluster);
    (0..4).for_each(|id| send(&producer, &queue(id), 0..3));
    let consumer = start(consumer(&cluster).poll_batch(5));
    // Fetched messages can be polled a moment later, so the first polls may return fewer.
    eventually("a full batch", || {
        (0..4).for_each(|id| consumer.seek(&queue(id), Seek::Start).expect("a seek"));
        let held = || -> usize { consumer.describe().queues.iter().map(|q| q.held).sum() };
        eventually("all is fetched", || held() == 12);
        let polled = consumer.poll(PATIENCE).expect("no error");
        assert!(polled.len() <= 5);
        let queues: BTreeSet<i32> = polled.iter().map(|m| m.queue_id()).collect();
        (polled.len(), queues.len()) == (5, 2)
    });
    consumer.shutdown();
}

#[test]
fn an_iteration_ends_when_it_has_caught_up() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster));
    assert_eq!(consumer.messages().until_caught_up().count(), 0);
    (0..4).for_each(|id| send(&producer, &queue(id), 0..40));
    let mut count = 0;
    for message in consumer.messages().until_caught_up() {
        message.expect("no error").done();
        count += 1;
    }
    assert_eq!(count, 160);
    consumer.commit().expect("confirmed");
    let committed = (0..4).map(|id| cluster.group("g").committed(&queue(id)));
    assert_eq!(Vec::from_iter(committed), [Some(40); 4]);
    consumer.shutdown();
}

#[test]
fn an_iteration_catches_up_with_messages_that_do_not_match() {
    let cluster = cluster();
    let producer = producer(&cluster);
    for (tag, body) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        let message = Message::new("T", body).tag(tag);
        assert!(producer.prepare(&message).queue(queue(0)).send().is_ok());
    }
    let builder = PullConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "a")
        .start_from(StartFrom::First);
    let consumer = start(builder);
    let messages = consumer.messages().until_caught_up();
    let bodies = messages.map(|message| number(&message.expect("no error")));
    assert_eq!(Vec::from_iter(bodies), [1, 3]);
    consumer.shutdown();
}

#[test]
fn an_iteration_ends_when_it_is_idle_or_has_enough() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..10);
    let consumer = start(consumer(&cluster));
    let first = consumer.messages().take(4);
    let first: Vec<_> = first.map(|message| message.expect("no error")).collect();
    assert_eq!(numbers(&first), [0, 1, 2, 3]);
    let before = Instant::now();
    let rest = consumer.messages().until_idle(ms(200));
    assert!(rest.count() <= 6);
    assert!(before.elapsed() >= ms(200));
    consumer.shutdown();
}

#[test]
fn several_threads_poll_and_each_message_comes_once() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster));
    let (seen, all) = unbounded();
    let polling: Vec<_> = (0..4)
        .map(|_| {
            let (consumer, seen) = (consumer.clone(), seen.clone());
            thread::spawn(move || {
                for message in consumer.messages() {
                    let message = message.expect("no error");
                    seen.send((message.queue_id(), number(&message)))
                        .expect("heard");
                    message.done();
                }
            })
        })
        .collect();
    (0..4).for_each(|id| send(&producer, &queue(id), 0..50));
    let got = (0..200).map(|_| all.recv_timeout(PATIENCE).expect("in time"));
    let got: BTreeSet<_> = got.collect();
    assert_eq!(got.len(), 200);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    polling
        .into_iter()
        .for_each(|thread| thread.join().expect("no panic"));
    assert!(all.is_empty());
    let committed = (0..4).map(|id| cluster.group("g").committed(&queue(id)));
    assert_eq!(Vec::from_iter(committed), [Some(50); 4]);
}

#[test]
fn without_polls_no_more_is_fetched_than_is_allowed() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster).window(40));
    (0..4).for_each(|id| send(&producer, &queue(id), 0..100));
    let held = || -> Vec<usize> { consumer.describe().queues.iter().map(|q| q.held).collect() };
    eventually("all are full", || held() == [40; 4]);
    assert_eq!(cluster.group("g").members(), [consumer.client_id()]);
    assert_eq!(consumer.assignment().len(), 4);
    let mut count = 0;
    for message in consumer.messages().until_caught_up() {
        assert!(held().into_iter().all(|held| held <= 40));
        message.expect("no error").done();
        count += 1;
    }
    assert_eq!(count, 400);
    consumer.shutdown();
}

#[test]
fn bytes_are_limited_over_all_queues() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let body = noise(10_000);
    for n in 0..240 {
        let message = Message::new("T", body.clone());
        let sent = producer.prepare(&message).queue(queue(n % 4)).send();
        assert!(sent.is_ok());
    }
    let consumer = start(consumer(&cluster).byte_budget(1_000_000));
    let mut count = 0;
    for message in consumer.messages().until_caught_up() {
        let held = consumer.describe().held_bytes;
        assert!(held <= 1_000_000, "{held}");
        message.expect("no error").done();
        count += 1;
    }
    assert_eq!(count, 240);
    consumer.shutdown();
}

#[test]
fn a_poll_fails_if_no_message_can_come() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..5);
    let consumer = start(consumer(&cluster).window(3));
    let mut polled = poll(&consumer, 3);
    // The message is not dropped yet: it may still be marked.
    nothing_comes(&consumer);
    drop(polled.remove(0));
    mark(polled);
    let error = consumer.poll(PATIENCE).expect_err("blocked");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("offset 0"), "{error}");
    consumer.seek(&queue(0), Seek::Offset(1)).expect("a seek");
    assert_eq!(numbers(&poll(&consumer, 3)), [1, 2, 3]);
    consumer.shutdown();
}

#[test]
fn a_broker_that_comes_back_is_polled_again() {
    let cluster = cluster();
    let sender = producer(&cluster);
    send(&sender, &queue(0), 0..3);
    let consumer = start(consumer(&cluster));
    let polled = poll(&consumer, 3);
    let broker = cluster.broker("broker-a");
    broker.kill();
    mark(polled);
    assert!(consumer.commit_within(ms(20)).is_err());
    broker.restart().expect("its port");
    consumer.commit_within(PATIENCE).expect("confirmed");
    let sender = producer(&cluster);
    send(&sender, &queue(0), [3]);
    assert_eq!(numbers(&poll(&consumer, 1)), [3]);
    consumer.shutdown();
}

#[test]
fn settings_that_cannot_work_are_errors_at_the_start() {
    let cluster = cluster();
    let new = || PullConsumer::builder("g").name_server(cluster.name_server());
    let subscribed = || new().subscribe("T", "*");
    for builder in [
        new(),
        subscribed().assign([queue(0)]),
        new().assign([queue(0)]).broadcast(),
        subscribed().offset_dir("anywhere"),
        subscribed().poll_batch(0),
        subscribed().poll_batch(1025),
        subscribed().window(0),
        new().subscribe("T", "||"),
        PullConsumer::builder("a b").subscribe("T", "*"),
    ] {
        let text = format!("{builder:?}");
        let error = builder.start().expect_err("must fail");
        assert_eq!(error.kind(), ErrorKind::Config, "{text}: {error}");
    }
}
