//! Members, and the end of a consumer.

use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::embedded::On;
use rocketmq_blocking::{Client, ClientOptions, ErrorKind};

use super::{LONG, ack, consumer, receive, start};
use crate::common::send;
use crate::support::{PATIENCE, cluster, eventually, ms, producer};

#[test]
fn brokers_know_the_member_and_hear_of_its_end() {
    let cluster = cluster();
    let consumer = start(consumer(&cluster));
    let known = || cluster.group("g").members() == [consumer.client_id()];
    assert!(cluster.wait_until(PATIENCE, known));
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    eventually("gone", || cluster.group("g").members().is_empty());
    let told = cluster.wait_for_requests(&On::Unregister, 1, PATIENCE);
    assert_eq!(told.len(), 1);
    assert!(consumer.shutdown_within(ms(0)).is_clean(), "again");
}

#[test]
fn a_shutdown_wakes_those_that_wait() {
    let cluster = cluster();
    let client = Client::start(ClientOptions::new().name_server(cluster.name_server()));
    let client = client.expect("a client");
    let builder = rocketmq_blocking::SimpleConsumer::builder("g").client(&client);
    let consumer = start(builder.subscribe("T", "*").wait(Duration::from_secs(3600)));
    let waiting = consumer.clone();
    let waiting = thread::spawn(move || waiting.receive(1, LONG).map(|m| m.len()));
    assert!(cluster.wait_until(PATIENCE, || cluster.group("g").parked() == 1));
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    let error = waiting.join().expect("no panic").expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
    let error = consumer.receive(1, LONG).expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(client.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn a_shutdown_waits_for_the_acks_of_other_threads_and_names_its_own() {
    let cluster = cluster();
    send(&producer(&cluster), 0..2);
    let consumer = start(consumer(&cluster));
    let mut received = receive(&consumer, 2, LONG);
    let mine = received.pop().expect("two");
    let closing = consumer.clone();
    let (done, is_done) = crossbeam_channel::unbounded();
    let shutting = thread::spawn(move || {
        // Both messages are another thread's for this one.
        done.send(closing.shutdown_within(PATIENCE)).expect("heard");
    });
    assert!(is_done.recv_timeout(ms(50)).is_err(), "it waits");
    received.iter().for_each(ack);
    assert!(is_done.recv_timeout(ms(50)).is_err(), "it waits");
    let left = (mine.queue().expect("a queue").clone(), 0);
    let left = (left.0, u64::try_from(mine.queue_offset()).expect("small"));
    ack(&mine);
    let report = is_done.recv_timeout(PATIENCE).expect("in time");
    assert!(report.is_clean(), "{report} {left:?}");
    shutting.join().expect("no panic");
    let error = mine.ack().map(drop).expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[test]
fn a_shutdown_does_not_wait_for_its_own_thread_and_names_what_it_has() {
    let cluster = cluster();
    send(&producer(&cluster), 0..1);
    let consumer = start(consumer(&cluster));
    let received = receive(&consumer, 1, LONG);
    let before = Instant::now();
    let report = consumer.shutdown_within(Duration::from_secs(3600));
    assert!(before.elapsed() < PATIENCE);
    let queue = received[0].queue().expect("a queue").clone();
    let offset = u64::try_from(received[0].queue_offset()).expect("small");
    assert_eq!(report.running, [(queue, offset)], "{report}");
}

#[test]
fn the_last_handle_ends_the_consumer_and_messages_are_no_handles() {
    let cluster = cluster();
    send(&producer(&cluster), 0..1);
    let consumer = start(consumer(&cluster));
    let received = receive(&consumer, 1, LONG);
    drop(consumer.clone());
    ack(&received[0]);
    drop(consumer);
    eventually("gone", || cluster.group("g").members().is_empty());
}

#[test]
fn a_client_that_is_shut_down_ends_its_consumers() {
    let cluster = cluster();
    let client = Client::start(ClientOptions::new().name_server(cluster.name_server()));
    let client = client.expect("a client");
    let builder = rocketmq_blocking::SimpleConsumer::builder("g").client(&client);
    let consumer = start(builder.subscribe("T", "*"));
    let again = rocketmq_blocking::SimpleConsumer::builder("g").client(&client);
    let error = again.subscribe("T", "*").start().expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::Config);
    let waiting = consumer.clone();
    let waiting = thread::spawn(move || waiting.receive(1, LONG).map(|m| m.len()));
    assert!(cluster.wait_until(PATIENCE, || cluster.group("g").parked() == 1));
    assert!(client.shutdown_within(PATIENCE).is_clean());
    let error = waiting.join().expect("no panic").expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
    eventually("gone", || cluster.group("g").members().is_empty());
}
