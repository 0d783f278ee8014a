//! Messages from their queue to the handler, and the progress back to the broker.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use rocketmq_blocking::consumer::PushConsumerBuilder;
use rocketmq_blocking::embedded::On;
use rocketmq_blocking::{Client, ErrorKind, Message, Producer, PushConsumer};
use rocketmq_blocking::{ClientOptions, Retry, StartFrom};

use crate::common::{bodies, consumer, ends, send, take};
use crate::support::{PATIENCE, cluster, eventually, ms, producer};

#[test]
fn every_message_is_handled_once_and_the_progress_is_committed_at_the_end() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let mut sent = send(&producer, 0..50);
    let (consumer, bodies) = bodies(consumer(&cluster));
    sent.extend(send(&producer, 50..100));
    let mut got = take(&bodies, 100);
    let report = consumer.shutdown_within(PATIENCE);
    assert!(report.is_clean(), "{report}");
    got.extend(bodies.try_iter());
    assert_eq!(got.len(), 100);
    assert_eq!(BTreeSet::from_iter(got), sent);
    for (queue, end) in ends(&cluster) {
        assert_eq!(cluster.group("g").committed(&queue), Some(end), "{queue}");
    }
    eventually("gone", || cluster.group("g").members().is_empty());
}

#[test]
fn the_progress_is_committed_while_the_consumer_runs() {
    let cluster = cluster();
    let (consumer, bodies) = bodies(consumer(&cluster).commit_interval(ms(20)));
    let sent = send(&producer(&cluster), 0..20);
    assert_eq!(BTreeSet::from_iter(take(&bodies, 20)), sent);
    for (queue, end) in ends(&cluster) {
        eventually("committed", || {
            cluster.group("g").committed(&queue) == Some(end)
        });
    }
    drop(consumer);
}

#[test]
fn the_next_consumer_goes_on_at_the_committed_offset() {
    let cluster = cluster();
    let producer = producer(&cluster);
    send(&producer, 0..10);
    let (first, got) = bodies(consumer(&cluster));
    take(&got, 10);
    first.shutdown();
    let sent = send(&producer, 10..20);
    let (second, got) = bodies(consumer(&cluster));
    assert_eq!(BTreeSet::from_iter(take(&got, 10)), sent);
    second.shutdown();
    assert_eq!(got.try_iter().count(), 0);
}

#[test]
fn a_new_group_that_starts_last_gets_only_messages_sent_after_its_start() {
    let cluster = cluster();
    let producer = producer(&cluster);
    send(&producer, 0..10);
    let (consumer, bodies) = bodies(consumer(&cluster).start_from(StartFrom::Last));
    let sent = send(&producer, 10..20);
    assert_eq!(BTreeSet::from_iter(take(&bodies, 10)), sent);
    consumer.shutdown();
    assert_eq!(bodies.try_iter().count(), 0);
}

#[test]
fn a_message_for_an_idle_consumer_comes_at_once() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let (consumer, bodies) = bodies(consumer(&cluster));
    eventually("all queues wait", || cluster.requests(&On::Pull).len() >= 4);
    let before = Instant::now();
    send(&producer, [1]);
    take(&bodies, 1);
    // A message ends the long poll, which would otherwise take 15 s.
    assert!(before.elapsed() < Duration::from_secs(10));
    consumer.shutdown();
}

#[test]
fn only_messages_with_a_subscribed_tag_are_handled_and_the_others_count_as_consumed() {
    let cluster = cluster();
    let producer = producer(&cluster);
    for (tag, body) in [("Aa", "1"), ("BB", "2"), ("c", "3"), ("Aa", "4")] {
        // Java's hashes of "Aa" and "BB" are the same.
        let message = Message::new("T", body).tag(tag);
        assert!(producer.prepare(&message).sharding_key("k").send().is_ok());
    }
    let builder = PushConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "Aa")
        .start_from(StartFrom::First);
    let (consumer, bodies) = bodies(builder);
    let mut got = take(&bodies, 2);
    got.sort();
    assert_eq!(got, ["1", "4"]);
    consumer.shutdown();
    assert_eq!(bodies.try_iter().count(), 0);
    for (queue, end) in ends(&cluster) {
        assert_eq!(cluster.group("g").committed(&queue), Some(end), "{queue}");
    }
}

#[test]
fn two_members_share_the_queues() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let (one, first) = bodies(consumer(&cluster));
    let (two, second) = bodies(consumer(&cluster));
    assert_eq!(cluster.group("g").members().len(), 2);
    let (mut sent, mut got) = (BTreeSet::new(), [BTreeSet::new(), BTreeSet::new()]);
    let start = Instant::now();
    // Until each member got a message: the second one gets its queues a moment later.
    while got.iter().any(BTreeSet::is_empty) {
        assert!(start.elapsed() < PATIENCE, "{got:?}");
        let from = sent.len();
        sent.extend(send(&producer, from..from + 4));
        while got[0].union(&got[1]).count() < sent.len() {
            assert!(start.elapsed() < PATIENCE, "{got:?}");
            got[0].extend(first.recv_timeout(ms(1)));
            got[1].extend(second.recv_timeout(ms(1)));
        }
    }
    assert!(one.shutdown_within(PATIENCE).is_clean());
    assert!(two.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn a_slow_handler_of_one_queue_does_not_hold_up_the_others() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let (release, gate) = unbounded::<()>();
    let (seen, bodies) = unbounded();
    let consumer = consumer(&cluster)
        .start(move |message| -> Result<(), Retry> {
            let body = message.text()?.to_owned();
            let is_slow = body == "message 0";
            seen.send(body)?;
            if is_slow {
                let _ = gate.recv();
            }
            Ok(())
        })
        .expect("a consumer");
    let sent = send(&producer, 0..40);
    assert_eq!(BTreeSet::from_iter(take(&bodies, 40)), sent);
    drop(release);
    consumer.shutdown();
    for (queue, end) in ends(&cluster) {
        assert_eq!(cluster.group("g").committed(&queue), Some(end), "{queue}");
    }
}

