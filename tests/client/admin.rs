use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use rocketmq_blocking::embedded::{Cluster, Fault, Gate, On};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{Batch, ClientOptions, ErrorKind, Message, MessageQueue, MessageView};

use crate::support::{PATIENCE, builder, producer};

fn bodies(messages: &[MessageView]) -> Vec<&str> {
    messages
        .iter()
        .map(|m| std::str::from_utf8(m.body()).unwrap())
        .collect()
}

#[test]
fn a_topic_is_made_on_every_master_and_its_queues_can_be_listed() {
    let cluster = Cluster::builder()
        .brokers(2)
        .auto_create_topics(false)
        .start()
        .unwrap();
    let producer = producer(&cluster);
    let admin = producer.admin();
    let missing = admin.publish_queues("Orders").unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NoRoute, "{missing}");
    admin.create_topic("DefaultCluster", "Orders", 2).unwrap();
    let queue = |broker, id| MessageQueue::new("Orders", broker, id);
    let expected = [
        queue("broker-a", 0),
        queue("broker-a", 1),
        queue("broker-b", 0),
        queue("broker-b", 1),
    ];
    assert_eq!(admin.publish_queues("Orders").unwrap(), expected);
    let _ = producer.send(&Message::new("Orders", "x")).unwrap();
    // It exists: this changes it.
    admin.create_topic("Orders", "Orders", 3).unwrap();
    assert_eq!(admin.publish_queues("Orders").unwrap().len(), 6);
    for (topic, queues) in [("", 1), ("bad topic", 1), ("T", 0)] {
        let error = admin.create_topic("DefaultCluster", topic, queues);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
    }
    let error = admin.create_topic("Nowhere", "T", 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRoute, "{error}");
}

#[test]
fn a_topic_is_made_if_one_broker_makes_it_and_not_if_none_does() {
    let cluster = Cluster::builder().brokers(2).topic("C", 1).start().unwrap();
    let producer = producer(&cluster);
    let refuse = || Fault::answer(1, "no").on(On::Code(request::UPDATE_AND_CREATE_TOPIC));
    cluster.broker("broker-a").inject(refuse());
    producer.admin().create_topic("C", "T", 1).unwrap();
    assert_eq!(producer.admin().publish_queues("T").unwrap().len(), 1);
    cluster.broker("broker-b").inject(refuse());
    let error = producer.admin().create_topic("C", "U", 1).unwrap_err();
    assert_eq!(
        (error.kind(), error.response_code()),
        (ErrorKind::Broker, Some(1.into()))
    );
    assert_eq!(error.remark(), Some("no"));
}

#[test]
fn a_message_is_found_by_the_ids_of_its_receipt_and_by_its_keys() {
    let cluster = Cluster::builder().brokers(2).topic("T", 1).start().unwrap();
    let producer = producer(&cluster);
    let admin = producer.admin();
    let long = "z".repeat(5000);
    let first = producer
        .send(
            &Message::new("T", long.clone())
                .tag("a")
                .key("k1")
                .key("k2")
                .flag(7),
        )
        .unwrap();
    let second = producer.send(&Message::new("T", "two").key("k2")).unwrap();
    let batch = Batch::new(["x", "y"].map(|b| Message::new("T", b).key("k3"))).unwrap();
    let both = producer.send_batch(&batch).unwrap();

    let view = admin.view_message("T", first.offset_message_id()).unwrap();
    assert_eq!((view.body(), view.flag()), (long.as_bytes(), 7));
    assert_eq!(view.property("TAGS"), Some("a"));
    assert_eq!(view.queue_offset(), first.queue_offset());
    for (id, body) in both.offset_message_ids().zip(["x", "y"]) {
        assert_eq!(admin.view_message("T", id).unwrap().body(), body.as_bytes());
    }
    let of_key = |key, most| admin.query_by_key("T", key, most, ..).unwrap();
    assert_eq!(of_key("k1", 32).len(), 1);
    assert_eq!(of_key("k2", 32).len(), 2, "over all brokers");
    assert_eq!(bodies(&of_key("k3", 32)), ["x", "y"]);
    assert_eq!(of_key("k3", 1).len(), 1);
    assert_eq!(of_key("k", 32), []);
    let found = admin
        .query_by_unique_key("T", second.message_id(), ..)
        .unwrap();
    assert_eq!(bodies(&found), ["two"]);
    let stored = UNIX_EPOCH + Duration::from_millis(found[0].store_timestamp().unsigned_abs());
    let within = |times: (std::ops::Bound<_>, std::ops::Bound<_>)| {
        admin
            .query_by_unique_key("T", second.message_id(), times)
            .unwrap()
            .len()
    };
    use std::ops::Bound::{Excluded, Included, Unbounded};
    assert_eq!(within((Included(stored), Included(stored))), 1);
    assert_eq!(within((Excluded(stored), Unbounded)), 0);
    assert_eq!(within((Unbounded, Excluded(stored))), 0);
}

