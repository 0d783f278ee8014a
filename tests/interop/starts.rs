//! Where groups start on real brokers, and what keeps a consumer from starting.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::{Event, PushConsumerBuilder};
use rocketmq_blocking::{
    ErrorKind, Filter, Message, Producer, PullConsumer, PushConsumer, Retry, StartFrom,
};

use crate::servers::{PATIENCE, Server, Version, eventually, kinds, refused};

fn consumer(server: &Server, group: &str, topic: &str, filter: &str) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic, filter)
}

/// A consumer, and the numbers in the messages that it handles.
fn numbers(builder: PushConsumerBuilder) -> (PushConsumer, Receiver<u32>) {
    let (seen, numbers) = unbounded();
    let started = builder.start(move |message| -> Result<(), Retry> {
        seen.send(message.text()?.parse()?)?;
        Ok(())
    });
    (started.unwrap(), numbers)
}

fn send(producer: &Producer, topic: &str, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let sent = producer.send(&Message::new(topic, n.to_string()));
        assert!(sent.is_ok(), "{sent:?}");
    }
}

#[track_caller]
fn take(numbers: &Receiver<u32>, expected: std::ops::Range<u32>) {
    let next = |_| numbers.recv_timeout(PATIENCE).expect("a message in time");
    let got: BTreeSet<u32> = expected.clone().map(next).collect();
    assert!(got.iter().copied().eq(expected.clone()), "{got:?}");
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_new_group_starts_by_its_rule_and_a_known_one_goes_on() {
    let server = Server::from_env();
    let topic = "StartsRule";
    let producer = server.producer("starts-rule-send").start().unwrap();
    send(&producer, topic, 0..8);
    // No message was stored in this millisecond.
    thread::sleep(Duration::from_millis(5));
    let time = SystemTime::now();
    thread::sleep(Duration::from_millis(5));
    send(&producer, topic, 8..16);
    let rule = |name: &str, from| {
        let group = format!("starts-{name}");
        numbers(consumer(&server, &group, topic, "*").start_from(from))
    };
    let (first, of_first) = rule("first", StartFrom::First);
    take(&of_first, 0..16);
    let (timed, of_timed) = rule("time", StartFrom::Time(time));
    let (last, of_last) = rule("last", StartFrom::Last);
    if server.version == Version::V4 {
        // It cannot say that a group has no offset while the first message is in memory.
        take(&of_timed, 0..16);
        take(&of_last, 0..16);
    } else {
        take(&of_timed, 8..16);
    }
    send(&producer, topic, 16..24);
    for of_each in [&of_first, &of_timed, &of_last] {
        take(of_each, 16..24);
    }
    for each in [first, timed, last] {
        assert!(each.shutdown_within(PATIENCE).is_clean());
    }
    // The rule is for new groups only.
    send(&producer, topic, 24..28);
    for (name, from) in [("first", StartFrom::Last), ("last", StartFrom::First)] {
        let (known, of_known) = rule(name, from);
        take(&of_known, 24..28);
        assert!(known.shutdown_within(PATIENCE).is_clean());
        assert!(of_known.is_empty(), "{name}");
    }
    for before in [of_first, of_timed, of_last] {
        assert!(before.is_empty(), "each once");
    }
}

fn is_mismatch(event: &Event) -> bool {
    matches!(event, Event::SubscriptionMismatch { .. })
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn members_that_subscribe_differently_are_refused_or_reported() {
    let server = Server::from_env();
    let (group, topic) = ("starts-strict", "StartsStrict");
    let producer = server.producer("starts-strict-send").start().unwrap();
    send(&producer, topic, 0..1);
    let (told, events) = unbounded();
    let first = consumer(&server, group, topic, "paid || open")
        .events(move |event| drop(told.send(event.clone())))
        .start(|_| Ok(()))
        .unwrap();
    // One that starts for want of an answer would change the filter that the broker keeps.
    let members = || producer.admin().group(group).members();
    eventually("the broker knows it", || {
        members().is_ok_and(|known| known.members.len() == 1)
    });
    let strict = |filter| consumer(&server, group, topic, filter).strict_subscriptions(true);
    let error = strict("paid").start(|_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    let expected = "another member has the filter \"paid || open\", and this one \"paid\"";
    assert!(
        text.starts_with("StartsStrict: ") && text.contains(expected),
        "{text}"
    );
    strict("open||paid").start(|_| Ok(())).unwrap().shutdown();
    assert!(!events.try_iter().any(|event| is_mismatch(&event)));
    // Without it the member joins. Brokers keep the latest filter, so that the other one hears of it.
    let lax = consumer(&server, group, topic, "paid");
    let lax = lax.start(|_| Ok(())).unwrap();
    eventually("it is reported", || {
        events.try_iter().any(|event| is_mismatch(&event))
    });
    lax.shutdown();
    first.shutdown();
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_second_client_of_the_same_id_starts_when_the_first_one_has_ended() {
    let server = Server::from_env();
    let (group, topic) = ("starts-twins", "StartsTwins");
    let producer = server.producer("starts-twins-send").start().unwrap();
    send(&producer, topic, 0..1);
    let named = || {
        let named = consumer(&server, group, topic, "*").instance_name("same");
        named.start_from(StartFrom::First)
    };
    let (first, of_first) = numbers(named());
    take(&of_first, 0..1);
    let error = refused(|| named().start(|_| Ok(())));
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains(first.client_id()), "{error}");
    send(&producer, topic, 1..5);
    take(&of_first, 1..5);
    assert!(first.shutdown_within(PATIENCE).is_clean());
    let (second, of_second) = numbers(named());
    send(&producer, topic, 5..9);
    take(&of_second, 5..9);
    assert!(second.shutdown_within(PATIENCE).is_clean());
}

/// Brokers serve SQL only with the setting `enablePropertyFilter`.
#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn sql_that_the_broker_does_not_serve_is_an_error_of_the_start() {
    let server = Server::from_env();
    let topic = "StartsSql";
    let producer = server.producer("starts-sql-send").start().unwrap();
    send(&producer, topic, 0..1);
    let push = refused(|| {
        PushConsumer::builder("starts-sql")
            .name_server(&server.name_server)
            .subscribe(topic, Filter::sql("a > 5"))
            .start(|_| Ok(()))
    });
    let pull = refused(|| {
        PullConsumer::builder("starts-sql-pull")
            .name_server(&server.name_server)
            .subscribe(topic, Filter::sql("a > 5"))
            .start()
    });
    for error in [push, pull] {
        assert_eq!(error.kind(), ErrorKind::Config);
        let expected = "does not support consumer to filter message by SQL92";
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn every_kind_consumes_as_a_part_of_a_unit() {
    let options = kinds::options().unit_name("north").unit_mode(true);
    kinds::all_consume(&options, "StartsUnit");
}
