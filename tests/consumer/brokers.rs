//! Brokers that were away, and what they have forgotten by then.

use std::collections::BTreeSet;
use std::time::Duration;

use crossbeam_channel::unbounded;
use rocketmq_blocking::consumer::Doing;
use rocketmq_blocking::embedded::{Cluster, Fault, Gate, On};
use rocketmq_blocking::{ClientOptions, MessageQueue, PushConsumer, StartFrom};

use crate::common::{bodies, consumer, send, take};
use crate::support::{PATIENCE, cluster, eventually, ms, producer, route, two_brokers};

/// The brokers of a member's queues of `T`.
fn brokers(consumer: &PushConsumer) -> BTreeSet<String> {
    let queues = consumer.assignment().into_iter();
    let queues = queues.filter(|queue| queue.topic() == "T");
    queues.map(|queue| queue.broker().to_owned()).collect()
}

fn both() -> BTreeSet<String> {
    ["broker-a", "broker-b"].map(str::to_owned).into()
}

/// Routes and members are looked at each 30 s and 20 s: neither is waited for.
#[test]
fn a_broker_that_was_away_for_a_moment_has_its_consumers_back_soon() {
    let cluster = two_brokers();
    let (consumer, _messages) = bodies(consumer(&cluster));
    assert_eq!(brokers(&consumer), both());
    let broker = cluster.broker("broker-a");
    broker.kill();
    eventually("its queues are gone", || brokers(&consumer).len() == 1);
    broker.restart().expect("its port");
    let back = cluster.wait_until(PATIENCE / 2, || brokers(&consumer) == both());
    assert!(back, "{:?}", brokers(&consumer));
    consumer.shutdown();
}

/// The broker has forgotten the offsets of its last seconds, or all; the member has not.
#[test]
fn a_queue_that_comes_back_with_its_broker_goes_on_where_its_member_was() {
    for writes_offsets in [true, false] {
        let cluster = Cluster::builder().brokers(2).topic("T", 2);
        let cluster = cluster.manual_clock(true).start().expect("free ports");
        let broker = cluster.broker("broker-a");
        let (consumer, messages) = bodies(consumer(&cluster).commit_interval(ms(10)));
        let committed = || cluster.group("g").offsets().values().sum::<i64>();
        for (numbers, all) in [(0..8, 8), (8..16, 16)] {
            let sent = send(&producer(&cluster), numbers);
            assert_eq!(BTreeSet::from_iter(take(&messages, 8)), sent);
            eventually("committed", || committed() == all);
            if writes_offsets && all == 8 {
                cluster.advance(Duration::from_secs(5));
            }
        }
        broker.kill();
        eventually("its queues are gone", || brokers(&consumer).len() == 1);
        assert!(committed() < 16, "it has forgotten nothing");
        broker.restart().expect("its port");
        eventually("its queues are back", || brokers(&consumer) == both());
        let sent = send(&producer(&cluster), 16..24);
        assert_eq!(BTreeSet::from_iter(take(&messages, 8)), sent, "only these");
        eventually("the new offsets", || committed() == 24);
        consumer.shutdown();
        assert!(messages.is_empty(), "nothing comes twice");
    }
}

