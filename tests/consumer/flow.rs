//! Flow control: how much is fetched and handed out, and when nothing is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use rocketmq_blocking::consumer::{Doing, Event, QueueState};
use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{Message, MessageQueue, Retry};

use crate::common::{bodies, consumer, send, take};
use crate::support::{PATIENCE, cluster, eventually, inject, ms, producer};

#[test]
fn nothing_is_handed_out_while_all_is_paused_and_everything_is_after_that() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let (consumer, got) = bodies(consumer(&cluster));
    take(&got, send(&producer, 0..4).len());
    consumer.pause();
    let sent = send(&producer, 4..20);
    eventually("paused", || {
        let state = consumer.describe();
        let mut queues = state.queues.iter();
        !state.queues.is_empty() && queues.all(|queue| queue.doing == Doing::Paused)
    });
    assert!(got.is_empty());
    let queues = consumer.assignment();
    assert!(queues.len() >= 4, "the queues stay: {queues:?}");
    consumer.resume();
    assert_eq!(BTreeSet::from_iter(take(&got, 16)), sent);
    consumer.shutdown();
}

#[test]
fn one_queue_can_be_paused() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let (consumer, got) = bodies(consumer(&cluster));
    let queue = MessageQueue::new("T", "broker-a", 2);
    consumer.pause_queue(&queue);
    let put = |id| {
        let queue = MessageQueue::new("T", "broker-a", id);
        let message = Message::new("T", format!("in {id}"));
        assert!(producer.prepare(&message).queue(queue).send().is_ok());
    };
    (0..4).for_each(put);
    let others = take(&got, 3);
    assert!(!others.contains(&"in 2".to_owned()), "{others:?}");
    consumer.resume_queue(&queue);
    assert_eq!(take(&got, 1), ["in 2"]);
    consumer.shutdown();
}

#[test]
fn a_full_window_fetches_nothing_more_and_its_state_shows_that() {
    let cluster = Cluster::builder()
        .topic("T", 1)
        .start()
        .expect("free ports");
    let producer = producer(&cluster);
    let (release, gate) = unbounded::<()>();
    let started = Arc::new(AtomicUsize::new(0));
    let count = started.clone();
    let consumer = consumer(&cluster)
        .window(10)
        .start(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = gate.recv();
            Ok(())
        })
        .expect("a consumer");
    send(&producer, 0..30);
    // The other queue is that of the retry topic.
    let of_topic = || {
        let mut queues = consumer.describe().queues.into_iter();
        queues.find(|queue| queue.queue.topic() == "T")
    };
    eventually("full", || {
        let is_full = |queue: &QueueState| queue.doing == Doing::Full;
        let queue = of_topic().filter(is_full);
        queue.is_some_and(|queue| (queue.held, queue.low_water) == (10, 0))
    });
    eventually("ten are with handlers", || {
        started.load(Ordering::SeqCst) == 10
    });
    drop(release);
    eventually("all", || consumer.stats().handled == 30);
    consumer.shutdown();
}

#[test]
fn held_bytes_stay_below_the_budget() {
    const BUDGET: u64 = 256 * 1024;
    let cluster = cluster();
    let producer = producer(&cluster);
    for _ in 0..64 {
        // 64 times 16 KiB is four times the budget.
        let body = crate::support::noise(16 * 1024);
        assert!(producer.send(&Message::new("T", body)).is_ok());
    }
    let (release, gate) = unbounded::<()>();
    let consumer = consumer(&cluster)
        .byte_budget(BUDGET)
        .start(move |_| {
            let _ = gate.recv();
            Ok(())
        })
        .expect("a consumer");
    eventually("as much as fits", || {
        consumer.describe().held_bytes > BUDGET / 4
    });
    assert!(consumer.describe().held_bytes <= BUDGET);
    drop(release);
    eventually("all are consumed", || consumer.stats().handled == 64);
    eventually("nothing is held", || consumer.describe().held_bytes == 0);
    consumer.shutdown();
}

#[test]
fn a_rate_limit_spreads_the_messages_over_time() {
    let cluster = cluster();
    let producer = producer(&cluster);
    send(&producer, 0..60);
    let begin = Instant::now();
    let (consumer, got) = bodies(consumer(&cluster).rate_limit(100));
    take(&got, 60);
    // Five may start at once; each of the others starts 10 ms after the one before.
    assert!(begin.elapsed() >= ms(540), "{:?}", begin.elapsed());
    consumer.shutdown();
}

#[test]
fn a_handler_that_does_not_end_is_reported_once() {
    let cluster = cluster();
    let (release, gate) = unbounded::<()>();
    let (told, events) = unbounded();
    let consumer = consumer(&cluster)
        .consume_timeout(ms(50))
        .events(move |event| drop(told.send(event.clone())))
        .start(move |_| {
            let _ = gate.recv();
            Ok(())
        })
        .expect("a consumer");
    send(&producer(&cluster), [0]);
    let next = || events.recv_timeout(PATIENCE).expect("an event");
    let stuck = std::iter::repeat_with(next).find(|event| matches!(event, Event::Stuck { .. }));
    assert!(
        matches!(stuck, Some(Event::Stuck { offset: 0, .. })),
        "{stuck:?}"
    );
    eventually("looked at again", || consumer.stats().stuck == 1);
    drop(release);
    consumer.shutdown();
    assert_eq!(consumer.stats().stuck, 1);
    assert_eq!(consumer.stats().handled, 1);
}

