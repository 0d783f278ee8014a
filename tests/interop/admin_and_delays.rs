//! Compression, administration, timers and recall against real servers, with the Java client as the
//! reader.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rocketmq_blocking::producer::{AutoBatch, ProducerBuilder};
use rocketmq_blocking::{
    Batch, ClientOptions, Compression, ErrorKind, Message, MessageView, Producer, SendReceipt,
};
use serde_json::Value;

use crate::servers::{self, PATIENCE, env, found as eventually};

/// Timers came with 5.0, recalling them with 5.3.2.
fn is_version_5() -> bool {
    env("ROCKETMQ_VERSION").starts_with("5.")
}

/// With timeouts that a busy machine does not reach.
fn builder(group: &str) -> ProducerBuilder {
    let builder = Producer::builder(group).name_server(env("ROCKETMQ_NAME_SERVER"));
    builder
        .send_timeout(PATIENCE)
        .options(ClientOptions::new().api_timeout(PATIENCE))
}

fn producer(group: &str) -> Producer {
    builder(group).start().unwrap()
}

/// The messages of a topic as the Java client reads them, by unique key.
fn read_back(topic: &str, count: usize) -> BTreeMap<String, Value> {
    let messages = servers::read_back(topic, count).into_iter();
    let keyed = messages.map(|message| {
        let key = message["msg_id"].as_str().unwrap().to_owned();
        (key, message)
    });
    keyed.collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, i| {
            bits << 8 | usize::from(chunk.get(i).copied().unwrap_or(0))
        });
        for i in 0..4 {
            let digit = char::from(DIGITS[bits >> (18 - 6 * i) & 63]);
            text.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

fn of_key(producer: &Producer, topic: &str, receipt: &SendReceipt) -> Vec<MessageView> {
    let admin = producer.admin();
    match admin.query_by_unique_key(topic, receipt.message_id(), ..) {
        Ok(found) => found,
        // A topic that the broker has just made is not known to the name server at once.
        Err(error) if error.kind() == ErrorKind::NoRoute => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn java_reads_bodies_of_every_compression() {
    let kinds = [
        (Compression::Zlib, 0x301),
        #[cfg(feature = "lz4")]
        (Compression::Lz4, 0x101),
        #[cfg(feature = "zstd")]
        (Compression::Zstd, 0x201),
    ];
    // Larger than LZ4's smallest blocks, and not all alike.
    let text = (0..20_000).map(|i| format!("{} ", i * i % 9973));
    let body: String = text.collect();
    let mut sent = Vec::new();
    for (kind, flags) in kinds {
        let group = format!("compression-{kind:?}");
        let producer = builder(&group).compression(kind).start().unwrap();
        for body in [&body, &body[..5000].to_owned()] {
            let receipt = producer
                .send(&Message::new("Compressed", body.clone()))
                .unwrap();
            let id = receipt.offset_message_id();
            let view = producer.admin().view_message("Compressed", id).unwrap();
            assert_eq!(view.body(), body.as_bytes(), "{kind:?}");
            sent.push((
                receipt.message_id().to_owned(),
                flags,
                base64(body.as_bytes()),
            ));
        }
    }
    let read = read_back("Compressed", sent.len());
    for (key, kind, body) in sent {
        assert_eq!(read[&key]["body_base64"], body, "{kind:?}");
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_topic_that_was_made_is_in_the_route_and_takes_messages() {
    let producer = producer("create-topic");
    let admin = producer.admin();
    admin.create_topic("DefaultCluster", "Made", 3).unwrap();
    let queues = eventually("the route", || admin.publish_queues("Made").ok());
    let ids: Vec<i32> = queues.iter().map(|queue| queue.id()).collect();
    assert_eq!(ids, [0, 1, 2]);
    for queue in &queues {
        let message = Message::new("Made", "x");
        let receipt = producer.prepare(&message).queue(queue.clone()).send();
        assert_eq!(receipt.unwrap().queue(), queue);
    }
    let error = admin.publish_queues("NeverMade").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRoute, "{error}");
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn offsets_and_queries_agree_with_receipts() {
    let producer = producer("offsets");
    let admin = producer.admin();
    admin.create_topic("DefaultCluster", "Offsets", 1).unwrap();
    let queue = eventually("the route", || admin.publish_queues("Offsets").ok()).remove(0);
    assert_eq!(admin.max_offset(&queue).unwrap(), 0);
    assert_eq!(admin.earliest_store_time(&queue).unwrap(), None);
    let before = SystemTime::now();
    let mut receipts = Vec::new();
    for body in ["a", "b", "c"] {
        let message = Message::new("Offsets", body).key("common").key(body);
        receipts.push(producer.send(&message).unwrap());
        thread::sleep(Duration::from_millis(5));
    }
    let offsets: Vec<i64> = receipts.iter().map(|r| r.queue_offset()).collect();
    assert_eq!(offsets, [0, 1, 2]);
    // The consume queue follows the commit log.
    eventually("the end of the queue", || {
        (admin.max_offset(&queue).unwrap() == 3).then_some(())
    });
    assert_eq!(admin.min_offset(&queue).unwrap(), 0);
    let views: Vec<MessageView> = receipts
        .iter()
        .map(|r| {
            admin
                .view_message("Offsets", r.offset_message_id())
                .unwrap()
        })
        .collect();
    for ((view, receipt), body) in views.iter().zip(&receipts).zip(["a", "b", "c"]) {
        assert_eq!(view.unique_key(), Some(receipt.message_id()));
        assert_eq!((view.topic(), view.body()), ("Offsets", body.as_bytes()));
        assert_eq!(view.queue_offset(), receipt.queue_offset());
        let stored = UNIX_EPOCH + Duration::from_millis(view.store_timestamp().unsigned_abs());
        assert_eq!(
            admin.search_offset(&queue, stored).unwrap(),
            receipt.queue_offset()
        );
        let found = eventually("the index", || {
            Some(of_key(&producer, "Offsets", receipt)).filter(|found| !found.is_empty())
        });
        assert_eq!(found, std::slice::from_ref(view));
    }
    let first = admin.earliest_store_time(&queue).unwrap().unwrap();
    assert!(first + Duration::from_secs(1) > before, "{first:?}");
    assert_eq!(admin.search_offset(&queue, UNIX_EPOCH).unwrap(), 0);
    let later = SystemTime::now() + Duration::from_secs(3600);
    println!(
        "offset of a time to come: {}",
        admin.search_offset(&queue, later).unwrap()
    );
    let common = || admin.query_by_key("Offsets", "common", 32, ..).unwrap();
    let found = eventually("all of a key", || {
        Some(common()).filter(|found| found.len() == 3)
    });
    assert_eq!(found, views, "oldest first");
    assert_eq!(
        admin
            .query_by_key("Offsets", "b", 32, before..)
            .unwrap()
            .len(),
        1
    );
    assert_eq!(admin.query_by_key("Offsets", "none", 32, ..).unwrap(), []);
    let bogus = receipts[0]
        .offset_message_id()
        .replace("0000000", "00000FF");
    let error = admin.view_message("Offsets", &bogus).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broker, "{error}");
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn every_message_of_a_batch_is_found_by_its_own_ids() {
    let producer = builder("gathered")
        .auto_batch(AutoBatch::new().max_delay(Duration::from_millis(200)))
        .start()
        .unwrap();
    let handles: Vec<_> = (0..20)
        .map(|i| producer.submit(Message::new("Gathered", format!("single {i}"))))
        .collect();
    producer.flush(PATIENCE).unwrap();
    let view = |id: &str| producer.admin().view_message("Gathered", id).unwrap();
    for (i, handle) in handles.into_iter().enumerate() {
        let receipt = handle.wait().unwrap();
        let view = view(receipt.offset_message_id());
        assert_eq!(view.body(), format!("single {i}").as_bytes());
        assert_eq!(view.unique_key(), Some(receipt.message_id()));
        assert_eq!(view.queue_offset(), receipt.queue_offset());
        assert_eq!(view.queue_id(), receipt.queue().id());
    }
    let messages = (0..100).map(|i| Message::new("Gathered", vec![b'x'; 100 + i]));
    let mut count = 0;
    for batch in Batch::split(messages, 2000) {
        let receipt = producer.send_batch(&batch.unwrap()).unwrap();
        for (id, key) in receipt.offset_message_ids().zip(receipt.message_ids()) {
            let view = view(id);
            assert_eq!(view.body().len(), 100 + count);
            assert_eq!(view.unique_key(), Some(key));
            count += 1;
        }
    }
    assert_eq!(count, 100);
}

/// When a delayed message was delivered: the time at which the broker stored it in its topic.
fn delivered(producer: &Producer, topic: &str, receipt: &SendReceipt) -> i64 {
    let found = eventually("the delayed message", || {
        of_key(producer, topic, receipt)
            .into_iter()
            .find(|m| m.topic() == topic)
    });
    found.store_timestamp()
}

fn ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn now_ms() -> i64 {
    ms(SystemTime::now())
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn delayed_messages_are_not_early() {
    let producer = producer("delays");
    let message = Message::new("Delayed", "x");
    let mut sent = Vec::new();
    let mut send = |due: i64, message: Message| {
        sent.push((due, producer.send(&message).unwrap()));
    };
    send(now_ms() + 1000, message.clone().delay_level(1));
    if is_version_5() {
        let later = message.clone().deliver_after(Duration::from_millis(1500));
        send(now_ms() + 1500, later);
        // It does not depend on when the send begins.
        let at = SystemTime::now() + Duration::from_secs(2);
        send(ms(at), message.deliver_at(at));
    }
    for (due, receipt) in &sent {
        let at = delivered(&producer, "Delayed", receipt);
        assert!(at >= *due, "{} ms early", due - at);
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_recalled_message_is_not_delivered() {
    if !is_version_5() {
        let producer = producer("recall");
        let message = Message::new("Recalled", "x");
        let receipt = producer.send(&message).unwrap();
        assert_eq!(receipt.recall_handle(), None);
        return;
    }
    let producer = producer("recall");
    let send = |body: &str, seconds: u64| {
        let after = Duration::from_secs(seconds);
        producer
            .send(&Message::new("Recalled", body).deliver_after(after))
            .unwrap()
    };
    let (recalled, control) = (send("recalled", 3), send("control", 4));
    let handle = recalled.recall_handle().expect("recallMessageEnable=true");
    assert_eq!(
        producer.recall("Recalled", handle).unwrap(),
        recalled.message_id()
    );
    let _ = delivered(&producer, "Recalled", &control);
    let found = of_key(&producer, "Recalled", &recalled);
    assert!(found.iter().all(|m| m.topic() != "Recalled"), "{found:?}");
    let max: i64 = producer
        .admin()
        .publish_queues("Recalled")
        .unwrap()
        .iter()
        .map(|queue| producer.admin().max_offset(queue).unwrap())
        .sum();
    assert_eq!(max, 1, "only the control message");
    let error = producer
        .recall("Recalled", control.recall_handle().unwrap())
        .unwrap_err();
    assert_eq!(error.response_code(), Some(604.into()), "{error}");
}
