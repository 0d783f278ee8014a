//! Ordered consumers: the messages of a queue in order, one at a time, by one member at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use rocketmq_blocking::consumer::{OrderedMessage, PushConsumerBuilder};
use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{Message, MessageQueue, Producer, PushConsumer, Retry};

use crate::common::consumer;
use crate::support::{PATIENCE, eventually, inject, ms, producer};

fn cluster(queues: i32) -> Cluster {
    let builder = Cluster::builder().topic("T", queues);
    builder.start().expect("free ports")
}

/// Starts it with a handler that sends its messages to a channel before it decides.
fn start(
    builder: PushConsumerBuilder,
    decide: impl Fn(&OrderedMessage) -> Result<(), Retry> + Send + Sync + 'static,
) -> (PushConsumer, Receiver<(String, i32)>) {
    let (seen, messages): (Sender<(String, i32)>, _) = unbounded();
    let started = builder.start_ordered(move |message| {
        let body = message.text().expect("text").to_owned();
        seen.send((body, message.reconsume_times())).ok();
        decide(message)
    });
    (started.expect("a consumer"), messages)
}

#[track_caller]
fn next(messages: &Receiver<(String, i32)>) -> (String, i32) {
    messages.recv_timeout(PATIENCE).expect("a message in time")
}

fn send_to(producer: &Producer, queue: i32, bodies: impl IntoIterator<Item = String>) {
    for body in bodies {
        let queue = MessageQueue::new("T", "broker-a", queue);
        let sent = producer
            .prepare(&Message::new("T", body))
            .queue(queue)
            .timeout(PATIENCE)
            .send();
        assert!(sent.is_ok(), "{sent:?}");
    }
}

