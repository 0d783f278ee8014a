//! Marks: which messages count as consumed, and when they are committed.

use std::thread;
use std::time::Duration;

use rocketmq_blocking::consumer::{PulledMessage, Seek};
use rocketmq_blocking::embedded::{Fault, Gate, On};
use rocketmq_blocking::{ErrorKind, ResponseCode};

use super::{consumer, mark, nothing_comes, number, numbers, poll, queue, send, start};
use crate::support::{PATIENCE, cluster, eventually, inject, ms, producer};

#[test]
fn messages_of_a_queue_come_in_their_order_and_marked_ones_are_committed() {
    let cluster = cluster();
    let producer = producer(&cluster);
    send(&producer, &queue(1), 0..50);
    let consumer = start(consumer(&cluster).commit_interval(Duration::from_secs(3600)));
    send(&producer, &queue(1), 50..100);
    let polled = poll(&consumer, 100);
    assert_eq!(numbers(&polled), Vec::from_iter(0..100));
    assert_eq!(polled[3].queue(), Some(&queue(1)));
    consumer.commit().expect("nothing to commit");
    assert_eq!(cluster.group("g").committed(&queue(1)), Some(0));
    assert!(polled.into_iter().all(PulledMessage::done));
    consumer.commit().expect("confirmed");
    assert_eq!(cluster.group("g").committed(&queue(1)), Some(100));
    assert_eq!(consumer.committed(&queue(1)).expect("known"), Some(100));
    assert_eq!(cluster.group("g").members(), [consumer.client_id()]);
    nothing_comes(&consumer);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    eventually("gone", || cluster.group("g").members().is_empty());
}

#[test]
fn marked_messages_are_committed_without_a_poll() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..5);
    let consumer = start(consumer(&cluster).commit_interval(ms(10)));
    for message in poll(&consumer, 5) {
        message.done();
    }
    eventually("committed", || {
        cluster.group("g").committed(&queue(0)) == Some(5)
    });
    drop(consumer);
}

#[test]
fn unmarked_messages_come_again_to_the_next_consumer_only() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..5);
    let first = start(consumer(&cluster));
    for message in poll(&first, 5) {
        if [0, 1, 3].contains(&number(&message)) {
            message.done();
        }
    }
    nothing_comes(&first);
    first.commit().expect("confirmed");
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(2));
    let report = first.shutdown_within(PATIENCE);
    assert!(report.is_clean(), "all is dropped: {report}");
    let second = start(consumer(&cluster));
    assert_eq!(numbers(&poll(&second, 3)), [2, 3, 4]);
    drop(second);
}

#[test]
fn without_auto_commit_only_a_commit_commits() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..5);
    let builder = || {
        consumer(&cluster)
            .auto_commit(false)
            .commit_interval(ms(10))
    };
    let consumer = start(builder());
    let mut polled = poll(&consumer, 5);
    mark(polled.drain(..2));
    consumer.seek(&queue(1), Seek::End).expect("a seek");
    // It has run for longer than an interval.
    eventually("seen", || consumer.lag().queues[0].messages == Some(3));
    nothing_comes(&consumer);
    assert_eq!(cluster.group("g").committed(&queue(0)), None);
    consumer.commit().expect("confirmed");
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(2));
    mark(polled);
    let report = consumer.shutdown_within(PATIENCE);
    assert!(report.is_clean(), "nobody asked for more: {report}");
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(2));
    let next = start(builder());
    assert_eq!(numbers(&poll(&next, 3)), [2, 3, 4]);
    next.shutdown();
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(2));
}

#[test]
fn a_queue_that_is_given_up_takes_its_commit_in_flight_with_it_and_no_other() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..5);
    let consumer = start(consumer(&cluster).auto_commit(false));
    mark(poll(&consumer, 5));
    let gate = Gate::new();
    inject(&cluster, &Fault::hold(&gate).on(On::Commit));
    let commits = consumer.clone();
    let commit = thread::spawn(move || commits.commit());
    eventually("in flight", || !cluster.requests(&On::Commit).is_empty());
    let ends = consumer.clone();
    let end = thread::spawn(move || ends.shutdown_within(PATIENCE));
    eventually("given up", || consumer.assignment().is_empty());
    gate.open();
    assert!(end.join().expect("it ends").is_clean());
    commit.join().expect("it ends").expect("confirmed");
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(5));
}

#[test]
fn a_commit_that_is_not_confirmed_fails() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..5);
    let consumer = start(consumer(&cluster).commit_interval(Duration::from_secs(3600)));
    mark(poll(&consumer, 5));
    let refuse = Fault::answer(ResponseCode::NO_PERMISSION, "no").on(On::Commit);
    inject(&cluster, &refuse.once());
    let error = consumer.commit().expect_err("refused");
    assert_eq!(error.response_code(), Some(ResponseCode::NO_PERMISSION));
    inject(&cluster, &Fault::silence().on(On::Commit).once());
    let error = consumer.commit_within(ms(50)).expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    // The first commit is still in flight; the next one follows it.
    consumer.commit_within(PATIENCE).expect("confirmed");
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(5));
    consumer.shutdown();
}

#[test]
fn the_lag_counts_unmarked_messages_and_an_unknown_lag_is_not_zero() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster).window(2));
    assert_eq!(consumer.lag().messages(), Some(0));
    assert_eq!(consumer.lag().oldest(), Some(Duration::ZERO));
    send(&producer, &queue(0), 0..5);
    let polled = poll(&consumer, 2);
    let lag = consumer.lag();
    assert_eq!((lag.messages(), lag.queues.len()), (Some(5), 4));
    assert_eq!(lag.queues[0].queue, queue(0));
    assert!(lag.oldest().is_some_and(|age| age < PATIENCE), "{lag}");
    mark(polled);
    assert_eq!(consumer.lag().queues[0].messages, Some(3));
    inject(&cluster, &Fault::hang_up());
    let lag = consumer.lag();
    assert_eq!((lag.messages(), lag.queues[1].messages), (None, None));
    drop(consumer);
}
