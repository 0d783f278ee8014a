//! Every kind of consumer, with the options of a test.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::{AckStatus, PushConsumerBuilder};
use rocketmq_blocking::{
    ClientOptions, ErrorKind, Message, MessageQueue, Producer, PullConsumer, PushConsumer, Retry,
    SimpleConsumer, StartFrom,
};

use crate::servers::heard::AGAIN;
use crate::servers::{PATIENCE, Version, env, eventually};

const COUNT: usize = 20;

/// A message that every kind handles twice.
const TWICE: usize = 7;

/// Those of this name server, with a timeout that a busy machine does not reach.
pub fn options() -> ClientOptions {
    let options = ClientOptions::new().name_server(env("ROCKETMQ_NAME_SERVER"));
    options.api_timeout(Duration::from_secs(15))
}

/// All kinds that the broker serves consume, retry and commit with these options.
pub fn all_consume(options: &ClientOptions, topic: &str) {
    pushed_and_pulled(options, topic);
    if Version::from_env() == Version::V5 {
        pop(options, topic);
    }
}

/// The kinds that every server serves.
pub fn pushed_and_pulled(options: &ClientOptions, topic: &str) {
    let producer = Producer::builder(format!("{topic}-send"));
    let producer = producer.options(options.clone()).send_timeout(PATIENCE);
    let producer = producer.start().unwrap();
    first(&producer, &Message::new(topic, "0"));
    for n in 1..COUNT {
        let sent = producer.send(&Message::new(topic, n.to_string()));
        assert!(sent.is_ok(), "{sent:?}");
    }
    let mut groups = vec![format!("{topic}-push"), format!("{topic}-ordered")];
    let (seen, bodies) = unbounded();
    let handle = move |body: &str, times: i32| -> Result<(), Retry> {
        let number: usize = body.parse()?;
        seen.send(number)?;
        match (number, times) {
            (TWICE, 0) => Err(Retry::level(1)),
            _ => Ok(()),
        }
    };
    let (push, ordered) = (handle.clone(), handle);
    let push = start(options, &groups[0], topic)
        .start(move |message| push(message.text()?, message.reconsume_times()))
        .unwrap();
    check(&bodies);
    assert!(push.shutdown_within(PATIENCE).is_clean());
    let ordered = start(options, &groups[1], topic)
        .suspend(Duration::from_millis(10))
        .start_ordered(move |message| ordered(message.text()?, message.reconsume_times()))
        .unwrap();
    check(&bodies);
    assert!(ordered.shutdown_within(PATIENCE).is_clean());

    let pulling = format!("{topic}-pull");
    let pull = PullConsumer::builder(&*pulling)
        .options(options.clone())
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
        .start()
        .unwrap();
    let mut pulled = BTreeSet::new();
    for message in pull.messages().until_caught_up() {
        let message = message.unwrap();
        assert_eq!(message.topic(), topic);
        pulled.insert(message.text().unwrap().parse::<usize>().unwrap());
        assert!(message.done());
    }
    assert!(pulled.into_iter().eq(0..COUNT));
    pull.commit().unwrap();
    assert_eq!(pull.lag().messages(), Some(0));
    assert!(pull.shutdown_within(PATIENCE).is_clean());
    groups.push(pulling);

    let admin = producer.admin();
    for group in &groups {
        let behind = |queue: &MessageQueue| {
            let committed = admin.committed_offset(group, queue).unwrap();
            admin.max_offset(queue).unwrap() - committed.unwrap_or(0)
        };
        for queue in admin.subscribe_queues(topic).unwrap() {
            assert_eq!(behind(&queue), 0, "{group}: {queue}");
        }
    }
}

fn start(options: &ClientOptions, group: &str, topic: &str) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .options(options.clone())
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
}

/// Each came once, but for one that came twice.
fn check(bodies: &Receiver<usize>) {
    let next = |_| bodies.recv_timeout(PATIENCE).expect("a message in time");
    let mut got: Vec<usize> = (0..=COUNT).map(next).collect();
    got.sort_unstable();
    let mut expected: Vec<usize> = (0..COUNT).chain([TWICE]).collect();
    expected.sort_unstable();
    assert_eq!(got, expected);
}

fn pop(options: &ClientOptions, topic: &str) {
    let simple = SimpleConsumer::builder(format!("{topic}-simple"))
        .options(options.clone())
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
        .start()
        .unwrap();
    let (begin, mut got) = (Instant::now(), Vec::new());
    while got.len() <= COUNT {
        assert!(begin.elapsed() < AGAIN, "{got:?}");
        for message in simple.receive(32, PATIENCE).unwrap() {
            assert_eq!(message.topic(), topic);
            let number: usize = message.text().unwrap().parse().unwrap();
            let outcome = match (number, message.reconsume_times()) {
                (TWICE, 0) => message.retry_after(Duration::from_secs(1)),
                _ => message.ack(),
            };
            assert_eq!(outcome.unwrap(), AckStatus::Confirmed);
            got.push(number);
        }
    }
    got.sort_unstable();
    got.dedup();
    assert!(got.into_iter().eq(0..COUNT));
    assert!(simple.shutdown_within(PATIENCE).is_clean());
}

/// A broker that has just started may not be in the routes yet.
fn first(producer: &Producer, message: &Message) {
    eventually("the first is stored", || match producer.send(message) {
        Ok(receipt) => receipt.queue_offset() >= 0,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NoRoute, "{error}");
            false
        }
    });
}
