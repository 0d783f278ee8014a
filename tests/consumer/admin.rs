//! Groups with members, as an operator sees them, and what happens to the members when their group is reset.
//! Dead letters, and what becomes of them.

use std::collections::BTreeSet;

use crossbeam_channel::unbounded;
use rocketmq_blocking::client::{GroupAdmin, GroupMembers, ResetTo};
use rocketmq_blocking::consumer::AckStatus;
use rocketmq_blocking::embedded::{Cluster, Fault, On, Release};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{
    Client, ClientOptions, ErrorKind, Filter, Message, MessageQueue, MessageView, Producer,
    PushConsumer, Retry, SimpleConsumer, StartFrom,
};

use crate::common::{bodies, consumer, pull, read};
use crate::support::{PATIENCE, brokers, cluster, eventually, ms, producer};

fn queue(id: i32) -> MessageQueue {
    MessageQueue::new("T", "broker-a", id)
}

fn group(cluster: &Cluster) -> GroupAdmin {
    let options = ClientOptions::new().name_server(cluster.name_server());
    let client = Client::start(options).expect("a client");
    client.admin().group("g")
}

fn send(producer: &Producer, message: Message) {
    let prepared = producer.prepare(&message).queue(queue(0));
    let sent = prepared.timeout(PATIENCE).send();
    assert!(sent.is_ok(), "{sent:?}");
}

fn ids(members: &GroupMembers) -> Vec<&str> {
    let members = members.members.iter();
    members.map(|member| &*member.client_id).collect()
}

#[test]
fn members_and_subscriptions_are_gathered_from_all_brokers() {
    let cluster = Cluster::builder()
        .brokers(2)
        .topic("T", 1)
        .sql_filters(true);
    let cluster = cluster.start().expect("free ports");
    cluster.create_topic("U", 1);
    let start = |instance: &str| {
        let builder = PushConsumer::builder("g").name_server(cluster.name_server());
        let builder = builder.instance_name(instance).subscribe("T", "b || a");
        bodies(builder.subscribe("U", Filter::sql("n > 5"))).0
    };
    let (first, second) = (start("1"), start("2"));
    let group = group(&cluster);
    let both = || group.members().is_ok_and(|found| found.members.len() == 2);
    eventually("both are members", both);
    // A broker may not know all of them.
    let hidden = first.client_id().to_owned();
    cluster
        .broker("broker-a")
        .edit_members("g", move |mut ids| {
            ids.retain(|id| *id != hidden);
            ids
        });
    let found = group.members().expect("an answer");
    let expected = BTreeSet::from([first.client_id(), second.client_id()]);
    assert_eq!(BTreeSet::from_iter(ids(&found)), expected);
    assert!(!found.broadcasting);
    let member = &found.members[0];
    assert_eq!((&*member.language, member.version), ("RUST", 493));
    assert!(member.address.is_some_and(|at| at.ip().is_loopback()));
    let subscriptions: Vec<_> = found
        .subscriptions
        .iter()
        .map(|s| (&*s.topic, &*s.expression_type, &*s.expression))
        .collect();
    let expected = [
        ("%RETRY%g", "TAG", "*"),
        ("T", "TAG", "b || a"),
        ("U", "SQL92", "n > 5"),
    ];
    assert_eq!(subscriptions, expected);
    let text = found.to_string();
    assert!(text.starts_with("2 members\n  "), "{text}");
    assert!(text.ends_with("\n  U: SQL92 n > 5"), "{text}");

    // One broker that answers is enough.
    let members = On::Code(request::GET_CONSUMER_CONNECTION_LIST);
    cluster
        .broker("broker-b")
        .inject(Fault::answer(1, "no").on(members.clone()));
    let found = group.members().expect("an answer");
    assert_eq!(ids(&found), [second.client_id()]);
    cluster
        .broker("broker-a")
        .inject(Fault::answer(1, "no").on(members));
    let error = group.members().expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Broker);
    cluster.broker("broker-a").clear_faults();
    cluster.broker("broker-b").clear_faults();
    first.shutdown();
    second.shutdown();
    eventually("gone", || {
        let found = group.members();
        found.is_ok_and(|found| found == GroupMembers::default())
    });
}

