//! The end of consumers, also under faults.

use std::time::Instant;

use crossbeam_channel::unbounded;
use rocketmq_blocking::PushConsumer;
use rocketmq_blocking::consumer::Event;
use rocketmq_blocking::embedded::{Fault, On};

use crate::common::{bodies, consumer, send, take};
use crate::support::{PATIENCE, SLACK, cluster, eventually, inject, ms, producer};

#[test]
fn with_silent_brokers_a_shutdown_ends_in_time_and_reports_uncommitted_queues() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let (consumer, got) = bodies(consumer(&cluster).commit_interval(ms(10)));
    take(&got, send(&producer, 0..4).len());
    let committed = || cluster.group("g").offsets().values().sum::<i64>();
    eventually("committed", || committed() == 4);
    // Everything except the requests that fetch messages.
    for on in [On::Commit, On::Unlock, On::Unregister, On::Heartbeat] {
        inject(&cluster, &Fault::silence().on(on));
    }
    take(&got, send(&producer, 4..8).len());
    eventually("handlers have returned", || {
        consumer.lag().messages() == Some(0)
    });
    let begin = Instant::now();
    drop(consumer.shutdown_within(ms(500)));
    assert!(begin.elapsed() < ms(500) + SLACK, "{:?}", begin.elapsed());
    // Its report may come too late for that call, and stays the same.
    let report = consumer.shutdown_within(PATIENCE);
    assert!(report.running.is_empty(), "{report}");
    let mut left = report.uncommitted.iter();
    assert!(left.any(|(queue, _)| queue.topic() == "T"), "{report}");
}

#[test]
fn the_last_handle_ends_the_consumer_also_in_a_handler() {
    let cluster = cluster();
    let (give, own) = unbounded::<PushConsumer>();
    let (ended, dropped) = unbounded();
    let consumer = consumer(&cluster)
        .start(move |_| {
            drop(own.recv().expect("the last handle"));
            ended.send(()).ok();
            Ok(())
        })
        .expect("a consumer");
    give.send(consumer).expect("a handler");
    send(&producer(&cluster), [0]);
    dropped.recv_timeout(PATIENCE).expect("it returns at once");
    eventually("gone", || cluster.group("g").members().is_empty());
    let committed = || cluster.group("g").offsets().values().sum::<i64>();
    assert_eq!(committed(), 1);
}

#[test]
fn a_consumer_of_the_same_group_can_start_at_once_again_and_again() {
    let cluster = cluster();
    let producer = producer(&cluster);
    for round in 0..5 {
        let (consumer, got) = bodies(consumer(&cluster));
        let sent = send(&producer, 10 * round..10 * round + 4);
        let mut handled = take(&got, 4);
        handled.sort();
        assert_eq!(handled, Vec::from_iter(sent), "round {round}");
        assert!(consumer.shutdown_within(PATIENCE).is_clean());
    }
}

#[test]
fn members_that_subscribe_differently_are_reported() {
    let cluster = cluster();
    let (told, events) = unbounded();
    let builder = consumer(&cluster).events(move |event| drop(told.send(event.clone())));
    let (one, _got) = bodies(builder);
    let other = PushConsumer::builder("g").name_server(cluster.name_server());
    let other = other.subscribe("T", "paid").start(|_| Ok(()));
    let other = other.expect("a consumer");
    let next = || events.recv_timeout(PATIENCE).expect("an event");
    let event = std::iter::repeat_with(next)
        .find(|event| matches!(event, Event::SubscriptionMismatch { .. }));
    let text = event.expect("one").to_string();
    assert!(
        text.contains("T: another member has the filter \"paid\""),
        "{text}"
    );
    one.shutdown();
    other.shutdown();
}