#[test]
fn an_unhandled_message_and_all_after_it_stay_uncommitted() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let (release, gate) = unbounded::<()>();
    let gate = Arc::new(gate);
    let (seen, bodies) = unbounded();
    let consumer = consumer(&cluster)
        .commit_interval(ms(10))
        .start(move |message| -> Result<(), Retry> {
            let body = message.text()?.to_owned();
            let is_slow = body == "1";
            seen.send(body)?;
            if is_slow {
                let _ = gate.recv();
            }
            Ok(())
        })
        .expect("a consumer");
    for body in ["0", "1", "2", "3"] {
        let message = Message::new("T", body);
        assert!(producer.prepare(&message).sharding_key("k").send().is_ok());
    }
    take(&bodies, 4);
    let (queue, end) = ends(&cluster)
        .into_iter()
        .find(|(_, end)| *end > 0)
        .expect("one");
    eventually("what comes before is committed", || {
        cluster.group("g").committed(&queue) == Some(1)
    });
    drop(consumer.shutdown_within(ms(1000)));
    // Its report is made before that, and may come too late for that call.
    eventually("gone", || cluster.group("g").members().is_empty());
    drop(release);
    let report = consumer.shutdown_within(PATIENCE);
    assert_eq!(report.running, [(queue.clone(), 1)], "{report}");
    assert_eq!(cluster.group("g").committed(&queue), Some(1));
    assert_eq!(end, 4);
}

#[test]
fn settings_that_cannot_work_are_errors_at_the_start() {
    let cluster = cluster();
    let new = || PushConsumer::builder("g").name_server(cluster.name_server());
    let start = |builder: PushConsumerBuilder| {
        let started = builder.start(|_| Ok(()));
        started.expect_err("must fail").kind()
    };
    let subscribed = || new().subscribe("T", "*");
    for (builder, expected) in [
        (new(), ErrorKind::Config),
        (new().subscribe("T", "||"), ErrorKind::Config),
        (new().subscribe("a b", "*"), ErrorKind::Config),
        (new().subscribe("%RETRY%g", "*"), ErrorKind::Config),
        (subscribed().consume_threads(0), ErrorKind::Config),
        (subscribed().consume_threads(1001), ErrorKind::Config),
        (subscribed().window(0), ErrorKind::Config),
        (subscribed().byte_budget(0), ErrorKind::Config),
        (
            subscribed().commit_interval(Duration::ZERO),
            ErrorKind::Config,
        ),
        (
            PushConsumer::builder("DEFAULT_CONSUMER").subscribe("T", "*"),
            ErrorKind::Config,
        ),
        (
            PushConsumer::builder("g").subscribe("T", "*"),
            ErrorKind::NoNameServer,
        ),
    ] {
        let text = format!("{builder:?}");
        assert_eq!(start(builder), expected, "{text}");
    }
}

#[test]
fn a_second_consumer_of_a_group_is_refused_on_one_client() {
    let cluster = cluster();
    let options = ClientOptions::new().name_server(cluster.name_server());
    let client = Client::start(options).expect("a client");
    let start = || {
        let builder = PushConsumer::builder("g")
            .client(&client)
            .subscribe("T", "*");
        builder.start(|_| Ok(()))
    };
    let first = start().expect("a consumer");
    let error = start().expect_err("the group is in use");
    assert_eq!(error.kind(), ErrorKind::Config);
    // A producer group may have the same name.
    let producer = Producer::builder("g").client(&client).start();
    assert!(producer.is_ok());
    first.shutdown();
    start().expect("the group is free again").shutdown();
    client.shutdown();
}

#[test]
fn a_client_that_is_shut_down_first_lets_its_consumers_finish() {
    let cluster = cluster();
    let options = ClientOptions::new().name_server(cluster.name_server());
    let client = Client::start(options).expect("a client");
    let (seen, handled) = unbounded();
    let consumer = PushConsumer::builder("g")
        .client(&client)
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .commit_interval(Duration::from_secs(3600))
        .start(move |message| -> Result<(), Retry> {
            seen.send(message.queue_offset())?;
            Ok(())
        })
        .expect("a consumer");
    send(&producer(&cluster), 0..10);
    for _ in 0..10 {
        handled.recv_timeout(PATIENCE).expect("a message");
    }
    let report = client.shutdown_within(PATIENCE);
    assert!(report.is_clean(), "{report}");
    for (queue, end) in ends(&cluster) {
        assert_eq!(cluster.group("g").committed(&queue), Some(end), "{queue}");
    }
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}