#[test]
fn in_a_namespace_topics_have_their_own_names_here_and_the_whole_ones_there() {
    let cluster = Cluster::builder().topic("C", 1).start().unwrap();
    let builder = builder(&cluster).namespace("ns");
    let producer = builder.start().unwrap();
    let admin = producer.admin();
    admin.create_topic("C", "T", 1).unwrap();
    assert!(cluster.route("ns%T").is_some());
    let queues = admin.publish_queues("T").unwrap();
    assert_eq!(queues, [MessageQueue::new("T", "broker-a", 0)]);
    let receipt = producer.send(&Message::new("T", "x").key("k")).unwrap();
    assert_eq!(admin.max_offset(&queues[0]).unwrap(), 1);
    let view = admin
        .view_message("T", receipt.offset_message_id())
        .unwrap();
    assert_eq!(view.topic(), "T");
    assert_eq!(
        admin.query_by_key("T", "k", 9, ..).unwrap(),
        std::slice::from_ref(&view)
    );
    let found = admin.query_by_unique_key("ns%T", receipt.message_id(), ..);
    assert_eq!(found.unwrap(), [view]);
    let error = admin.publish_queues("U").unwrap_err();
    assert_eq!(error.topic(), Some("U"));
}

#[test]
fn missing_items_are_reported_by_kind() {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    let producer = producer(&cluster);
    let admin = producer.admin();
    let kind = |result: rocketmq_blocking::Result<MessageView>| result.unwrap_err().kind();
    assert_eq!(kind(admin.view_message("T", "no id")), ErrorKind::Invalid);
    let receipt = producer.send(&Message::new("T", "x")).unwrap();
    let id = receipt.offset_message_id();
    let other = format!("{}{}", &id[..id.len() - 2], "FF");
    assert_eq!(kind(admin.view_message("T", &other)), ErrorKind::Broker);
    let queue = |topic: &str, broker: &str| MessageQueue::new(topic, broker, 0);
    let error = admin.max_offset(&queue("T", "broker-z")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoBroker, "{error}");
    let error = admin.max_offset(&queue("Nothing", "broker-a")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRoute, "{error}");
    assert!(error.to_string().starts_with("Nothing: "), "{error}");
    producer.shutdown();
    let error = admin.max_offset(&queue("T", "broker-a")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[test]
fn offsets_of_a_queue_agree_with_receipts() {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    let producer = producer(&cluster);
    let admin = producer.admin();
    let queue = MessageQueue::new("T", "broker-a", 0);
    assert_eq!(admin.max_offset(&queue).unwrap(), 0);
    assert_eq!(admin.earliest_store_time(&queue).unwrap(), None);
    for i in 0..3 {
        let receipt = producer.send(&Message::new("T", "x")).unwrap();
        assert_eq!(receipt.queue_offset(), i);
        assert_eq!(admin.max_offset(&queue).unwrap(), i + 1);
    }
    assert_eq!(admin.min_offset(&queue).unwrap(), 0);
    let first = admin.earliest_store_time(&queue).unwrap().unwrap();
    assert_eq!(admin.search_offset(&queue, first).unwrap(), 0);
    let later = first + Duration::from_secs(3600);
    assert_eq!(admin.search_offset(&queue, later).unwrap(), 3);
    assert_eq!(admin.search_offset(&queue, UNIX_EPOCH).unwrap(), 0);
}

#[test]
fn a_silent_broker_costs_no_more_than_the_time_given() {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    let producer = producer(&cluster);
    let _ = producer.send(&Message::new("T", "x").key("k")).unwrap();
    let broker = cluster.broker("broker-a");
    broker.inject(Fault::silence().on(On::Code(request::GET_MAX_OFFSET)));
    broker.inject(
        Fault::hang_up()
            .on(On::Code(request::QUERY_MESSAGE))
            .times(1),
    );
    let admin = producer.admin().timeout(Duration::from_millis(100));
    let queue = MessageQueue::new("T", "broker-a", 0);
    let error = admin.max_offset(&queue).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    // Nothing is lost by asking again after a connection broke.
    let found = producer.admin().query_by_key("T", "k", 9, ..).unwrap();
    assert_eq!(bodies(&found), ["x"]);
}

/// A broker that no route in use names is left at the next refresh, but not while it is asked.
#[test]
fn a_refresh_of_routes_leaves_an_answer_time_to_come() {
    let cluster = Cluster::builder()
        .brokers(2)
        .topic("Used", 1)
        .topic("Asked", 1)
        .start()
        .unwrap();
    let one = |topic: &str, broker: &str| {
        let mut route = cluster.route(topic).unwrap();
        route.queue_datas.retain(|data| data.broker_name == broker);
        route.broker_datas.retain(|data| data.broker_name == broker);
        cluster.set_route(topic, Some(route));
    };
    one("Used", "broker-a");
    one("Asked", "broker-b");
    let every =
        builder(&cluster).options(ClientOptions::new().route_interval(Duration::from_millis(5)));
    let producer = every
        .options(ClientOptions::new().api_timeout(PATIENCE))
        .start()
        .unwrap();
    let _ = producer.send(&Message::new("Used", "x")).unwrap();
    let gate = Gate::new();
    let asked = On::Code(request::GET_MAX_OFFSET);
    let held = cluster
        .broker("broker-b")
        .inject(Fault::hold(&gate).on(asked));
    let queue = MessageQueue::new("Asked", "broker-b", 0);
    thread::scope(|scope| {
        let end = scope.spawn(|| producer.admin().max_offset(&queue));
        assert!(held.wait_hits(1, PATIENCE));
        let seen = cluster.requests(&On::Route).len();
        cluster.wait_for_requests(&On::Route, seen + 3, PATIENCE);
        gate.open();
        assert_eq!(end.join().unwrap().unwrap(), 0);
    });
}
