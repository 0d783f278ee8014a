//! The division of queues among members, and their hand-over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, unbounded};
use rocketmq_blocking::consumer::{Allocation, Event, PushConsumerBuilder};
use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{Message, MessageQueue, PushConsumer, StartFrom};

use crate::common::{bodies, consumer, send, take};
use crate::support::{PATIENCE, SLACK, cluster, eventually, inject, ms, patient, producer};

/// The queues of `T` that a member has.
fn of_topic(consumer: &PushConsumer) -> Vec<MessageQueue> {
    let queues = consumer.assignment().into_iter();
    queues.filter(|queue| queue.topic() == "T").collect()
}

/// How often each message was handled, by any member.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<BTreeMap<String, usize>>>);

impl Ledger {
    fn member(&self, builder: PushConsumerBuilder, work: Duration) -> PushConsumer {
        let own = self.clone();
        let started = builder.consume_threads(4).start(move |message| {
            let body = message.text().expect("text").to_owned();
            *own.0.lock().unwrap().entry(body).or_default() += 1;
            // Handlers run while queues are handed over.
            std::thread::sleep(work);
            Ok(())
        });
        started.expect("a consumer")
    }

    fn seen(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn repeated(&self) -> Vec<String> {
        let counts = self.0.lock().unwrap();
        let more = counts.iter().filter(|(_, count)| **count > 1);
        more.map(|(body, count)| format!("{body}: {count} times"))
            .collect()
    }
}

/// Sends in the background, no faster than slow handlers are. The returned function stops it, and returns the
/// number of messages.
fn sender(cluster: &Cluster) -> impl FnOnce() -> usize + use<> {
    let producer = patient(cluster).start().expect("a producer");
    let (stop, stopped) = unbounded::<()>();
    let thread = std::thread::spawn(move || {
        let mut count = 0;
        while stopped.recv_timeout(ms(1)) == Err(RecvTimeoutError::Timeout) {
            let sent = producer.send(&Message::new("T", format!("message {count}")));
            assert!(sent.is_ok(), "{sent:?}");
            count += 1;
        }
        count
    });
    move || {
        drop(stop);
        thread.join().expect("a sender")
    }
}

#[test]
fn members_that_join_and_leave_cleanly_handle_no_message_twice_and_none_is_lost() {
    let cluster = Cluster::builder()
        .topic("T", 8)
        .start()
        .expect("free ports");
    let ledger = Ledger::default();
    let first = ledger.member(consumer(&cluster), ms(1));
    let stop = sender(&cluster);
    let second = ledger.member(consumer(&cluster), ms(1));
    eventually("they share", || {
        of_topic(&first).len() == 4 && of_topic(&second).len() == 4
    });
    let third = ledger.member(consumer(&cluster), ms(1));
    eventually("three share", || {
        let queues = [&first, &second, &third].map(|member| of_topic(member).len());
        queues.iter().all(|queues| (2..=3).contains(queues))
    });
    assert!(first.shutdown_within(PATIENCE).is_clean());
    eventually("two are left", || {
        of_topic(&second).len() == 4 && of_topic(&third).len() == 4
    });
    assert!(second.shutdown_within(PATIENCE).is_clean());
    eventually("one is left", || of_topic(&third).len() == 8);
    let sent = stop();
    eventually("all are handled", || ledger.seen() == sent);
    assert!(third.shutdown_within(PATIENCE).is_clean());
    assert_eq!(ledger.repeated(), [] as [String; 0]);
    assert_eq!(cluster.group("g").lag("T"), 0);
    // The members do not wait for the answers.
    eventually("all are given back", || {
        cluster.group("g").locks().is_empty()
    });
}

#[test]
fn a_new_member_waits_for_the_handlers_of_the_old_one() {
    let cluster = cluster();
    let (release, gate) = unbounded::<()>();
    let (seen, first_got) = unbounded();
    let first = consumer(&cluster)
        .start(move |message| {
            seen.send(message.queue_id()).ok();
            let _ = gate.recv();
            Ok(())
        })
        .expect("a consumer");
    send(&producer(&cluster), 0..4);
    for _ in 0..4 {
        first_got.recv_timeout(PATIENCE).expect("a message");
    }
    let begin = Instant::now();
    let (second, second_got) = bodies(consumer(&cluster));
    // That would take 5 s.
    assert!(
        begin.elapsed() < 2 * SLACK,
        "it does not wait for the old one"
    );
    eventually("half of the queues are given up", || {
        of_topic(&first).len() == 2
    });
    assert!(second_got.is_empty());
    assert!(
        cluster
            .group("g")
            .offsets()
            .values()
            .all(|offset| *offset == 0)
    );
    drop(release);
    eventually("handed over", || of_topic(&second).len() == 2);
    first.shutdown();
    second.shutdown();
    assert!(second_got.is_empty(), "all were handled before");
}

#[test]
fn without_leases_a_clean_end_loses_nothing() {
    let cluster = cluster();
    let ledger = Ledger::default();
    let member = || ledger.member(consumer(&cluster).lease(false), ms(0));
    let first = member();
    let stop = sender(&cluster);
    let second = member();
    eventually("they share", || of_topic(&first).len() == 2);
    first.shutdown();
    eventually("one has all", || of_topic(&second).len() == 4);
    let sent = stop();
    eventually("all are handled", || ledger.seen() == sent);
    second.shutdown();
    assert_eq!(cluster.requests(&On::Lock).len(), 0);
}

#[test]
fn brokers_that_do_not_know_the_members_cost_no_queue() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let (consumer, got) = bodies(consumer(&cluster));
    take(&got, send(&producer, 0..4).len());
    let before = of_topic(&consumer);
    // Brokers answer 1 for a group without members.
    for code in [1, 2] {
        let rounds = consumer.stats().doubtful_rebalances;
        inject(
            &cluster,
            &Fault::answer(code, "scripted").on(On::Members).times(2),
        );
        cluster.group("g").notify_members();
        eventually("asked", || consumer.stats().doubtful_rebalances > rounds);
        assert_eq!(of_topic(&consumer), before);
        let sent = send(&producer, 10 * code as usize..10 * code as usize + 4);
        assert_eq!(BTreeSet::from_iter(take(&got, 4)), sent);
    }
    consumer.shutdown();
}

