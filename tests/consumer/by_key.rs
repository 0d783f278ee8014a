//! Ordered consumers that keep the order of each sharding key, and not that of the queue.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use parking_lot::Mutex;
use rocketmq_blocking::consumer::PushConsumerBuilder;
use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::{ErrorKind, Message, MessageQueue, Producer, PushConsumer, Retry};

use crate::common::consumer;
use crate::support::{PATIENCE, eventually, ms, producer};

fn cluster(queues: i32) -> Cluster {
    let builder = Cluster::builder().topic("T", queues);
    builder.start().expect("free ports")
}

/// Sends messages whose keys are their first letters; those of `-` have none.
fn send(producer: &Producer, bodies: &[&str]) {
    for body in bodies {
        let message = Message::new("T", *body);
        let prepared = producer.prepare(&message).timeout(PATIENCE);
        let sent = match &body[..1] {
            "-" => prepared.send(),
            key => prepared.sharding_key(key).send(),
        };
        assert!(sent.is_ok(), "{sent:?}");
    }
}

/// What came, and how often it had failed.
type Came = Receiver<(String, i32)>;

fn start(
    builder: PushConsumerBuilder,
    decide: impl Fn(&str, i32) -> Result<(), Retry> + Send + Sync + 'static,
) -> (PushConsumer, Came) {
    let (seen, came) = unbounded();
    let started = builder.start_ordered(move |message| {
        assert!(message.still_owned());
        let (body, times) = (message.text()?, message.reconsume_times());
        seen.send((body.to_owned(), times)).ok();
        decide(body, times)
    });
    (started.expect("a consumer"), came)
}

#[track_caller]
fn next(came: &Came) -> (String, i32) {
    came.recv_timeout(PATIENCE).expect("a message in time")
}

/// The next ones, sorted: messages of different keys have no order.
#[track_caller]
fn sorted(came: &Came, count: usize) -> Vec<String> {
    let mut bodies: Vec<String> = (0..count).map(|_| next(came).0).collect();
    bodies.sort();
    bodies
}

#[test]
fn messages_of_one_key_are_handled_in_turn_and_those_of_others_meanwhile() {
    let cluster = cluster(1);
    let (release, gate) = unbounded::<()>();
    let builder = consumer(&cluster).ordered_by_key(8).commit_interval(ms(10));
    let (consumer, came) = start(builder, move |body, _| {
        if body == "a0" {
            let _ = gate.recv();
        }
        Ok(())
    });
    send(
        &producer(&cluster),
        &["a0", "a1", "b0", "-0", "b1", "a2", "-1"],
    );
    assert_eq!(sorted(&came, 5), ["-0", "-1", "a0", "b0", "b1"]);
    eventually("they are done", || consumer.stats().handled == 4);
    assert!(came.is_empty(), "those of the key wait");
    let queue = MessageQueue::new("T", "broker-a", 0);
    let committed = || cluster.group("g").committed(&queue);
    assert_eq!(
        committed().unwrap_or(0),
        0,
        "up to the first unfinished one"
    );
    drop(release);
    assert_eq!((next(&came).0, next(&came).0), ("a1".into(), "a2".into()));
    eventually("all is committed", || committed() == Some(7));
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    // The consumer does not wait for the answer.
    eventually("unlocked", || cluster.group("g").locks().is_empty());
    assert_eq!(consumer.stats().panicked, 0);
}

#[test]
fn a_message_that_failed_holds_up_its_key_until_it_is_a_dead_letter() {
    let cluster = cluster(1);
    let builder = consumer(&cluster).ordered_by_key(8).max_reconsume(2);
    let (consumer, came) = start(builder.suspend(ms(10)), |body, _| match body {
        "a0" => Err(Retry::later()),
        _ => Ok(()),
    });
    send(&producer(&cluster), &["a0", "b0", "a1", "b1"]);
    let mut by_key: BTreeMap<String, Vec<(String, i32)>> = BTreeMap::new();
    for _ in 0..6 {
        let (body, times) = next(&came);
        by_key
            .entry(body[..1].to_owned())
            .or_default()
            .push((body, times));
    }
    let of = |bodies: &[(&str, i32)]| -> Vec<(String, i32)> {
        let owned = bodies
            .iter()
            .map(|(body, times)| ((*body).to_owned(), *times));
        owned.collect()
    };
    assert_eq!(
        by_key["a"],
        of(&[("a0", 0), ("a0", 1), ("a0", 2), ("a1", 0)])
    );
    assert_eq!(by_key["b"], of(&[("b0", 0), ("b1", 0)]));
    assert_eq!(cluster.group("g").dead_letters().len(), 1);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(cluster.requests(&On::SendBack).len(), 1);
    assert_eq!(cluster.group("g").lag("T"), 0);
}

