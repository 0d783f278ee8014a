//! Consumer groups without a member in sight: what brokers know of them, and resets of their offsets.

use std::collections::BTreeMap;
use std::time::Duration;

use rocketmq_blocking::client::{GroupAdmin, ResetTo};
use rocketmq_blocking::embedded::{Cluster, Fault, On, Release};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{Client, ClientOptions, ErrorKind, Message, MessageQueue, Producer};

use crate::support::{builder, cluster, producer};

fn queue(broker: &str, id: i32) -> MessageQueue {
    MessageQueue::new("T", broker, id)
}

fn of_release(release: Release) -> Cluster {
    let builder = Cluster::builder().release(release).topic("T", 2);
    builder.start().expect("free ports")
}

const RELEASES: [Release; 2] = [Release::V5_4_0, Release::V4_9_7];

fn send(producer: &Producer, queue: &MessageQueue, count: usize) {
    for n in 0..count {
        let message = Message::new("T", n.to_string());
        let sent = producer.prepare(&message).queue(queue.clone()).send();
        assert!(sent.is_ok(), "{sent:?}");
    }
}

/// It keeps its client.
fn group(cluster: &Cluster) -> GroupAdmin {
    let options = ClientOptions::new().name_server(cluster.name_server());
    Client::start(options).expect("a client").admin().group("g")
}

fn kind<T: std::fmt::Debug>(result: rocketmq_blocking::Result<T>) -> ErrorKind {
    result.expect_err("an error").kind()
}

#[test]
fn the_progress_of_a_group_is_exact_in_each_queue() {
    let cluster = Cluster::builder().brokers(2).topic("T", 1).start().unwrap();
    let producer = producer(&cluster);
    send(&producer, &queue("broker-a", 0), 5);
    send(&producer, &queue("broker-b", 0), 3);
    cluster.group("g").commit(&queue("broker-a", 0), 2);
    let group = producer.admin().group("g");
    let progress = group.progress("T").unwrap();
    let numbers = progress.queues.iter().map(|queue| {
        let name = queue.queue.broker();
        (name, queue.committed, queue.begin, queue.end, queue.lag())
    });
    // An offset of 0 is another thing than none.
    let expected = [("broker-a", Some(2), 0, 5, 3), ("broker-b", None, 0, 3, 3)];
    assert_eq!(numbers.collect::<Vec<_>>(), expected);
    assert_eq!((progress.lag(), &*progress.topic), (6, "T"));

    assert_eq!(kind(group.progress("Unknown")), ErrorKind::NoRoute);
    // It is complete, or fails.
    let refused = Fault::answer(1, "no").on(On::Code(request::GET_MAX_OFFSET));
    cluster.broker("broker-b").inject(refused);
    let error = group.progress("T").unwrap_err();
    assert_eq!(
        (error.kind(), error.topic()),
        (ErrorKind::Broker, Some("T"))
    );
    assert_eq!(error.remark(), Some("no"));
}

#[test]
fn the_topics_of_a_group_are_those_with_offsets() {
    for release in RELEASES {
        let cluster = of_release(release);
        cluster.create_topic("U", 1);
        cluster.create_topic("%RETRY%g", 1);
        let group = group(&cluster);
        assert_eq!(group.topics().unwrap(), [""; 0]);
        for topic in ["U", "T", "%RETRY%g"] {
            let queue = MessageQueue::new(topic, "broker-a", 0);
            cluster.group("g").commit(&queue, 0);
        }
        assert_eq!(group.topics().unwrap(), ["%RETRY%g", "T", "U"]);
    }
}

#[test]
fn a_group_that_never_had_a_member_is_unknown() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let admin = producer.admin();
    let error = admin.group("g").members().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRoute);
    assert!(error.to_string().contains("no broker knows the group"));
    assert_eq!(kind(admin.group("g").topics()), ErrorKind::NoRoute);
    for name in ["", "a b", &"g".repeat(256)] {
        let group = admin.group(name);
        assert_eq!(kind(group.members()), ErrorKind::Invalid, "{name}");
        assert_eq!(kind(group.progress("T")), ErrorKind::Invalid, "{name}");
        assert_eq!(kind(group.dead_letters(..)), ErrorKind::Invalid, "{name}");
        let reset = group.reset("T", ResetTo::End);
        assert_eq!(kind(reset), ErrorKind::Invalid, "{name}");
    }
}

fn committed(cluster: &Cluster) -> Vec<Option<i64>> {
    let of = |id| cluster.group("g").committed(&queue("broker-a", id));
    (0..2).map(of).collect()
}

#[track_caller]
fn reset(group: &GroupAdmin, to: ResetTo) -> Vec<i64> {
    let offsets: BTreeMap<MessageQueue, i64> = group.reset("T", to).expect("reset");
    let queues: Vec<_> = offsets.keys().cloned().collect();
    assert_eq!(queues, [queue("broker-a", 0), queue("broker-a", 1)]);
    offsets.into_values().collect()
}

