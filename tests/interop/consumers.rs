//! Consumers of this crate on real brokers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::unbounded;
use rocketmq_blocking::consumer::PushConsumerBuilder;
use rocketmq_blocking::{
    Batch, Compression, Message, MessageQueue, MessageView, Producer, PushConsumer, Retry,
    StartFrom,
};

use crate::servers::{PATIENCE, Server, Version, eventually, kinds, wire};

fn consumer(server: &Server, group: &str, topic: &str) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
}

fn send(producer: &Producer, topic: &str, body: &str) {
    let receipt = producer.send(&Message::new(topic, body));
    assert!(receipt.is_ok(), "{receipt:?}");
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn all_messages_are_consumed_once_and_the_broker_knows_how_far() {
    let server = Server::from_env();
    let producer = server.producer("consumers-send").start().unwrap();
    let topic = "ConsumersAll";
    let mut sent = BTreeSet::new();
    let mut send = |count: usize| {
        for _ in 0..count {
            let body = format!("message {}", sent.len());
            let receipt = producer.send(&Message::new(topic, body.clone()));
            assert!(receipt.is_ok(), "{receipt:?}");
            sent.insert(body);
        }
    };
    send(100);
    let (seen, bodies) = unbounded();
    let consumer = consumer(&server, "consumers-all", topic)
        .start(move |message| -> Result<(), Retry> {
            seen.send(message.text()?.to_owned())?;
            Ok(())
        })
        .unwrap();
    send(100);
    let mut got: Vec<String> = Vec::new();
    while got.len() < sent.len() {
        got.push(bodies.recv_timeout(PATIENCE).expect("all messages"));
    }
    assert_eq!(
        consumer.shutdown_within(PATIENCE).to_string(),
        "clean shutdown"
    );
    got.extend(bodies.try_iter());
    assert_eq!(got.len(), sent.len(), "each once");
    assert_eq!(BTreeSet::from_iter(got), sent);
    let admin = producer.admin();
    let mut committed = 0;
    for queue in admin.subscribe_queues(topic).unwrap() {
        let offset = admin.committed_offset("consumers-all", &queue).unwrap();
        let end = admin.max_offset(&queue).unwrap();
        assert_eq!(offset, Some(end), "{queue}");
        committed += end;
    }
    assert_eq!(committed, 200);
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_message_that_failed_comes_again_and_the_last_time_it_is_a_dead_letter() {
    let server = Server::from_env();
    let (group, topic) = ("consumers-retry", "ConsumersRetry");
    let producer = server.producer("consumers-retry-send").start().unwrap();
    send(&producer, topic, "one");
    let (seen, messages) = unbounded();
    let consumer = consumer(&server, group, topic)
        .max_reconsume(1)
        .start(move |message| {
            seen.send(message.clone()).ok();
            Err(Retry::level(1))
        })
        .unwrap();
    let next = || messages.recv_timeout(PATIENCE).expect("a message in time");
    let (first, again) = (next(), next());
    assert_eq!((first.reconsume_times(), again.reconsume_times()), (0, 1));
    assert_eq!((again.topic(), again.text()), (topic, Ok("one")));
    assert_eq!(again.message_id(), first.message_id());
    eventually("a dead letter", || consumer.stats().dead_lettered == 1);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    // The topic reaches the name server a moment later, and the message the index.
    let dead = || producer.admin().subscribe_queues(&format!("%DLQ%{group}"));
    eventually("its topic", || dead().is_ok());
    let queue = &dead().unwrap()[0];
    eventually("one can be read", || {
        producer.admin().max_offset(queue).unwrap() == 1
    });
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn each_message_of_a_batch_has_its_own_result() {
    let server = Server::from_env();
    let (group, topic) = ("consumers-batch", "ConsumersBatch");
    let producer = server.producer("consumers-batch-send").start().unwrap();
    for n in 0..20 {
        send(&producer, topic, &n.to_string());
    }
    let (seen, messages) = unbounded();
    let consumer = consumer(&server, group, topic)
        .start_batch(8, move |batch| -> Result<(), Retry> {
            for place in 0..batch.len() {
                let message = &batch[place];
                let number: u32 = message.text()?.parse()?;
                seen.send((number, message.reconsume_times()))?;
                if number % 5 == 0 && message.reconsume_times() == 0 {
                    batch.retry(place, Retry::level(1));
                }
            }
            Ok(())
        })
        .unwrap();
    let next = |_| messages.recv_timeout(PATIENCE).expect("a message in time");
    let got: BTreeSet<(u32, i32)> = (0..24).map(next).collect();
    let again = [0, 5, 10, 15].map(|n| (n, 1));
    let expected: BTreeSet<_> = (0..20).map(|n| (n, 0)).chain(again).collect();
    assert_eq!(got, expected);
    eventually("all are counted", || consumer.stats().sent_back == 4);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(messages.is_empty());
}

/// Brokers 5.x store a batch whole in topics of the type `BatchCQ`, and consumers take it apart.
#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn batches_and_compressed_messages_come_as_they_were_sent() {
    let server = Server::from_env();
    let kinds = [
        Compression::Zlib,
        #[cfg(feature = "lz4")]
        Compression::Lz4,
        #[cfg(feature = "zstd")]
        Compression::Zstd,
    ];
    let producers = kinds.map(|kind| {
        let producer = server.producer(&format!("consumers-shapes-{kind:?}"));
        let producer = producer.compress_over(1_000).compression(kind);
        producer.start().unwrap()
    });
    let producer = &producers[0];
    let count = 5 + producers.len();
    let broker = &server.brokers[0].address;
    let attributes = match server.version {
        Version::V4 => vec![""],
        Version::V5 => vec!["", "+queue.type=BatchCQ"],
    };
    for (nth, attributes) in attributes.into_iter().enumerate() {
        let topic = format!("ConsumersShapes{nth}");
        wire::create_topic_with(broker, &topic, 1, 6, attributes);
        eventually("the topic has a route", || {
            producer.admin().publish_queues(&topic).is_ok()
        });
        let body = |n: usize| format!("message {n} {}", "long ".repeat(100 * n));
        let batch = (0..5).map(|n| Message::new(&*topic, body(n)).tag("batch"));
        let sent = producer.send_batch(&Batch::new(batch).unwrap());
        assert!(sent.is_ok(), "{sent:?}");
        for (n, producer) in (5..).zip(&producers) {
            send(producer, &topic, &body(n));
        }
        let (seen, messages) = unbounded();
        let group = format!("consumers-shapes-{nth}");
        let consumer = consumer(&server, &group, &topic)
            .start(move |message| {
                seen.send(message.clone()).ok();
                Ok(())
            })
            .unwrap();
        let next = |_| messages.recv_timeout(PATIENCE).expect("a message in time");
        let mut got: Vec<MessageView> = (0..count).map(next).collect();
        got.sort_by_key(MessageView::queue_offset);
        for (n, message) in got.iter().enumerate() {
            assert_eq!(message.text(), Ok(&*body(n)), "{attributes}");
            assert_eq!(message.tag(), (n < 5).then_some("batch"));
            assert_eq!(message.queue_offset(), n as i64, "{attributes}");
        }
        assert!(consumer.shutdown_within(PATIENCE).is_clean());
        assert!(messages.is_empty(), "{attributes}");
        let queue = MessageQueue::new(&*topic, "broker-a", 0);
        let committed = producer.admin().committed_offset(&group, &queue);
        assert_eq!(committed.unwrap(), Some(count as i64), "{attributes}");
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn members_that_join_and_leave_handle_no_message_twice() {
    let server = Server::from_env();
    let (group, topic) = ("consumers-share", "ConsumersShare");
    let producer = server.producer("consumers-share-send").start().unwrap();
    let counts: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let member = || {
        let counts = counts.clone();
        let started = consumer(&server, group, topic).start(move |message| {
            let body = message.text().unwrap().to_owned();
            *counts.lock().unwrap().entry(body).or_default() += 1;
            std::thread::sleep(Duration::from_millis(2));
            Ok(())
        });
        started.unwrap()
    };
    send(&producer, topic, "message 0");
    let first = member();
    let mut sent = 1;
    let mut more = |count: usize| {
        for _ in 0..count {
            send(&producer, topic, &format!("message {sent}"));
            sent += 1;
        }
        sent
    };
    more(500);
    let second = member();
    let of_topic = |member: &PushConsumer| {
        let queues = member.assignment().into_iter();
        queues.filter(|queue| queue.topic() == topic).count()
    };
    more(500);
    eventually("they share", || {
        of_topic(&first) == 2 && of_topic(&second) == 2
    });
    more(500);
    assert!(first.shutdown_within(PATIENCE).is_clean());
    let sent = more(500);
    eventually("all are handled", || counts.lock().unwrap().len() == sent);
    assert!(second.shutdown_within(PATIENCE).is_clean());
    let counts = counts.lock().unwrap();
    let repeated: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn an_ordered_consumer_keeps_the_order_and_retries_in_place() {
    let server = Server::from_env();
    let (group, topic) = ("consumers-order", "ConsumersOrder");
    let producer = server.producer("consumers-order-send").start().unwrap();
    for n in 0..20 {
        let message = Message::new(topic, n.to_string());
        let sent = producer.prepare(&message).sharding_key("one").send();
        assert!(sent.is_ok(), "{sent:?}");
    }
    let (seen, messages) = unbounded();
    let consumer = consumer(&server, group, topic)
        .suspend(Duration::from_millis(10))
        .start_ordered(move |message| {
            let body = message.text().unwrap().to_owned();
            let times = message.reconsume_times();
            assert!(message.still_owned());
            seen.send((body.clone(), times)).ok();
            match (body.as_str(), times) {
                ("7", 0) => Err(Retry::later()),
                _ => Ok(()),
            }
        })
        .unwrap();
    let mut expected: Vec<(String, i32)> = (0..20).map(|n| (n.to_string(), 0)).collect();
    expected.insert(8, ("7".to_owned(), 1));
    let next = |_| messages.recv_timeout(PATIENCE).expect("a message in time");
    let got: Vec<_> = (0..21).map(next).collect();
    assert_eq!(got, expected);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn messages_of_one_key_are_handled_in_turn_and_those_of_others_meanwhile() {
    const KEYS: usize = 12;
    const EACH: usize = 20;
    let server = Server::from_env();
    let (group, topic) = ("consumers-keys", "ConsumersKeys");
    let producer = server.producer("consumers-keys-send").start().unwrap();
    for n in 0..KEYS * EACH {
        let message = Message::new(topic, n.to_string());
        let key = (n % KEYS).to_string();
        let sent = producer.prepare(&message).sharding_key(key).send();
        assert!(sent.is_ok(), "{sent:?}");
    }
    let (release, gate) = unbounded::<()>();
    let came: Arc<Mutex<BTreeMap<usize, Vec<usize>>>> = Arc::default();
    let own = came.clone();
    let consumer = consumer(&server, group, topic)
        .ordered_by_key(KEYS)
        .start_ordered(move |message| {
            let n: usize = message.text()?.parse()?;
            assert!(message.still_owned());
            own.lock().unwrap().entry(n % KEYS).or_default().push(n);
            if n == 0 {
                let _ = gate.recv();
            }
            Ok(())
        })
        .unwrap();
    // Queues are fewer than keys: some of these share one with the key that waits.
    let count = || came.lock().unwrap().values().map(Vec::len).sum::<usize>();
    let others = (KEYS - 1) * EACH + 1;
    eventually("all other keys", || count() == others);
    drop(release);
    eventually("all", || count() == KEYS * EACH);
    let in_order = |key: usize| (0..EACH).map(|n| n * KEYS + key).collect();
    let expected: BTreeMap<usize, Vec<usize>> = (0..KEYS).map(|key| (key, in_order(key))).collect();
    assert_eq!(*came.lock().unwrap(), expected);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(consumer.stats().panicked, 0);
    let admin = producer.admin();
    let committed = |queue| admin.committed_offset(group, queue).unwrap().unwrap_or(0);
    let queues = admin.subscribe_queues(topic).unwrap();
    assert_eq!(
        queues.iter().map(committed).sum::<i64>(),
        (KEYS * EACH) as i64
    );
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn every_kind_consumes_in_namespaces_of_both_versions() {
    let server = Server::from_env();
    let producer = server.producer("consumers-space-look").start().unwrap();
    let first = kinds::options().namespace("MQ_INST_1_2");
    kinds::all_consume(&first, "ConsumersSpace");
    let second = kinds::options().namespace_v2("space");
    kinds::all_consume(&second, "ConsumersSpace2");
    // Names on the wire have that of the first version, and not that of the second.
    let admin = producer.admin();
    for (topic, group) in [
        (
            "MQ_INST_1_2%ConsumersSpace",
            "MQ_INST_1_2%ConsumersSpace-push",
        ),
        ("ConsumersSpace2", "ConsumersSpace2-push"),
    ] {
        let queues = admin.subscribe_queues(topic).unwrap();
        let committed = |queue| admin.committed_offset(group, queue).unwrap().unwrap_or(0);
        assert_eq!(queues.iter().map(committed).sum::<i64>(), 20, "{topic}");
    }
}
