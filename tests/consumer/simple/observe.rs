//! What a consumer reports about itself.

use std::thread;
use std::time::Duration;

use rocketmq_blocking::consumer::{AckStatus, Doing, SimpleConsumerStats};
use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{
    ErrorKind, Message, MessageQueue, ResponseCode, SimpleConsumer, StartFrom,
};

use super::{LONG, MEDIUM, SHORT, ack, consumer, expire, nothing_comes, receive, start};
use crate::common::send;
use crate::support::{PATIENCE, brokers, cluster, eventually, producer};

/// What all received messages became.
#[track_caller]
fn ends(stats: &SimpleConsumerStats) -> [u64; 6] {
    let ends = [
        stats.acked,
        stats.given_back,
        stats.dead_lettered,
        stats.expired,
        stats.dropped,
        stats.open,
    ];
    assert_eq!(stats.received, ends.iter().sum::<u64>(), "{stats}");
    ends
}

#[test]
fn every_received_message_is_counted_once_by_its_end() {
    let cluster = cluster();
    send(&producer(&cluster), 0..7);
    let consumer = start(consumer(&cluster));
    assert_eq!(consumer.stats().to_string(), "nothing yet");
    let mut received = receive(&consumer, 7, LONG);
    let stats = consumer.stats();
    assert_eq!(ends(&stats), [0, 0, 0, 0, 0, 7]);
    assert_eq!(stats.received_bytes, 7 * "message 0".len() as u64);
    assert_eq!(stats.open_bytes, stats.received_bytes);
    assert!(stats.receives > 0);
    let before = stats;

    // Each twice: only the first time counts.
    ack(&received[0]);
    ack(&received[0]);
    let statuses = consumer.ack_all(&received[..2]).expect("no error");
    assert_eq!(statuses, [AckStatus::Confirmed; 2]);
    for _ in 0..2 {
        received[2].retry_after(LONG).map(drop).expect("no error");
        received[3].dead_letter().map(drop).expect("no error");
    }
    received[4].extend(SHORT).map(drop).expect("no error");
    expire(&received[4]);
    for _ in 0..2 {
        assert_eq!(received[4].ack().expect("no error"), AckStatus::Expired);
    }
    drop(received.pop());
    let stats = consumer.stats();
    assert_eq!(ends(&stats), [2, 1, 1, 1, 1, 1]);
    assert_eq!((stats.extended, stats.unknown, stats.refused), (1, 0, 0));
    let since = stats.since(&before);
    assert_eq!((since.received, since.acked, since.open), (0, 2, 1));

    drop(received);
    assert_eq!(ends(&consumer.stats()), [2, 1, 1, 1, 2, 0]);
    let text = consumer.stats().to_string();
    assert!(
        text.starts_with("received 7, received bytes 63, acked 2,"),
        "{text}"
    );
}

#[test]
fn acks_that_stay_unknown_or_are_refused_leave_the_message_open() {
    let cluster = cluster();
    send(&producer(&cluster), 0..1);
    let consumer = start(consumer(&cluster).ack_timeout(SHORT));
    let received = receive(&consumer, 1, LONG);
    let broker = cluster.broker("broker-a");
    let silence = broker.inject(Fault::silence().on(On::Ack));
    assert_eq!(received[0].ack().expect("no error"), AckStatus::Unknown);
    assert_eq!(
        received[0].extend(LONG).expect("no error"),
        AckStatus::Unknown
    );
    silence.remove();
    let refusal = Fault::answer(ResponseCode::NO_PERMISSION, "no right to T").on(On::Ack);
    let refusal = broker.inject(refusal);
    assert!(received[0].ack().is_err());
    assert!(received[0].dead_letter().is_err());
    let stats = consumer.stats();
    assert_eq!((stats.extended, stats.unknown, stats.refused), (0, 2, 2));
    assert_eq!(ends(&stats), [0, 0, 0, 0, 0, 1]);
    refusal.remove();
}

#[test]
fn messages_that_are_not_handed_out_are_counted_too() {
    let cluster = Cluster::builder().topic("T", 1).topic("U", 1).start();
    let cluster = cluster.expect("free ports");
    let producer = producer(&cluster);
    for tag in ["a", "b", "b"] {
        let sent = producer.send(&Message::new("T", tag).tag(tag));
        assert!(sent.is_ok(), "{sent:?}");
    }
    // The broker compares hash codes of tags, and these two have the same one.
    let sent = producer.send(&Message::new("U", "x").tag("BB"));
    assert!(sent.is_ok(), "{sent:?}");
    let builder = SimpleConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "b")
        .subscribe("U", "Aa")
        .start_from(StartFrom::First)
        .max_attempts(1);
    let consumer = start(builder);
    drop(receive(&consumer, 2, MEDIUM));
    let exhausted = || {
        nothing_comes(&consumer);
        consumer.stats().exhausted == 2
    };
    assert!(cluster.wait_until(PATIENCE, exhausted));
    let stats = consumer.stats();
    assert_eq!((stats.received, stats.filtered), (2, 1), "{stats}");
    let refused = Fault::answer(ResponseCode::NO_PERMISSION, "no right").on(On::Pop);
    cluster.broker("broker-a").inject(refused);
    let error = consumer.receive(1, LONG).map(drop).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Broker);
    assert_eq!(consumer.stats().receive_failures, 1);
}

