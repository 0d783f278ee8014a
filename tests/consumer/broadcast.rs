//! Broadcasting: every consumer gets every message, and keeps its own offsets.

use std::collections::BTreeSet;
use std::fs;

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::{Event, PullConsumerBuilder, PulledMessage, PushConsumerBuilder};
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{ClientOptions, ErrorKind, Message, MessageQueue, Producer};
use rocketmq_blocking::{PullConsumer, PushConsumer, Retry, StartFrom};

use crate::support::files::Folder;
use crate::support::{PATIENCE, cluster, eventually, ms, producer};

fn push(cluster: &Cluster) -> PushConsumerBuilder {
    PushConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .commit_interval(ms(10))
        .broadcast()
}

fn pull(cluster: &Cluster) -> PullConsumerBuilder {
    PullConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .commit_interval(ms(10))
        .broadcast()
}

fn bodies(builder: PushConsumerBuilder) -> (PushConsumer, Receiver<String>) {
    let (seen, bodies) = unbounded();
    let started = builder.start(move |message| -> Result<(), Retry> {
        seen.send(message.text()?.to_owned())?;
        Ok(())
    });
    (started.expect("a consumer"), bodies)
}

fn queue(id: i32) -> MessageQueue {
    MessageQueue::new("T", "broker-a", id)
}

fn send(producer: &Producer, numbers: std::ops::Range<usize>) -> BTreeSet<String> {
    for number in numbers.clone() {
        let message = Message::new("T", number.to_string());
        let id = (number % 4) as i32;
        let prepared = producer.prepare(&message).queue(queue(id));
        assert!(prepared.timeout(PATIENCE).send().is_ok());
    }
    numbers.map(|number| number.to_string()).collect()
}

#[track_caller]
fn take(bodies: &Receiver<String>, count: usize) -> BTreeSet<String> {
    let next = || bodies.recv_timeout(PATIENCE).expect("a message in time");
    let taken: BTreeSet<String> = (0..count).map(|_| next()).collect();
    assert_eq!(taken.len(), count, "none twice: {taken:?}");
    taken
}

/// Reads to the end, and marks everything.
#[track_caller]
fn read(consumer: &PullConsumer) -> BTreeSet<String> {
    let read = consumer.messages().until_caught_up().map(|message| {
        let message = message.expect("no error");
        let body = message.text().expect("text").to_owned();
        assert!(message.done());
        body
    });
    read.collect()
}

#[test]
fn every_consumer_gets_every_message_and_brokers_keep_no_offsets() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let mut sent = send(&producer, 0..20);
    let (one, first) = bodies(push(&cluster));
    let (two, second) = bodies(push(&cluster));
    let third = pull(&cluster).start().expect("a consumer");
    assert_eq!(
        (take(&first, 20), take(&second, 20)),
        (sent.clone(), sent.clone())
    );
    sent.extend(send(&producer, 20..40));
    let rest: BTreeSet<_> = take(&first, 20)
        .into_iter()
        .chain(take(&second, 20))
        .collect();
    assert_eq!(rest.len(), 20);
    assert_eq!(read(&third), sent);
    assert_eq!(third.assignment().len(), 4);
    assert_eq!(cluster.group("g").members().len(), 3);
    third.commit().expect("in memory");
    assert_eq!(third.committed(&queue(0)).expect("known"), Some(10));
    for report in [one.shutdown_within(PATIENCE), two.shutdown_within(PATIENCE)] {
        assert!(report.is_clean(), "{report}");
    }
    assert!(third.shutdown_within(PATIENCE).is_clean());
    assert!(cluster.group("g").offsets().is_empty());
    eventually("gone", || cluster.group("g").subscriptions().is_empty());
}

#[test]
fn a_named_consumer_goes_on_where_it_ended() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let folder = Folder::new("goes-on");
    let named = |name: &str| push(&cluster).instance_name(name).offset_dir(folder.path());
    send(&producer, 0..20);
    let (first, got) = bodies(named("one"));
    take(&got, 20);
    assert!(first.shutdown_within(PATIENCE).is_clean());
    let new = send(&producer, 20..30);
    let (again, got) = bodies(named("one"));
    assert_eq!(take(&got, 10), new);
    again.shutdown();
    assert!(got.is_empty());
    let (other, got) = bodies(named("two"));
    assert_eq!(take(&got, 30).len(), 30);
    other.shutdown();
}

