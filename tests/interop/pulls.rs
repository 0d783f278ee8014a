//! Pull consumers and broadcasting on real brokers.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::{PullConsumerBuilder, PulledMessage, Seek};
use rocketmq_blocking::{
    ErrorKind, Message, MessageQueue, Producer, PullConsumer, PushConsumer, SendReceipt, StartFrom,
};

use crate::servers::{PATIENCE, Server, Version, eventually, wait_until_readable, wire};
use crate::support::files::Folder;

fn consumer(server: &Server, group: &str) -> PullConsumerBuilder {
    PullConsumer::builder(group)
        .name_server(&server.name_server)
        .start_from(StartFrom::First)
}

fn queues(topic: &str) -> Vec<MessageQueue> {
    let queue = |id| MessageQueue::new(topic, "broker-a", id);
    (0..4).map(queue).collect()
}

/// Into the queues in turn.
fn send(producer: &Producer, topic: &str, numbers: Range<usize>) {
    let queues = queues(topic);
    let send = |n: usize| {
        let message = Message::new(topic, n.to_string());
        let prepared = producer.prepare(&message).queue(queues[n % 4].clone());
        prepared.send().expect("stored")
    };
    let sent: Vec<SendReceipt> = numbers.map(send).collect();
    wait_until_readable(&producer.admin(), &sent);
}

/// Sends a number whose time no other message of the queue has. Returns that time: for others, brokers 4.x take the
/// nearest message, before or after.
fn send_alone(producer: &Producer, queue: &MessageQueue, n: usize) -> SystemTime {
    let pause = Duration::from_millis(10);
    std::thread::sleep(pause);
    let message = Message::new(queue.topic(), n.to_string());
    let sent = producer.prepare(&message).queue(queue.clone()).send();
    let id = sent.expect("stored").offset_message_id().to_owned();
    let stored = producer.admin().view_message(queue.topic(), &id);
    std::thread::sleep(pause);
    stored.expect("the message").stored_at()
}

fn create_topic(server: &Server, producer: &Producer, topic: &str) {
    wire::create_topic(&server.brokers[0].address, topic, 4, 6);
    eventually("the topic has a route", || {
        producer.admin().publish_queues(topic).is_ok()
    });
}

fn number(message: &PulledMessage) -> usize {
    message.text().expect("text").parse().expect("a number")
}

/// Everything up to the ends of the queues, marked.
fn read(consumer: &PullConsumer) -> Vec<usize> {
    let all = consumer.messages().until_caught_up();
    let mut read: Vec<usize> = all
        .map(|message| {
            let message = message.expect("no error");
            let number = number(&message);
            assert!(message.done());
            number
        })
        .collect();
    read.sort_unstable();
    read
}