#[test]
fn the_state_says_what_each_topic_on_each_broker_does() {
    let cluster = brokers(2);
    let builder = consumer(&cluster).wait(Duration::from_secs(3600));
    let consumer = start(builder);
    let state = consumer.describe();
    assert_eq!(state.group, "g");
    assert_eq!(state.client_id, consumer.client_id());
    let any = |broker| MessageQueue::new("T", broker, -1);
    let queues: Vec<_> = state.queues.iter().map(|q| q.queue.clone()).collect();
    assert_eq!(queues, [any("broker-a"), any("broker-b")]);
    for queue in &state.queues {
        assert_eq!((&queue.doing, queue.held), (&Doing::Idle, 0));
        assert_eq!((queue.is_popped, queue.last_fetch), (true, None));
    }
    let busy = Fault::busy().on(On::Code(request::NOTIFICATION));
    cluster.broker("broker-b").inject(busy);
    let receiving = consumer.clone();
    let receiving = thread::spawn(move || receiving.receive(32, LONG));
    let doing = |doing: &[Doing; 2]| {
        let state = consumer.describe();
        state.queues.iter().map(|q| &q.doing).eq(doing)
    };
    eventually("it receives, and one broker is busy", || {
        doing(&[Doing::Fetching, Doing::BackingOff]) && cluster.group("g").parked() == 1
    });
    let state = consumer.describe();
    assert!(state.queues[0].last_fetch.is_some(), "{state}");
    assert!(state.queues[1].last_error.is_some(), "{state}");
    let queue = MessageQueue::new("T", "broker-a", 3);
    let message = Message::new("T", "ten bytes.");
    let producer = producer(&cluster);
    let sent = producer.prepare(&message).queue(queue).send();
    assert!(sent.is_ok(), "{sent:?}");
    let received = receiving.join().expect("no panic").expect("no error");
    let state = consumer.describe();
    let first = &state.queues[0];
    assert_eq!((first.held, first.running, state.held_bytes), (1, 1, 10));
    assert_eq!(first.doing, Doing::Idle);
    let text = state.to_string();
    assert!(
        text.contains("T@broker-a:-1: idle for") && text.contains("popped, 1 held"),
        "{text}"
    );
    received.iter().for_each(ack);
    assert_eq!(consumer.describe().held_bytes, 0);
    consumer.shutdown();
    assert_eq!(consumer.describe().queues, []);
}

#[test]
fn the_lag_is_what_no_member_has_received_and_an_unknown_lag_is_not_zero() {
    let cluster = brokers(2);
    let producer = producer(&cluster);
    let send_to = |broker: &str, count: usize| {
        for n in 0..count {
            let queue = MessageQueue::new("T", broker, 0);
            let message = Message::new("T", n.to_string());
            let sent = producer.prepare(&message).queue(queue).send();
            assert!(sent.is_ok(), "{sent:?}");
        }
    };
    send_to("broker-a", 5);
    send_to("broker-b", 2);
    let consumer = start(consumer(&cluster));
    // Nothing was received yet, and it starts with the first message.
    eventually("all are in it", || consumer.lag().messages() == Some(7));
    assert_eq!(consumer.lag().oldest(), None);
    let late = start(
        SimpleConsumer::builder("late")
            .name_server(cluster.name_server())
            .subscribe("T", "*"),
    );
    assert_eq!(late.lag().messages(), None, "brokers will say where");
    let received = receive(&consumer, 7, MEDIUM);
    let lag = consumer.lag();
    assert_eq!(lag.messages(), Some(0));
    assert_eq!(lag.oldest(), Some(Duration::ZERO));
    let of_topic = lag.queues.iter().filter(|lag| !lag.queue.is_retry());
    assert_eq!(of_topic.count(), 8);
    assert_eq!(consumer.stats().open, 7, "they are not in the lag");
    let (first, rest) = received.split_first().expect("seven");
    ack(first);
    rest.iter().for_each(expire);
    eventually("six wait for their retry", || {
        let lag = consumer.lag();
        let retry = lag.queues.iter().filter(|lag| lag.queue.is_retry());
        let topics = retry.map(|lag| lag.queue.topic());
        lag.messages() == Some(6) && topics.eq(["%RETRY%g_T"; 2])
    });
    receive(&consumer, 6, LONG).iter().for_each(ack);
    eventually("none waits", || consumer.lag().messages() == Some(0));

    // What a broker does not answer is unknown, and the rest is not.
    send_to("broker-a", 1);
    let silent = Fault::silence().on(On::Code(request::GET_MAX_OFFSET));
    cluster.broker("broker-b").inject(silent);
    eventually("the other one is known", || {
        let lag = consumer.lag();
        assert_eq!(lag.messages(), None);
        let of_a = lag.queues.iter().filter(|q| q.queue.broker() == "broker-a");
        of_a.map(|q| q.messages).sum::<Option<u64>>() == Some(1)
    });
    consumer.shutdown();
    assert_eq!(consumer.lag().queues, []);
}

#[test]
fn in_order_the_lag_has_what_is_not_acked() {
    let cluster = Cluster::builder().topic("T", 1).start();
    let cluster = cluster.expect("free ports");
    send(&producer(&cluster), 0..5);
    let consumer = start(consumer(&cluster).ordered());
    let received = consumer.receive(3, LONG).expect("no error");
    assert_eq!(received.len(), 3);
    assert_eq!(consumer.lag().messages(), Some(5));
    received.iter().for_each(ack);
    assert_eq!(consumer.lag().messages(), Some(2));
    let queues: Vec<_> = consumer.lag().queues.into_iter().map(|q| q.queue).collect();
    assert_eq!(queues, [MessageQueue::new("T", "broker-a", 0)]);
}
