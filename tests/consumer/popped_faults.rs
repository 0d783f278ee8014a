//! Push consumers whose brokers have the messages popped, and that refuse, are silent, or go away.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::{Doing, Event, QueueState};
use rocketmq_blocking::embedded::{Cluster, Fault, Gate, On};
use rocketmq_blocking::{
    Client, ClientOptions, Message, MessageQueue, PushConsumer, ResponseCode, StartFrom,
};

use crate::common::{bodies, send, take};
use crate::popped::{cluster, next, popping};
use crate::support::{PATIENCE, SLACK, eventually, ms, producer, start_heard};

const NOTIFICATION: i32 = 200_054;

fn any(topic: &str) -> MessageQueue {
    MessageQueue::new(topic, "broker-a", -1)
}

/// The next event of a refusal.
#[track_caller]
fn next_refusal(events: &Receiver<Event>) -> (MessageQueue, Option<ResponseCode>) {
    loop {
        let event = events.recv_timeout(PATIENCE).expect("in time");
        if let Event::Refused { queue, code, .. } = event {
            return (queue, code);
        }
    }
}

#[test]
fn a_broker_that_refuses_pops_is_an_event() {
    let cluster = cluster();
    let (told, events) = unbounded();
    let fault = Fault::answer(16, "no permission").on(On::Pop).times(3);
    let _ = cluster.broker("broker-a").inject(fault);
    let builder = popping(&cluster).events(move |event| drop(told.send(event.clone())));
    let (_consumer, seen) = bodies(builder);
    let refusal = (any("T"), Some(ResponseCode::NO_PERMISSION));
    assert_eq!(next_refusal(&events), refusal);
    let sent = send(&producer(&cluster), 0..1);
    assert_eq!(take(&seen, 1), sent.into_iter().collect::<Vec<_>>());
    let more = events
        .try_iter()
        .any(|e| matches!(e, Event::Refused { .. }));
    assert!(!more, "it is told once");
}