#[test]
fn a_stuck_message_is_given_back_if_that_is_set_and_its_late_result_is_ignored() {
    let cluster = cluster();
    let (release, gate) = unbounded::<()>();
    let consumer = consumer(&cluster)
        .consume_timeout(ms(50))
        .revoke_stuck(true)
        .start(move |message| {
            // It comes again after 10 s.
            if message.reconsume_times() == 0 {
                let _ = gate.recv();
            }
            Ok(())
        })
        .expect("a consumer");
    send(&producer(&cluster), [0]);
    eventually("given back", || consumer.stats().sent_back == 1);
    drop(release);
    eventually("too late", || consumer.stats().late_results == 1);
    assert_eq!(cluster.requests(&On::SendBack).len(), 1);
    consumer.shutdown();
}

#[test]
fn a_pull_that_is_refused_is_repeated_and_reported() {
    let cluster = cluster();
    let (told, events) = unbounded();
    let refuse = Arc::new(AtomicBool::new(true));
    let refused = refuse.clone();
    let on = On::when(move |command| On::Pull.matches(command) && refused.load(Ordering::SeqCst));
    inject(&cluster, &Fault::answer(16, "scripted").on(on));
    let builder = consumer(&cluster).events(move |event| drop(told.send(event.clone())));
    let (consumer, got) = bodies(builder);
    let next = || events.recv_timeout(PATIENCE).expect("an event");
    let event = std::iter::repeat_with(next).find(|e| matches!(e, Event::Refused { .. }));
    let text = event.expect("one").to_string();
    assert!(text.contains("NO_PERMISSION (16)"), "{text}");
    eventually("it backs off", || {
        let state = consumer.describe();
        state
            .queues
            .iter()
            .any(|queue| queue.doing == Doing::BackingOff)
    });
    refuse.store(false, Ordering::SeqCst);
    let sent = send(&producer(&cluster), 0..4);
    assert_eq!(BTreeSet::from_iter(take(&got, 4)), sent);
    consumer.shutdown();
}

#[test]
fn a_heartbeat_with_an_unknown_subscription_is_sent_at_once() {
    let cluster = cluster();
    for code in [24, 25] {
        let on = On::Pull;
        cluster
            .broker("broker-a")
            .inject(Fault::answer(code, "scripted").on(on).times(1));
    }
    let begin = Instant::now();
    let (consumer, got) = bodies(consumer(&cluster));
    let sent = send(&producer(&cluster), 0..4);
    assert_eq!(BTreeSet::from_iter(take(&got, 4)), sent);
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "not with the next heartbeat"
    );
    assert!(cluster.requests(&On::Heartbeat).len() >= 2);
    consumer.shutdown();
}

#[test]
fn messages_that_are_gone_are_skipped_with_an_event() {
    let cluster = Cluster::builder()
        .topic("T", 1)
        .start()
        .expect("free ports");
    let producer = producer(&cluster);
    send(&producer, 0..10);
    let queue = MessageQueue::new("T", "broker-a", 0);
    cluster.group("g").commit(&queue, 2);
    cluster.delete_before(&queue, 6);
    let (told, events) = unbounded();
    let builder = consumer(&cluster).events(move |event| drop(told.send(event.clone())));
    let (consumer, got) = bodies(builder);
    let first: Vec<String> = (6..10).map(|n| format!("message {n}")).collect();
    assert_eq!(
        BTreeSet::from_iter(take(&got, 4)),
        BTreeSet::from_iter(first)
    );
    let next = || events.recv_timeout(PATIENCE).expect("an event");
    let moved = std::iter::repeat_with(next).find(|e| matches!(e, Event::OffsetMoved { .. }));
    let text = moved.expect("one").to_string();
    assert_eq!(text, "T@broker-a:0: offset 2 has expired; going on at 6");
    consumer.shutdown();
    assert_eq!(cluster.group("g").committed(&queue), Some(10));
}

#[test]
fn a_handler_may_ask_and_stop_its_own_consumer() {
    let cluster = cluster();
    let (give, own) = unbounded::<rocketmq_blocking::PushConsumer>();
    let (ended, report) = unbounded();
    let consumer = consumer(&cluster)
        .start(move |_| -> Result<(), Retry> {
            let consumer = own.recv()?;
            eventually("it answers", || consumer.describe().queues.len() >= 4);
            ended.send(consumer.shutdown_within(PATIENCE))?;
            Ok(())
        })
        .expect("a consumer");
    give.send(consumer.clone()).expect("a handler");
    send(&producer(&cluster), [0]);
    let report = report.recv_timeout(PATIENCE).expect("it returns at once");
    assert!(report.goes_on, "{report}");
    let report = consumer.shutdown_within(PATIENCE);
    assert!(report.is_clean() && !report.goes_on, "{report}");
    let committed = cluster.group("g").offsets();
    assert_eq!(committed.values().sum::<i64>(), 1, "{committed:?}");
}
