//! Queues of a pull consumer: seeks, pauses, assignments.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::unbounded;
use rocketmq_blocking::consumer::{PulledMessage, Seek};
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{ErrorKind, Filter, Message, MessageQueue};
use rocketmq_blocking::{PullConsumer, PushConsumer, StartFrom};

use super::{consumer, mark, nothing_comes, numbers, poll, queue, send, start};
use crate::support::{PATIENCE, cluster, eventually, ms, producer};

#[test]
fn a_seek_takes_effect_for_the_next_message() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster));
    send(&producer, &queue(0), 0..5);
    let before = poll(&consumer, 5);
    assert_eq!(consumer.position(&queue(0)).expect("ours"), Some(5));
    consumer.seek(&queue(0), Seek::Offset(2)).expect("a seek");
    assert_eq!(consumer.position(&queue(0)).expect("ours"), Some(2));
    assert!(!before.into_iter().any(PulledMessage::done), "of before");
    let after = poll(&consumer, 3);
    assert_eq!(numbers(&after), [2, 3, 4]);
    consumer.commit().expect("confirmed");
    assert_eq!(consumer.committed(&queue(0)).expect("known"), Some(2));
    consumer.seek(&queue(0), Seek::Start).expect("a seek");
    assert_eq!(numbers(&poll(&consumer, 5)), [0, 1, 2, 3, 4]);
    consumer.seek(&queue(0), Seek::End).expect("a seek");
    send(&producer, &queue(0), [5]);
    assert_eq!(numbers(&poll(&consumer, 1)), [5]);
    let past = SystemTime::now() - Duration::from_secs(3600);
    consumer.seek(&queue(0), Seek::Time(past)).expect("a seek");
    assert_eq!(numbers(&poll(&consumer, 6)), [0, 1, 2, 3, 4, 5]);
    let invalid = |queue: &MessageQueue, seek| {
        let error = consumer.seek(queue, seek).expect_err("cannot be");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    };
    invalid(&queue(0), Seek::Offset(7));
    invalid(&MessageQueue::new("T", "broker-a", 9), Seek::Start);
    assert!(consumer.position(&queue(9)).is_err());
    consumer.shutdown();
}

/// The request that is parked at the end of the queue must not delay the next one.
#[test]
fn a_seek_does_not_wait_for_a_parked_request() {
    let cluster = cluster();
    let producer = producer(&cluster);
    send(&producer, &queue(0), 0..5);
    let consumer = start(consumer(&cluster));
    drop(poll(&consumer, 5));
    eventually("it waits", || cluster.group("g").parked() == 4);
    let before = Instant::now();
    consumer.seek(&queue(0), Seek::Start).expect("a seek");
    drop(poll(&consumer, 5));
    consumer.seek(&queue(0), Seek::Start).expect("a seek");
    drop(poll(&consumer, 5));
    // It is held for 15 s.
    assert!(before.elapsed() < Duration::from_secs(10));
    consumer.shutdown();
}

#[test]
fn a_paused_queue_hands_out_nothing_and_stays_assigned() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster));
    send(&producer, &queue(0), 0..3);
    eventually("fetched", || consumer.stats().fetched == 3);
    consumer.pause([&queue(0)]);
    nothing_comes(&consumer);
    send(&producer, &queue(1), [9]);
    assert_eq!(numbers(&poll(&consumer, 1)), [9]);
    assert_eq!(
        consumer.assignment(),
        [queue(0), queue(1), queue(2), queue(3)]
    );
    consumer.resume(&[queue(0)]);
    assert_eq!(numbers(&poll(&consumer, 3)), [0, 1, 2]);
    consumer.shutdown();
}

#[test]
fn assigned_queues_are_consumed_without_being_a_member() {
    let cluster = cluster();
    let producer = producer(&cluster);
    (0..4).for_each(|id| send(&producer, &queue(id), 0..3));
    let member = start(consumer(&cluster));
    let builder = || {
        let builder = PullConsumer::builder("g").name_server(cluster.name_server());
        builder.start_from(StartFrom::First)
    };
    let fixed = start(builder().assign([queue(2), queue(0)]).assign([queue(2)]));
    assert_eq!(fixed.assignment(), [queue(0), queue(2)]);
    let polled = poll(&fixed, 6);
    assert!(polled.iter().all(|m| [0, 2].contains(&m.queue_id())));
    assert_eq!(cluster.group("g").members(), [member.client_id()]);
    assert_eq!(member.assignment().len(), 4);
    mark(polled);
    fixed.commit().expect("confirmed");
    assert_eq!(cluster.group("g").committed(&queue(2)), Some(3));
    nothing_comes(&fixed);
    assert!(fixed.shutdown_within(PATIENCE).is_clean());
    assert_eq!(member.assignment().len(), 4);
    member.shutdown();
}