/// No event but the clock makes the second one start.
#[test]
fn a_message_that_is_due_again_waits_for_no_handler_of_another_key() {
    let cluster = cluster(1);
    let (release, gate) = unbounded::<()>();
    let builder = consumer(&cluster).ordered_by_key(8).suspend(ms(1500));
    let (consumer, came) = start(builder, move |body, times| match (body, times) {
        // A second.
        ("a0", 0) => Err(Retry::level(1)),
        ("a0", _) => {
            let _ = gate.recv();
            Ok(())
        }
        ("b0", 0) => Err(Retry::later()),
        _ => Ok(()),
    });
    send(&producer(&cluster), &["a0", "b0"]);
    assert_eq!(sorted(&came, 2), ["a0", "b0"]);
    let failed = Instant::now();
    // b0 is due half a second after a0, and may overtake it where threads are late.
    let mut again = [next(&came), next(&came)];
    again.sort();
    assert_eq!(again, ["a0", "b0"].map(|body| (body.to_owned(), 1)));
    // The pull that waits at the broker ends after 15 s.
    let took = failed.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    drop(release);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn no_more_messages_of_a_queue_are_handled_at_once_than_is_set() {
    let cluster = cluster(1);
    let (release, gate) = unbounded::<()>();
    let (consumer, came) = start(consumer(&cluster).ordered_by_key(2), move |_, _| {
        let _ = gate.recv();
        Ok(())
    });
    send(&producer(&cluster), &["a0", "b0", "c0", "-0"]);
    assert_eq!(sorted(&came, 2), ["a0", "b0"]);
    eventually("the others are here", || consumer.stats().fetched == 4);
    release.send(()).expect("a handler waits");
    assert_eq!(next(&came).0, "c0");
    assert!(came.is_empty());
    drop(release);
    assert_eq!(next(&came).0, "-0");
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn each_key_keeps_its_order_while_members_come_and_go() {
    const KEYS: usize = 8;
    const EACH: usize = 60;
    let cluster = cluster(4);
    let producer = producer(&cluster);
    let order: Arc<Mutex<BTreeMap<char, Vec<usize>>>> = Arc::default();
    let member = || {
        let order = order.clone();
        let builder = consumer(&cluster).ordered_by_key(4).commit_interval(ms(10));
        let started = builder.start_ordered(move |message| {
            let body = message.text()?;
            let (key, number) = body.split_at(1);
            let key = key.chars().next().expect("a key");
            order.lock().entry(key).or_default().push(number.parse()?);
            Ok(())
        });
        started.expect("a consumer")
    };
    let keys: Vec<char> = ('a'..).take(KEYS).collect();
    let more = |from: usize| {
        for number in from..from + EACH / 3 {
            let bodies: Vec<String> = keys.iter().map(|key| format!("{key}{number}")).collect();
            send(
                &producer,
                &bodies.iter().map(String::as_str).collect::<Vec<_>>(),
            );
        }
    };
    let first = member();
    more(0);
    let second = member();
    more(EACH / 3);
    assert!(first.shutdown_within(PATIENCE).is_clean());
    more(2 * EACH / 3);
    let count = || order.lock().values().map(Vec::len).sum::<usize>();
    eventually("all are handled", || count() >= KEYS * EACH);
    assert!(second.shutdown_within(PATIENCE).is_clean());
    let expected = || Vec::from_iter(0..EACH);
    let expected: BTreeMap<char, Vec<usize>> = keys.iter().map(|key| (*key, expected())).collect();
    assert_eq!(*order.lock(), expected);
}

/// The second message of a key waits for the first, and others overtake it.
#[test]
fn messages_that_were_overtaken_are_handled_before_their_queue_goes_on() {
    let cluster = cluster(1);
    let (release, gate) = unbounded::<()>();
    let (first, came) = start(consumer(&cluster).ordered_by_key(2), move |body, _| {
        if body == "a0" {
            let _ = gate.recv();
        }
        Ok(())
    });
    send(&producer(&cluster), &["a0", "a1", "b0", "b1", "a2"]);
    assert_eq!(sorted(&came, 3), ["a0", "b0", "b1"]);
    thread::scope(|scope| {
        let ending = scope.spawn(|| first.shutdown_within(PATIENCE));
        eventually("its queues are revoked", || first.assignment().is_empty());
        drop(release);
        assert!(ending.join().expect("no panic").is_clean());
    });
    assert_eq!(next(&came).0, "a1");
    let (second, rest) = start(consumer(&cluster).ordered_by_key(2), |_, _| Ok(()));
    assert_eq!(next(&rest).0, "a2");
    assert!(second.shutdown_within(PATIENCE).is_clean());
    assert!(came.is_empty() && rest.is_empty());
}

#[test]
fn an_order_by_key_is_for_ordered_consumers() {
    let cluster = cluster(1);
    for builder in [
        consumer(&cluster).ordered_by_key(0),
        consumer(&cluster).ordered_by_key(1001),
    ] {
        let error = builder.start_ordered(|_| Ok(())).expect_err("no limit");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("ordered_by_key"), "{error}");
    }
    let revoked = consumer(&cluster).ordered_by_key(2).revoke_stuck(true);
    let error = revoked.start_ordered(|_| Ok(())).expect_err("no order");
    assert!(error.to_string().contains("revoke_stuck"), "{error}");
    let concurrent = consumer(&cluster).ordered_by_key(2).start(|_| Ok(()));
    assert_eq!(concurrent.expect_err("no order").kind(), ErrorKind::Config);
}
