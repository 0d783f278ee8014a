//! Starts: their errors, their waits, and their effects.

use std::time::Instant;

use crossbeam_channel::unbounded;
use rocketmq_blocking::consumer::{Event, PushConsumerBuilder};
use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{Error, ErrorKind, Filter, PushConsumer, ResponseCode, StartFrom};

use crate::common::{bodies, consumer, ends, send, take};
use crate::support::{PATIENCE, SLACK, cluster, eventually, inject, ms, producer};

const CHECK: On = On::Code(request::CHECK_CLIENT_CONFIG);
const STATE: On = On::Code(request::GET_CONSUMER_RUNNING_INFO);

fn with_filter(cluster: &Cluster, filter: impl Into<Filter>) -> PushConsumerBuilder {
    let builder = PushConsumer::builder("g").name_server(cluster.name_server());
    builder.subscribe("T", filter)
}

/// The error of a start that brokers refuse. One whose question they answer too late is not refused: it is tried
/// again.
#[track_caller]
fn refused(builder: impl Fn() -> PushConsumerBuilder) -> Error {
    let start = |_| match builder().start(|_| Ok(())) {
        Ok(started) => {
            started.shutdown();
            None
        }
        Err(error) => Some(error),
    };
    (0..5).find_map(start).expect("a refusal")
}

#[test]
fn without_a_name_server_the_error_names_the_users_topic() {
    let started = PushConsumer::builder("g")
        .name_server("127.0.0.1:1")
        .subscribe("Orders", "*")
        .start_timeout(ms(10))
        .start(|_| Ok(()));
    let error = started.expect_err("nobody there");
    // A timeout, if this thread comes to the question too late.
    let kinds = [ErrorKind::NoNameServer, ErrorKind::Timeout];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    assert!(error.to_string().starts_with("Orders: "), "{error}");
}

#[test]
fn a_start_can_wait_for_name_servers_and_does_not_mistake_an_old_topic_for_a_new_one() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let before = send(&producer, 0..8).len();
    for from in [StartFrom::Last, StartFrom::First] {
        let name_server = &cluster.name_servers()[0];
        name_server.kill();
        let group = format!("{from:?}");
        let builder = PushConsumer::builder(&*group)
            .name_server(cluster.name_server())
            .subscribe("T", "*")
            .start_from(from)
            .start_timeout(ms(10))
            .wait_for_servers(true);
        let begin = Instant::now();
        let (consumer, got) = bodies(builder);
        // Not 5 s, as for a first assignment.
        assert!(begin.elapsed() < 2 * SLACK + ms(10));
        assert_eq!(consumer.assignment(), []);
        name_server.restart().expect("its port");
        let known = || cluster.group(&group).offsets();
        eventually("started", || known().len() > 4);
        if from == StartFrom::First {
            take(&got, before);
        }
        let all = ends(&cluster);
        let at_end = || {
            all.iter()
                .all(|(queue, end)| known().get(queue) == Some(end))
        };
        eventually("at the end", at_end);
        assert!(got.is_empty());
        consumer.shutdown();
    }
}

#[test]
fn a_filter_that_brokers_do_not_serve_is_an_error_of_the_start() {
    let cluster = cluster();
    let started = with_filter(&cluster, Filter::sql("a > 5")).start(|_| Ok(()));
    let error = started.expect_err("no SQL here");
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    let expected = "T: 127.0.0.1:";
    assert!(text.starts_with(expected), "{text}");
    let expected = "The broker does not support consumer to filter message by SQL92";
    assert!(text.contains(expected), "{text}");
    assert!(
        cluster.requests(&On::Heartbeat).is_empty(),
        "it did not join"
    );
}

#[test]
fn a_filter_that_brokers_cannot_read_is_an_error_of_the_start() {
    let builder = Cluster::builder().sql_filters(true).topic("T", 4);
    let cluster = builder.start().expect("free ports");
    // Half a condition.
    let error = refused(|| with_filter(&cluster, Filter::sql("a >")));
    assert_eq!(error.kind(), ErrorKind::Config);
    let code = Some(ResponseCode::SUBSCRIPTION_PARSE_FAILED);
    assert_eq!(error.response_code(), code);
    let started = with_filter(&cluster, Filter::sql("a > 5")).start(|_| Ok(()));
    started.expect("a condition").shutdown();
}

#[test]
fn brokers_that_do_not_check_filters_do_not_stop_a_start() {
    let builder = Cluster::builder().sql_filters(true).topic("T", 4);
    let cluster = builder.start().expect("free ports");
    for fault in [Fault::answer(3, "not supported"), Fault::silence()] {
        let broker = cluster.broker("broker-a");
        let injected = broker.inject(fault.on(CHECK));
        let started = with_filter(&cluster, Filter::sql("a > 5")).start(|_| Ok(()));
        started.expect("a consumer").shutdown();
        assert_eq!(injected.hits(), 1);
        broker.clear_faults();
    }
}

#[test]
fn a_second_client_of_the_same_id_does_not_start_while_the_first_one_lives() {
    let cluster = cluster();
    let named = || consumer(&cluster).instance_name("same");
    let (first, got) = bodies(named());
    let begin = Instant::now();
    let error = refused(named);
    assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(
        text.contains(first.client_id()) && text.contains("127.0.0.1:"),
        "{text}"
    );
    assert_eq!(cluster.group("g").members().len(), 1);
    take(&got, send(&producer(&cluster), 0..4).len());
    first.shutdown();
    bodies(named()).0.shutdown();
}

