//! Static topics: logical queues, which brokers host, and which move from one to another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::client::ResetTo;
use rocketmq_blocking::consumer::Seek;
use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::{
    Client, ClientOptions, Message, MessageQueue, MessageView, Producer, PullConsumer,
    PushConsumer, Retry, SimpleConsumer, StartFrom,
};

use crate::common::{consumer, take};
use crate::support::files::Folder;
use crate::support::{PATIENCE, eventually, ms, producer};

const HOSTS: [&str; 4] = ["broker-a", "broker-b", "broker-a", "broker-b"];

/// Longer than brokers hold a pull.
const HOLD: Duration = Duration::from_secs(20);

/// Two brokers, and the static topic `T` with four logical queues.
fn cluster() -> Cluster {
    let cluster = Cluster::builder().brokers(2).start().expect("free ports");
    cluster.create_static_topic("T", &HOSTS);
    cluster
}

fn queue(id: i32) -> MessageQueue {
    MessageQueue::new("T", "__syslo__global__", id)
}

fn queues() -> Vec<MessageQueue> {
    (0..4).map(queue).collect()
}

/// Sends the numbers to the logical queues in turn. A host that a queue has just left refuses it.
fn send(producer: &Producer, numbers: std::ops::Range<usize>) -> BTreeSet<String> {
    for number in numbers.clone() {
        let message = Message::new("T", number.to_string());
        eventually("it is stored", || {
            let prepared = producer.prepare(&message);
            let prepared = prepared.queue(queue((number % 4) as i32));
            // One that is only late must not be sent twice.
            prepared.timeout(PATIENCE).send().is_ok()
        });
    }
    numbers.map(|number| number.to_string()).collect()
}

/// Two queues move, each to the other broker.
fn remap(cluster: &Cluster) {
    cluster.move_queue("T", 0, "broker-b");
    cluster.move_queue("T", 1, "broker-a");
}

/// Waits for messages that come after a move. The pulls that wait at the old hosts end with their time.
#[track_caller]
fn take_after_move(cluster: &Cluster, bodies: &Receiver<String>, count: usize) -> Vec<String> {
    let (start, mut taken) = (Instant::now(), Vec::new());
    while taken.len() < count {
        assert!(start.elapsed() < PATIENCE, "{taken:?}");
        match bodies.recv_timeout(ms(200)) {
            Ok(body) => taken.push(body),
            Err(_) => drop(cluster.advance(HOLD)),
        }
    }
    taken
}

/// The queues of `T` that it has.
fn of_t(consumer: &PushConsumer) -> Vec<MessageQueue> {
    let assigned = consumer.assignment().into_iter();
    assigned.filter(|queue| queue.topic() == "T").collect()
}

/// The offsets of the group, and the ends of the queues.
fn offsets(producer: &Producer) -> (Vec<Option<i64>>, Vec<i64>) {
    let admin = producer.admin();
    let committed = |queue| admin.committed_offset("g", queue).expect("an answer");
    let end = |queue| admin.max_offset(queue).expect("an answer");
    let queues = queues();
    (
        queues.iter().map(committed).collect(),
        queues.iter().map(end).collect(),
    )
}

/// That all is committed, at the hosts.
#[track_caller]
fn all_committed(producer: &Producer) {
    let (committed, ends) = offsets(producer);
    let ends: Vec<Option<i64>> = ends.into_iter().map(Some).collect();
    assert_eq!(committed, ends);
}

