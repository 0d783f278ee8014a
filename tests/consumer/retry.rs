//! Messages whose handler failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::PushConsumerBuilder;
use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{Message, MessageView, PushConsumer, Retry};

use crate::common::{consumer, ends};
use crate::support::{PATIENCE, eventually, inject, ms, producer};

/// `T` with one queue, and a clock that is moved by hand.
fn cluster() -> Cluster {
    let builder = Cluster::builder().topic("T", 1).manual_clock(true);
    let builder = builder.hold_delayed_messages(true);
    builder.start().expect("free ports")
}

/// A consumer whose handler decides by the message and the number of the call.
fn start(
    cluster: &Cluster,
    most: u32,
    decide: impl Fn(&MessageView, usize) -> Result<(), Retry> + Send + Sync + 'static,
) -> (PushConsumer, Receiver<MessageView>) {
    start_with(consumer(cluster), most, decide)
}

/// While a group holds locks, brokers make dead letters of all messages that are sent to its retry topic.
fn start_without_lease(
    cluster: &Cluster,
    most: u32,
    decide: impl Fn(&MessageView, usize) -> Result<(), Retry> + Send + Sync + 'static,
) -> (PushConsumer, Receiver<MessageView>) {
    start_with(consumer(cluster).lease(false), most, decide)
}

fn start_with(
    builder: PushConsumerBuilder,
    most: u32,
    decide: impl Fn(&MessageView, usize) -> Result<(), Retry> + Send + Sync + 'static,
) -> (PushConsumer, Receiver<MessageView>) {
    let (seen, messages) = unbounded();
    let calls = AtomicUsize::new(0);
    let started = builder
        .max_reconsume(most)
        .commit_interval(ms(10))
        .start(move |message| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            seen.send(message.clone()).ok();
            decide(message, call)
        });
    (started.expect("a consumer"), messages)
}

#[track_caller]
fn next(messages: &Receiver<MessageView>) -> MessageView {
    messages.recv_timeout(PATIENCE).expect("a message in time")
}

/// Moves the clock until the condition holds.
#[track_caller]
fn advance_until(cluster: &Cluster, what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        cluster.advance(Duration::from_secs(1));
        std::thread::yield_now();
    }
}

#[test]
fn a_message_that_failed_comes_again_later_as_it_was() {
    let cluster = cluster();
    let (consumer, messages) = start(&cluster, 16, |_, call| match call {
        0 => Err(Retry::later().because("no stock")),
        _ => Ok(()),
    });
    let sent = Message::new("T", "one")
        .tag("A")
        .key("k")
        .property("p", "v");
    let receipt = producer(&cluster).send(&sent).expect("stored");
    let first = next(&messages);
    assert_eq!(first.reconsume_times(), 0);
    let back = cluster.wait_for_requests(&On::SendBack, 1, PATIENCE);
    let ext = &back[0].command().ext;
    assert_eq!(ext.get("delayLevel"), Some("0"), "the broker chooses");
    assert_eq!(ext.get("originTopic"), Some("T"));
    assert_eq!(ext.get("originMsgId"), Some(receipt.message_id()));
    assert_eq!(ext.get("maxReconsumeTimes"), Some("16"));
    let (queue, _) = ends(&cluster)[0].clone();
    eventually("the message itself is consumed", || {
        cluster.group("g").committed(&queue) == Some(1)
    });
    assert!(messages.is_empty(), "not before its time");
    advance_until(&cluster, "again", || !messages.is_empty());
    let again = next(&messages);
    assert_eq!((again.topic(), again.reconsume_times()), ("T", 1));
    assert_eq!(again.message_id(), first.message_id());
    assert_eq!(again.property("p"), Some("v"));
    assert_eq!((again.tag(), again.text()), (Some("A"), Ok("one")));
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(
        (consumer.stats().failed, consumer.stats().sent_back),
        (1, 1)
    );
    assert_eq!(consumer.stats().handled, 1);
}

#[test]
fn the_handler_chooses_the_delay_level() {
    let cluster = cluster();
    let (consumer, messages) = start(&cluster, 16, |_, call| match call {
        0 => Err(Retry::level(5)),
        _ => Ok(()),
    });
    let _ = producer(&cluster)
        .send(&Message::new("T", "one"))
        .expect("stored");
    next(&messages);
    let back = cluster.wait_for_requests(&On::SendBack, 1, PATIENCE);
    assert_eq!(back[0].command().ext.get("delayLevel"), Some("5"));
    consumer.shutdown();
}

#[test]
fn after_its_last_retry_a_message_is_a_dead_letter() {
    let cluster = cluster();
    let (consumer, messages) = start(&cluster, 2, |_, _| Err(Retry::later()));
    let _ = producer(&cluster)
        .send(&Message::new("T", "one"))
        .expect("stored");
    for times in 0..3 {
        advance_until(&cluster, "the next try", || !messages.is_empty());
        assert_eq!(next(&messages).reconsume_times(), times);
    }
    eventually("dead", || cluster.group("g").dead_letters().len() == 1);
    assert_eq!(cluster.group("g").dead_letters()[0].text(), "one");
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    let stats = consumer.stats();
    assert_eq!((stats.sent_back, stats.dead_lettered), (2, 1), "{stats}");
    assert!(messages.is_empty());
}

