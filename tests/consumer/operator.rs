//! Operators' requests to running consumers, through their brokers.

use std::collections::BTreeMap;

use crossbeam_channel::unbounded;
use rocketmq_blocking::consumer::{Event, MoveReason};
use rocketmq_blocking::protocol::consumer::asked::ConsumeResult;
use rocketmq_blocking::{ErrorKind, Message, MessageQueue, Producer, PushConsumer};
use rocketmq_blocking::{ResponseCode, Retry, SimpleConsumer, StartFrom};

use crate::common::{pull, read};
use crate::support::{PATIENCE, cluster, eventually, ms, producer};

fn queue(id: i32) -> MessageQueue {
    MessageQueue::new("T", "broker-a", id)
}

fn send(producer: &Producer, count: usize) {
    for number in 0..count {
        let message = Message::new("T", number.to_string());
        let prepared = producer.prepare(&message).queue(queue(0));
        assert!(prepared.timeout(PATIENCE).send().is_ok());
    }
}

#[test]
fn a_pushed_reset_overrides_the_committed_offset() {
    let cluster = cluster();
    send(&producer(&cluster), 5);
    let (told, events) = unbounded();
    let (seen, handled) = unbounded();
    let consumer = PushConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .commit_interval(ms(10))
        .events(move |event| drop(told.send(event.clone())))
        .start(move |message| -> Result<(), Retry> {
            seen.send(message.queue_offset())?;
            Ok(())
        })
        .expect("a consumer");
    let next = || handled.recv_timeout(PATIENCE).expect("in time");
    let take = |count: usize| {
        let mut taken: Vec<i64> = (0..count).map(|_| next()).collect();
        taken.sort_unstable();
        taken
    };
    assert_eq!(take(5), [0, 1, 2, 3, 4]);
    let committed = |offset| cluster.group("g").committed(&queue(0)) == Some(offset);
    eventually("committed", || committed(5));
    let told = cluster
        .group("g")
        .push_reset(&BTreeMap::from([(queue(0), 3), (queue(9), 1)]));
    assert_eq!(told, 1);
    assert_eq!(take(2), [3, 4]);
    eventually("committed", || committed(5));
    consumer.shutdown();
    assert!(handled.is_empty());
    let moved = Event::OffsetMoved {
        queue: queue(0),
        from: 5,
        to: Some(3),
        why: MoveReason::Reset,
    };
    assert!(events.try_iter().any(|event| event == moved));
}

#[test]
fn a_pull_consumer_is_reset_in_both_ways() {
    let cluster = cluster();
    send(&producer(&cluster), 5);
    let consumer = pull(&cluster);
    assert_eq!(read(&consumer), [0, 1, 2, 3, 4]);
    consumer.commit().expect("confirmed");
    let group = cluster.group("g");
    group.push_reset(&BTreeMap::from([(queue(0), 1)]));
    eventually("reset", || {
        consumer.position(&queue(0)).expect("ours") == Some(1)
    });
    assert_eq!(read(&consumer), [1, 2, 3, 4]);
    consumer.commit().expect("confirmed");
    // The reset comes with the answer to the next pull. The message ends the parked one.
    group.reset_offset(&queue(0), 4);
    send(&producer(&cluster), 1);
    eventually("reset", || {
        consumer.position(&queue(0)).expect("ours") == Some(4)
    });
    assert_eq!(read(&consumer), [4, 5]);
    consumer.shutdown();
}

#[test]
fn a_consumer_answers_its_offsets() {
    let cluster = cluster();
    send(&producer(&cluster), 5);
    let consumer = pull(&cluster);
    let mut polled = Vec::new();
    while polled.len() < 5 {
        polled.extend(consumer.poll(PATIENCE).expect("no error"));
    }
    assert!(polled.remove(0).done());
    let group = cluster.group("g");
    let status = group
        .ask_status(consumer.client_id(), "T")
        .expect("an answer");
    let expected = [(queue(0), 1), (queue(1), 0), (queue(2), 0), (queue(3), 0)];
    assert_eq!(status, BTreeMap::from(expected));
    let status = group.ask_status(consumer.client_id(), "Other");
    assert!(status.expect("an answer").is_empty());
    drop(polled);
    consumer.shutdown();
}

#[test]
fn a_consumer_answers_its_running_info() {
    let cluster = cluster();
    send(&producer(&cluster), 5);
    let consumer = pull(&cluster);
    eventually("fetched", || consumer.stats().fetched == 5);
    let info = cluster.group("g").running_info(consumer.client_id(), true);
    let info = info.expect("an answer");
    let property = |name: &str| info.properties.get(name).map(String::as_str);
    assert_eq!(property("PROP_CONSUME_TYPE"), Some("CONSUME_ACTIVELY"));
    // As in Java: it has no threads for handlers.
    assert_eq!(property("PROP_THREADPOOL_CORE_SIZE"), None);
    assert_eq!(property("PROP_CONSUMEORDERLY"), None);
    assert_eq!(
        property("PROP_NAMESERVER_ADDR"),
        Some(&*cluster.name_server())
    );
    let started = property("PROP_CONSUMER_START_TIMESTAMP").expect("it");
    assert!(started.parse::<i64>().expect("a number") > 1_700_000_000_000);
    assert_eq!(info.mq_table.len(), 4);
    let first = &info.mq_table[&queue(0)];
    assert_eq!((first.cached_msg_count, first.commit_offset), (5, 0));
    assert_eq!(
        (first.cached_msg_min_offset, first.cached_msg_max_offset),
        (0, 4)
    );
    assert!(first.last_pull_timestamp > 1_700_000_000_000 && !first.droped);
    assert_eq!(info.subscription_set.len(), 1);
    assert_eq!(info.subscription_set[0].topic, "T");
    consumer.shutdown();
}