#[test]
fn messages_are_handled_once_while_their_queues_move() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let sent = send(&producer, 0..40);
    let (seen, messages) = unbounded::<MessageView>();
    let consumer = consumer(&cluster)
        .start(move |message| Ok(seen.send(message.clone())?))
        .expect("a consumer");
    let mut got: Vec<MessageView> = (0..40)
        .map(|_| messages.recv_timeout(PATIENCE).expect("a message in time"))
        .collect();
    assert_eq!(of_t(&consumer), queues());
    remap(&cluster);
    let more = send(&producer, 40..80);
    let start = Instant::now();
    while got.len() < 80 {
        assert!(start.elapsed() < PATIENCE, "{} messages", got.len());
        match messages.recv_timeout(ms(200)) {
            Ok(message) => got.push(message),
            Err(_) => drop(cluster.advance(HOLD)),
        }
    }
    let bodies: BTreeSet<String> = got.iter().map(|m| m.text().unwrap().to_owned()).collect();
    assert_eq!(bodies, sent.union(&more).cloned().collect());
    let mut places: BTreeMap<&MessageQueue, BTreeSet<i64>> = BTreeMap::new();
    for message in &got {
        let queue = message.queue().expect("a queue");
        assert_eq!(queue.id(), message.queue_id());
        places
            .entry(queue)
            .or_default()
            .insert(message.queue_offset());
    }
    let (old, new) = (0..10, 10_000..10_010);
    let moved: Vec<i64> = old.chain(new).collect();
    let stayed: Vec<i64> = (0..20).collect();
    for (id, expected) in [&moved, &moved, &stayed, &stayed].into_iter().enumerate() {
        let offsets: Vec<i64> = places[&queue(id as i32)].iter().copied().collect();
        assert_eq!(offsets, *expected, "queue {id}");
    }
    eventually("the last handlers have returned", || {
        consumer.lag().messages() == Some(0)
    });
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(messages.is_empty(), "nothing comes twice");
    all_committed(&producer);
}

/// What it stored before a move is read through the new host, from the broker that has it.
#[test]
fn a_consumer_that_starts_later_gets_all_parts_of_a_queue() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let mut sent = send(&producer, 0..40);
    remap(&cluster);
    sent.extend(send(&producer, 40..80));
    cluster.move_queue("T", 0, "broker-a");
    sent.extend(send(&producer, 80..120));
    let started = PullConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .start();
    let consumer = started.expect("a consumer");
    let mut orders: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for message in consumer.messages().until_caught_up() {
        let message = message.expect("no error");
        let number = message.text().expect("text").parse().expect("a number");
        orders.entry(message.queue_id()).or_default().push(number);
        assert!(message.done());
    }
    for (id, order) in &orders {
        assert!(order.is_sorted(), "queue {id}: {order:?}");
    }
    let got = orders.values().flatten().map(usize::to_string);
    assert_eq!(got.collect::<BTreeSet<_>>(), sent);
    assert_eq!(orders.values().map(Vec::len).sum::<usize>(), sent.len());
    consumer.commit().expect("confirmed");
    all_committed(&producer);
    // A seek is by logical offsets too.
    consumer
        .seek(&queue(1), Seek::Offset(10_009))
        .expect("a seek");
    let polled = consumer.poll(PATIENCE).expect("no error");
    let last = polled.first().expect("a message");
    assert_eq!((last.queue_id(), last.queue_offset()), (1, 10_009));
    drop(polled);
    consumer.shutdown();
}

#[test]
fn an_ordered_consumer_locks_queues_at_their_hosts_and_keeps_their_order() {
    let cluster = cluster();
    let producer = producer(&cluster);
    send(&producer, 0..20);
    let (seen, bodies) = unbounded();
    let consumer = consumer(&cluster)
        .start_ordered(move |message| -> Result<(), Retry> {
            assert!(message.still_owned());
            seen.send(message.text()?.to_owned())?;
            Ok(())
        })
        .expect("a consumer");
    let mut order = take(&bodies, 20);
    let locked = |broker: &str, id: i32| {
        let locks = cluster.requests(&On::Lock).into_iter();
        let mut at_broker = locks.filter(|lock| lock.server() == broker);
        let names = |body: &[u8]| {
            let body: serde_json::Value = serde_json::from_slice(body).expect("JSON");
            let mut queues = body["mqSet"].as_array().expect("queues").iter();
            queues.any(|queue| queue["topic"] == "T" && queue["queueId"] == id)
        };
        at_broker.any(|lock| names(&lock.command().body))
    };
    let at = |id: i32| ["broker-a", "broker-b"].map(|broker| locked(broker, id));
    let (a, b, both) = ([true, false], [false, true], [true, true]);
    assert_eq!([at(0), at(1), at(2), at(3)], [a, b, a, b]);
    remap(&cluster);
    send(&producer, 20..60);
    order.extend(take_after_move(&cluster, &bodies, 40));
    assert_eq!([at(0), at(1), at(2), at(3)], [both, both, a, b]);
    for id in 0..4 {
        let of_queue = order.iter().map(|body| body.parse::<usize>().unwrap());
        let of_queue: Vec<usize> = of_queue.filter(|number| number % 4 == id).collect();
        let expected: Vec<usize> = (0..60).filter(|number| number % 4 == id).collect();
        assert_eq!(of_queue, expected, "in order, each once");
    }
    assert_eq!(consumer.stats().panicked, 0);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    all_committed(&producer);
}

