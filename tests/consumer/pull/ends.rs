//! The end of pull consumers.

use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use rocketmq_blocking::ErrorKind;
use rocketmq_blocking::consumer::{PulledMessage, Seek};

use super::{consumer, mark, poll, queue, send, start};
use crate::support::{PATIENCE, cluster, eventually, ms, producer};

#[test]
fn a_shutdown_ends_waiting_polls() {
    let cluster = cluster();
    let consumer = start(consumer(&cluster));
    let polling = consumer.clone();
    let polling = thread::spawn(move || polling.poll(Duration::MAX).map(|polled| polled.len()));
    let mut messages = consumer.messages();
    let iterating = thread::spawn(move || messages.next().is_none());
    let report = consumer.shutdown_within(PATIENCE);
    assert!(report.is_clean(), "{report}");
    let error = polling.join().expect("no panic").expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(iterating.join().expect("no panic"));
    let closed = |result: rocketmq_blocking::Result<()>| {
        assert_eq!(result.expect_err("closed").kind(), ErrorKind::Closed);
    };
    closed(consumer.poll(ms(0)).map(drop));
    closed(consumer.commit());
    assert!(consumer.shutdown_within(ms(0)).is_clean(), "again");
}

#[test]
fn a_shutdown_waits_for_the_marks_of_other_threads_and_not_for_those_of_its_own() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..2);
    send(&producer(&cluster), &queue(1), 0..1);
    let consumer = start(consumer(&cluster));
    let mine = poll(&consumer, 3);
    let (others, mine): (Vec<_>, Vec<_>) = mine.into_iter().partition(|m| m.queue_id() == 0);
    drop(others);
    consumer.seek(&queue(0), Seek::Start).expect("a seek");
    let (go, gate) = unbounded::<()>();
    let working = consumer.clone();
    let (polled, has_polled) = unbounded();
    let working = thread::spawn(move || {
        let messages = poll(&working, 2);
        polled.send(()).expect("it waits");
        gate.recv().expect("the word");
        messages
            .into_iter()
            .map(PulledMessage::done)
            .collect::<Vec<_>>()
    });
    has_polled.recv_timeout(PATIENCE).expect("polled");
    let closing = consumer.clone();
    let (closed, is_closed) = unbounded();
    let shutting = thread::spawn(move || {
        // The shutdown does not wait for messages of its own thread; the main thread's are those of another.
        closed
            .send(closing.shutdown_within(PATIENCE))
            .expect("it waits");
    });
    assert!(is_closed.recv_timeout(ms(50)).is_err(), "it waits");
    go.send(()).expect("it waits");
    assert_eq!(working.join().expect("no panic"), [true, true]);
    drop(mine);
    let report = is_closed.recv_timeout(PATIENCE).expect("in time");
    shutting.join().expect("no panic");
    assert!(report.is_clean(), "{report}");
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(2));
    assert_eq!(cluster.group("g").committed(&queue(1)), Some(0));
}

#[test]
fn a_shutdown_reports_unmarked_messages_of_its_own_thread_and_does_not_wait_for_them() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..3);
    let consumer = start(consumer(&cluster));
    let mut polled = poll(&consumer, 3);
    polled.remove(0).done();
    let before = Instant::now();
    let report = consumer.shutdown_within(Duration::from_secs(3600));
    assert!(before.elapsed() < PATIENCE);
    assert_eq!(report.running, [(queue(0), 1), (queue(0), 2)], "{report}");
    assert_eq!(report.uncommitted, []);
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(1));
    assert!(!polled.into_iter().any(PulledMessage::done));
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(1));
}

#[test]
fn dropping_the_last_handle_commits_marked_messages() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..5);
    let consumer = start(consumer(&cluster).commit_interval(Duration::from_secs(3600)));
    let messages = consumer.messages().take(5);
    mark(messages.map(|message| message.expect("no error")));
    drop(consumer);
    eventually("committed", || {
        cluster.group("g").committed(&queue(0)) == Some(5)
    });
    eventually("gone", || cluster.group("g").members().is_empty());
}