/// So many messages, not marked.
fn poll(consumer: &PullConsumer, count: usize) -> Vec<PulledMessage> {
    let mut polled = Vec::new();
    while polled.len() < count {
        let more = consumer.poll(PATIENCE).expect("no error");
        assert!(!more.is_empty(), "{} of {count}", polled.len());
        polled.extend(more);
    }
    polled
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn assigned_queues_are_read_sought_paused_and_committed() {
    let server = Server::from_env();
    let (group, topic) = ("pulls-assign", "PullsAssign");
    let producer = server.producer("pulls-assign-send").start().unwrap();
    create_topic(&server, &producer, topic);
    send(&producer, topic, 0..40);
    let all = queues(topic);
    let time = send_alone(&producer, &all[0], 40);
    send(&producer, topic, 41..80);
    // Of two commits that are the first ones of a group and come at once, a broker may lose one.
    let alone = consumer(&server, group).assign([all[3].clone()]).start();
    let alone = alone.unwrap();
    alone.seek(&all[3], Seek::Offset(1)).unwrap();
    alone.commit().unwrap();
    assert!(alone.shutdown_within(PATIENCE).is_clean());
    let own = || consumer(&server, group).assign(all[..2].iter().cloned());
    let of_own = |n: &usize| n % 4 < 2;
    let first = own().auto_commit(false).start().unwrap();
    assert_eq!(first.assignment(), all[..2]);
    assert_eq!(read(&first), (0..80).filter(of_own).collect::<Vec<_>>());
    // Brokers 4.x answer 0 for none.
    let none = (server.version == Version::V4).then_some(0);
    assert_eq!(first.committed(&all[0]).unwrap(), none);
    first.commit().unwrap();
    for queue in &all[..2] {
        assert_eq!(first.committed(queue).unwrap(), Some(20), "{queue}");
    }
    assert_eq!(first.committed(&all[2]).unwrap(), none);

    let of = |from: usize| move |n: &usize| n % 4 == 0 && *n >= from;
    for (seek, from) in [
        (Seek::Start, 0),
        (Seek::Offset(7), 28),
        (Seek::Time(time), 40),
        (Seek::End, 80),
    ] {
        first.seek(&all[0], seek).unwrap();
        let expected: Vec<usize> = (0..80).filter(of(from)).collect();
        assert_eq!(read(&first), expected, "{seek:?}");
    }
    for (queue, seek) in [(&all[0], Seek::Offset(21)), (&all[2], Seek::Start)] {
        let error = first.seek(queue, seek).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }

    // A paused queue stays assigned, and its messages come once it is resumed.
    first.pause([&all[0]]);
    send(&producer, topic, 80..84);
    assert_eq!(poll(&first, 1).iter().map(number).collect::<Vec<_>>(), [81]);
    assert!(first.poll(Duration::from_millis(300)).unwrap().is_empty());
    assert_eq!(first.assignment(), all[..2]);
    first.resume([&all[0]]);
    let resumed = poll(&first, 1);
    assert_eq!(number(&resumed[0]), 80);
    drop(resumed);

    // A second one goes on at the committed offsets: what was not marked comes again.
    first.seek(&all[0], Seek::Offset(10)).unwrap();
    first.commit().unwrap();
    assert!(first.shutdown_within(PATIENCE).is_clean());
    let second = own().start().unwrap();
    let expected = (0..84).filter(|n| n % 4 == 0 && *n >= 40 || *n == 81);
    assert_eq!(read(&second), expected.collect::<Vec<_>>());
    assert!(second.shutdown_within(PATIENCE).is_clean());
    let admin = producer.admin();
    assert_eq!(admin.committed_offset(group, &all[0]).unwrap(), Some(21));
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn members_share_the_queues_and_go_on_where_others_ended() {
    let server = Server::from_env();
    let topic = "PullsShare";
    let producer = server.producer("pulls-share-send").start().unwrap();
    create_topic(&server, &producer, topic);
    send(&producer, topic, 0..100);
    let member = || {
        let builder = consumer(&server, "pulls-share").subscribe(topic, "*");
        builder.start().unwrap()
    };
    let first = member();
    let mut all = read(&first);
    let second = member();
    eventually("they share", || {
        first.assignment().len() == 2 && second.assignment().len() == 2
    });
    send(&producer, topic, 100..200);
    for member in [&first, &second] {
        let part = read(member);
        assert_eq!(part.len(), 50);
        all.extend(part);
    }
    assert!(first.shutdown_within(PATIENCE).is_clean());
    send(&producer, topic, 200..300);
    let mut rest = Vec::new();
    while rest.len() < 100 {
        rest.extend(read(&second));
    }
    all.extend(rest);
    all.sort_unstable();
    assert_eq!(all, (0..300).collect::<Vec<_>>());
    assert_eq!(second.lag().messages(), Some(0));
    assert!(second.shutdown_within(PATIENCE).is_clean());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn everybody_gets_every_message_and_a_named_one_goes_on_where_it_ended() {
    let server = Server::from_env();
    let (group, topic) = ("pulls-everyone", "PullsEveryone");
    let producer = server.producer("pulls-everyone-send").start().unwrap();
    create_topic(&server, &producer, topic);
    send(&producer, topic, 0..40);
    let folder = Folder::new("real-everyone");
    let push = |name: &str| -> (PushConsumer, Receiver<usize>) {
        let (seen, numbers) = unbounded();
        let builder = PushConsumer::builder(group)
            .name_server(&server.name_server)
            .subscribe(topic, "*")
            .start_from(StartFrom::First)
            .broadcast()
            .instance_name(name)
            .offset_dir(folder.path());
        let started = builder.start(move |message| {
            seen.send(message.text()?.parse()?)?;
            Ok(())
        });
        (started.unwrap(), numbers)
    };
    let pull = |name: &str| {
        let builder = consumer(&server, group).subscribe(topic, "*").broadcast();
        let named = builder.instance_name(name).offset_dir(folder.path());
        named.start().unwrap()
    };
    let take = |numbers: &Receiver<usize>, count: usize| {
        let next = |_| numbers.recv_timeout(PATIENCE).expect("a message in time");
        (0..count).map(next).collect::<BTreeSet<usize>>()
    };
    let (one, of_one) = push("one");
    let (two, of_two) = push("two");
    let three = pull("three");
    let whole = |numbers: Range<usize>| numbers.collect::<BTreeSet<usize>>();
    assert_eq!(take(&of_one, 40), whole(0..40));
    assert_eq!(take(&of_two, 40), whole(0..40));
    assert_eq!(read(&three), (0..40).collect::<Vec<_>>());
    assert!(one.shutdown_within(PATIENCE).is_clean());
    assert!(three.shutdown_within(PATIENCE).is_clean());
    send(&producer, topic, 40..60);
    assert_eq!(take(&of_two, 20), whole(40..60));
    let (again, of_again) = push("one");
    assert_eq!(take(&of_again, 20), whole(40..60));
    let three = pull("three");
    assert_eq!(read(&three), (40..60).collect::<Vec<_>>());
    for member in [two, again] {
        assert!(member.shutdown_within(PATIENCE).is_clean());
    }
    assert!(three.shutdown_within(PATIENCE).is_clean());
    assert!(of_one.is_empty() && of_two.is_empty() && of_again.is_empty());
    // The broker has no offset of the group.
    for queue in queues(topic) {
        let committed = producer.admin().committed_offset(group, &queue);
        assert_eq!(committed.unwrap().unwrap_or(0), 0);
    }
}