#[test]
fn a_broadcasting_group_is_known_as_one() {
    let cluster = brokers(1);
    let folder = std::env::temp_dir().join(format!("rmq-admin-{}", std::process::id()));
    let builder = consumer(&cluster).broadcast().instance_name("one");
    let (consumer, _bodies) = bodies(builder.offset_dir(&folder));
    let found = group(&cluster).members().expect("an answer");
    assert!(found.broadcasting && found.to_string().starts_with("1 members, broadcasting"));
    consumer.shutdown();
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn running_members_go_on_where_their_group_was_reset() {
    for release in [Release::V5_4_0, Release::V4_9_7] {
        let builder = Cluster::builder().release(release).topic("T", 2);
        let cluster = builder.start().expect("free ports");
        let producer = producer(&cluster);
        let admin = producer.admin().group("g");
        let some = || (0..3).for_each(|n| send(&producer, Message::new("T", n.to_string())));
        some();
        let consumer = pull(&cluster);
        assert_eq!(read(&consumer), [0, 1, 2], "{release:?}");
        consumer.commit().expect("confirmed");

        let offsets = admin.reset("T", ResetTo::Start).expect("reset");
        assert_eq!(
            offsets.into_iter().collect::<Vec<_>>(),
            [(queue(0), 0), (queue(1), 0)]
        );
        // A message ends the request that a broker of 5.x holds; the next one gets the new offset.
        send(&producer, Message::new("T", "more"));
        let at = |offset| consumer.position(&queue(0)).expect("ours") == Some(offset);
        eventually("reset", || at(0));
        assert_eq!(read(&consumer), [0, 1, 2, 3], "{release:?}");
        consumer.commit().expect("confirmed");

        let alone = admin.reset_queue(&queue(0), 2);
        match release {
            Release::V5_4_0 => {
                alone.expect("reset");
                send(&producer, Message::new("T", "more"));
                eventually("reset", || at(2));
                assert_eq!(read(&consumer), [2, 3, 4]);
            }
            // It would reset the other queues too.
            _ => {
                let error = alone.expect_err("too old");
                assert_eq!(
                    (error.kind(), error.response_code()),
                    (ErrorKind::Broker, None)
                );
                assert!(error.to_string().contains("older than 5.2"), "{error}");
                assert!(read(&consumer).is_empty());
            }
        }
        consumer.shutdown();
        let resets = On::Code(request::INVOKE_BROKER_TO_RESET_OFFSET);
        let resets = cluster.requests(&resets).into_iter();
        let alone = resets.filter(|reset| reset.command().ext.get("queueId") != Some("-1"));
        let expected = usize::from(release == Release::V5_4_0);
        assert_eq!(
            alone.count(),
            expected,
            "an old broker does not read the queue"
        );
    }
}

#[test]
fn the_topics_of_a_group_with_members_are_known_to_brokers_of_every_age() {
    for release in [Release::V5_4_0, Release::V4_9_7] {
        let builder = Cluster::builder().release(release).topic("T", 1);
        let cluster = builder.topic("Old", 1).start().expect("free ports");
        send(&producer(&cluster), Message::new("T", "one"));
        let old = MessageQueue::new("Old", "broker-a", 0);
        cluster.group("g").commit(&old, 0);
        let consumer = pull(&cluster);
        assert_eq!(read(&consumer), [0]);
        consumer.commit().expect("confirmed");
        let topics = group(&cluster).topics().expect("an answer");
        let expected = match release {
            Release::V5_4_0 => vec!["Old", "T"],
            // Only what the members subscribe.
            _ => vec!["T"],
        };
        assert_eq!(topics, expected);
        consumer.shutdown();
    }
}

fn dead(group: &GroupAdmin) -> Vec<MessageView> {
    let dead = group.dead_letters(..).expect("queues");
    let dead = dead.map(|letter| letter.expect("no error"));
    dead.collect()
}

#[test]
fn a_dead_letter_is_sent_to_its_topic_again_and_consumed() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let (seen, handled) = unbounded();
    let consumer = PushConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .start(move |message| {
            seen.send(message.clone()).ok();
            match message.property("fixed") {
                Some(_) => Ok(()),
                None => Err(Retry::dead_letter()),
            }
        })
        .expect("a consumer");
    let group = producer.admin().group("g");
    assert_eq!(dead(&group), [], "there is no such topic yet");
    let message = Message::new("T", "one")
        .tag("A")
        .key("k1")
        .key("k2")
        .flag(7);
    let receipt = producer.send(&message.property("p", "v")).expect("stored");
    let next = || handled.recv_timeout(PATIENCE).expect("in time");
    next();
    eventually("it is dead", || consumer.stats().dead_lettered == 1);
    let letters = dead(&group);
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(
        (letter.topic(), letter.property("RETRY_TOPIC")),
        ("%DLQ%g", Some("T"))
    );
    let place = MessageQueue::new("%DLQ%g", "broker-a", 0);
    assert_eq!(letter.queue(), Some(&place));

    let again = Message::from_dead_letter(letter).expect("a dead letter");
    assert_eq!((again.topic(), again.get_property("p")), ("T", Some("v")));
    let receipt_again = producer
        .send(&again.property("fixed", "yes"))
        .expect("stored");
    assert_eq!(receipt_again.message_id(), receipt.message_id());
    let handled_again = next();
    assert_eq!(
        (handled_again.topic(), handled_again.text()),
        ("T", Ok("one"))
    );
    assert_eq!((handled_again.tag(), handled_again.flag()), (Some("A"), 7));
    assert_eq!(handled_again.keys().collect::<Vec<_>>(), ["k1", "k2"]);
    assert_eq!(handled_again.property("p"), Some("v"));
    assert_eq!(handled_again.reconsume_times(), 0);
    for past in ["RETRY_TOPIC", "ORIGIN_MESSAGE_ID", "DELAY"] {
        assert_eq!(handled_again.property(past), None, "{past}");
    }
    eventually("it is consumed", || consumer.stats().handled == 1);
    assert_eq!(dead(&group).len(), 1, "the dead letter itself stays");
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    let error = Message::from_dead_letter(&handled_again).expect_err("not dead");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn a_dead_letter_that_was_popped_from_a_retry_topic_knows_its_topic() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let started = SimpleConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .wait(PATIENCE)
        .start();
    let consumer = started.expect("a consumer");
    send(&producer, Message::new("T", "one"));
    let receive = || {
        let received = consumer.receive(1, PATIENCE).expect("no error");
        received.into_iter().next().expect("a message in time")
    };
    let status = receive().retry_after(ms(1000)).expect("hidden");
    assert_eq!(status, AckStatus::Confirmed);
    let again = receive();
    assert_eq!(again.reconsume_times(), 1);
    assert_eq!(again.dead_letter().expect("dead"), AckStatus::Confirmed);
    let letters = dead(&producer.admin().group("g"));
    assert_eq!(letters[0].property("RETRY_TOPIC"), Some("%RETRY%g_T"));
    let message = Message::from_dead_letter(&letters[0]).expect("a dead letter");
    assert_eq!(message.topic(), "T");
    drop(again);
    consumer.shutdown();
}