#[test]
fn unmarked_messages_of_a_pull_consumer_come_again_after_its_end() {
    let cluster = cluster();
    let folder = Folder::new("marks");
    send(&producer(&cluster), 0..8);
    let named = || {
        pull(&cluster)
            .instance_name("one")
            .offset_dir(folder.path())
    };
    let first = named().start().expect("a consumer");
    let mut polled: Vec<PulledMessage> = Vec::new();
    while polled.len() < 8 {
        polled.extend(first.poll(PATIENCE).expect("no error"));
    }
    for message in polled {
        if message.queue_id() != 3 {
            assert!(message.done());
        }
    }
    first.commit().expect("on the disk");
    assert_eq!(first.committed(&queue(0)).expect("known"), Some(2));
    assert_eq!(first.committed(&queue(3)).expect("known"), Some(0));
    drop(first);
    let again = named().start().expect("a consumer");
    assert_eq!(read(&again), ["3", "7"].map(str::to_owned).into());
    again.shutdown();
}

#[test]
fn progress_is_saved_while_the_consumer_runs() {
    let cluster = cluster();
    let folder = Folder::new("saved");
    let (consumer, got) = bodies(
        push(&cluster)
            .instance_name("one")
            .offset_dir(folder.path()),
    );
    send(&producer(&cluster), 0..4);
    take(&got, 4);
    let file = folder.path().join("one").join("g").join("offsets");
    let line = "[\"T\",\"broker-a\",2,1,";
    eventually("saved", || {
        fs::read_to_string(&file).is_ok_and(|text| text.contains(line))
    });
    consumer.shutdown();
}

#[test]
fn a_consumer_without_a_name_starts_as_a_new_one() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let folder = Folder::new("nameless");
    let new = || push(&cluster).offset_dir(folder.path());
    send(&producer, 0..4);
    for _ in 0..2 {
        let (consumer, got) = bodies(new());
        take(&got, 4);
        consumer.shutdown();
    }
    let files = fs::read_dir(folder.path()).expect("there").count();
    assert_eq!(files, 0);
    let (consumer, got) = bodies(new().start_from(StartFrom::Last));
    let sent = send(&producer, 4..8);
    assert_eq!(take(&got, 4), sent);
    consumer.shutdown();
    assert!(got.is_empty());
}

#[test]
fn two_consumers_of_one_name_are_refused() {
    let cluster = cluster();
    let folder = Folder::new("twice");
    let named = || {
        pull(&cluster)
            .instance_name("one")
            .offset_dir(folder.path())
    };
    let first = named().start().expect("a consumer");
    let error = named().start().expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    first.shutdown();
    named().start().expect("free again").shutdown();
}

#[test]
fn offsets_of_java_are_taken_over() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let folder = Folder::new("java");
    send(&producer, 0..8);
    let javas = folder.path().join("127.0.0.1@DEFAULT").join("g");
    fs::create_dir_all(&javas).expect("a folder");
    let offsets = (0..4)
        .map(|id| format!("{{\"brokerName\":\"broker-a\",\"queueId\":{id},\"topic\":\"T\"}}:1"));
    let offsets = Vec::from_iter(offsets).join(",");
    let text = format!("{{\n\t\"offsetTable\":{{{offsets}\n\t}}\n}}");
    fs::write(javas.join("offsets.json"), &text).expect("written");
    let options = ClientOptions::new()
        .client_ip([127, 0, 0, 1].into())
        .instance_name("DEFAULT");
    let named = || {
        pull(&cluster)
            .options(options.clone())
            .offset_dir(folder.path())
    };
    let consumer = named().start().expect("a consumer");
    assert_eq!(
        read(&consumer),
        ["4", "5", "6", "7"].map(str::to_owned).into()
    );
    consumer.shutdown();
    let after = fs::read_to_string(javas.join("offsets.json"));
    assert_eq!(after.expect("still there"), text);
    let again = named().start().expect("a consumer");
    assert_eq!(read(&again), BTreeSet::new());
    again.shutdown();
}

