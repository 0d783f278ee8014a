use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::{Batch, Message};

use crate::support::producer;

/// Messages of many sizes, some with properties.
fn messages(count: usize) -> impl Iterator<Item = Message> {
    (0..count).map(|i| {
        let message = Message::new("T", vec![b'x'; 1 + i * 7 % 150]).key(format!("k{i}"));
        match i % 3 {
            0 => message.tag("tag").property("n", i.to_string()),
            1 => message.unique_key(format!("{i:0>80}")),
            _ => message,
        }
    })
}

#[test]
fn no_batch_of_a_split_exceeds_its_limit_and_all_messages_arrive_in_order() {
    const MOST: usize = 2000;
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    let producer = producer(&cluster);
    let mut ids = Vec::new();
    for batch in Batch::split(messages(200), MOST) {
        let receipt = producer.send_batch(&batch.unwrap()).unwrap();
        ids.extend(receipt.message_ids().map(str::to_owned));
    }
    let requests = cluster.requests(&On::Send);
    for (i, request) in requests.iter().enumerate() {
        let len = request.command().body.len();
        let last = i + 1 == requests.len();
        assert!(len <= MOST && (last || len > MOST / 2), "{i}: {len}");
    }
    let stored = cluster.messages("T");
    let sent: Vec<Message> = messages(200).collect();
    assert_eq!((stored.len(), ids.len()), (200, 200));
    for ((stored, sent), id) in stored.iter().zip(&sent).zip(&ids) {
        assert_eq!(stored.body(), sent.body());
        assert_eq!(stored.unique_key(), Some(id.as_str()));
    }
}

#[test]
fn a_receipt_names_every_message_of_a_batch() {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    let producer = producer(&cluster);
    let batch = Batch::new(["a", "b", "c"].map(|body| Message::new("T", body))).unwrap();
    let receipt = producer.send_batch(&batch).unwrap();
    let stored = cluster.messages("T");
    let keys: Vec<_> = stored.iter().filter_map(|m| m.unique_key()).collect();
    let offset_ids: Vec<_> = stored.iter().map(|m| m.offset_message_id()).collect();
    assert_eq!(receipt.message_ids().collect::<Vec<_>>(), keys);
    assert_eq!(receipt.offset_message_ids().collect::<Vec<_>>(), offset_ids);
    let single = producer.send(&Message::new("T", "d")).unwrap();
    assert_eq!(
        single.message_ids().collect::<Vec<_>>(),
        [single.message_id()]
    );
}
