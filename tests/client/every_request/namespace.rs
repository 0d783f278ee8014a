use rocketmq_blocking::embedded::Fault;
use rocketmq_blocking::protocol::heartbeat::Heartbeat;
use rocketmq_blocking::{Batch, ClientOptions, ErrorKind, MessageQueue};

use super::*;

const SPACE: &str = "MQ_INST_1_2";

#[test]
fn the_second_kind_is_in_every_header_and_changes_no_name() {
    let cluster = Cluster::start().unwrap();
    let producer = builder(&cluster)
        .options(ClientOptions::new().namespace_v2("space"))
        .start()
        .unwrap();
    send_in_all_modes(&producer);
    for request in all_requests(&cluster) {
        assert_eq!(
            field(&request, "nsd").as_deref(),
            Some("true"),
            "{request:?}"
        );
        assert_eq!(
            field(&request, "ns").as_deref(),
            Some("space"),
            "{request:?}"
        );
    }
    assert_eq!(cluster.message_count("Topic"), 5);
}

#[test]
fn topics_and_groups_have_the_namespace_on_the_wire_and_only_there() {
    let cluster = Cluster::start().unwrap();
    let producer = builder(&cluster).namespace(SPACE).start().unwrap();
    assert_eq!(producer.group(), "group");
    send_in_all_modes(&producer);
    let topic = format!("{SPACE}%Topic");
    let group = format!("{SPACE}%group");
    for request in all_requests(&cluster) {
        let command = request.command();
        match command.code {
            GET_ROUTE => {
                let asked = command.ext.get("topic").unwrap();
                assert!(asked == topic || asked == "TBW102", "{asked}");
            }
            HEARTBEAT => {
                let groups = Heartbeat::decode(&command.body).unwrap().producer_data_set;
                assert_eq!(groups[0].group_name, group);
            }
            UNREGISTER => assert_eq!(command.ext.get("producerGroup"), Some(&*group)),
            _ => {
                assert_eq!(command.ext.get("a"), Some(&*group));
                assert_eq!(command.ext.get("b"), Some(&*topic));
                let properties = command.ext.get("i").unwrap();
                let instance = format!("INSTANCE_ID\u{1}{SPACE}\u{2}");
                assert_eq!(properties.matches(&instance).count(), 1, "{properties:?}");
            }
        }
    }
    let stored = cluster.messages(&topic);
    assert_eq!(stored.len(), 5);
    let without = stored
        .iter()
        .filter(|m| m.property("INSTANCE_ID").is_none());
    assert_eq!(
        without.count(),
        2,
        "messages of a batch have it in the header only"
    );
}

#[test]
fn queues_receipts_and_errors_show_names_without_the_namespace() {
    let cluster = Cluster::start().unwrap();
    let producer = builder(&cluster).namespace(SPACE).start().unwrap();
    let prefixed = Message::new(format!("{SPACE}%Topic"), "x");
    let before = prefixed.clone();
    let select = |queues: &[MessageQueue]| {
        assert!(queues.iter().all(|queue| queue.topic() == "Topic"));
        1
    };
    let chosen = producer
        .prepare(&message("x"))
        .select(select)
        .send()
        .unwrap();
    assert_eq!((chosen.queue().topic(), chosen.queue().id()), ("Topic", 1));
    assert_eq!(producer.send(&prefixed).unwrap().queue().topic(), "Topic");
    assert_eq!(prefixed, before, "the caller's message stays as it is");
    for queue in [
        chosen.queue().clone(),
        MessageQueue::new(format!("{SPACE}%Topic"), "broker-a", 1),
    ] {
        let receipt = producer.prepare(&message("x")).queue(queue).send().unwrap();
        assert_eq!(receipt.queue(), chosen.queue());
    }
    let busy = Fault::answer(13, "illegal").on(On::Send);
    cluster.broker("broker-a").inject(busy);
    let error = producer.send(&message("x")).unwrap_err();
    assert_eq!(error.topic(), Some("Topic"));
    assert!(!error.to_string().contains(SPACE), "{error}");
    assert_eq!(cluster.message_count(&format!("{SPACE}%Topic")), 4);
}

#[test]
fn a_topic_without_a_route_is_named_without_the_namespace() {
    let cluster = Cluster::builder()
        .auto_create_topics(false)
        .start()
        .unwrap();
    let producer = builder(&cluster).namespace(SPACE).start().unwrap();
    let error = producer.send(&message("x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRoute);
    assert_eq!(error.topic(), Some("Topic"));
    assert!(!error.to_string().contains(SPACE), "{error}");
}

#[test]
fn retry_topics_keep_their_prefix_in_front_and_system_topics_stay() {
    let cluster = Cluster::start().unwrap();
    let producer = builder(&cluster).namespace(SPACE).start().unwrap();
    for (topic, on_wire) in [
        ("%RETRY%consumers", format!("%RETRY%{SPACE}%consumers")),
        ("BenchmarkTest", "BenchmarkTest".to_owned()),
    ] {
        let receipt = producer.send(&Message::new(topic, "x")).unwrap();
        assert_eq!(receipt.queue().topic(), topic);
        assert_eq!(cluster.message_count(&on_wire), 1);
    }
}

#[test]
fn names_are_limited_with_their_namespace() {
    let cluster = Cluster::start().unwrap();
    let producer = builder(&cluster).namespace(SPACE).start().unwrap();
    let longest = 127 - SPACE.len() - 1;
    let topic = |len| Message::new("t".repeat(len), "x");
    let _ = producer.send(&topic(longest)).unwrap();
    let error = producer.send(&topic(longest + 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let batch = Batch::new([topic(longest + 1)]).unwrap();
    assert_eq!(
        producer.send_batch(&batch).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let group = Producer::builder("g".repeat(120 - SPACE.len()))
        .name_server(cluster.name_server())
        .namespace(SPACE);
    assert_eq!(group.start().unwrap_err().kind(), ErrorKind::Config);
    for bad in ["a b", "a%b", "n\u{e4}me"] {
        let error = builder(&cluster).namespace(bad).start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}

#[test]
fn an_instances_endpoint_brings_its_namespace_unless_another_one_is_set() {
    let cluster = Cluster::start().unwrap();
    // The first name leads nowhere: the second name server answers.
    let servers = format!("http://{SPACE}.invalid:80;{}", cluster.name_server());
    let producer = || Producer::builder("group").name_server(&servers);
    for (producer, topic) in [
        (producer(), format!("{SPACE}%Topic")),
        (producer().namespace("mine"), "mine%Topic".to_owned()),
        (producer().namespace(""), "Topic".to_owned()),
    ] {
        let producer = producer
            .send_timeout(PATIENCE)
            .options(ClientOptions::new().api_timeout(PATIENCE));
        let _ = producer.start().unwrap().send(&message("x")).unwrap();
        assert_eq!(cluster.message_count(&topic), 1, "{topic}");
    }
}

#[test]
fn without_a_namespace_nothing_is_added() {
    let cluster = Cluster::start().unwrap();
    send_in_all_modes(&builder(&cluster).start().unwrap());
    for request in all_requests(&cluster) {
        let added = ["ns", "nsd", "AccessKey", "Signature"];
        assert!(added.iter().all(|name| field(&request, name).is_none()));
    }
    assert!(
        cluster.messages("Topic")[0]
            .property("INSTANCE_ID")
            .is_none()
    );
}