#[test]
fn a_group_without_members_is_reset_by_brokers_of_every_age() {
    for release in RELEASES {
        let builder = Cluster::builder().release(release).topic("T", 2);
        let cluster = builder.manual_clock(true).start().unwrap();
        let producer = producer(&cluster);
        send(&producer, &queue("broker-a", 0), 3);
        cluster.advance(Duration::from_secs(60));
        let later = cluster.now() - Duration::from_secs(30);
        send(&producer, &queue("broker-a", 0), 2);
        send(&producer, &queue("broker-a", 1), 1);
        cluster.group("g").create();
        let group = producer.admin().group("g");
        // It has no offset yet.
        assert_eq!(reset(&group, ResetTo::Time(later)), [3, 0], "{release:?}");
        assert_eq!(committed(&cluster), [Some(3), Some(0)]);
        assert_eq!(reset(&group, ResetTo::End), [5, 1]);
        assert_eq!(committed(&cluster), [Some(5), Some(1)]);
        assert_eq!(reset(&group, ResetTo::Start), [0, 0]);
        assert_eq!(committed(&cluster), [Some(0), Some(0)]);
        group.reset_queue(&queue("broker-a", 0), 4).unwrap();
        assert_eq!(committed(&cluster), [Some(4), Some(0)]);
        let outside = group.reset_queue(&queue("broker-a", 0), 6).unwrap_err();
        assert_eq!(outside.kind(), ErrorKind::Invalid);
        assert!(outside.to_string().contains("from 0 to 5"), "{outside}");
        assert_eq!(committed(&cluster), [Some(4), Some(0)]);
    }
}

#[test]
fn a_queue_without_an_offset_is_reset_alone() {
    for release in RELEASES {
        let cluster = of_release(release);
        let producer = producer(&cluster);
        send(&producer, &queue("broker-a", 1), 2);
        cluster.group("g").create();
        let group = producer.admin().group("g");
        group.reset_queue(&queue("broker-a", 1), 1).unwrap();
        assert_eq!(committed(&cluster), [None, Some(1)], "{release:?}");
    }
}

#[test]
fn a_reset_that_fails_on_one_broker_says_so_and_is_done_on_the_others() {
    let cluster = Cluster::builder().brokers(2).topic("T", 1).start().unwrap();
    let producer = producer(&cluster);
    for broker in ["broker-a", "broker-b"] {
        send(&producer, &queue(broker, 0), 1);
        cluster.group("g").commit(&queue(broker, 0), 0);
    }
    let code = On::Code(request::INVOKE_BROKER_TO_RESET_OFFSET);
    let fault = cluster
        .broker("broker-a")
        .inject(Fault::answer(16, "no").on(code));
    let group = producer.admin().group("g");
    let error = group.reset("T", ResetTo::End).unwrap_err();
    assert_eq!(error.response_code(), Some(16.into()));
    assert_eq!(error.topic(), Some("T"));
    let of = |broker| cluster.group("g").committed(&queue(broker, 0));
    assert_eq!((of("broker-a"), of("broker-b")), (Some(0), Some(1)));
    fault.remove();
    assert_eq!(group.reset("T", ResetTo::End).unwrap().len(), 2);
    assert_eq!(of("broker-a"), Some(1));

    assert_eq!(
        kind(group.reset("Unknown", ResetTo::End)),
        ErrorKind::NoRoute
    );
    let unknown = producer.admin().group("other").reset("T", ResetTo::End);
    assert_eq!(unknown.unwrap_err().response_code(), Some(26.into()));
}

#[test]
fn in_a_namespace_groups_and_their_topics_have_their_own_names_here() {
    let cluster = Cluster::builder().topic("ns%T", 1).topic("%RETRY%ns%g", 1);
    let cluster = cluster.start().unwrap();
    let producer = builder(&cluster).namespace("ns").start().unwrap();
    assert!(producer.send(&Message::new("T", "x")).is_ok());
    let on_wire = MessageQueue::new("ns%T", "broker-a", 0);
    cluster.group("ns%g").commit(&on_wire, 0);
    let group = producer.admin().group("g");
    assert_eq!(group.name(), "g");
    assert_eq!(group.topics().unwrap(), ["T"]);
    let progress = group.progress("T").unwrap();
    assert_eq!(progress.queues[0].queue, queue("broker-a", 0));
    assert_eq!(progress.lag(), 1);
    let offsets = group.reset("T", ResetTo::End).unwrap();
    assert_eq!(offsets, BTreeMap::from([(queue("broker-a", 0), 1)]));
    assert_eq!(cluster.group("ns%g").committed(&on_wire), Some(1));
    group.reset_queue(&queue("broker-a", 0), 0).unwrap();
    assert_eq!(cluster.group("ns%g").committed(&on_wire), Some(0));
    assert_eq!(group.dead_letters(..).unwrap().count(), 0);
}