#[test]
fn an_ordered_consumer_answers_its_threads_and_its_locks() {
    let cluster = cluster();
    let consumer = PushConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .consume_threads(3)
        .start_ordered(|_| Ok(()))
        .expect("a consumer");
    let info = || {
        let info = cluster.group("g").running_info(consumer.client_id(), false);
        info.expect("an answer")
    };
    let properties = info().properties;
    assert_eq!(properties["PROP_CONSUMEORDERLY"], "true");
    assert_eq!(properties["PROP_THREADPOOL_CORE_SIZE"], "3");
    // Java's tools complain about queues that are not locked.
    eventually("all are locked", || {
        let queues = info().mq_table;
        !queues.is_empty() && queues.values().all(|queue| queue.locked)
    });
    let at = info().mq_table[&queue(0)].last_lock_timestamp;
    assert!(at > 1_700_000_000_000, "{at}");
    consumer.shutdown();
}

#[test]
fn a_simple_consumer_answers_what_it_has() {
    let cluster = cluster();
    send(&producer(&cluster), 3);
    let consumer = SimpleConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .start()
        .expect("a consumer");
    let received = consumer.receive(32, PATIENCE).expect("no error");
    assert_eq!(received.len(), 3);
    let group = cluster.group("g");
    // It receives before brokers know it.
    eventually("brokers know it", || !group.members().is_empty());
    let info = group.running_info(consumer.client_id(), false);
    let info = info.expect("an answer");
    let property = |name: &str| info.properties.get(name).map(String::as_str);
    assert_eq!(property("PROP_CONSUME_TYPE"), Some("CONSUME_POP"));
    assert_eq!(property("PROP_THREADPOOL_CORE_SIZE"), None);
    let popped = &info.mq_pop_table[&queue(-1)];
    assert_eq!((popped.wait_ack_count, popped.droped), (3, false));
    assert!(popped.last_pop_timestamp > 1_700_000_000_000);
    drop(received);
    consumer.shutdown();
}

#[test]
fn an_operator_sees_how_fast_messages_come_and_are_consumed() {
    let cluster = cluster();
    let (seen, handled) = unbounded();
    let consumer = PushConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .start(move |message| -> Result<(), Retry> {
            seen.send(())?;
            match message.text()? {
                "0" => Err(Retry::dead_letter()),
                _ => Ok(()),
            }
        })
        .expect("a consumer");
    send(&producer(&cluster), 5);
    for _ in 0..5 {
        handled.recv_timeout(PATIENCE).expect("a message");
    }
    let status = || {
        let info = cluster.group("g").running_info(consumer.client_id(), false);
        info.expect("an answer").status_table["T"].clone()
    };
    eventually("counted", || {
        let status = status();
        let ratio = status.consume_ok_tps / status.consume_failed_tps;
        (ratio - 4.0).abs() < 1e-9
    });
    let status = status();
    assert_eq!(status.consume_failed_msgs, 1);
    assert!(status.pull_tps >= status.consume_ok_tps, "{status:?}");
    assert!(
        status.pull_rt > 0.0 && status.consume_rt > 0.0,
        "{status:?}"
    );
    consumer.shutdown();
}

#[test]
fn a_message_is_handled_at_once_on_an_operators_request() {
    let cluster = cluster();
    let (seen, handled) = unbounded();
    let consumer = PushConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .consume_threads(1)
        .start(move |message| -> Result<(), Retry> {
            seen.send(message.clone())?;
            match message.text()? {
                "0" => Ok(()),
                "1" => Err(Retry::later()),
                _ => panic!("as the test wants"),
            }
        })
        .expect("a consumer");
    // Another topic: the consumer itself does not get these.
    cluster.create_topic("Other", 1);
    let producer = producer(&cluster);
    for (body, expected) in [
        ("0", ConsumeResult::CrSuccess),
        ("1", ConsumeResult::CrLater),
        ("2", ConsumeResult::CrThrowException),
    ] {
        assert!(producer.send(&Message::new("Other", body).tag("a")).is_ok());
        let stored = cluster.messages("Other");
        let stored = stored.last().expect("one");
        let group = cluster.group("g");
        let result = group.consume_directly(consumer.client_id(), stored);
        let result = result.expect("an answer");
        assert_eq!(result.consume_result, expected);
        assert!(!result.order);
        let got = handled.recv_timeout(PATIENCE).expect("handled");
        assert_eq!((got.topic(), got.tag()), ("Other", Some("a")));
        let queue = MessageQueue::new("Other", "broker-a", 0);
        assert_eq!(got.queue(), Some(&queue));
    }
    assert_eq!(consumer.stats().handled, 0);
    consumer.shutdown();
    assert!(cluster.group("g").retries().is_empty());
}

#[test]
fn a_pull_consumer_refuses_to_handle_a_message_at_once() {
    let cluster = cluster();
    send(&producer(&cluster), 1);
    let consumer = pull(&cluster);
    let stored = cluster.only_message("T");
    let result = cluster
        .group("g")
        .consume_directly(consumer.client_id(), &stored);
    let error = result.expect_err("it has no handler");
    assert_eq!(error.kind(), ErrorKind::Broker);
    assert_eq!(error.response_code(), Some(ResponseCode::SYSTEM_ERROR));
    consumer.shutdown();
}
