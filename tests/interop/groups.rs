//! Consumer groups of real brokers, as an operator sees and resets them. Their dead letters.

use std::collections::BTreeMap;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::client::{GroupAdmin, ResetTo};
use rocketmq_blocking::consumer::AckStatus;
use rocketmq_blocking::{
    ErrorKind, Message, MessageQueue, MessageView, Producer, PushConsumer, Retry, SimpleConsumer,
    StartFrom,
};

use crate::servers::{PATIENCE, Server, Version, eventually};
use crate::support::skipped;

const COUNT: usize = 40;

/// Makes a topic of four queues and sends ten messages to each.
fn filled(producer: &Producer, topic: &str) {
    let admin = producer.admin();
    admin.create_topic("TBW102", topic, 4).expect("a topic");
    eventually("its route", || admin.subscribe_queues(topic).is_ok());
    send(producer, topic, COUNT / 4);
}

/// Sends so many messages to each queue.
fn send(producer: &Producer, topic: &str, count: usize) {
    for queue in producer.admin().subscribe_queues(topic).expect("queues") {
        for n in 0..count {
            let message = Message::new(topic, n.to_string());
            let sent = producer.prepare(&message).queue(queue.clone()).send();
            assert!(sent.is_ok(), "{sent:?}");
        }
    }
}

fn consumer(
    server: &Server,
    group: &str,
    topic: &str,
    handle: impl Fn(&MessageView) -> Result<(), Retry> + Send + Sync + 'static,
) -> (PushConsumer, Receiver<MessageView>) {
    let (seen, handled) = unbounded();
    let started = PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
        .start(move |message| {
            let result = handle(message);
            seen.send(message.clone()).ok();
            result
        });
    (started.expect("a consumer"), handled)
}

#[track_caller]
fn take(handled: &Receiver<MessageView>, count: usize) -> Vec<MessageView> {
    let next = |_| handled.recv_timeout(PATIENCE).expect("in time");
    (0..count).map(next).collect()
}

