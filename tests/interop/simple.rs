//! Consumers that acknowledge messages one by one, on real brokers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rocketmq_blocking::consumer::{AckStatus, ReceivedMessage, SimpleConsumerBuilder};
use rocketmq_blocking::protocol::HeaderFormat;
use rocketmq_blocking::{
    ClientOptions, ErrorKind, Message, Producer, ResponseCode, SendReceipt, SimpleConsumer,
    StartFrom,
};

use crate::servers::heard::AGAIN;
use crate::servers::{PATIENCE, Server, Version, eventually, refused, wait_until_readable};

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_secs(2);

/// For what happens before it is over, on a busy machine too.
const HIDDEN: Duration = Duration::from_secs(10);

fn consumer(server: &Server, group: &str, topic: &str) -> SimpleConsumerBuilder {
    SimpleConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
}

fn send(producer: &Producer, topic: &str, count: usize) -> BTreeSet<String> {
    let bodies: BTreeSet<String> = (0..count).map(|n| format!("message {n}")).collect();
    let send = |body: &String| producer.send(&Message::new(topic, body.clone()));
    let sent: Vec<SendReceipt> = bodies
        .iter()
        .map(|body| send(body).expect("stored"))
        .collect();
    wait_until_readable(&producer.admin(), &sent);
    bodies
}

/// Receives until so many have come.
#[track_caller]
fn receive(consumer: &SimpleConsumer, count: usize, invisible: Duration) -> Vec<ReceivedMessage> {
    let (start, mut received) = (Instant::now(), Vec::new());
    while received.len() < count {
        assert!(start.elapsed() < AGAIN, "{} of {count}", received.len());
        received.extend(consumer.receive(32, invisible).expect("no error"));
    }
    assert_eq!(received.len(), count);
    received
}

#[track_caller]
fn nothing_comes(consumer: &SimpleConsumer) {
    for _ in 0..5 {
        let received = consumer.receive_within(32, LONG, Duration::ZERO);
        assert_eq!(bodies(&received.expect("no error")), BTreeSet::new());
    }
}

fn bodies(messages: &[ReceivedMessage]) -> BTreeSet<String> {
    let body = |message: &ReceivedMessage| message.text().expect("text").to_owned();
    messages.iter().map(body).collect()
}

#[track_caller]
fn confirmed(outcome: rocketmq_blocking::Result<AckStatus>) {
    assert_eq!(outcome.expect("no error"), AckStatus::Confirmed);
}

