//! The choice of the queue.

use std::collections::BTreeMap;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{ClientOptions, ErrorKind, Message, MessageQueue, SendFate};

use crate::support::*;

/// Java's `String.hashCode`, written here a second time.
fn java_hash(text: &str) -> i32 {
    let mut hash = 0i32;
    for unit in text.encode_utf16() {
        hash = hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    }
    hash
}

#[test]
fn a_sharding_key_picks_the_queue_as_java_does_and_is_written_into_the_message() {
    let cluster = brokers(2);
    let producer = producer(&cluster);
    let queues = queues_seen(&producer, "T");
    assert_eq!(queues.len(), 8);
    for key in [
        "order-1",
        "order-2",
        "\u{8ba2}\u{5355}",
        "polygenelubricants",
        "x",
    ] {
        let index = (java_hash(key) % 8).unsigned_abs() as usize;
        for _ in 0..2 {
            let receipt = producer.prepare(&message("x")).sharding_key(key).send();
            assert_eq!(receipt.unwrap().queue().to_string(), queues[index]);
        }
        let stored = cluster.messages("T");
        assert_eq!(stored.last().unwrap().property("__SHARDINGKEY"), Some(key));
    }
}

/// The separators of the text form would let a key write other properties.
#[test]
fn a_sharding_key_cannot_smuggle_in_properties() {
    let cluster = cluster();
    let producer = producer(&cluster);
    for key in ["a\u{2}DELAY\u{1}18", "a\u{1}b"] {
        let result = producer.prepare(&message("x")).sharding_key(key).send();
        assert_eq!(error(result).kind(), ErrorKind::Invalid);
    }
    assert!(sends(&cluster).is_empty());
}

#[test]
fn a_selector_sees_the_sorted_queues_and_its_choice_is_kept() {
    let cluster = brokers(3);
    cluster.set_queues("T", "broker-b", 2, 2);
    let producer = producer(&cluster);
    let expected: Vec<String> = [("a", 4), ("b", 2), ("c", 4)]
        .iter()
        .flat_map(|(broker, count)| (0..*count).map(move |i| format!("T@broker-{broker}:{i}")))
        .collect();
    assert_eq!(queues_seen(&producer, "T"), expected);
    for (i, queue) in expected.iter().enumerate() {
        let receipt = producer.prepare(&message("x")).select(move |_| i).send();
        assert_eq!(receipt.unwrap().queue().to_string(), *queue);
    }
}

#[test]
fn a_selector_that_panics_or_chooses_nothing_fails_its_send_only() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let message = message("x");
    let bad = producer.prepare(&message).select(|queues| queues.len());
    let out = error(bad.send());
    let bad = producer
        .prepare(&message)
        .select(|_| panic!("a test's own panic"));
    let panicked = error(bad.send());
    for error in [out, panicked] {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert_eq!(error.fate(), SendFate::NotSent);
    }
    assert!(sends(&cluster).is_empty());
    assert!(producer.send(&message).is_ok());
}

#[test]
fn a_given_queue_is_used_or_the_send_fails() {
    let cluster = brokers(2);
    let producer = producer(&cluster);
    let to = |topic: &str, broker: &str, id| {
        let queue = MessageQueue::new(topic, broker, id);
        producer.prepare(&message("x")).queue(queue).send()
    };
    for (broker, id) in [("broker-a", 0), ("broker-b", 3)] {
        let receipt = to("T", broker, id).unwrap();
        assert_eq!(
            (receipt.queue().broker(), receipt.queue().id()),
            (broker, id)
        );
    }
    assert_eq!(error(to("U", "broker-a", 0)).kind(), ErrorKind::Invalid);
    assert_eq!(error(to("T", "broker-z", 0)).kind(), ErrorKind::NoBroker);
    let refused = error(to("T", "broker-a", 4));
    assert_eq!(refused.response_code(), Some(29.into()));
    assert_eq!(refused.attempts().len(), 1);
    // The broker chooses if asked to.
    let receipt = to("T", "broker-a", -1).unwrap();
    let stored = cluster.messages("T");
    assert_eq!(receipt.queue().id(), stored.last().unwrap().queue_id());
}

#[test]
fn without_a_choice_all_queues_take_turns() {
    let cluster = brokers(2);
    let producer = producer(&cluster);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for i in 0..40 {
        let mode = MODES[i % 2];
        let receipt = mode.send(&producer, &message("x")).unwrap();
        *counts.entry(receipt.queue().to_string()).or_default() += 1;
    }
    assert_eq!(counts.len(), 8);
    assert!(counts.values().all(|count| *count == 5), "{counts:?}");
}

/// A globally ordered topic names queues of brokers that may have no master just now. A message
/// that may go anywhere goes to another one.
#[test]
fn a_message_for_any_queue_avoids_brokers_without_a_master() {
    let cluster = cluster();
    cluster.set_order_conf("T", Some("broker-a:2;broker-z:2"));
    let producer = producer(&cluster);
    assert_eq!(queues_seen(&producer, "T").len(), 4);
    for _ in 0..6 {
        let receipt = producer.send(&message("x")).unwrap();
        assert_eq!(receipt.queue().broker(), "broker-a");
    }
    let message = message("x");
    let fixed = producer.prepare(&message).select(|queues| queues.len() - 1);
    let failed = error(fixed.send());
    assert_eq!(failed.kind(), ErrorKind::NoBroker);
    let text = failed.to_string();
    assert!(
        text.contains("broker broker-z is not in the topic's route"),
        "{text}"
    );
}

#[test]
fn a_broker_name_from_a_name_server_forges_no_line() {
    let cluster = cluster();
    cluster.set_order_conf("T", Some("broker-a\u{1b}[31m\nINFO forged:1"));
    let message = message("x");
    let producer = producer(&cluster);
    let failed = error(producer.prepare(&message).select(|_| 0).send());
    assert_eq!(failed.kind(), ErrorKind::NoBroker);
    for text in [failed.to_string(), format!("{failed:?}")] {
        assert!(!text.contains(char::is_control), "{text}");
        assert!(text.contains("forged"), "{text}");
    }
}

/// The first sends of all threads meet route look-up, dialling and in-flight limits at once; no
/// send may fail for that. (Only time can fail one: on a machine so busy that the broker's answers
/// take longer than the send's timeout.)
#[test]
fn a_burst_at_a_new_topic_of_1000_queues_loses_no_send() {
    const THREADS: usize = 4;
    const SENDS: usize = 1250;
    let setup = Cluster::builder().brokers(2).topic("Many", 500);
    let cluster = setup.start().expect("free ports");
    let setup = builder(&cluster).options(ClientOptions::new().max_in_flight_messages(1000));
    let producer = setup.send_timeout(PATIENCE).start().expect("a producer");
    let (done, results) = crossbeam_channel::unbounded();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..SENDS {
                    let done = done.clone();
                    producer.send_async(Message::new("Many", "x"), move |result| {
                        done.send(result).expect("the test waits");
                    });
                }
            });
        }
    });
    let mut queues = BTreeMap::<String, usize>::new();
    for _ in 0..THREADS * SENDS {
        let receipt = results.recv_timeout(PATIENCE).expect("all are answered");
        let queue = receipt.expect("stored").queue().to_string();
        *queues.entry(queue).or_default() += 1;
    }
    assert_eq!(queues.len(), 1000, "each thread goes round");
}
