//! Messages to a broker that creates topics on demand are stored as they were sent.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::unbounded;
use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::protocol::{HeaderFormat, properties};
use rocketmq_blocking::{
    Batch, ClientOptions, Error, ErrorKind, Message, MessageQueue, Producer, SendReceipt,
};

use crate::servers::stored::{Sent, Stored, check};
use crate::servers::{PATIENCE, Server, Version, random, text};

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn every_mode_and_header_form_stores_the_sent_message() {
    type Change = fn(ProducerBuilder) -> ProducerBuilder;
    let forms: [(&str, Change); 4] = [
        ("json, V2", |b| b),
        ("json, V1", |b| b.short_headers(false)),
        ("binary, V2", |b| {
            b.options(ClientOptions::new().header_format(HeaderFormat::Binary))
        }),
        ("binary, V1", |b| {
            b.options(ClientOptions::new().header_format(HeaderFormat::Binary))
                .short_headers(false)
        }),
    ];
    let server = Server::from_env();
    let topic = "InteropModes";
    let mut sent = Vec::new();
    for (form, change) in forms {
        let producer = change(server.producer("interop-modes")).start().unwrap();
        sent.extend(every_mode(&producer, topic, form));
        assert!(producer.shutdown_within(PATIENCE).is_clean(), "{form}");
    }
    // The topic was created on demand, with our default number of queues.
    let places = sent.iter().filter_map(|sent| sent.place.as_ref());
    let queues: HashSet<i32> = places.map(|place| place.queue_id).collect();
    assert_eq!(queues, HashSet::from([0, 1, 2, 3]));
    check(server.version, &sent, &server.read_back(topic, sent.len()));
}

/// Some messages by each way of sending.
fn every_mode(producer: &Producer, topic: &str, form: &str) -> Vec<Sent> {
    const EACH: i32 = 10;
    let message = |mode: &str, i: i32| {
        let text = format!("{mode}-{i}");
        rich(topic, &format!("{form}: {text}")).key(&text).flag(i)
    };
    let mut sent = Vec::new();
    for i in 0..EACH {
        let message = message("sync", i).wait_store(i % 2 == 0);
        let receipt = producer.send(&message).unwrap();
        assert_eq!(receipt.attempts(), 1);
        assert_eq!(receipt.region(), Some("DefaultRegion"));
        sent.push(Sent::stored(message, &receipt));
    }
    let (callback, answers) = unbounded();
    for i in 0..EACH {
        let (message, callback) = (message("async", i), callback.clone());
        producer.send_async(message.clone(), move |outcome| {
            callback.send((message, outcome)).unwrap();
        });
    }
    drop(callback);
    // Ends when every callback has been called and dropped.
    for (message, outcome) in answers {
        sent.push(Sent::stored(message, &outcome.unwrap()));
    }
    for i in 0..EACH {
        let message = message("oneway", i);
        producer.send_oneway(&message).unwrap();
        sent.push(Sent::oneway(message));
    }
    let handles: Vec<_> = (0..EACH)
        .map(|i| {
            let message = message("submit", i);
            (producer.submit(message.clone()), message)
        })
        .collect();
    for (handle, message) in handles {
        sent.push(Sent::stored(message, &handle.wait().unwrap()));
    }
    for wait in [true, false] {
        let mode = format!("batch, wait {wait}");
        let messages = (0..EACH).map(|i| message(&mode, i).wait_store(wait));
        let batch = Batch::new(messages).unwrap();
        let receipt = producer.send_batch(&batch).unwrap();
        sent.extend(Sent::batch(&batch, &receipt));
    }
    let body = text(5000, form);
    let packed = Message::new(topic, body).tag("packed");
    let receipt = producer.send(&packed).unwrap();
    sent.push(Sent::stored(packed, &receipt).compressed(true));
    producer.flush(PATIENCE).unwrap();
    sent
}