#[test]
fn a_client_whose_connection_was_cut_does_not_keep_its_successor_from_starting() {
    let cluster = cluster();
    let named = || consumer(&cluster).instance_name("same");
    let (cut, _got) = bodies(named());
    // Brokers list it, but it does not answer them.
    inject(&cluster, &Fault::silence().on(STATE));
    let begin = Instant::now();
    let (next, _got) = bodies(named());
    assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
    cut.shutdown();
    next.shutdown();
}

#[test]
fn another_client_with_a_members_id_that_starts_later_is_reported() {
    let cluster = cluster();
    let (told, events) = unbounded();
    let named = || consumer(&cluster).instance_name("same");
    let (first, _got) = bodies(named().events(move |event| drop(told.send(event.clone()))));
    // Like Java's clients, it starts without a check of the other members.
    inject(&cluster, &Fault::answer(1, "no state").on(STATE));
    let (second, _got) = bodies(named());
    let next = || events.recv_timeout(PATIENCE).expect("an event");
    let told =
        std::iter::repeat_with(next).find(|event| matches!(event, Event::DuplicateClient { .. }));
    assert!(told.expect("one").to_string().contains("127.0.0.1:"));
    first.shutdown();
    second.shutdown();
}

#[test]
fn a_strict_consumer_does_not_join_members_that_subscribe_differently() {
    let cluster = cluster();
    let strict = |filter| with_filter(&cluster, filter).strict_subscriptions(true);
    let first = strict("paid || open").start(|_| Ok(())).expect("alone");
    let error = refused(|| strict("paid"));
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    let expected = "another member has the filter \"paid || open\", and this one \"paid\"";
    assert!(text.starts_with("T: ") && text.contains(expected), "{text}");
    assert_eq!(cluster.group("g").members().len(), 1);
    // One topic more.
    let text = refused(|| strict("paid || open").subscribe("U", "*")).to_string();
    assert!(
        text.starts_with("U: ") && text.contains("does not subscribe to it"),
        "{text}"
    );
    let same = strict("open||paid").start(|_| Ok(()));
    same.expect("the same tags").shutdown();
    first.shutdown();
    eventually("gone", || cluster.group("g").members().is_empty());
    strict("paid")
        .start(|_| Ok(()))
        .expect("alone again")
        .shutdown();
}

#[test]
fn a_start_without_access_fails_with_the_brokers_words() {
    let cluster = cluster();
    for (code, remark) in [
        (16, "no permission to read"),
        (1, "org.apache.rocketmq.acl.common.AclException: wrong"),
    ] {
        let refused = Fault::answer(code, remark).on(On::QueryOffset);
        let refused = cluster.broker("broker-a").inject(refused);
        let error = consumer(&cluster).start(|_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Broker, "{error}");
        assert_eq!(error.response_code(), Some(code.into()), "{error}");
        assert_eq!((error.topic(), error.remark()), (Some("T"), Some(remark)));
        refused.remove();
    }
    assert!(cluster.requests(&On::Heartbeat).is_empty(), "none joined");
    // Another failure of the question may pass.
    inject(
        &cluster,
        &Fault::answer(1, "down").on(On::QueryOffset).once(),
    );
    let (consumer, _got) = bodies(consumer(&cluster));
    consumer.shutdown();
}

#[test]
fn a_refused_pull_is_reported_with_its_code() {
    let cluster = cluster();
    let (told, events) = unbounded();
    let builder = consumer(&cluster).events(move |event| drop(told.send(event.clone())));
    inject(&cluster, &Fault::answer(16, "no permission").on(On::Pull));
    let (consumer, _got) = bodies(builder);
    let next = || events.recv_timeout(PATIENCE).expect("an event");
    let refused = std::iter::repeat_with(next).find_map(|event| match event {
        Event::Refused { code, .. } => Some(code),
        _ => None,
    });
    assert_eq!(refused, Some(Some(ResponseCode::NO_PERMISSION)));
    consumer.shutdown();
}

#[test]
fn a_request_asks_for_as_many_messages_as_is_set() {
    let cluster = cluster();
    let (consumer, got) = bodies(consumer(&cluster).pull_batch(3));
    take(&got, send(&producer(&cluster), 0..40).len());
    consumer.shutdown();
    let pulls = cluster.requests(&On::Pull);
    let asked = pulls
        .iter()
        .map(|pull| pull.command().ext.get("maxMsgNums"));
    assert_eq!(asked.max(), Some(Some("3")));
}

#[test]
fn the_queue_of_retries_is_known_among_the_queues_of_a_member() {
    let cluster = cluster();
    let (consumer, _got) = bodies(consumer(&cluster));
    eventually("all", || consumer.assignment().len() == 5);
    let (retry, own): (Vec<_>, Vec<_>) = consumer
        .assignment()
        .into_iter()
        .partition(|queue| queue.is_retry());
    assert_eq!((retry.len(), own.len()), (1, 4));
    assert_eq!(retry[0].topic(), "%RETRY%g");
    consumer.shutdown();
}
