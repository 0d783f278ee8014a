//! How many messages push consumers pop ahead of their handlers.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::unbounded;
use rocketmq_blocking::PushConsumer;
use rocketmq_blocking::consumer::{Doing, PushConsumerBuilder};
use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::{Batch, Message, Producer};

use crate::common::{bodies, send, take};
use crate::popped::{cluster, next, popping};
use crate::support::{PATIENCE, eventually, producer, start_heard};

/// The most messages that wait while handlers are quick.
const MOST: usize = 192;

/// No message expires, however slow this machine is.
fn patient(cluster: &Cluster) -> PushConsumerBuilder {
    popping(cluster).invisible_time(Duration::from_secs(3600))
}

/// Sends messages, quickly.
fn fill(producer: &Producer, count: usize) {
    let all = (0..count).map(|n| Message::new("T", format!("message {n}")));
    let all: Vec<Message> = all.collect();
    for batch in all.chunks(100) {
        let batch = Batch::new(batch.to_vec()).expect("a batch");
        assert!(producer.send_batch(&batch).is_ok());
    }
}

/// For how many messages each pop asked.
fn asked(cluster: &Cluster) -> Vec<usize> {
    let pops = cluster.requests(&On::Pop);
    let most = pops.iter().map(|pop| {
        let most = pop.command().ext.get("maxMsgNums").expect("it is there");
        most.parse().expect("a number")
    });
    most.collect()
}

/// The messages that wait once no more are popped. These may be on their way to their queue then, and a consumer
/// that is late describes nothing: at least so many must be there.
#[track_caller]
fn waiting(consumer: &PushConsumer, least: usize) -> usize {
    let waiting = Cell::new(0);
    eventually("no more are popped", || {
        let state = consumer.describe();
        let popped = || state.queues.iter().filter(|queue| queue.is_popped);
        waiting.set(popped().map(|queue| queue.held - queue.running).sum());
        waiting.get() >= least && popped().all(|queue| queue.doing == Doing::Full)
    });
    waiting.get()
}

#[test]
fn quick_handlers_have_more_popped_at_once() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let (consumer, seen) = bodies(patient(&cluster).consume_threads(4));
    assert!(asked(&cluster).iter().all(|most| *most <= 4));
    let sent = AtomicUsize::new(0);
    eventually("a pop asks for as many as brokers have", || {
        fill(&producer, 400);
        sent.fetch_add(400, Ordering::SeqCst);
        asked(&cluster).contains(&32)
    });
    let _ = take(&seen, sent.into_inner());
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(seen.is_empty());
    assert_eq!(consumer.stats().expired, 0);
}

#[test]
fn slow_handlers_have_one_more_message_each() {
    let cluster = cluster();
    fill(&producer(&cluster), 100);
    let (let_go, gate) = unbounded::<()>();
    let builder = patient(&cluster).consume_threads(4);
    let (consumer, messages) = start_heard(builder, move |_| {
        // Until the other end is dropped.
        let _ = gate.recv();
        Ok(())
    });
    for _ in 0..4 {
        let _ = next(&messages);
    }
    // One message less is not worth a request.
    let waiting = waiting(&consumer, 3);
    assert!((3..=4).contains(&waiting), "{waiting}");
    assert_eq!(consumer.stats().fetched, 4 + waiting as u64);
    drop(let_go);
    for _ in 4..100 {
        let _ = next(&messages);
    }
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(consumer.stats().expired, 0);
}

/// Several threads pop, and then all handlers stop.
#[test]
fn handlers_that_become_slow_leave_a_bounded_number_of_messages() {
    const QUICK: usize = 500;
    let cluster = cluster();
    fill(&producer(&cluster), 2 * QUICK);
    let (let_go, gate) = unbounded::<()>();
    let handled = Arc::new(AtomicUsize::new(0));
    let (consumer, messages) = start_heard(patient(&cluster), move |_| {
        if handled.fetch_add(1, Ordering::SeqCst) >= QUICK {
            // Until the other end is dropped.
            let _ = gate.recv();
        }
        Ok(())
    });
    let waiting = waiting(&consumer, 1);
    assert!(waiting <= MOST, "{waiting}");
    drop(let_go);
    for _ in 0..2 * QUICK {
        let _ = next(&messages);
    }
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(consumer.stats().expired, 0);
}

/// A consumer that waited for several messages would wait for ever.
#[test]
fn one_message_is_popped_however_many_may_be() {
    let cluster = cluster();
    let producer = producer(&cluster);
    fill(&producer, 1_000);
    let (consumer, seen) = bodies(patient(&cluster));
    let _ = take(&seen, 1_000);
    for n in 0..20 {
        let sent = send(&producer, n..n + 1);
        assert_eq!(take(&seen, 1), sent.into_iter().collect::<Vec<_>>());
    }
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}