#[test]
fn assigned_queues_can_be_filtered() {
    let cluster = Cluster::builder().topic("T", 4).sql_filters(true);
    let cluster = cluster.start().expect("a cluster");
    let producer = producer(&cluster);
    for tag in ["a", "b", "a"] {
        let message = Message::new("T", tag).tag(tag);
        let sent = producer.prepare(&message).queue(queue(0)).send();
        assert!(sent.is_ok(), "{sent:?}");
    }
    let builder = |group: &str| {
        let builder = PullConsumer::builder(group).name_server(cluster.name_server());
        builder.start_from(StartFrom::First)
    };
    for (group, filter) in [("tags", "a".into()), ("sql", Filter::sql("TAGS = 'a'"))] {
        let consumer = start(builder(group).assign([queue(0)]).assign_filter(filter));
        let polled = poll(&consumer, 2);
        assert!(polled.iter().all(|message| message.tag() == Some("a")));
        mark(polled);
        nothing_comes(&consumer);
        consumer.shutdown();
    }
    let subscribed = consumer(&cluster).assign_filter("a").start();
    let error = subscribed.expect_err("it goes with assign");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

#[test]
fn two_members_share_the_queues_and_marks_count_until_a_queue_is_gone() {
    let cluster = cluster();
    let producer = producer(&cluster);
    (0..4).for_each(|id| send(&producer, &queue(id), 0..5));
    let (assigned, assignments) = unbounded();
    let (revoking, revoked) = unbounded();
    let (lost, losses) = unbounded();
    let builder = consumer(&cluster)
        .on_assigned(move |queues| drop(assigned.send(queues.to_vec())))
        .on_revoking(move |queue| drop(revoking.send(queue.clone())))
        .on_lost(move |queue| drop(lost.send(queue.clone())));
    let first = start(builder);
    let all = Vec::from_iter((0..4).map(queue));
    assert_eq!(assignments.recv_timeout(PATIENCE), Ok(all));
    let polled = poll(&first, 20);
    let second = start(consumer(&cluster));
    let given: Vec<MessageQueue> = (0..2)
        .map(|_| revoked.recv_timeout(PATIENCE).expect("a queue"))
        .collect();
    // Marks count while the queue is given up.
    assert!(polled.into_iter().all(PulledMessage::done));
    eventually("divided", || {
        second.assignment().len() == 2 && first.assignment().len() == 2
    });
    let committed = |queue: &MessageQueue| cluster.group("g").committed(queue) == Some(5);
    eventually("committed", || given.iter().all(committed));
    assert!(losses.is_empty());
    first.shutdown();
    second.shutdown();
}

#[test]
fn a_queue_whose_messages_are_not_marked_in_time_is_lost() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(3), 0..5);
    let (lost, losses) = unbounded();
    let builder = consumer(&cluster)
        .drain_time(ms(20))
        .on_lost(move |queue| drop(lost.send(queue.clone())));
    let first = start(builder);
    let polled = poll(&first, 5);
    let second = start(consumer(&cluster));
    eventually("each has two queues", || {
        first.assignment().len() == 2 && second.assignment().len() == 2
    });
    let owner = match second.assignment().contains(&queue(3)) {
        true => &second,
        // Members are sorted by their ids, which are random.
        false => &first,
    };
    if std::ptr::eq(owner, &second) {
        assert_eq!(losses.recv_timeout(PATIENCE), Ok(queue(3)));
        assert_eq!(numbers(&poll(&second, 5)), [0, 1, 2, 3, 4]);
        assert!(!polled.into_iter().any(PulledMessage::done));
    }
    first.shutdown();
    second.shutdown();
}

#[test]
fn a_pull_consumer_shares_a_group_with_others_of_its_kind_and_subscribes_no_retries() {
    let cluster = cluster();
    let consumer = start(consumer(&cluster));
    let subscriptions = cluster.group("g").subscriptions();
    assert_eq!(Vec::from_iter(subscriptions.keys()), ["T"]);
    consumer.shutdown();
}

#[test]
fn a_push_and_a_pull_consumer_of_one_group_share_its_committed_offsets() {
    let cluster = cluster();
    let producer = producer(&cluster);
    send(&producer, &queue(0), 0..3);
    let pull = start(consumer(&cluster));
    mark(poll(&pull, 3));
    pull.shutdown();
    send(&producer, &queue(0), 3..5);
    let (seen, bodies) = unbounded();
    let seen = Arc::new(seen);
    let push = PushConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start(move |message| {
            seen.send(message.text()?.to_owned())?;
            Ok(())
        })
        .expect("a consumer");
    let got = (0..2).map(|_| bodies.recv_timeout(PATIENCE).expect("in time"));
    assert_eq!(
        BTreeSet::from_iter(got),
        ["3", "4"].map(str::to_owned).into()
    );
    push.shutdown();
}