#[test]
fn a_handler_may_make_a_dead_letter_at_once() {
    let cluster = cluster();
    let (consumer, messages) = start(&cluster, 16, |_, _| Err(Retry::dead_letter()));
    let _ = producer(&cluster)
        .send(&Message::new("T", "one"))
        .expect("stored");
    next(&messages);
    eventually("dead", || cluster.group("g").dead_letters().len() == 1);
    consumer.shutdown();
    assert_eq!(cluster.group("g").retries().len(), 0);
}

#[test]
fn a_handler_that_panics_has_failed_and_its_thread_lives_on() {
    let cluster = cluster();
    let (seen, messages) = unbounded();
    let consumer = consumer(&cluster)
        .consume_threads(1)
        .start(move |message| -> Result<(), Retry> {
            seen.send(message.text()?.to_owned())?;
            assert_ne!(message.text()?, "bad", "a handler's panic");
            Ok(())
        })
        .expect("a consumer");
    let producer = producer(&cluster);
    for body in ["bad", "good"] {
        let _ = producer.send(&Message::new("T", body)).expect("stored");
    }
    for body in ["bad", "good"] {
        assert_eq!(messages.recv_timeout(PATIENCE).as_deref(), Ok(body));
    }
    eventually("given back", || consumer.stats().sent_back == 1);
    assert_eq!(consumer.stats().panicked, 1);
    consumer.shutdown();
}

#[test]
fn a_message_counts_as_consumed_only_when_the_broker_has_confirmed_its_copy() {
    let cluster = cluster();
    inject(&cluster, &Fault::answer(2, "scripted").on(On::SendBack));
    let (consumer, messages) = start_without_lease(&cluster, 16, |_, call| match call {
        0 => Err(Retry::later()),
        _ => Ok(()),
    });
    let _ = producer(&cluster)
        .send(&Message::new("T", "one"))
        .expect("stored");
    next(&messages);
    // The broker is asked three times; then a copy is sent, which any broker accepts.
    cluster.wait_for_requests(&On::SendBack, 3, PATIENCE);
    eventually("a copy is stored", || consumer.stats().sent_back == 1);
    let sends = cluster.requests(&On::Send);
    let copy = sends.last().expect("a send").command();
    assert_eq!(copy.ext.get("b"), Some("%RETRY%g"));
    assert_eq!(
        (copy.ext.get("j"), copy.ext.get("l")),
        (Some("1"), Some("16"))
    );
    advance_until(&cluster, "again", || !messages.is_empty());
    let again = next(&messages);
    assert_eq!((again.topic(), again.reconsume_times()), ("T", 1));
    consumer.shutdown();
}

#[test]
fn a_message_that_no_broker_accepts_is_handled_again_here() {
    let cluster = cluster();
    inject(&cluster, &Fault::answer(2, "scripted").on(On::SendBack));
    let (consumer, messages) = start(&cluster, 16, |_, call| match call {
        0 => Err(Retry::later()),
        _ => Ok(()),
    });
    let _ = producer(&cluster)
        .send(&Message::new("T", "one"))
        .expect("stored");
    inject(&cluster, &Fault::answer(1, "scripted").on(On::Send));
    let (queue, _) = ends(&cluster)[0].clone();
    assert_eq!(next(&messages).reconsume_times(), 0);
    let again = next(&messages);
    assert_eq!((again.topic(), again.reconsume_times()), ("T", 1));
    eventually("consumed", || {
        cluster.group("g").committed(&queue) == Some(1)
    });
    assert_eq!(consumer.stats().run_again, 1);
    consumer.shutdown();
}

#[test]
fn each_message_of_a_batch_has_its_own_result() {
    let cluster = cluster();
    let producer = producer(&cluster);
    for body in ["done", "again", "rest", "dead"] {
        let _ = producer.send(&Message::new("T", body)).expect("stored");
    }
    let (seen, batches) = unbounded();
    let calls = Arc::new(AtomicUsize::new(0));
    let consumer = consumer(&cluster)
        .start_batch(10, move |batch| {
            let bodies: Vec<_> = batch.iter().map(|m| m.text().unwrap().to_owned()).collect();
            seen.send(bodies.clone()).ok();
            if calls.fetch_add(1, Ordering::SeqCst) > 0 {
                return Ok(());
            }
            for (place, body) in bodies.iter().enumerate() {
                match body.as_str() {
                    "again" => batch.retry(place, Retry::level(1)),
                    "dead" => batch.retry(place, Retry::dead_letter()),
                    "done" => batch.done(place),
                    _ => {}
                }
            }
            Err(Retry::level(2))
        })
        .expect("a consumer");
    let batch = batches.recv_timeout(PATIENCE).expect("a batch");
    assert_eq!(
        batch,
        ["done", "again", "rest", "dead"],
        "in the order of the queue"
    );
    let back = cluster.wait_for_requests(&On::SendBack, 3, PATIENCE);
    let mut levels: Vec<_> = back
        .iter()
        .map(|request| request.command().ext.get("delayLevel").unwrap().to_owned())
        .collect();
    levels.sort();
    assert_eq!(levels, ["-1", "1", "2"]);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}
