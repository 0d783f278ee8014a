use std::net::SocketAddr;
use std::sync::Arc;

use super::{Index, QueueRef};
use crate::embedded::store::draft::Draft;
use crate::embedded::store::parts::{Parts, Place};
use crate::embedded::store::stored::StoredMessage;
use crate::protocol::message;

const T0: QueueRef<'static> = QueueRef {
    broker: 0,
    topic: "T",
    queue_id: 0,
};

fn parts<'a>(name: &'a Arc<str>, topic: &'a Arc<str>, properties: &'a str) -> Parts<'a> {
    let host: SocketAddr = ([127, 0, 0, 1], 10_911).into();
    Parts {
        broker: name,
        topic,
        producer_group: name,
        queue_id: 0,
        body: b"body",
        properties,
        flag: 7,
        sys_flag: 0,
        reconsume_times: 2,
        born_timestamp: 11,
        born_host: host,
        store_host: host,
        prepared_offset: 5,
    }
}

/// Appends a message whose store time is ten times its offset.
fn append(index: &mut Index, queue: QueueRef<'_>) -> StoredMessage {
    let (name, topic) = (Arc::from("broker-a"), Arc::from(queue.topic));
    let draft = Draft::new(&parts(&name, &topic, "a\u{1}b"), true);
    let time = index.end(queue) * 10;
    let mut appended = None;
    let keep = |message: &StoredMessage| {
        appended = Some(message.clone());
        true
    };
    index.append(
        queue.broker,
        &topic,
        queue.queue_id,
        vec![draft],
        time,
        keep,
    );
    appended.unwrap()
}

fn offsets(messages: &[StoredMessage]) -> Vec<i64> {
    messages.iter().map(StoredMessage::queue_offset).collect()
}

#[test]
fn a_message_is_found_by_queue_and_by_commit_log_offset() {
    let mut index = Index::new(2);
    let other = QueueRef { queue_id: 1, ..T0 };
    let elsewhere = QueueRef { broker: 1, ..T0 };
    let all: Vec<_> = [T0, other, T0, elsewhere, T0]
        .map(|queue| append(&mut index, queue))
        .into();
    assert_eq!((index.start(T0), index.end(T0)), (0, 3));
    assert_eq!(offsets(index.from(T0, 1)), [1, 2]);
    assert_eq!(offsets(index.from(other, 0)), [0]);
    for missing in [-1, 3, i64::MIN + 10, i64::MAX] {
        assert!(index.from(T0, missing).is_empty(), "{missing}");
    }
    assert!(index.from(QueueRef { topic: "U", ..T0 }, 0).is_empty());
    let size = all[0].encoded().len() as i64;
    for (broker, offset, expected) in [(0, size * 2, &all[2]), (1, 0, &all[3])] {
        let found = index.at(broker, offset).unwrap();
        assert_eq!(found.encoded(), expected.encoded());
    }
    assert!(index.at(0, 1).is_none() && index.at(2, 0).is_none());
    assert_eq!((index.topic("T").len(), index.count("T")), (5, 5));
}

#[test]
fn a_time_is_found_as_brokers_find_it() {
    let mut index = Index::new(1);
    for _ in 0..4 {
        append(&mut index, T0);
    }
    let found = |time| index.first_since(T0, time).map(StoredMessage::queue_offset);
    assert_eq!(found(i64::MIN), Some(0));
    assert_eq!(found(10), Some(1));
    assert_eq!(found(11), Some(2));
    assert_eq!(found(30), Some(3));
    assert_eq!(found(31), None);
}

#[test]
fn forgotten_messages_leave_their_offsets_behind() {
    let mut index = Index::new(1);
    append(&mut index, T0);
    append(&mut index, T0);
    index.clear();
    assert_eq!((index.start(T0), index.end(T0)), (2, 2));
    assert!(index.at(0, 0).is_none());
    append(&mut index, T0);
    assert_eq!((index.start(T0), index.end(T0)), (2, 3));
    assert!(index.from(T0, 1).is_empty());
    assert_eq!(offsets(index.from(T0, 2)), [2]);
    let (name, topic) = (Arc::from("broker-a"), Arc::from("T"));
    for wanted in [true, false] {
        let draft = Draft::new(&parts(&name, &topic, ""), wanted);
        index.append(0, &topic, 0, vec![draft], 0, |_| false);
    }
    assert_eq!((index.start(T0), index.end(T0)), (5, 5));
    assert_eq!(index.count("T"), 5);
}

#[test]
fn the_encoded_form_is_what_clients_decode() {
    let name: Arc<str> = Arc::from("broker-a");
    let region = [
        ("CLUSTER", "DefaultCluster"),
        ("MSG_REGION", "DefaultRegion"),
        ("TRACE_ON", "true"),
    ];
    for (topic, text, pairs) in [
        ("T".to_owned(), "", &[][..]),
        ("T".repeat(200), "a\u{1}b", &[("a", "b")]),
        (
            "T".to_owned(),
            "a\u{1}b\u{2}TRACE_ON\u{1}false\u{2}",
            &[("a", "b")],
        ),
    ] {
        for v6 in [false, true] {
            let topic: Arc<str> = Arc::from(topic.as_str());
            let mut parts = parts(&name, &topic, text);
            if v6 {
                parts.born_host = "[::1]:9".parse().unwrap();
            }
            let draft = Draft::new(&parts, true);
            let size = draft.size;
            let place = Place {
                queue_offset: 3,
                commit_log_offset: 1 << 40,
                store_timestamp: 99,
            };
            let stored = draft.placed(place).unwrap();
            assert_eq!(stored.encoded().len(), size);
            assert_eq!(stored.raw_properties(), text);
            let view = message::decode(stored.encoded().to_vec(), 100).unwrap();
            assert_eq!((view.topic(), view.body()), (&*topic, &b"body"[..]));
            assert_eq!(
                (view.queue_offset(), view.commit_log_offset()),
                (3, 1 << 40)
            );
            assert_eq!((view.store_timestamp(), view.born_timestamp()), (99, 11));
            assert_eq!(
                (view.born_host(), view.store_host()),
                (parts.born_host, parts.store_host)
            );
            assert_eq!((view.flag(), view.reconsume_times()), (7, 2));
            assert_eq!(view.prepared_transaction_offset(), 5);
            let mut expected: Vec<_> = region.iter().chain(pairs).copied().collect();
            expected.sort_unstable();
            let mut found: Vec<_> = view.properties().collect();
            found.sort_unstable();
            assert_eq!(found, expected);
            let moved = stored.encoded_for(&Arc::from("Other"), 4);
            let moved = message::decode(moved, 100).unwrap();
            assert_eq!((moved.topic(), moved.queue_id()), ("Other", 4));
            assert_eq!(moved.commit_log_offset(), 1 << 40);
        }
    }
}