fn committed(group: &GroupAdmin, topic: &str) -> Vec<Option<i64>> {
    let progress = group.progress(topic).expect("an answer");
    let queues = progress.queues.iter();
    queues.map(|queue| queue.committed).collect()
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_group_is_seen_with_its_members_and_reset_with_and_without_them() {
    let server = Server::from_env();
    let (name, topic) = ("groups-admin", "GroupsAdmin");
    let producer = server.producer("groups-admin-send").start().unwrap();
    let group = producer.admin().group(name);
    assert_eq!(group.members().unwrap_err().kind(), ErrorKind::NoRoute);
    filled(&producer, topic);
    let started = producer.admin();
    let (consumer, handled) = consumer(&server, name, topic, |_| Ok(()));
    take(&handled, COUNT);
    eventually("all is committed", || {
        group
            .progress(topic)
            .is_ok_and(|progress| progress.lag() == 0)
    });
    assert_eq!(committed(&group, topic), [Some(10); 4]);
    // The group's retry topic reaches the name server a moment later.
    eventually("the group is known", || group.members().is_ok());
    let members = group.members().unwrap();
    assert_eq!(members.members.len(), 1);
    assert_eq!(members.members[0].client_id, consumer.client_id());
    assert!(members.members[0].address.is_some());
    let topics: Vec<_> = members.subscriptions.iter().map(|s| &*s.topic).collect();
    assert_eq!(topics, ["%RETRY%groups-admin", topic]);
    assert!(group.topics().unwrap().contains(&topic.to_owned()));

    // With a member: everything again, without a restart of it.
    let offsets = group.reset(topic, ResetTo::Start).unwrap();
    let queues = started.subscribe_queues(topic).unwrap();
    let expected: BTreeMap<_, _> = queues.iter().map(|queue| (queue.clone(), 0)).collect();
    assert_eq!(offsets, expected);
    // These end the requests that brokers hold.
    send(&producer, topic, 1);
    let again = take(&handled, COUNT + 4);
    let mut places: Vec<_> = again
        .iter()
        .map(|m| (m.queue_id(), m.queue_offset()))
        .collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), COUNT + 4, "each once");
    eventually("all is committed", || {
        committed(&group, topic) == [Some(11); 4]
    });
    let one: &MessageQueue = &queues[2];
    let outside = group.reset_queue(one, 12).unwrap_err();
    assert_eq!(outside.kind(), ErrorKind::Invalid, "{outside}");
    let alone = group.reset_queue(one, 5);
    match server.version {
        Version::V5 => {
            alone.unwrap();
            send(&producer, topic, 1);
            let again = take(&handled, 3 + 7);
            let of_it = again.iter().filter(|m| m.queue_id() == one.id());
            assert_eq!(of_it.count(), 7);
        }
        Version::V4 => {
            let error = alone.unwrap_err();
            assert_eq!(
                (error.kind(), error.response_code()),
                (ErrorKind::Broker, None)
            );
            send(&producer, topic, 1);
            take(&handled, 4);
        }
    }
    eventually("all is committed", || {
        committed(&group, topic) == [Some(12); 4]
    });
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(handled.is_empty());

    // Without one.
    eventually("it has left", || {
        group.members().unwrap().members.is_empty()
    });
    group.reset_queue(one, 5).unwrap();
    let expected = [Some(12), Some(12), Some(5), Some(12)];
    assert_eq!(committed(&group, topic), expected);
    group.reset(topic, ResetTo::Start).unwrap();
    assert_eq!(committed(&group, topic), [Some(0); 4]);
    group.reset(topic, ResetTo::End).unwrap();
    assert_eq!(committed(&group, topic), [Some(12); 4]);
    let middle = again.iter().map(MessageView::stored_at).max().unwrap();
    let offsets = group.reset(topic, ResetTo::Time(middle)).unwrap();
    assert!(
        offsets.values().all(|offset| (10..=12).contains(offset)),
        "{offsets:?}"
    );
    let expected: Vec<_> = offsets.into_values().map(Some).collect();
    assert_eq!(committed(&group, topic), expected);
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn dead_letters_are_read_and_sent_to_their_topic_again() {
    let server = Server::from_env();
    let (name, topic) = ("groups-dead", "GroupsDead");
    let producer = server.producer("groups-dead-send").start().unwrap();
    filled(&producer, topic);
    let group = producer.admin().group(name);
    assert_eq!(group.dead_letters(..).unwrap().count(), 0);
    let (consumer, handled) = consumer(&server, name, topic, |message| {
        match message.property("again") {
            Some(_) => Ok(()),
            None => Err(Retry::dead_letter()),
        }
    });
    take(&handled, COUNT);
    eventually("all are dead", || {
        consumer.stats().dead_lettered == COUNT as u64
    });
    let dead_topic = format!("%DLQ%{name}");
    let admin = producer.admin();
    eventually("all can be read", || {
        admin.subscribe_queues(&dead_topic).is_ok()
            && group.dead_letters(..).unwrap().count() == COUNT
    });
    let dead: Vec<_> = group
        .dead_letters(..)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(dead.len(), COUNT);
    for letter in &dead {
        assert_eq!(letter.topic(), dead_topic);
        let again = Message::from_dead_letter(letter).unwrap();
        assert_eq!(again.topic(), topic);
        let receipt = producer.send(&again.property("again", "yes")).unwrap();
        assert_eq!(Some(receipt.message_id()), letter.unique_key());
    }
    let again = take(&handled, COUNT);
    assert!(again.iter().all(|message| message.reconsume_times() == 0));
    assert_eq!(
        group.dead_letters(..).unwrap().count(),
        COUNT,
        "none is gone"
    );
    let late = dead.last().unwrap().stored_at() + Duration::from_secs(1);
    assert_eq!(
        group
            .dead_letters(late..)
            .unwrap()
            .map(Result::unwrap)
            .count(),
        0
    );
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_dead_letter_that_was_popped_knows_its_topic() {
    let server = Server::from_env();
    if server.version == Version::V4 {
        return skipped("brokers 4.x have no POP");
    }
    let (name, topic) = ("groups-popped", "GroupsPopped");
    let producer = server.producer("groups-popped-send").start().unwrap();
    let consumer = SimpleConsumer::builder(name)
        .name_server(&server.name_server)
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
        .start()
        .unwrap();
    assert!(producer.send(&Message::new(topic, "one")).is_ok());
    let receive = || {
        let received = (0..10).find_map(|_| {
            let received = consumer.receive(1, PATIENCE).expect("no error");
            received.into_iter().next()
        });
        received.expect("a message in time")
    };
    let first = receive();
    assert_eq!(
        first.retry_after(Duration::from_secs(1)).unwrap(),
        AckStatus::Confirmed
    );
    let again = receive();
    assert_eq!(again.reconsume_times(), 1);
    assert_eq!(again.dead_letter().unwrap(), AckStatus::Confirmed);
    let group = producer.admin().group(name);
    eventually("it can be read", || {
        group
            .dead_letters(..)
            .is_ok_and(|letters| letters.count() == 1)
    });
    let letter = group.dead_letters(..).unwrap().next().unwrap().unwrap();
    let stored = "%RETRY%groups-popped_GroupsPopped";
    assert_eq!(letter.property("RETRY_TOPIC"), Some(stored));
    assert_eq!(Message::from_dead_letter(&letter).unwrap().topic(), topic);
    drop((first, again));
    consumer.shutdown();
}