fn numbered(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

#[test]
fn messages_of_a_queue_are_handled_in_their_order_and_never_two_at_once() {
    let cluster = cluster(2);
    let producer = producer(&cluster);
    let inside = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let order = Arc::new([Mutex::new(Vec::new()), Mutex::new(Vec::new())]);
    let (count, seen) = (inside.clone(), order.clone());
    let (consumer, messages) = start(consumer(&cluster), move |message| {
        let queue = message.queue_id() as usize;
        assert_eq!(count[queue].fetch_add(1, Ordering::SeqCst), 0, "alone");
        assert!(message.still_owned());
        seen[queue].lock().unwrap().push(message.queue_offset());
        std::thread::yield_now();
        count[queue].fetch_sub(1, Ordering::SeqCst);
        Ok(())
    });
    for queue in 0..2 {
        send_to(&producer, queue, numbered(0..50));
    }
    for _ in 0..100 {
        next(&messages);
    }
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(consumer.stats().panicked, 0);
    for order in &*order {
        assert_eq!(*order.lock().unwrap(), Vec::from_iter(0..50));
    }
    assert_eq!(cluster.group("g").lag("T"), 0);
    // The consumer does not wait for the answer.
    eventually("unlocked", || cluster.group("g").locks().is_empty());
}

#[test]
fn a_message_that_failed_is_handled_again_before_the_next_one() {
    let cluster = cluster(1);
    let (consumer, messages) = start(consumer(&cluster).suspend(ms(10)), |message| {
        match (message.text(), message.reconsume_times()) {
            (Ok("1"), 0..3) => Err(Retry::later()),
            _ => Ok(()),
        }
    });
    send_to(&producer(&cluster), 0, numbered(0..3));
    let got: Vec<_> = (0..6).map(|_| next(&messages)).collect();
    let expected = [("0", 0), ("1", 0), ("1", 1), ("1", 2), ("1", 3), ("2", 0)];
    assert_eq!(got, expected.map(|(body, times)| (body.to_owned(), times)));
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(cluster.requests(&On::SendBack).len(), 0);
}

#[test]
fn after_its_last_retry_a_message_is_a_dead_letter_and_the_queue_goes_on() {
    let cluster = cluster(1);
    let builder = consumer(&cluster).suspend(ms(10)).max_reconsume(2);
    // The first request for the dead letter fails: no message may overtake it.
    inject(
        &cluster,
        &Fault::answer(2, "scripted").on(On::SendBack).times(1),
    );
    let (consumer, messages) = start(builder, |message| match message.text() {
        Ok("0") => Err(Retry::later()),
        _ => Ok(()),
    });
    send_to(&producer(&cluster), 0, numbered(0..2));
    let got: Vec<_> = (0..4).map(|_| next(&messages)).collect();
    let expected = [("0", 0), ("0", 1), ("0", 2), ("1", 0)];
    assert_eq!(got, expected.map(|(body, times)| (body.to_owned(), times)));
    assert_eq!(cluster.group("g").dead_letters().len(), 1);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(messages.is_empty());
}

#[test]
fn a_member_waits_for_a_queue_that_another_one_has_locked() {
    let cluster = cluster(1);
    let producer = producer(&cluster);
    let (release, gate) = unbounded::<()>();
    let (first, first_got) = start(consumer(&cluster), move |_| {
        let _ = gate.recv();
        Ok(())
    });
    send_to(&producer, 0, numbered(0..2));
    assert_eq!(next(&first_got).0, "0");
    let queue = MessageQueue::new("T", "broker-a", 0);
    let lock = || cluster.group("g").locks().get(&queue).cloned();
    assert_eq!(lock().as_deref(), Some(first.client_id()));
    let (second, second_got) = start(consumer(&cluster), |_| Ok(()));
    // The shutdown waits for the handler, so another thread must call it.
    let (owner, end) = (first.clone(), unbounded());
    let shutdown = std::thread::spawn(move || {
        end.0.send(()).ok();
        owner.shutdown_within(PATIENCE)
    });
    end.1.recv().expect("it begins");
    eventually("given up", || first.assignment().is_empty());
    assert_eq!(
        lock().as_deref(),
        Some(first.client_id()),
        "a handler is inside"
    );
    assert!(second_got.is_empty());
    drop(release);
    assert!(shutdown.join().expect("a report").is_clean());
    assert_eq!(next(&second_got), ("1".to_owned(), 0));
    second.shutdown();
    assert!(first_got.is_empty() && second_got.is_empty(), "each once");
}

/// A member that has the first of three messages in its handler, and another one that is to have its queue and is
/// refused the lock. The latter tells whether its messages may be repeated.
struct Moving {
    cluster: Cluster,
    old: PushConsumer,
    new: PushConsumer,
    /// Lets the handler end.
    release: Sender<()>,
    marks: Receiver<bool>,
}

impl Moving {
    /// `edit`: the members that brokers name.
    fn start(
        drain_time: Duration,
        edit: impl Fn(Vec<String>) -> Vec<String> + Send + Sync + 'static,
    ) -> Moving {
        let cluster = Cluster::builder().topic("T", 1).manual_clock(true);
        let cluster = cluster.start().expect("free ports");
        // In their order, so that the queue is the new one's.
        let builder = |name: &str| consumer(&cluster).instance_name(name);
        let (release, gate) = unbounded::<()>();
        let brief = builder("2").drain_time(drain_time);
        let (old, got) = start(brief, move |_| {
            let _ = gate.recv();
            Ok(())
        });
        send_to(&producer(&cluster), 0, numbered(0..3));
        assert_eq!(next(&got).0, "0");
        cluster.broker("broker-a").edit_members("g", edit);
        let asked = || {
            let requests = cluster.requests(&On::QueryOffset);
            let topics = requests.iter().map(|one| one.command().ext.get("topic"));
            topics.filter(|topic| *topic == Some("T")).count()
        };
        let before = asked();
        let (told, marks) = unbounded();
        let new = builder("1").start_ordered(move |message| {
            told.send(message.possibly_repeated()).ok();
            Ok(())
        });
        let new = new.expect("a consumer");
        eventually("it has asked at its start, and when it was refused", || {
            asked() == before + 2
        });
        assert!(marks.is_empty());
        Moving {
            cluster,
            old,
            new,
            release,
            marks,
        }
    }

    #[track_caller]
    fn is_marked(&self) -> bool {
        self.marks
            .recv_timeout(PATIENCE)
            .expect("a message in time")
    }
}

#[test]
fn messages_of_a_queue_that_was_handed_over_are_not_marked() {
    let moving = Moving::start(PATIENCE, |members| members);
    eventually("it is given up", || moving.old.assignment().is_empty());
    moving.release.send(()).expect("it runs");
    assert!(!moving.is_marked() && !moving.is_marked());
    let group = moving.cluster.group("g");
    eventually("all are done", || group.lag("T") == 0);
    assert!(moving.marks.is_empty());
    moving.new.shutdown();
    moving.old.shutdown();
}

#[test]
fn messages_of_a_queue_whose_lock_expired_are_marked() {
    // The old one goes on, as a list without it counts for nothing there.
    let moving = Moving::start(PATIENCE, |members| {
        let members = members.into_iter();
        members.filter(|id| !id.contains("@2")).collect()
    });
    moving.cluster.advance(Duration::from_secs(61));
    for _ in 0..3 {
        assert!(moving.is_marked());
    }
    moving.new.shutdown();
    drop(moving.old.shutdown_within(ms(100)));
}

/// Its message comes again, so that the queue is not handed over: an unlock would say so.
#[test]
fn the_lock_of_a_queue_whose_handler_takes_too_long_is_not_given_back() {
    let moving = Moving::start(Duration::ZERO, |members| members);
    eventually("it is given up", || moving.old.stats().queues_given_up > 0);
    moving.release.send(()).expect("it runs");
    eventually("it ends, and changes nothing", || {
        moving.old.stats().late_results == 1
    });
    // What it has sent to the broker before is there after that.
    moving.old.shutdown();
    let unlocks = moving.cluster.requests(&On::Unlock);
    let of_t = |body: &[u8]| String::from_utf8_lossy(body).contains("\"T\"");
    assert!(!unlocks.iter().any(|unlock| of_t(&unlock.command().body)));
    assert!(moving.marks.is_empty());
    drop(moving.new.shutdown_within(ms(100)));
}

#[test]
fn nothing_is_handed_out_while_the_lock_is_refused() {
    let cluster = cluster(1);
    inject(&cluster, &Fault::answer(1, "scripted").on(On::Lock));
    let builder = consumer(&cluster).start_timeout(Duration::from_secs(1));
    let (consumer, messages) = start(builder, |_| Ok(()));
    send_to(&producer(&cluster), 0, numbered(0..1));
    let asked = cluster.wait_for_requests(&On::Lock, 4, PATIENCE);
    assert!(asked.len() >= 4, "it is asked again each half second");
    assert!(messages.is_empty());
    eventually("its state says so", || {
        let state = consumer.describe().to_string();
        state.contains("T@broker-a:0: waits for its lock")
    });
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn a_broker_that_restarts_without_its_locks_is_asked_again_before_anything_is_handed_out() {
    let cluster = cluster(1);
    let producer = producer(&cluster);
    let (consumer, messages) = start(consumer(&cluster).commit_interval(ms(10)), |message| {
        assert!(message.still_owned());
        Ok(())
    });
    send_to(&producer, 0, numbered(0..3));
    for _ in 0..3 {
        next(&messages);
    }
    let queue = MessageQueue::new("T", "broker-a", 0);
    eventually("committed", || {
        cluster.group("g").committed(&queue) == Some(3)
    });
    let broker = cluster.broker("broker-a");
    broker.kill();
    assert!(cluster.group("g").locks().is_empty());
    broker.restart().expect("its port");
    // Another producer: a send on the connection that broke may fail, its message possibly stored.
    let producer = self::producer(&cluster);
    send_to(&producer, 0, numbered(3..5));
    assert_eq!(next(&messages).0, "3");
    let lock = cluster.group("g").locks().get(&queue).cloned();
    assert_eq!(lock.as_deref(), Some(consumer.client_id()));
    assert_eq!(next(&messages).0, "4");
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(consumer.stats().panicked, 0);
}