/// It may have been reset.
#[test]
fn what_a_member_knew_of_a_queue_does_not_count_once_another_one_has_had_it() {
    let cluster = Cluster::builder().brokers(2).topic("T", 2);
    let cluster = cluster.manual_clock(true).start().expect("free ports");
    let broker = cluster.broker("broker-a");
    // The queues of broker-a are divided first.
    let second = consumer(&cluster).instance_name("second");
    let (second, messages) = bodies(second.commit_interval(ms(10)));
    take(&messages, send(&producer(&cluster), 0..8).len());
    let offsets = || cluster.group("g").offsets();
    eventually("committed", || offsets().values().sum::<i64>() == 8);
    // A commit without an answer would be repeated after the restart.
    eventually("it knows that", || {
        let queues = second.describe().queues.into_iter();
        queues.filter_map(|queue| queue.committed).sum::<u64>() == 8
    });
    let of_broker =
        |(queue, _): &(MessageQueue, i64)| queue.broker() == "broker-a" && queue.topic() == "T";
    let there: i64 = offsets()
        .into_iter()
        .filter(of_broker)
        .map(|(_, n)| n)
        .sum();
    broker.kill();
    eventually("its queues are gone", || brokers(&second).len() == 1);
    // One that starts while the broker is away looks for it each 30 s.
    let options = ClientOptions::new().route_interval(ms(100));
    let first = consumer(&cluster).options(options.instance_name("first"));
    let (first, _none) = bodies(first.start_from(StartFrom::First));
    first.pause();
    broker.restart().expect("its port");
    let only_a: BTreeSet<String> = ["broker-a".to_owned()].into();
    eventually("the first has them", || brokers(&first) == only_a);
    eventually("from the start", || {
        let known = offsets().into_iter().filter(of_broker);
        known.map(|(_, offset)| offset).eq([0, 0])
    });
    // The second must have seen that.
    let rounds = second.stats().rebalances;
    eventually("it has divided again", || {
        cluster.group("g").notify_members();
        second.stats().rebalances >= rounds + 2
    });
    first.shutdown();
    // The group has not consumed them.
    take(&messages, there.try_into().expect("small"));
    second.shutdown();
    assert!(messages.is_empty());
}

/// It waits for the lock of another member, whose last commits the broker forgets. It has the lock before the
/// broker knows it again.
#[test]
fn messages_of_a_broker_that_was_killed_before_it_handed_a_queue_over_are_marked() {
    let cluster = Cluster::builder().topic("T", 1).manual_clock(true);
    let cluster = cluster.start().expect("free ports");
    let (group, broker) = (cluster.group("g"), cluster.broker("broker-a"));
    let first = consumer(&cluster).instance_name("first");
    let (first, messages) = bodies(first.commit_interval(ms(10)));
    take(&messages, send(&producer(&cluster), 0..4).len());
    let queue = MessageQueue::new("T", "broker-a", 0);
    eventually("committed", || group.committed(&queue) == Some(4));
    let id = first.client_id().to_owned();
    let edit = move |ids: Vec<String>| ids.into_iter().filter(|other| *other != id).collect();
    broker.edit_members("g", edit);
    let (seen, marks) = unbounded();
    let second = consumer(&cluster).instance_name("second");
    let second = second.start_from(StartFrom::First).start(move |message| {
        seen.send(message.possibly_repeated()).ok();
        Ok(())
    });
    let second = second.expect("a consumer");
    eventually("it waits", || {
        let mut queues = second.describe().queues.into_iter();
        queues.any(|state| state.queue == queue && state.doing == Doing::WaitingForLock)
    });
    broker.kill();
    drop(first.shutdown_within(ms(100)));
    // Within that time it may have been too late to end.
    drop(first.shutdown_within(PATIENCE));
    let gate = Gate::new();
    let _held = broker.inject(Fault::hold(&gate).on(On::Heartbeat));
    cluster.clear_requests();
    broker.restart().expect("its port");
    let asked = cluster.wait_for_requests(&On::Lock, 1, PATIENCE);
    assert!(!asked.is_empty(), "it asks for the lock");
    gate.open();
    for _ in 0..4 {
        assert!(marks.recv_timeout(PATIENCE).expect("a message in time"));
    }
    second.shutdown();
}