#[test]
fn a_topic_that_is_created_later_is_consumed_from_its_first_message() {
    let cluster = cluster();
    let (seen, got) = unbounded();
    let consumer = consumer(&cluster)
        .subscribe("Later", "*")
        .start_from(StartFrom::Last)
        .start(move |message| {
            seen.send(message.topic().to_owned()).ok();
            Ok(())
        })
        .expect("a consumer");
    cluster.create_topic("Later", 2);
    let sent = producer(&cluster).send(&Message::new("Later", "first"));
    assert!(sent.is_ok());
    assert_eq!(got.recv_timeout(PATIENCE).as_deref(), Ok("Later"));
    consumer.shutdown();
}

#[test]
fn queues_that_are_added_are_consumed_from_their_first_message() {
    let cluster = Cluster::builder()
        .topic("T", 1)
        .start()
        .expect("free ports");
    let options = rocketmq_blocking::ClientOptions::new().route_interval(ms(50));
    let builder = consumer(&cluster)
        .options(options)
        .start_from(StartFrom::Last);
    let (consumer, got) = bodies(builder);
    cluster.set_queues("T", "broker-a", 3, 3);
    let producer = producer(&cluster);
    for id in 0..3 {
        let queue = MessageQueue::new("T", "broker-a", id);
        let message = Message::new("T", format!("in {id}"));
        assert!(producer.prepare(&message).queue(queue).send().is_ok());
    }
    let mut bodies = take(&got, 3);
    bodies.sort();
    assert_eq!(bodies, ["in 0", "in 1", "in 2"]);
    consumer.shutdown();
}

#[test]
fn the_allocation_decides_and_events_report_it() {
    let cluster = cluster();
    let wanted = MessageQueue::new("T", "broker-a", 2);
    let (told, events) = unbounded();
    let builder = consumer(&cluster)
        .allocation(Allocation::configured([wanted.clone()]))
        .events(move |event| drop(told.send(event.clone())));
    let (consumer, _got) = bodies(builder);
    assert_eq!(of_topic(&consumer), std::slice::from_ref(&wanted));
    let first = events.recv_timeout(PATIENCE).expect("an event");
    let Event::Assigned { queues } = &first else {
        panic!("{first}");
    };
    assert!(queues.contains(&wanted));
    consumer.shutdown();
}

#[test]
fn a_broker_that_restarts_keeps_its_consumers() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let (consumer, got) = bodies(consumer(&cluster).commit_interval(ms(10)));
    take(&got, send(&producer, 0..8).len());
    let committed = || cluster.group("g").offsets().values().sum::<i64>();
    eventually("committed", || committed() == 8);
    let broker = cluster.broker("broker-a");
    broker.kill();
    let restarted = Instant::now();
    broker.restart().expect("its port");
    // Another producer: a send on the connection that broke may fail, its message possibly stored.
    let sent = send(&self::producer(&cluster), 8..16);
    assert_eq!(BTreeSet::from_iter(take(&got, 8)), sent);
    // Members are looked at each 20 s.
    assert!(restarted.elapsed() < PATIENCE / 2);
    eventually("the new offsets", || committed() == 16);
    consumer.shutdown();
    assert!(got.is_empty(), "nothing comes twice");
}

/// Without that, two members would have the queue of broker-b, or none, until each looks at the route again.
#[test]
fn members_look_at_the_routes_again_when_one_joins() {
    let cluster = Cluster::builder().brokers(2).topic("T", 1);
    let cluster = cluster.start().expect("free ports");
    cluster.set_queues("T", "broker-a", 0, 0);
    let member = || consumer(&cluster).start(|_| Ok(())).expect("a consumer");
    let first = member();
    eventually("it has the only queue", || of_topic(&first).len() == 1);
    cluster.set_queues("T", "broker-a", 1, 1);
    let second = member();
    eventually("each has one", || {
        let (one, other) = (of_topic(&first), of_topic(&second));
        one.len() == 1 && other.len() == 1 && one != other
    });
}
