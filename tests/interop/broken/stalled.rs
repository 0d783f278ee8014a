//! A broker that stands still for longer than its locks live, under consumers. It takes its time: set
//! `STOP_SECONDS`, to 70 or more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::consumer::PushConsumerBuilder;
use rocketmq_blocking::{Message, MessageQueue, Producer, PushConsumer, StartFrom};

use crate::servers::{PATIENCE, Server, env, eventually, wire};

const TOPIC: &str = "Stalled";
const QUEUES: i32 = 4;

/// When each message was handled, and how often.
type Handled = Arc<Mutex<BTreeMap<usize, Vec<Instant>>>>;

fn send(producer: &Producer, broker: &str, numbers: std::ops::Range<usize>) {
    for n in numbers {
        let id = i32::try_from(n).expect("small") % QUEUES;
        let message = Message::new(TOPIC, n.to_string());
        let queue = MessageQueue::new(TOPIC, broker, id);
        let sent = producer.prepare(&message).queue(queue).send();
        assert!(sent.is_ok(), "{sent:?}");
    }
}

fn builder(server: &Server, group: &str, name: &str) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .name_server(&server.name_server)
        .instance_name(name)
        .subscribe(TOPIC, "*")
        .start_from(StartFrom::First)
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn consumers_of_a_broker_that_stood_still_go_on_and_others_do_not_notice() {
    let stop: u64 = env("STOP_SECONDS").parse().unwrap();
    let server = Server::from_env();
    for name in ["broker-a", "broker-b"] {
        wire::create_topic(&server.broker(name).address, TOPIC, QUEUES as u32, 6);
    }
    let producer = server.producer("stalled-send").start().unwrap();
    eventually("the topic has a route", || {
        let queues = producer.admin().publish_queues(TOPIC);
        queues.is_ok_and(|queues| queues.len() == 8)
    });
    let (shared, ordered) = (Handled::default(), Handled::default());
    let note = |handled: &Handled| {
        let handled = handled.clone();
        move |text: &str| {
            let number = text.parse().expect("a number");
            let mut handled = handled.lock().unwrap();
            handled.entry(number).or_default().push(Instant::now());
        }
    };
    let mut members = Vec::new();
    for name in ["one", "two"] {
        let (first, second) = (note(&shared), note(&ordered));
        let one = builder(&server, "stalled-shared", name).start(move |message| {
            first(message.text()?);
            Ok(())
        });
        let two = builder(&server, "stalled-ordered", name).start_ordered(move |message| {
            second(message.text()?);
            Ok(())
        });
        members.extend([one.unwrap(), two.unwrap()]);
    }
    eventually("they share", || {
        members.iter().all(|member| {
            let queues = member.assignment();
            queues.iter().filter(|queue| queue.topic() == TOPIC).count() == 4
        })
    });
    send(&producer, "broker-a", 0..100);
    send(&producer, "broker-b", 100..200);
    let all = |count: usize| {
        eventually("all are handled", || {
            [&shared, &ordered]
                .iter()
                .all(|of| of.lock().unwrap().len() == count)
        });
    };
    all(200);
    let stalled = server.broker("broker-b");
    stalled.signal("STOP");
    let start = Instant::now();
    let mut sent = BTreeMap::new();
    let mut next = 200;
    while start.elapsed() < Duration::from_secs(stop) {
        send(&producer, "broker-a", next..next + 1);
        sent.insert(next, Instant::now());
        next += 1;
        thread::sleep(Duration::from_millis(200));
    }
    all(next);
    stalled.signal("CONT");
    let back = Instant::now();
    eventually("it answers", || wire::ping(&stalled.address).is_some());
    println!("it answers after {:?}", back.elapsed());
    send(&producer, "broker-b", next..next + 100);
    all(next + 100);
    println!("all handled after {:?}", back.elapsed());
    for (kind, handled) in [("shared", &shared), ("ordered", &ordered)] {
        let handled = handled.lock().unwrap();
        let late = sent
            .iter()
            .map(|(n, at)| handled[n][0].saturating_duration_since(*at));
        let late = late.max().unwrap();
        let copies = handled.values().filter(|times| times.len() > 1).count();
        println!("{kind}: at most {late:?} late at the other broker, {copies} copies");
        assert!(late < Duration::from_secs(2), "{kind}: {late:?}");
        assert_eq!(copies, 0, "{kind}");
    }
    for member in members {
        assert!(member.shutdown_within(PATIENCE).is_clean());
    }
}