#[test]
fn dead_letters_are_read_page_by_page_within_their_times() {
    let builder = Cluster::builder().brokers(2).topic("%DLQ%g", 1);
    let cluster = builder.manual_clock(true).start().expect("free ports");
    let producer = producer(&cluster);
    let store = |broker: &str, numbers: std::ops::Range<usize>| {
        for n in numbers {
            let message = Message::new("%DLQ%g", format!("{broker} {n}"));
            let queue = MessageQueue::new("%DLQ%g", broker, 0);
            let sent = producer.prepare(&message).queue(queue).send();
            assert!(sent.is_ok(), "{sent:?}");
        }
    };
    store("broker-a", 0..70);
    cluster.advance(PATIENCE);
    let middle = cluster.now();
    store("broker-a", 70..72);
    store("broker-b", 0..1);
    cluster.advance(PATIENCE);
    let late = cluster.now();
    store("broker-b", 1..2);
    let group = producer.admin().group("g");
    let all = dead(&group);
    let bodies: Vec<_> = all.iter().map(|dead| dead.text().expect("text")).collect();
    let expected = (0..72).map(|n| format!("broker-a {n}"));
    let expected = expected.chain((0..2).map(|n| format!("broker-b {n}")));
    assert_eq!(bodies, expected.collect::<Vec<_>>());
    assert_eq!(all[73].queue().map(MessageQueue::broker), Some("broker-b"));
    let count = |letters: rocketmq_blocking::Result<rocketmq_blocking::client::DeadLetters>| {
        letters.expect("queues").count()
    };
    assert_eq!(count(group.dead_letters(..middle)), 70);
    assert_eq!(count(group.dead_letters(middle..)), 4);
    assert_eq!(count(group.dead_letters(middle..late)), 3);
    assert_eq!(count(group.dead_letters(middle..=late)), 4);
    // Those that come later are another call's.
    let mut open = group.dead_letters(late..).expect("queues");
    store("broker-b", 2..3);
    assert_eq!(open.by_ref().count(), 1);
    assert!(open.next().is_none());

    // After a failure it is at its end.
    let refused = Fault::answer(16, "no").on(On::Pull);
    cluster.broker("broker-b").inject(refused);
    let mut letters = group.dead_letters(middle..).expect("queues");
    assert!(letters.by_ref().take(2).all(|letter| letter.is_ok()));
    let error = letters.next().expect("an error").expect_err("refused");
    assert_eq!(error.response_code(), Some(16.into()));
    assert!(letters.next().is_none());
    // Nothing was consumed by reading.
    assert!(cluster.group("g").offsets().is_empty());

    cluster.broker("broker-b").clear_faults();

    // Brokers before 4.9.2 make the topic for writing only.
    for broker in ["broker-a", "broker-b"] {
        cluster.set_permission("%DLQ%g", broker, 2);
    }
    let error = group.dead_letters(..).expect_err("not readable");
    assert_eq!(error.kind(), ErrorKind::NoRoute);
    let admin = producer.admin();
    admin.create_topic("%DLQ%g", "%DLQ%g", 1).expect("changed");
    assert_eq!(dead(&group).len(), 75);
}