/// Two topics are popped, and the broker refuses one of them.
#[test]
fn a_refused_topic_does_not_slow_the_others_down() {
    const COUNT: usize = 40;
    let cluster = Cluster::builder().topic("T", 4).topic("U", 4).start();
    let cluster = cluster.expect("free ports");
    let producer = producer(&cluster);
    let group = producer.admin().group("g");
    for topic in ["T", "U"] {
        group.set_pop(topic, 0).expect("the mode");
    }
    let of_u = On::when(|request| {
        let is_of_u = request.ext.get("topic") == Some("U");
        // A broker checks the permission in both.
        is_of_u && (On::Pop.matches(request) || request.code == NOTIFICATION)
    });
    let refused = Fault::answer(16, "no permission").on(of_u);
    let refused = cluster.broker("broker-a").inject(refused);
    let (told, events) = unbounded();
    let builder = popping(&cluster)
        .subscribe("U", "*")
        .events(move |event| drop(told.send(event.clone())));
    let (consumer, seen) = bodies(builder);
    let refusal = (any("U"), Some(ResponseCode::NO_PERMISSION));
    assert_eq!(next_refusal(&events), refusal);
    // One after the other: each is popped by itself.
    for n in 0..COUNT {
        let hits = refused.hits();
        let sent = send(&producer, n..n + 1);
        assert_eq!(take(&seen, 1), sent.into_iter().collect::<Vec<_>>());
        if n == COUNT / 2 {
            eventually("it is refused again", || refused.hits() > hits);
        }
    }
    eventually("its state says so", || {
        let queues = consumer.describe().queues;
        let of = |topic: &str| queues.iter().find(|q| q.queue == any(topic));
        let goes_on = |t: &QueueState| t.doing == Doing::Fetching && t.last_error.is_none();
        of("T").is_some_and(goes_on) && of("U").is_some_and(|u| u.last_error.is_some())
    });
    eventually("both are counted", || consumer.stats().pull_failures >= 2);
    let hits = refused.hits();
    assert!(hits < 2 * COUNT, "it has pauses of its own: {hits}");
    // The permission is there again.
    refused.remove();
    let message = Message::new("U", "of U");
    assert!(producer.send(&message).is_ok());
    assert_eq!(take(&seen, 1), ["of U"]);
    let told = events
        .try_iter()
        .filter(|e| matches!(e, Event::Refused { .. }));
    assert_eq!(told.count(), 0, "the first streak was told once");
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

/// The answers to its last pops come within 5 s.
#[test]
fn what_a_broker_hands_out_while_a_consumer_ends_comes_again_soon() {
    let cluster = cluster();
    let sent = send(&producer(&cluster), 0..4);
    let gate = Gate::new();
    let held = Fault::hold(&gate).on(On::Pop).after_storing();
    let _ = cluster.broker("broker-a").inject(held);
    // Nothing else makes them visible again.
    let builder = || popping(&cluster).invisible_time(Duration::from_secs(3600));
    let (consumer, seen) = bodies(builder());
    eventually("it has popped", || cluster.group("g").in_flight() > 0);
    let closing = consumer.clone();
    let ending = thread::spawn(move || closing.shutdown_within(PATIENCE));
    let is_paused = |queue: &QueueState| queue.doing == Doing::Paused;
    eventually("it pops no more", || {
        let queues = consumer.describe().queues;
        !queues.is_empty() && queues.iter().all(is_paused)
    });
    gate.open();
    let report = ending.join().expect("no panic");
    assert!(report.is_clean() && seen.is_empty(), "{report}");
    let (_next, seen) = bodies(builder());
    assert_eq!(take(&seen, 4).into_iter().collect::<BTreeSet<_>>(), sent);
}

#[test]
fn a_shutdown_names_what_was_not_acknowledged() {
    let cluster = cluster();
    let injected = cluster.broker("broker-a").inject(Fault::busy().on(On::Ack));
    let _ = send(&producer(&cluster), 0..1);
    let (consumer, messages) = start_heard(popping(&cluster), |_| Ok(()));
    let message = next(&messages);
    assert!(injected.wait_hits(1, PATIENCE));
    drop(consumer.shutdown_within(ms(500)));
    // Its report may come too late for that call, and stays the same.
    let report = consumer.shutdown_within(PATIENCE);
    let offset = u64::try_from(message.queue_offset()).expect("small");
    let place = (message.queue().expect("a queue").clone(), offset);
    assert_eq!(report.uncommitted, [place]);
    assert!(!report.is_clean() && report.running.is_empty(), "{report}");
}

/// The client lives on: only the end of the consumer itself can wake its threads.
#[test]
fn the_end_of_a_consumer_of_a_shared_client_wakes_its_threads() {
    let cluster = cluster();
    let client = Client::start(ClientOptions::new().name_server(cluster.name_server()));
    let client = client.expect("a client");
    let silence = Fault::silence().on(On::Ack);
    let silence = cluster.broker("broker-a").inject(silence);
    let builder = PushConsumer::builder("g")
        .client(&client)
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .broker_assignment(true)
        // A round of acks may take 5 s then, and each request 3 s.
        .invisible_time(Duration::from_secs(600));
    let (consumer, messages) = start_heard(builder, |_| Ok(()));
    let _ = send(&producer(&cluster), 0..1);
    let message = next(&messages);
    assert!(silence.wait_hits(1, PATIENCE));
    drop(consumer.shutdown_within(ms(500)));
    // A thread that is not woken ends with its request.
    let report = consumer.shutdown_within(SLACK);
    assert_eq!(report.stuck_threads, [] as [String; 0], "{report}");
    let offset = u64::try_from(message.queue_offset()).expect("small");
    let place = (message.queue().expect("a queue").clone(), offset);
    assert_eq!(report.uncommitted, [place]);
    assert!(client.shutdown_within(PATIENCE).is_clean());
}
