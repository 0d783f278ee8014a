//! Filters of consumers, on brokers that serve SQL.

use std::collections::BTreeSet;

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::{AckStatus, PushConsumerBuilder};
use rocketmq_blocking::{
    ErrorKind, Filter, Message, MessageQueue, Producer, PullConsumer, PushConsumer, ResponseCode,
    Retry, SendReceipt, SimpleConsumer, StartFrom,
};

use crate::servers::{PATIENCE, Server, Version, env, eventually, refused, wait_until_readable};

const COUNT: usize = 20;

fn server() -> Server {
    let conf = env("ROCKETMQ_BROKER_CONF");
    assert!(conf.contains("enablePropertyFilter=true"), "{conf}");
    Server::from_env()
}

/// Messages with numbers: even ones have a tag, and all have a property `n`.
fn send(producer: &Producer, topic: &str) {
    let send = |n: usize| {
        let message = Message::new(topic, n.to_string()).property("n", n.to_string());
        let message = match n % 4 {
            0 => message.tag("fours"),
            2 => message.tag("twos"),
            _ => message,
        };
        producer.send(&message).expect("stored")
    };
    let sent: Vec<SendReceipt> = (0..COUNT).map(send).collect();
    wait_until_readable(&producer.admin(), &sent);
}

/// A new group.
fn consumer(server: &Server, group: &str, topic: &str, filter: Filter) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic, filter)
        .start_from(StartFrom::First)
}

fn numbers(builder: PushConsumerBuilder) -> (PushConsumer, Receiver<usize>) {
    let (seen, numbers) = unbounded();
    let started = builder.start(move |message| -> Result<(), Retry> {
        seen.send(message.text()?.parse()?)?;
        Ok(())
    });
    (started.unwrap(), numbers)
}

/// These messages come, no others, and all count as consumed.
fn check(
    (consumer, numbers): (PushConsumer, Receiver<usize>),
    producer: &Producer,
    topic: &str,
    wanted: impl Fn(usize) -> bool,
) {
    let wanted: BTreeSet<usize> = (0..COUNT).filter(|n| wanted(*n)).collect();
    let next = |_: &usize| numbers.recv_timeout(PATIENCE).expect("a message in time");
    let got: BTreeSet<usize> = wanted.iter().map(next).collect();
    assert_eq!(got, wanted);
    let admin = producer.admin();
    let group = consumer.group();
    let committed =
        |queue: &MessageQueue| admin.committed_offset(group, queue).unwrap().unwrap_or(0);
    eventually("the others count as consumed", || {
        let queues = admin.subscribe_queues(topic).unwrap();
        queues.iter().map(committed).sum::<i64>() == COUNT as i64
    });
    assert_eq!(consumer.lag().messages(), Some(0));
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(numbers.is_empty());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn only_messages_that_pass_the_filters_are_handled_and_all_count_as_consumed() {
    let server = server();
    let topic = "FiltersPush";
    let producer = server.producer("filters-push-send").start().unwrap();
    send(&producer, topic);
    let tags = consumer(&server, "filters-tag", topic, "twos".into());
    check(numbers(tags), &producer, topic, |n| n % 4 == 2);
    let tags = consumer(&server, "filters-tags", topic, "twos || fours".into());
    check(numbers(tags), &producer, topic, |n| n % 2 == 0);
    let sql = Filter::sql("TAGS = 'twos' OR n BETWEEN 3 AND 5");
    let sql = consumer(&server, "filters-sql", topic, sql);
    check(numbers(sql), &producer, topic, |n| {
        n % 4 == 2 || (3..=5).contains(&n)
    });
    let local = consumer(&server, "filters-local", topic, "twos".into());
    let local = local.local_filter(|message| message.text() != Ok("6"));
    check(numbers(local), &producer, topic, |n| n % 4 == 2 && n != 6);
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn pull_and_simple_consumers_filter_by_sql_too() {
    let server = server();
    let topic = "FiltersOthers";
    let producer = server.producer("filters-others-send").start().unwrap();
    send(&producer, topic);
    let pull = PullConsumer::builder("filters-pull")
        .name_server(&server.name_server)
        .subscribe(topic, Filter::sql("n >= 15"))
        .start_from(StartFrom::First)
        .start()
        .unwrap();
    let mut pulled = BTreeSet::new();
    for message in pull.messages().until_caught_up() {
        let message = message.unwrap();
        pulled.insert(message.text().unwrap().parse::<usize>().unwrap());
        assert!(message.done());
    }
    assert!(pulled.into_iter().eq(15..COUNT));
    assert!(pull.shutdown_within(PATIENCE).is_clean());
    if server.version == Version::V4 {
        return;
    }
    let simple = SimpleConsumer::builder("filters-simple")
        .name_server(&server.name_server)
        .subscribe(topic, Filter::sql("n >= 15"))
        .start_from(StartFrom::First)
        .start()
        .unwrap();
    let mut received = BTreeSet::new();
    while received.len() < 5 {
        let messages = simple.receive(32, PATIENCE).unwrap();
        assert!(!messages.is_empty(), "{received:?}");
        for message in messages {
            received.insert(message.text().unwrap().parse::<usize>().unwrap());
            assert_eq!(message.ack().unwrap(), AckStatus::Confirmed);
        }
    }
    assert!(received.into_iter().eq(15..COUNT));
    assert!(simple.shutdown_within(PATIENCE).is_clean());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn sql_that_the_broker_cannot_read_is_an_error_of_the_start() {
    let server = server();
    let topic = "FiltersWrong";
    let producer = server.producer("filters-wrong-send").start().unwrap();
    send(&producer, topic);
    let error = refused(|| {
        let wrong = Filter::sql("n >");
        consumer(&server, "filters-wrong", topic, wrong).start(|_| Ok(()))
    });
    assert_eq!(error.kind(), ErrorKind::Config);
    let code = Some(ResponseCode::SUBSCRIPTION_PARSE_FAILED);
    assert_eq!(error.response_code(), code, "{error}");
}
