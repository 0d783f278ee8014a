use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{Batch, Message, Producer};

use crate::support::{PATIENCE, patient as builder, two_brokers};

const TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";

#[test]
fn stored_messages_are_traced_in_javas_form_and_traces_are_not() {
    let cluster = two_brokers();
    let producer = builder(&cluster).trace().start().unwrap();
    let receipt = producer
        .send(&Message::new("T", "hello").tag("TagA").key("k1"))
        .unwrap();
    producer
        .send_oneway(&Message::new("T", "not traced"))
        .unwrap();
    // Shutdown sends what waits.
    assert!(producer.shutdown_within(PATIENCE).is_clean());
    let traces = cluster.wait_for_messages(TOPIC, 1, PATIENCE);
    assert_eq!(traces.len(), 1);
    let text = String::from_utf8(traces[0].body().to_vec()).unwrap();
    let record = text.strip_suffix('\u{2}').unwrap();
    let fields: Vec<&str> = record.split('\u{1}').collect();
    assert_eq!(fields.len(), 14, "{fields:?}");
    assert_eq!(
        (fields[0], fields[2], fields[3]),
        ("Pub", "DefaultRegion", "group")
    );
    assert_eq!(&fields[4..8], ["T", receipt.message_id(), "TagA", "k1"]);
    assert_eq!(fields[9], "5");
    assert_eq!(&fields[11..], ["0", receipt.offset_message_id(), "true"]);
    assert_eq!(
        traces[0].keys().collect::<Vec<_>>(),
        [receipt.message_id(), "k1"]
    );
}

#[test]
fn ten_records_leave_together_and_a_topic_of_ones_own_is_used() {
    let cluster = two_brokers();
    let producer = builder(&cluster).trace_topic("MyTrace").start().unwrap();
    for i in 0..10 {
        let _ = producer.send(&Message::new("T", format!("{i}"))).unwrap();
    }
    let traces = cluster.wait_for_messages("MyTrace", 1, PATIENCE);
    let text = String::from_utf8(traces[0].body().to_vec()).unwrap();
    assert_eq!(text.matches('\u{2}').count(), 10);
}

#[test]
fn a_trace_that_cannot_start_is_only_a_warning() {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    // The group of the trace would be longer than a group may be.
    let group = "g".repeat(120);
    let producer = Producer::builder(group)
        .name_server(cluster.name_server())
        .trace();
    let _ = producer
        .start()
        .unwrap()
        .send(&Message::new("T", "x"))
        .unwrap();
}

#[test]
fn records_that_are_lost_are_counted() {
    let cluster = two_brokers();
    let producer = builder(&cluster).trace().start().unwrap();
    let refused = Fault::answer(16, "no permission")
        .on(On::when(|command| command.ext.get("b") == Some(TOPIC)));
    for broker in ["broker-a", "broker-b"] {
        cluster.broker(broker).inject(refused.clone());
    }
    for _ in 0..3 {
        let _ = producer.send(&Message::new("T", "x")).unwrap();
    }
    assert_eq!(producer.stats().trace_lost, 0);
    let before = producer.stats();
    assert!(producer.shutdown_within(PATIENCE).is_clean());
    let stats = producer.stats();
    assert_eq!((stats.sent, stats.trace_lost), (3, 3));
    assert_eq!(stats.since(&before).trace_lost, 3);
    assert!(
        stats.to_string().contains("3 trace records lost"),
        "{stats}"
    );
    assert_eq!(cluster.messages(TOPIC).len(), 0);
}

/// Its keys would be more than the properties of a message may be.
#[test]
fn a_trace_of_large_batches_has_as_many_keys_as_fit() {
    let cluster = two_brokers();
    let producer = builder(&cluster).trace().start().unwrap();
    let batch = || Batch::new((0..1200).map(|_| Message::new("T", "x"))).unwrap();
    for _ in 0..3 {
        assert!(producer.send_batch(&batch()).is_ok());
    }
    assert!(producer.shutdown_within(PATIENCE).is_clean());
    let traces = cluster.wait_for_messages(TOPIC, 3, PATIENCE);
    assert_eq!(traces.len(), 3);
    for trace in traces {
        assert!((800..1200).contains(&trace.keys().count()));
        let text = String::from_utf8(trace.body().to_vec()).unwrap();
        // Ids, and ids of offsets.
        assert_eq!(text.matches(',').count(), 2 * 1199);
    }
}
