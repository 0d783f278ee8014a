//! Topics and groups that are deleted while they are consumed.

use crossbeam_channel::unbounded;
use rocketmq_blocking::ClientOptions;
use rocketmq_blocking::consumer::{Event, MoveReason};
use rocketmq_blocking::embedded::{Cluster, On};

use super::{HOLD, Seen, cluster, consumer, count, end, queue, send_to};
use crate::bench::*;
use crate::support::producer;

#[test]
fn a_topic_that_is_deleted_and_made_again_is_consumed_from_its_first_message() {
    let cluster = cluster(1);
    let producer = producer(&cluster);
    let (told, events) = unbounded();
    let seen = Seen::default();
    let builder = consumer(&cluster.name_server())
        .options(ClientOptions::new().route_interval(ms(50)))
        .commit_interval(ms(10))
        .events(move |event| drop(told.send(event.clone())));
    let consumer = seen.start(builder);
    (0..5).for_each(|number| send_to(&producer, queue(0), number));
    let group = cluster.group("g");
    let committed = |offset| cluster.wait_until(PATIENCE, || group.committed(&queue(0)) == offset);
    assert!(committed(Some(5)));
    cluster.delete_topic("T");
    // The pull that was parked before ends with its time, and the next one is refused.
    cluster.advance(HOLD);
    let next = || events.recv_timeout(PATIENCE).expect("an event");
    let refused = std::iter::repeat_with(next).find(|e| matches!(e, Event::Refused { .. }));
    let text = refused.expect("one").to_string();
    assert!(text.contains("TOPIC_NOT_EXIST (17)"), "{text}");
    let before = count(&cluster, On::Pull);
    cluster.create_topic("T", 1);
    (5..8).for_each(|number| send_to(&producer, queue(0), number));
    seen.wait_for(8);
    assert!(committed(Some(3)));
    let moved = Event::OffsetMoved {
        queue: queue(0),
        from: 5,
        to: Some(0),
        why: MoveReason::BehindEnd,
    };
    let found = std::iter::repeat_with(next).find(|e| matches!(e, Event::OffsetMoved { .. }));
    assert_eq!(found, Some(moved));
    let pulls = count(&cluster, On::Pull) - before;
    assert!(pulls < 20, "{pulls} pulls");
    send_to(&producer, queue(0), 8);
    seen.wait_for(9);
    end(&consumer);
    seen.check_once(9);
    assert_eq!(group.committed(&queue(0)), Some(4));
}

#[test]
fn a_group_that_is_deleted_and_made_again_goes_on_and_handles_no_message_twice() {
    let cluster = Cluster::builder().topic("T", 1).auto_create_groups(false);
    let cluster = cluster.start().expect("free ports");
    let group = cluster.group("g");
    group.create();
    let producer = producer(&cluster);
    let (told, events) = unbounded();
    let seen = Seen::default();
    let builder = consumer(&cluster.name_server())
        .commit_interval(ms(10))
        .events(move |event| drop(told.send(event.clone())));
    let consumer = seen.start(builder);
    (0..3).for_each(|number| send_to(&producer, queue(0), number));
    let committed = |offset| cluster.wait_until(PATIENCE, || group.committed(&queue(0)) == offset);
    assert!(committed(Some(3)));
    group.delete();
    assert_eq!(group.committed(&queue(0)), None);
    // It ends the parked pull, which is refused.
    send_to(&producer, queue(0), 3);
    let next = || events.recv_timeout(PATIENCE).expect("an event");
    let refused = std::iter::repeat_with(next).find(|e| matches!(e, Event::Refused { .. }));
    let text = refused.expect("one").to_string();
    assert!(text.contains("SUBSCRIPTION_GROUP_NOT_EXIST (26)"), "{text}");
    group.create();
    (4..6).for_each(|number| send_to(&producer, queue(0), number));
    seen.wait_for(6);
    assert!(committed(Some(6)));
    end(&consumer);
    seen.check_once(6);
}