/// A broker is asked for a copy by a place in its own log: another one would copy another message.
#[test]
fn a_failed_message_goes_back_to_the_broker_that_stored_it() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let sent = send(&producer, 0..16);
    remap(&cluster);
    let (seen, tries) = unbounded();
    let consumer = consumer(&cluster)
        .start(move |message| -> Result<(), Retry> {
            let times = message.reconsume_times();
            seen.send((message.text()?.to_owned(), times))?;
            match times {
                0 => Err(Retry::later()),
                _ => Ok(()),
            }
        })
        .expect("a consumer");
    let mut got: Vec<(String, i32)> = (0..32)
        .map(|_| tries.recv_timeout(PATIENCE).expect("in time"))
        .collect();
    got.sort();
    let expected = sent
        .iter()
        .flat_map(|body| [(body.clone(), 0), (body.clone(), 1)]);
    assert_eq!(got, expected.collect::<Vec<_>>());
    let backs = cluster.requests(&On::SendBack);
    assert_eq!(backs.len(), 16);
    assert_eq!(
        backs
            .iter()
            .filter(|back| back.server() == "broker-a")
            .count(),
        8
    );
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

/// The route that the consumer knows names the old hosts.
#[test]
fn a_commit_that_an_old_host_refuses_is_repeated_at_the_new_one() {
    let cluster = cluster();
    let producer = producer(&cluster);
    send(&producer, 0..8);
    let started = PullConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .auto_commit(false)
        .start();
    let consumer = started.expect("a consumer");
    let messages = consumer.messages().take(8);
    messages.for_each(|message| assert!(message.expect("no error").done()));
    // A pull that an old host refuses would have the route looked up before the commit.
    let group = cluster.group("g");
    eventually("its pulls wait", || group.parked() >= 4);
    remap(&cluster);
    consumer.commit().expect("confirmed");
    let refused = cluster.requests(&On::Commit).len();
    assert!(refused > 8, "{refused} commits");
    let (committed, _) = offsets(&producer);
    assert_eq!(committed, [Some(2); 4]);
    consumer.shutdown();
}

#[test]
fn a_consumer_that_starts_with_an_old_route_finds_the_new_hosts() {
    let cluster = cluster();
    let options = ClientOptions::new().name_server(cluster.name_server());
    let client = Client::start(options).expect("a client");
    let producer = Producer::builder("p").client(&client).start();
    let producer = producer.expect("a producer");
    let sent = send(&producer, 0..8);
    remap(&cluster);
    let builder = PushConsumer::builder("g").client(&client);
    let builder = builder.subscribe("T", "*").start_from(StartFrom::First);
    let (consumer, bodies) = crate::common::bodies(builder);
    assert_eq!(BTreeSet::from_iter(take(&bodies, 8)), sent);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    client.shutdown();
}