/// Brokers 4.x have no POP: the start says so. True: there is nothing to be tested.
fn has_none(server: &Server) -> bool {
    if server.version == Version::V5 {
        return false;
    }
    let producer = server.producer("simple-none-send").start().unwrap();
    send(&producer, "SimpleNone", 1);
    let error = refused(|| consumer(server, "simple-none", "SimpleNone").start());
    assert_eq!(error.kind(), ErrorKind::Broker, "{error}");
    let code = error.response_code();
    assert_eq!(code, Some(ResponseCode::REQUEST_CODE_NOT_SUPPORTED));
    assert!(error.to_string().contains("PushConsumer"), "{error}");
    true
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn messages_are_received_acked_and_come_again_without_an_ack() {
    let server = Server::from_env();
    if has_none(&server) {
        return;
    }
    for format in [HeaderFormat::Json, HeaderFormat::Binary] {
        let topic = format!("SimpleAck{format:?}");
        let group = format!("simple-ack-{format:?}");
        let producer = server.producer("simple-send").start().unwrap();
        let sent = send(&producer, &topic, 40);
        let options = ClientOptions::new().header_format(format);
        let consumer = consumer(&server, &group, &topic).options(options);
        let consumer = consumer.start().unwrap();
        let mut received = receive(&consumer, 40, LONG);
        assert_eq!(bodies(&received), sent);
        assert!(received.iter().all(|message| message.topic() == topic));
        nothing_comes(&consumer);
        // One by one, many at once, and none for one of them.
        let left = received.pop().unwrap();
        for message in received.drain(..10) {
            confirmed(message.ack());
        }
        let statuses = consumer.ack_all(&received).expect("no error");
        assert_eq!(statuses, [AckStatus::Confirmed; 29]);
        confirmed(left.extend(SHORT));
        let again = receive(&consumer, 1, LONG);
        assert_eq!(again[0].text(), left.text());
        assert_eq!(again[0].message_id(), left.message_id());
        assert_eq!((left.reconsume_times(), again[0].reconsume_times()), (0, 1));
        assert_eq!(again[0].topic(), topic);
        assert!(again[0].possibly_repeated());
        assert_eq!(left.ack().expect("no error"), AckStatus::Expired);
        confirmed(again[0].ack());
        nothing_comes(&consumer);
        assert!(consumer.shutdown_within(PATIENCE).is_clean());
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_message_is_hidden_for_longer_given_back_and_dead_in_the_end() {
    let server = Server::from_env();
    if has_none(&server) {
        return;
    }
    let (group, topic) = ("simple-change", "SimpleChange");
    let producer = server.producer("simple-change-send").start().unwrap();
    send(&producer, topic, 1);
    let consumer = consumer(&server, group, topic).max_attempts(3);
    let consumer = consumer.start().unwrap();
    let first = receive(&consumer, 1, HIDDEN);
    let over = first[0].expires_at() + Duration::from_secs(2);
    confirmed(first[0].extend(LONG));
    eventually("the first time is over", || Instant::now() >= over);
    nothing_comes(&consumer);
    confirmed(first[0].extend(LONG));
    confirmed(first[0].retry_after(SHORT));
    let second = receive(&consumer, 1, SHORT);
    assert_eq!(second[0].reconsume_times(), 1);
    drop(second);
    let third = receive(&consumer, 1, SHORT);
    assert_eq!(third[0].reconsume_times(), 2);
    drop(third);
    let dead = || {
        let admin = producer.admin();
        let received = consumer.receive_within(32, LONG, Duration::from_secs(1));
        assert!(received.expect("no error").is_empty(), "it is dead");
        let queues = admin.subscribe_queues(&format!("%DLQ%{group}"));
        queues.is_ok_and(|queues| {
            let ends = queues.iter().map(|queue| admin.max_offset(queue).unwrap());
            ends.sum::<i64>() == 1
        })
    };
    eventually("a dead letter", dead);
    nothing_comes(&consumer);
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn what_was_received_settled_and_left_is_counted_as_brokers_have_it() {
    let server = Server::from_env();
    if has_none(&server) {
        return;
    }
    let (group, topic) = ("simple-counts", "SimpleCounts");
    let producer = server.producer("simple-counts-send").start().unwrap();
    send(&producer, topic, 20);
    let consumer = consumer(&server, group, topic).start().unwrap();
    let lag = || consumer.lag().messages();
    assert_eq!(lag(), Some(20), "{:?}", consumer.lag());
    let mut received = Vec::new();
    while received.len() < 10 {
        let max = 10 - received.len();
        received.extend(consumer.receive(max, HIDDEN).expect("no error"));
    }
    // Brokers commit what they have handed out, acked or not.
    eventually("the others are left", || lag() == Some(10));
    let state = consumer.describe();
    let held: usize = state.queues.iter().map(|queue| queue.held).sum();
    assert_eq!(held, 10, "{state}");
    let group = producer.admin().group(group);
    let progress = group.progress(topic).unwrap();
    assert_eq!(progress.lag(), 10, "{progress}");
    confirmed(received[0].extend(LONG));
    confirmed(received[0].ack());
    confirmed(received[1].retry_after(LONG));
    confirmed(received[2].dead_letter());
    for message in &received[3..6] {
        confirmed(message.ack());
    }
    drop(received);
    // Seen to take 20 s, if nothing else is popped meanwhile.
    let end = Instant::now() + 3 * PATIENCE;
    while lag() != Some(14) {
        assert!(Instant::now() < end, "four wait for their retry");
        std::thread::sleep(Duration::from_millis(200));
    }
    let lags = consumer.lag().queues.into_iter();
    let retries = lags.filter(|lag| lag.queue.is_retry());
    let waiting: Option<u64> = retries.map(|lag| lag.messages).sum();
    assert_eq!(waiting, Some(4));
    let rest = receive(&consumer, 14, LONG);
    for status in consumer.ack_all(&rest).expect("no error") {
        assert_eq!(status, AckStatus::Confirmed);
    }
    eventually("none is left", || lag() == Some(0));
    let stats = consumer.stats();
    assert_eq!((stats.received, stats.open), (24, 0), "{stats}");
    let ends = (stats.acked, stats.given_back, stats.dead_lettered);
    assert_eq!(ends, (18, 1, 1), "{stats}");
    assert_eq!((stats.expired, stats.dropped), (0, 4), "{stats}");
    assert_eq!((stats.extended, stats.unknown), (1, 0), "{stats}");
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_receive_that_waits_hears_of_each_topic() {
    let server = Server::from_env();
    if has_none(&server) {
        return;
    }
    let producer = server.producer("simple-wait-send").start().unwrap();
    let (one, other) = ("SimpleWait", "SimpleWaitToo");
    send(&producer, one, 1);
    send(&producer, other, 1);
    let consumer = consumer(&server, "simple-wait", one).subscribe(other, "*");
    let consumer = consumer.wait(PATIENCE).start().unwrap();
    for message in receive(&consumer, 2, LONG) {
        confirmed(message.ack());
    }
    for topic in [other, one, other] {
        let waiting = consumer.clone();
        let waiting = std::thread::spawn(move || {
            let received = waiting.receive(32, LONG).expect("no error");
            received.iter().for_each(|message| confirmed(message.ack()));
            let topics = received.iter().map(|message| message.topic().to_owned());
            topics.collect::<Vec<_>>()
        });
        std::thread::sleep(Duration::from_millis(500));
        send(&producer, topic, 1);
        let before = Instant::now();
        assert_eq!(waiting.join().unwrap(), [topic]);
        assert!(before.elapsed() < Duration::from_secs(10), "it was told");
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn messages_in_order_block_their_queue_and_come_again_in_their_place() {
    let server = Server::from_env();
    if has_none(&server) {
        return;
    }
    let topic = "SimpleOrder";
    let producer = server.producer("simple-order-send").start().unwrap();
    for number in 0..6 {
        let message = Message::new(topic, number.to_string());
        let sent = producer.prepare(&message).sharding_key("one").send();
        assert!(sent.is_ok(), "{sent:?}");
    }
    let consumer = consumer(&server, "simple-order", topic).ordered();
    let consumer = consumer.start().unwrap();
    let numbers = |received: &[ReceivedMessage]| -> Vec<String> {
        let number = |message: &ReceivedMessage| message.text().unwrap().to_owned();
        received.iter().map(number).collect()
    };
    let first = consumer.receive(3, HIDDEN).expect("no error");
    assert_eq!(numbers(&first), ["0", "1", "2"]);
    nothing_comes(&consumer);
    // In order, what is not acked is in the lag.
    assert_eq!(consumer.lag().messages(), Some(6));
    confirmed(first[0].ack());
    let second = receive(&consumer, 5, LONG);
    assert_eq!(numbers(&second), ["1", "2", "3", "4", "5"]);
    assert_eq!(second[0].reconsume_times(), 1);
    assert_eq!(second[2].reconsume_times(), 0);
    let statuses = consumer.ack_all(&second).expect("no error");
    assert_eq!(statuses, [AckStatus::Confirmed; 5]);
    nothing_comes(&consumer);
}