/// One that does not know the topic yet, that serves no reads, or that is down.
#[test]
fn a_suggested_slave_that_serves_no_messages_does_not_stop_its_queues() {
    for refusal in [Some((17, "no topic")), Some((2, "no reads")), None] {
        let cluster = Cluster::builder().brokers(2).topic("T", 1);
        let cluster = cluster.start().expect("free ports");
        let (master, slave) = (cluster.broker("broker-a"), cluster.broker("broker-b"));
        let mut route = route(&[("broker-a", 1, master.address())]);
        let ids = &mut route.broker_datas[0].broker_addrs;
        ids.insert(1, slave.address().to_string());
        for topic in ["T", "%RETRY%g"] {
            cluster.set_route(topic, Some(route.clone()));
        }
        master.suggest_broker(1);
        match refusal {
            Some((code, remark)) => drop(slave.inject(Fault::answer(code, remark).on(On::Pull))),
            None => slave.kill(),
        }
        let (consumer, messages) = bodies(consumer(&cluster).pull_batch(1));
        if refusal.is_some() {
            eventually("the slave knows it", || slave.consumers().contains_key("g"));
        }
        let producer = producer(&cluster);
        let sent = send(&producer, 0..3);
        let got: BTreeSet<String> = take(&messages, 3).into_iter().collect();
        assert_eq!(got, sent, "{refusal:?}");
        let is_asked = || {
            let mut pulls = cluster.requests(&On::Pull).into_iter();
            pulls.any(|pull| pull.server() == "broker-b")
        };
        match refusal {
            // It hears later than the slave that this one knows it, and asks the master until then.
            Some(_) => eventually("the slave is asked", || {
                is_asked() || {
                    let sent = send(&producer, [3]);
                    assert_eq!(take(&messages, 1), Vec::from_iter(sent));
                    false
                }
            }),
            None => assert!(!is_asked()),
        }
        consumer.shutdown();
    }
}

/// Heartbeats are sent each 30 s.
#[test]
fn a_broker_that_was_away_for_a_moment_knows_members_without_queues_there_soon() {
    let cluster = Cluster::builder().brokers(2).topic("T", 1);
    let cluster = cluster.start().expect("free ports");
    let members = [(); 3].map(|()| bodies(consumer(&cluster)).0);
    let knows_all = || {
        let known = cluster.broker("broker-a").consumers();
        known.get("g").is_some_and(|ids| ids.len() == 3)
    };
    eventually("all are known", knows_all);
    // Nobody hears of the others.
    for broker in cluster.brokers() {
        broker.drop_notifications(true);
    }
    let broker = cluster.broker("broker-a");
    broker.kill();
    broker.restart().expect("its port");
    let back = cluster.wait_until(PATIENCE / 2, knows_all);
    assert!(back, "{:?}", broker.consumers());
    members.iter().for_each(PushConsumer::shutdown);
}

#[test]
fn a_member_takes_leases_although_a_broker_knows_nobody_yet() {
    let cluster = two_brokers();
    let (first, _messages) = bodies(consumer(&cluster));
    cluster.broker("broker-b").edit_members("g", |_| Vec::new());
    let (second, _messages) = bodies(consumer(&cluster));
    assert!(!second.assignment().is_empty(), "while brokers differ");
    let asked = || {
        let locks = cluster.requests(&On::Lock);
        let of = |id: &str| {
            let mut bodies = locks.iter().map(|lock| &lock.command().body);
            bodies.any(|body| String::from_utf8_lossy(body).contains(id))
        };
        (of(first.client_id()), of(second.client_id()))
    };
    eventually("both take leases", || asked() == (true, true));
    assert_eq!(cluster.requests(&On::Unlock).len(), 0, "none is given back");
    second.shutdown();
    first.shutdown();
}

#[test]
fn all_messages_are_marked_while_another_member_has_the_lease() {
    let cluster = cluster();
    let (first, _messages) = bodies(consumer(&cluster));
    let id = first.client_id().to_owned();
    // What it does not consume, it does not commit.
    first.pause();
    // The first one is missing, so it keeps its queues, and the second one takes all.
    let edit = move |ids: Vec<String>| ids.into_iter().filter(|other| *other != id).collect();
    cluster.broker("broker-a").edit_members("g", edit);
    let (seen, marks) = unbounded();
    let second = consumer(&cluster)
        .start(move |message| {
            seen.send(message.possibly_repeated()).ok();
            Ok(())
        })
        .expect("a consumer");
    let producer = producer(&cluster);
    for round in 0..3 {
        send(&producer, 100 * round..100 * round + 20);
        for _ in 0..20 {
            let marked = marks.recv_timeout(PATIENCE).expect("a message in time");
            assert!(marked, "round {round}");
        }
    }
    second.shutdown();
    first.shutdown();
}
