//! What cannot work is said clearly, and what fails for a while is tried again.

use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::protocol::{Command, HeaderFormat};
use rocketmq_blocking::{
    ClientOptions, ErrorKind, Filter, ResponseCode, SimpleConsumer, StartFrom,
};

use super::{LONG, SHORT, bodies, consumer, receive, start};
use crate::common::send;
use crate::support::{PATIENCE, brokers, cluster, ms, producer};

#[test]
fn settings_out_of_their_range_are_errors_at_the_start() {
    let cluster = cluster();
    let ours = || SimpleConsumer::builder("g").name_server(cluster.name_server());
    let time = StartFrom::Time(std::time::SystemTime::now());
    for (builder, text) in [
        (ours(), "nothing is subscribed"),
        (ours().subscribe("", "*"), "topic"),
        (ours().subscribe("%RETRY%g", "*"), "retry topic"),
        (ours().subscribe("T", " || "), "no tag"),
        (ours().subscribe("T", "*").start_from(time), "start_from"),
        (ours().subscribe("T", "*").ack_timeout(ms(0)), "ack_timeout"),
        (ours().subscribe("T", "*").max_attempts(0), "max_attempts"),
        (
            SimpleConsumer::builder("a b").subscribe("T", "*"),
            "consumer group",
        ),
        (
            SimpleConsumer::builder("DEFAULT_CONSUMER").subscribe("T", "*"),
            "name your own",
        ),
    ] {
        let error = builder.start().expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn numbers_and_times_out_of_their_range_are_invalid() {
    let cluster = cluster();
    send(&producer(&cluster), 0..1);
    let consumer = start(consumer(&cluster));
    let received = receive(&consumer, 1, LONG);
    let most = Duration::from_secs(12 * 3600);
    let invalid = |result: rocketmq_blocking::Result<()>| {
        assert_eq!(result.expect_err("invalid").kind(), ErrorKind::Invalid);
    };
    for max in [0, 33, usize::MAX] {
        invalid(consumer.receive(max, LONG).map(drop));
    }
    for time in [ms(0), ms(999), most + ms(1), Duration::MAX] {
        invalid(consumer.receive(1, time).map(drop));
        invalid(received[0].extend(time).map(drop));
        invalid(received[0].retry_after(time).map(drop));
    }
    assert_eq!(cluster.requests(&On::Ack).len(), 0);
    let _ = received[0].extend(most).expect("just legal");
}

#[test]
fn a_refusal_ends_a_receive_at_once_with_the_brokers_words() {
    let cluster = cluster();
    let consumer = start(consumer(&cluster));
    for (code, text) in [
        (ResponseCode::NO_PERMISSION, "no right to read T"),
        (ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, "no group g"),
    ] {
        let refused = Fault::answer(code, text).on(On::Pop);
        let refused = cluster.broker("broker-a").inject(refused);
        let before = Instant::now();
        let error = consumer.receive(1, LONG).expect_err("refused");
        assert!(before.elapsed() < PATIENCE / 2);
        assert_eq!(error.kind(), ErrorKind::Broker, "{error}");
        assert_eq!(error.response_code(), Some(code));
        assert_eq!((error.remark(), error.topic()), (Some(text), Some("T")));
        refused.remove();
    }
}

#[test]
fn a_start_without_access_fails_with_the_brokers_words() {
    let cluster = cluster();
    let ask = On::Code(request::POLLING_INFO);
    for (code, remark) in [
        (16, "no permission to read"),
        (1, "org.apache.rocketmq.acl.common.AclException: wrong"),
    ] {
        let refused = Fault::answer(code, remark).on(ask.clone());
        let refused = cluster.broker("broker-a").inject(refused);
        let error = consumer(&cluster).start().expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Broker, "{error}");
        assert_eq!(error.response_code(), Some(code.into()), "{error}");
        assert_eq!((error.topic(), error.remark()), (Some("T"), Some(remark)));
        refused.remove();
    }
    assert!(cluster.requests(&On::Heartbeat).is_empty(), "none joined");
    let down = Fault::answer(1, "down").on(ask);
    cluster.broker("broker-a").inject(down);
    start(consumer(&cluster)).shutdown();
}

#[test]
fn a_filter_that_a_broker_refuses_is_an_error_at_the_start() {
    let sql = |cluster: &Cluster, text: &str| {
        let builder = SimpleConsumer::builder("g").name_server(cluster.name_server());
        builder.subscribe("T", Filter::sql(text)).start()
    };
    let error = sql(&cluster(), "a > 5").expect_err("switched off");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let able = Cluster::builder().topic("T", 4).sql_filters(true).start();
    let able = able.expect("free ports");
    let error = sql(&able, "a >").expect_err("no SQL");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let code = error.response_code();
    assert_eq!(code, Some(ResponseCode::SUBSCRIPTION_PARSE_FAILED));
    assert!(sql(&able, "a > 5").is_ok());
}

#[test]
fn failures_are_tried_again_until_the_wait_is_over() {
    for fault in [
        Fault::busy(),
        Fault::hang_up(),
        Fault::go_away(),
        Fault::answer(ResponseCode::POLLING_FULL, "full"),
        Fault::answer(ResponseCode::SYSTEM_ERROR, "an error"),
        Fault::answer(-7, "what is this"),
        Fault::bytes(b"garbage that is no frame at all".to_vec()),
    ] {
        let cluster = cluster();
        let sent = send(&producer(&cluster), 0..1);
        let consumer = start(consumer(&cluster));
        let what = format!("{fault:?}");
        cluster
            .broker("broker-a")
            .inject(fault.on(On::Pop).times(3));
        let received = consumer.receive(1, LONG).expect("in the end");
        assert_eq!(bodies(&received), sent, "{what}");
    }
}

#[test]
fn a_receive_from_brokers_that_all_fail_ends_with_a_failure() {
    for count in [1, 2] {
        let cluster = brokers(count);
        let consumer = start(consumer(&cluster));
        for broker in cluster.brokers() {
            broker.kill();
        }
        let error = consumer.receive_within(1, LONG, SHORT).expect_err("down");
        let kinds = [
            ErrorKind::Connect,
            ErrorKind::Disconnected,
            ErrorKind::NoBroker,
        ];
        assert!(kinds.contains(&error.kind()), "{error:?}");
    }
}

#[test]
fn one_broker_that_is_down_does_not_hold_up_the_others() {
    let cluster = brokers(2);
    let options = ClientOptions::new().route_interval(ms(100));
    let consumer = start(consumer(&cluster).options(options));
    cluster.broker("broker-a").kill();
    let received = consumer.receive_within(1, LONG, ms(100)).expect("no error");
    assert!(received.is_empty());
    let producer = producer(&cluster);
    let sent = send(&producer, 0..1);
    assert_eq!(bodies(&receive(&consumer, 1, LONG)), sent);
    // It is back: a receive that waits already hears of it.
    let waiting = consumer.clone();
    let waiting = thread::spawn(move || bodies(&receive(&waiting, 1, LONG)));
    let restarted = cluster.broker("broker-a").restart();
    restarted.expect("its port is free");
    let queue = rocketmq_blocking::MessageQueue::new("T", "broker-a", 0);
    let message = rocketmq_blocking::Message::new("T", "back");
    let start = Instant::now();
    while producer
        .prepare(&message)
        .queue(queue.clone())
        .send()
        .is_err()
    {
        assert!(start.elapsed() < PATIENCE);
    }
    let received = waiting.join().expect("no panic");
    assert!(received.contains("back"), "{received:?}");
}

#[test]
fn a_topic_that_does_not_exist_yet_is_waited_for() {
    let cluster = cluster();
    let builder = SimpleConsumer::builder("g").name_server(cluster.name_server());
    let consumer = builder.subscribe("Later", "*").start_from(StartFrom::First);
    let consumer = start(consumer.wait(PATIENCE));
    let received = consumer.receive_within(1, LONG, ms(20)).expect("no error");
    assert!(received.is_empty());
    let options = rocketmq_blocking::Message::new("Later", "here");
    assert!(producer(&cluster).send(&options).is_ok());
    assert_eq!(receive(&consumer, 1, LONG)[0].text(), Ok("here"));
}

#[test]
fn hostile_answers_hand_out_nothing_and_end_nothing() {
    let cluster = cluster();
    let sent = send(&producer(&cluster), 0..1);
    let consumer = start(consumer(&cluster));
    let right = [
        ("popTime", "1"),
        ("invisibleTime", "60000"),
        ("reviveQid", "0"),
        ("restNum", "0"),
        ("startOffsetInfo", "0 0 0"),
        ("msgOffsetInfo", "0 0 0"),
    ];
    for (field, value) in [
        ("popTime", "soon"),
        ("restNum", ""),
        ("startOffsetInfo", "0 0"),
        ("startOffsetInfo", "0 0 0;0 0 1"),
        ("msgOffsetInfo", "0 0 x"),
        // Of a body that is no message.
        ("msgOffsetInfo", "0 0 0"),
    ] {
        let hostile = Fault::bytes_from(move |request| {
            let mut answer = Command::response_to(request, 0);
            for (name, of_right) in right {
                answer
                    .ext
                    .push(name, if name == field { value } else { of_right });
            }
            let mut frame = Vec::new();
            let answer = answer.with_body(b"no message at all".to_vec());
            answer.encode(HeaderFormat::Json, &mut frame);
            frame
        });
        let hostile = hostile.on(On::Pop).once();
        let hostile = cluster.broker("broker-a").inject(hostile);
        let received = consumer.receive_within(1, LONG, Duration::ZERO);
        assert!(received.map_or(true, |received| received.is_empty()));
        assert_eq!(hostile.hits(), 1);
    }
    assert_eq!(bodies(&receive(&consumer, 1, LONG)), sent);
}