/// With all characters in its properties that could break on the way.
fn rich(topic: &str, body: &str) -> Message {
    Message::new(topic, body)
        .tag("tag-\u{6807}\u{7b7e}")
        .key("key-\u{fc}\u{20ac}")
        .property(
            "unicode",
            "gr\u{fc}\u{df} \u{4f60}\u{597d} \u{1f980}\u{10ffff}",
        )
        .property("\u{540d}\u{5b57} \u{1f511}", "a name beyond ASCII")
        .property(
            "symbols",
            r#"{"a":[1,'2'],\b/ = & | ; : , # % ` ~ <>} \u0041 \n"#,
        )
        .property("lines", "one\ntwo\r\nthree\ttab")
        .property(
            "controls",
            "\0 \u{3} \u{1b}[31m \u{7f} \u{85} \u{2028} \u{feff}",
        )
        .property("spaces around", "  kept  ")
        .property("a.b-c_d%e", "punctuation in the name")
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn bodies_of_all_sizes_come_back_whole() {
    let server = Server::from_env();
    let producer = server.producer("interop-bodies").start().unwrap();
    let topic = "InteropBodies";
    let bodies = [
        (vec![0], false),
        (vec![0xFF, 0, 0xC0, 1, 2], false),
        (text(4095, "below"), false),
        (text(4096, "at"), true),
        (text(4097, "above"), true),
        (text(100_000, "large"), true),
        (text(1 << 20, "1 MiB"), true),
        // Compression would make these larger, so that they go as they are.
        (random(4096, 1), false),
        (random(100_000, 2), false),
        (random(1 << 20, 3), false),
        // Several times what a socket takes at once.
        (random(3 << 20, 4), false),
    ];
    let mut sent = Vec::new();
    for (body, compressed) in bodies {
        let message = Message::new(topic, body);
        let receipt = producer.send(&message).unwrap();
        sent.push(Sent::stored(message, &receipt).compressed(compressed));
    }
    let never = server
        .producer("interop-bodies-raw")
        .compress_over(usize::MAX)
        .start()
        .unwrap();
    let message = Message::new(topic, text(50_000, "never compressed"));
    let receipt = never.send(&message).unwrap();
    sent.push(Sent::stored(message, &receipt));
    check(server.version, &sent, &server.read_back(topic, sent.len()));
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn the_largest_message_by_default_is_one_that_the_broker_takes() {
    let server = Server::from_env();
    let producer = server.producer("interop-largest").start().unwrap();
    let body = random(4 << 20, 5);
    let receipt = producer
        .send(&Message::new("InteropLargest", body))
        .unwrap();
    assert_eq!(receipt.queue_offset(), 0);
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn long_properties_are_stored_up_to_the_limit() {
    let server = Server::from_env();
    let topic = "InteropProperties";
    let producer = server.producer("interop-properties").start().unwrap();
    let long = |len| Message::new(topic, format!("{len}")).property("long", "x".repeat(len));
    let mut sent = Vec::new();
    for len in [1_000, 30_000] {
        let message = long(len);
        let receipt = producer.send(&message).unwrap();
        sent.push(Sent::stored(message, &receipt));
    }
    // The broker adds properties of its own: a message that the client accepts must fit there.
    let invalid = |result: &Result<SendReceipt, Error>| matches!(result, Err(error) if error.kind() == ErrorKind::Invalid);
    let (message, result) = (0..properties::MAX_LEN)
        .rev()
        .map(|len| (long(len), producer.send(&long(len))))
        .find(|(_, result)| !invalid(result))
        .unwrap();
    let receipt = result.expect("the longest that leaves");
    sent.push(Sent::stored(message, &receipt));
    check(server.version, &sent, &server.read_back(topic, sent.len()));
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_chosen_queue_gets_its_messages_in_order() {
    let server = Server::from_env();
    let topic = "InteropQueues";
    let producer = server.producer("interop-queues").start().unwrap();
    let mut sent = Vec::new();
    let mut send = |what: &str, i: usize, sharding: Option<&str>| -> SendReceipt {
        let message = Message::new(topic, format!("{what}-{i}")).key(what);
        let prepared = producer.prepare(&message);
        let receipt = match (sharding, what) {
            (Some(key), _) => prepared.sharding_key(key),
            (None, "queue") => prepared.queue(MessageQueue::new(topic, "broker-a", 3)),
            _ => prepared.select(|queues| {
                assert_eq!(queues.len(), 4);
                queues.len() - 2
            }),
        };
        let receipt = receipt.send().unwrap();
        let stored = Sent::stored(message, &receipt);
        sent.push(match sharding {
            Some(key) => stored.with("__SHARDINGKEY", key),
            None => stored,
        });
        receipt
    };
    // The queue that Java's hash of the key chooses among four.
    let keys = [("a", 1), ("OrderID188", 0), ("\u{1F600}", 3)];
    for i in 0..10 {
        assert_eq!(send("queue", i, None).queue().id(), 3);
        assert_eq!(send("select", i, None).queue().id(), 2);
        for (key, queue) in keys {
            let receipt = send(&format!("shard-{}", key.len()), i, Some(key));
            assert_eq!(receipt.queue().id(), queue, "{key}");
        }
    }
    let stored = server.read_back(topic, sent.len());
    check(server.version, &sent, &stored);
    for what in ["queue", "select", "shard-1", "shard-10", "shard-4"] {
        let mut of_it: Vec<&Stored> = stored
            .iter()
            .filter(|stored| stored.keys.as_deref() == Some(what))
            .collect();
        of_it.sort_by_key(|stored| stored.queue_offset);
        let queues: HashSet<_> = of_it.iter().map(|stored| stored.queue_id).collect();
        assert_eq!(queues.len(), 1, "{what}");
        let texts: Vec<String> = of_it.iter().map(|stored| stored.text()).collect();
        let in_order: Vec<String> = (0..10).map(|i| format!("{what}-{i}")).collect();
        assert_eq!(texts, in_order);
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn many_threads_share_a_producer_and_lose_nothing() {
    const EACH: usize = 150;
    let server = Server::from_env();
    let topic = "InteropThreads";
    let producer = server.producer("interop-threads").start().unwrap();
    // Creates the topic, so that all go to the same queues.
    let first = Message::new(topic, "first");
    let receipt = producer.send(&first).unwrap();
    let mut sent = vec![Sent::stored(first, &receipt)];
    let (callback, answers) = unbounded();
    let message = |who: &str, i: usize| Message::new(topic, format!("{who}-{i}"));
    std::thread::scope(|scope| {
        let producer = &producer;
        let sync: Vec<_> = ["s0", "s1", "s2", "s3"]
            .map(|who| {
                scope.spawn(move || {
                    let sent = (0..EACH).map(|i| {
                        let receipt = producer.send(&message(who, i)).unwrap();
                        Sent::stored(message(who, i), &receipt)
                    });
                    sent.collect::<Vec<_>>()
                })
            })
            .into();
        for who in ["a0", "a1"] {
            let callback = callback.clone();
            scope.spawn(move || {
                for i in 0..EACH {
                    let (message, callback) = (message(who, i), callback.clone());
                    producer.send_async(message.clone(), move |outcome| {
                        callback.send((message, outcome)).unwrap();
                    });
                }
            });
        }
        drop(callback);
        for thread in sync {
            sent.extend(thread.join().unwrap());
        }
        for (message, outcome) in answers {
            sent.push(Sent::stored(message, &outcome.unwrap()));
        }
    });
    assert_eq!(sent.len(), 1 + 6 * EACH);
    check(server.version, &sent, &server.read_back(topic, sent.len()));
}

fn ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn scheduled_messages_are_delivered_when_they_are_due() {
    let server = Server::from_env();
    let topic = "InteropScheduled";
    let producer = server.producer("interop-scheduled").start().unwrap();
    let later = Duration::from_millis(2500);
    let message = |text: &str| Message::new(topic, text).tag("later");
    // Each with its delay, which begins with its birth or at a time.
    let mut messages = vec![(message("level 1").delay_level(1), None, 1000)];
    // 4.9 knows no times, and would deliver at once.
    if server.version == Version::V5 {
        messages.push((message("after").deliver_after(later), None, 2500));
        let now = SystemTime::now();
        messages.push((message("at").deliver_at(now + later), Some(now), 2500));
    }
    let mut ids = Vec::new();
    for (message, ..) in &messages {
        ids.push(producer.send(message).unwrap().message_id().to_owned());
    }
    let stored = server.read_back(topic, messages.len());
    for ((message, from, delay), id) in messages.iter().zip(ids) {
        let found = stored.iter().find(|stored| stored.msg_id == id).unwrap();
        assert_eq!(found.body, message.body());
        assert_eq!(found.tags.as_deref(), Some("later"));
        let waited = found.store_timestamp - from.map_or(found.born_timestamp, ms);
        assert!(waited >= *delay, "{}: after {waited} ms", found.text());
    }
}