/// While a host is down, its queues are nobody's but stay assigned: all members divide the same ones.
#[test]
fn queues_whose_host_is_down_stay_assigned_and_go_on_when_it_is_back() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let sent = send(&producer, 0..8);
    let (consumer, bodies) = crate::common::bodies(consumer(&cluster));
    assert_eq!(BTreeSet::from_iter(take(&bodies, 8)), sent);
    let broker = cluster.broker("broker-a");
    broker.kill();
    let unknown = || {
        let admin = producer.admin();
        admin.max_offset(&queue(0)).is_err()
    };
    eventually("the host is gone", unknown);
    let more: Vec<usize> = vec![9, 11, 13, 15];
    for number in &more {
        let message = Message::new("T", number.to_string());
        let queue = queue((number % 4) as i32);
        let sent = producer.prepare(&message).queue(queue).send();
        assert!(sent.is_ok(), "{sent:?}");
    }
    let expected: BTreeSet<String> = more.iter().map(usize::to_string).collect();
    assert_eq!(BTreeSet::from_iter(take(&bodies, 4)), expected);
    assert_eq!(of_t(&consumer), queues());
    broker.restart().expect("its port");
    let more = send(&producer, 16..24);
    assert_eq!(BTreeSet::from_iter(take(&bodies, 8)), more);
    assert_eq!(of_t(&consumer), queues());
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn broadcasting_keeps_logical_offsets() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let folder = Folder::new("static-topics");
    let start = || {
        let builder = consumer(&cluster).broadcast().offset_dir(folder.path());
        let options = ClientOptions::new().instance_name("one");
        crate::common::bodies(builder.options(options).name_server(cluster.name_server()))
    };
    let sent = send(&producer, 0..8);
    let (consumer, bodies) = start();
    assert_eq!(BTreeSet::from_iter(take(&bodies, 8)), sent);
    remap(&cluster);
    let more = send(&producer, 8..16);
    let got = take_after_move(&cluster, &bodies, 8);
    assert_eq!(BTreeSet::from_iter(got), more);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    let more = send(&producer, 16..24);
    let (consumer, bodies) = start();
    assert_eq!(BTreeSet::from_iter(take(&bodies, 8)), more);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(bodies.is_empty());
}

/// Brokers pop their own queues, whichever logical ones these are parts of.
#[test]
fn a_simple_consumer_gets_the_brokers_own_queues() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let mut sent = send(&producer, 0..8);
    remap(&cluster);
    sent.extend(send(&producer, 8..16));
    let consumer = SimpleConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .wait(PATIENCE)
        .start()
        .expect("a consumer");
    let (mut got, mut brokers) = (BTreeSet::new(), BTreeSet::new());
    while got.len() < 16 {
        for message in consumer.receive(32, PATIENCE).expect("no error") {
            assert!(got.insert(message.text().expect("text").to_owned()));
            brokers.insert(message.queue().expect("a queue").broker().to_owned());
            assert!(message.ack().is_ok());
        }
    }
    assert_eq!(got, sent);
    assert_eq!(brokers, ["broker-a", "broker-b"].map(str::to_owned).into());
    assert_eq!(cluster.group("g").in_flight(), 0);
    assert_eq!(consumer.lag().messages(), None);
    consumer.shutdown();
}

/// A broker would reset its own queues, which may be those of other logical ones.
#[test]
fn a_group_is_reset_while_it_has_no_member() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let sent = send(&producer, 0..8);
    remap(&cluster);
    let (consumer, bodies) = crate::common::bodies(consumer(&cluster));
    assert_eq!(BTreeSet::from_iter(take(&bodies, 8)), sent);
    let group = producer.admin().group("g");
    let refused = [
        group.reset("T", ResetTo::Start).map(drop),
        group.reset_queue(&queue(0), 0),
    ];
    for refused in refused {
        let error = refused.expect_err("a member").to_string();
        assert!(error.contains("no member of the group"), "{error}");
    }
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    eventually("gone", || cluster.group("g").members().is_empty());
    group.reset("T", ResetTo::End).expect("no member");
    let (_, ends) = offsets(&producer);
    assert_eq!(ends, [10_000, 10_000, 2, 2]);
    all_committed(&producer);
    group.reset_queue(&queue(1), 1).expect("no member");
    let (committed, _) = offsets(&producer);
    assert_eq!(committed, [10_000, 1, 2, 2].map(Some));
    let starts = group.reset("T", ResetTo::Start).expect("no member");
    assert_eq!(
        starts,
        queues().into_iter().map(|queue| (queue, 0)).collect()
    );
}

#[test]
fn a_push_consumer_pulls_a_static_topic_that_brokers_would_have_popped() {
    let cluster = cluster();
    let producer = producer(&cluster);
    producer.admin().group("g").set_pop("T", 0).expect("a mode");
    let sent = send(&producer, 0..8);
    let (consumer, bodies) = crate::common::bodies(consumer(&cluster).broker_assignment(true));
    assert_eq!(BTreeSet::from_iter(take(&bodies, 8)), sent);
    assert_eq!(cluster.requests(&On::Pop).len(), 0);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}