#[test]
fn a_damaged_file_is_moved_aside_and_the_start_rule_decides() {
    let cluster = cluster();
    let folder = Folder::new("damaged");
    send(&producer(&cluster), 0..4);
    let named = || {
        pull(&cluster)
            .instance_name("one")
            .offset_dir(folder.path())
    };
    let path = folder.path().join("one").join("g");
    fs::create_dir_all(&path).expect("a folder");
    fs::write(
        path.join("offsets"),
        "rocketmq-blocking offsets 1 00000000\n[",
    )
    .expect("written");
    let consumer = named().start().expect("a consumer");
    assert_eq!(read(&consumer).len(), 4);
    consumer.shutdown();
    let names = fs::read_dir(&path).expect("there");
    let names = names.map(|entry| entry.expect("readable").file_name());
    let names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    let is_damaged = |name: &String| name.starts_with("offsets.damaged-");
    assert!(names.iter().any(is_damaged), "{names:?}");
}

#[test]
fn a_message_that_fails_is_dropped_and_does_not_come_again() {
    let cluster = cluster();
    let (seen, calls) = unbounded();
    let consumer = push(&cluster)
        .start(move |message| -> Result<(), Retry> {
            let body = message.text()?.to_owned();
            let fails = body == "0";
            seen.send(body)?;
            match fails {
                true => Err(Retry::later()),
                false => Ok(()),
            }
        })
        .expect("a consumer");
    let sent = send(&producer(&cluster), 0..8);
    assert_eq!(take(&calls, 8), sent);
    eventually("dropped", || consumer.stats().dropped == 1);
    assert_eq!(consumer.stats().failed, 1);
    consumer.shutdown();
    assert!(calls.is_empty());
    let group = cluster.group("g");
    assert!(group.retries().is_empty() && group.dead_letters().is_empty());
}

/// No member may lock a queue against another one.
#[test]
fn ordered_consumers_each_get_every_message_in_order_and_retry_in_place() {
    let cluster = cluster();
    let sent = send(&producer(&cluster), 0..8);
    let start = |name: &str| {
        let (seen, calls) = unbounded();
        let consumer = push(&cluster).instance_name(name);
        let consumer = consumer.suspend(ms(10)).start_ordered(move |message| {
            let body = message.text()?.to_owned();
            seen.send((message.queue_id(), body.clone()))?;
            match body == "1" && message.reconsume_times() == 0 {
                true => Err(Retry::later()),
                false => Ok(()),
            }
        });
        (consumer.expect("a consumer"), calls)
    };
    let consumers = [start("one"), start("two")];
    for (_, calls) in &consumers {
        let handled: Vec<(i32, String)> = (0..sent.len() + 1)
            .map(|_| calls.recv_timeout(PATIENCE).expect("a message in time"))
            .collect();
        for queue in 0..4 {
            let of_queue = handled.iter().filter(|(id, _)| *id == queue);
            let bodies: Vec<&str> = of_queue.map(|(_, body)| body.as_str()).collect();
            let (first, second) = (queue.to_string(), (queue + 4).to_string());
            let expected = match queue {
                1 => vec![first.as_str(), &first, &second],
                _ => vec![first.as_str(), &second],
            };
            assert_eq!(bodies, expected);
        }
    }
    assert!(cluster.group("g").locks().is_empty());
}

#[test]
fn offsets_that_cannot_be_saved_are_reported() {
    let cluster = cluster();
    let folder = Folder::new("unsaved");
    let (told, events) = unbounded();
    let builder = pull(&cluster)
        .instance_name("one")
        .offset_dir(folder.path())
        .events(move |event| drop(told.send(event.clone())));
    let consumer = builder.start().expect("a consumer");
    consumer.commit().expect("saved");
    // A file where the folder was.
    let place = folder.path().join("one");
    fs::remove_dir_all(&place).expect("ours");
    fs::write(&place, "in the way").expect("written");
    send(&producer(&cluster), 0..4);
    assert_eq!(read(&consumer).len(), 4);
    let error = consumer.commit_within(ms(20)).expect_err("not saved");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let is_told = |event: Event| matches!(event, Event::NotSaved { .. });
    let next = || events.recv_timeout(PATIENCE).expect("an event");
    while !is_told(next()) {}
    fs::remove_file(&place).expect("ours");
    fs::create_dir_all(place.join("g")).expect("a folder");
    consumer.commit_within(PATIENCE).expect("saved again");
    assert!(place.join("g").join("offsets").exists());
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}
