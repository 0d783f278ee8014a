//! Start, heartbeats, several producers on a client, and what callbacks may do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::bounded;
use rocketmq_blocking::embedded::{Cluster, Fault, Gate, On};
use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::{Client, ClientOptions, ErrorKind, Producer, SendFate};

use crate::support::{patient as builder, *};

#[track_caller]
fn check_start(setup: ProducerBuilder, expected: ErrorKind) {
    match setup.start() {
        Ok(_) => panic!("it must not start"),
        Err(error) => assert_eq!(error.kind(), expected, "{error}"),
    }
}

#[test]
fn a_start_needs_a_name_server_and_a_group_of_ones_own() {
    let with = |group: &str| Producer::builder(group).name_server("127.0.0.1:9876");
    check_start(Producer::builder("group"), ErrorKind::NoNameServer);
    check_start(
        Producer::builder("group").name_server(" ; "),
        ErrorKind::NoNameServer,
    );
    for group in ["", " ", "DEFAULT_PRODUCER", "a b", "a.b", &"g".repeat(121)] {
        check_start(with(group), ErrorKind::Config);
    }
    assert!(with(&"g".repeat(120)).start().is_ok());
    for address in [
        "localhost",
        "localhost:0",
        "localhost:99999",
        ":9876",
        "::1:9876",
    ] {
        check_start(
            Producer::builder("group").name_server(address),
            ErrorKind::Config,
        );
    }
    check_start(with("group").instance_name("a@b"), ErrorKind::Config);
    check_start(
        with("group").options(ClientOptions::new().max_in_flight_bytes(0)),
        ErrorKind::Config,
    );
    check_start(
        with("group").options(ClientOptions::new().callback_threads(0)),
        ErrorKind::Config,
    );
    check_start(with("group").compress_level(10), ErrorKind::Config);
    check_start(with("group").attempt_timeout(ms(0)), ErrorKind::Config);
}

/// A part of a shutdown's time is reserved for brokers and threads, and brokers do not get all of
/// it. One in time shows that; one that is not may be the machine's doing.
#[test]
fn a_shutdown_with_silent_brokers_leaves_time_for_callbacks_and_threads() {
    let is_in_time = || {
        let cluster = cluster();
        let setup = builder(&cluster).send_timeout(PATIENCE * 3);
        let producer = setup.start().unwrap();
        let silent = cluster.broker("broker-a").inject(Fault::silence());
        let sent = send_async(&producer, message("x"));
        assert!(silent.wait_hits(1, PATIENCE));
        let report = producer.shutdown_within(ms(2000));
        assert_eq!(report.unanswered, 1, "{report}");
        // Called before the shutdown returned.
        let Ok(result) = sent.try_recv() else {
            return false;
        };
        let error = error(result);
        let kinds = [ErrorKind::Closed, ErrorKind::Disconnected];
        assert!(kinds.contains(&error.kind()), "{error}");
        // The other kind if a late goodbye has shown that the broker is silent.
        error.kind() == ErrorKind::Closed && report.stuck_threads.is_empty()
    };
    assert!((0..3).any(|_| is_in_time()));
}

#[test]
fn a_start_connects_nothing_and_needs_no_server_to_be_up() {
    let cluster = cluster();
    kill_unused_name_server(&cluster.name_servers()[0]);
    let producer = producer(&cluster);
    assert_eq!(
        error(producer.send(&message("x"))).kind(),
        ErrorKind::NoNameServer
    );
    cluster.name_servers()[0].restart().unwrap();
    eventually("it works once the name server is up", || {
        producer.send(&message("x")).is_ok()
    });
    let idle = self::producer(&cluster);
    cluster.clear_requests();
    drop(idle);
    assert!(cluster.requests(&On::Any).is_empty());
}

#[test]
fn host_names_are_resolved_and_unknown_ones_reported() {
    let cluster = cluster();
    let port = cluster.name_servers()[0].address().port();
    let named = Producer::builder("group").name_server(format!("localhost:{port}"));
    assert!(named.start().unwrap().send(&message("x")).is_ok());
    let route = |host: &str| {
        let mut route = cluster.route("T").unwrap();
        let address = format!("{host}:{}", cluster.brokers()[0].address().port());
        route.broker_datas[0].broker_addrs.insert(0, address);
        cluster.set_route("T", Some(route));
    };
    route("localhost");
    assert!(producer(&cluster).send(&message("x")).is_ok());
    // An invalid name: the resolver sends no query.
    route("no..such..host");
    let producer = builder(&cluster)
        .retries(0)
        .send_timeout(PATIENCE)
        .start()
        .unwrap();
    let error = error(producer.send(&message("x")));
    assert_eq!(error.kind(), ErrorKind::Dns, "{error}");
    assert_eq!(error.fate(), SendFate::NotSent, "{error}");
}

#[test]
fn brokers_get_heartbeats_with_the_connection_and_at_intervals() {
    let cluster = brokers(2);
    let setup = builder(&cluster)
        .instance_name("me")
        .options(ClientOptions::new().client_ip("127.0.0.1".parse().unwrap()));
    let producer = setup
        .options(ClientOptions::new().heartbeat_interval(ms(10)))
        .start()
        .unwrap();
    assert_eq!(producer.client().id(), "127.0.0.1@me");
    assert!(producer.send(&message("x")).is_ok());
    // The other broker of the route gets a heartbeat too, though it got no message.
    for broker in cluster.brokers() {
        eventually("the broker knows the producer", || {
            broker
                .producers()
                .get("group")
                .is_some_and(|ids| ids == &["127.0.0.1@me"])
        });
    }
    assert!(cluster.wait_for_requests(&On::Heartbeat, 6, PATIENCE).len() >= 6);
    assert_eq!(
        cluster
            .requests(&On::when(|c| c.code == 34 && c.is_oneway()))
            .len(),
        0
    );
}

#[test]
fn the_heartbeat_is_on_its_way_before_the_first_send() {
    let cluster = cluster();
    let producer = producer(&cluster);
    assert!(producer.send(&message("x")).is_ok());
    let all = cluster.wait_for_requests(&On::Any, 3, PATIENCE);
    let codes: Vec<i32> = all.iter().map(|r| r.command().code).collect();
    assert_eq!(codes, [105, 34, 310]);
    assert_eq!(all[1].connection(), all[2].connection());
    assert_eq!(producer.group(), "group");
}

#[test]
fn producers_share_the_connections_of_a_client() {
    let cluster = cluster();
    let client = Client::start(ClientOptions::new().name_server(cluster.name_server())).unwrap();
    let with = |group: &str| Producer::builder(group).client(&client);
    let orders = with("orders").start().unwrap();
    let events = with("events").start().unwrap();
    check_start(with("orders"), ErrorKind::Config);
    check_start(with("x").name_server("127.0.0.1:1"), ErrorKind::Invalid);
    for producer in [&orders, &events] {
        assert!(producer.send(&message("x")).is_ok());
    }
    let broker = cluster.broker("broker-a");
    assert_eq!(broker.connections(), 1);
    let groups = || broker.producers().into_keys().collect::<Vec<_>>();
    assert_eq!(groups(), ["events", "orders"]);

    orders.shutdown();
    // A shutdown does not wait long for the broker's answer.
    eventually("the broker knows", || groups() == ["events"]);
    assert_eq!(error(orders.send(&message("x"))).kind(), ErrorKind::Closed);
    assert!(events.send(&message("x")).is_ok());
    // The name is free again, and connected brokers are notified at once.
    let orders = with("orders").start().unwrap();
    eventually("the group is back", || groups() == ["events", "orders"]);

    client.shutdown();
    for producer in [&orders, &events] {
        for mode in MODES {
            assert_eq!(
                error(mode.send(producer, &message("x"))).kind(),
                ErrorKind::Closed
            );
        }
    }
    assert!(broker.wait_for_connections(0, PATIENCE));
    check_start(with("late"), ErrorKind::Closed);
}

#[test]
fn the_last_handle_of_a_shared_client_closes_it() {
    let cluster = cluster();
    let client = Client::start(ClientOptions::new().name_server(cluster.name_server())).unwrap();
    let producer = Producer::builder("group").client(&client).start().unwrap();
    drop(client);
    let clone = producer.clone();
    drop(producer);
    assert!(clone.send(&message("x")).is_ok());
    drop(clone);
    assert!(cluster.broker("broker-a").wait_for_connections(0, PATIENCE));
    assert!(cluster.name_servers()[0].wait_for_connections(0, PATIENCE));
}

#[test]
fn a_callback_may_send_in_every_way() {
    let cluster = brokers(2);
    let setup = builder(&cluster).options(
        ClientOptions::new()
            .callback_threads(1)
            .max_in_flight_messages(1),
    );
    let producer = setup.start().unwrap();
    let (done, results) = bounded(8);
    let inner = producer.clone();
    producer.send_async(message("0"), move |first| {
        let mut all = vec![first];
        all.push(inner.send(&message("1")));
        all.push(inner.submit(message("2")).wait());
        inner.send_oneway(&message("3")).unwrap();
        inner.flush(PATIENCE).unwrap();
        inner.clone().send_async(message("4"), move |last| {
            all.push(last);
            done.send(all).unwrap();
        });
    });
    let all = results.recv_timeout(PATIENCE).unwrap();
    assert!(all.iter().all(|result| result.is_ok()), "{all:?}");
    // The oneway one was written, and its broker may be slower than that of the last one.
    assert_eq!(cluster.wait_for_messages("T", 5, PATIENCE).len(), 5);
}

#[test]
fn a_panic_or_a_stuck_callback_does_not_hold_up_the_others() {
    let cluster = cluster();
    let producer = builder(&cluster)
        .options(ClientOptions::new().callback_threads(2))
        .start()
        .unwrap();
    let (release, gate) = bounded::<()>(0);
    producer.send_async(message("stuck"), move |_| assert!(gate.recv().is_err()));
    for _ in 0..5 {
        producer.send_async(message("x"), |_| panic!("a test's own panic"));
    }
    let pending: Vec<_> = (0..20)
        .map(|_| send_async(&producer, message("x")))
        .collect();
    for results in &pending {
        assert!(only(results).is_ok());
    }
    drop(release);
    assert!(producer.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn callbacks_run_on_callback_threads_only() {
    let cluster = cluster();
    let producer = producer(&cluster);
    cluster
        .broker("broker-a")
        .inject(Fault::answer(13, "").on(On::Send).after(5));
    let (done, names) = bounded(32);
    for body in ["x"; 10].into_iter().chain([""; 10]) {
        let done = done.clone();
        producer.send_async(message(body), move |_| {
            let name = std::thread::current().name().map(str::to_owned);
            done.send(name).unwrap();
        });
    }
    for _ in 0..20 {
        let name = names.recv_timeout(PATIENCE).unwrap();
        assert_eq!(name.as_deref(), Some("rmq-callback"));
    }
}

#[test]
fn flush_waits_for_all_that_is_in_flight() {
    let cluster = cluster();
    let gate = Gate::new();
    let held = cluster
        .broker("broker-a")
        .inject(Fault::hold(&gate).on(On::Send));
    let producer = builder(&cluster).send_timeout(PATIENCE).start().unwrap();
    assert!(producer.flush(ms(0)).is_ok(), "nothing is in flight");
    let answered = Arc::new(AtomicUsize::new(0));
    for _ in 0..10 {
        let answered = answered.clone();
        producer.send_async(message("x"), move |_| {
            answered.fetch_add(1, Ordering::SeqCst);
        });
    }
    assert!(held.wait_hits(10, PATIENCE));
    let error = producer.flush(ms(10)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    gate.open();
    assert!(producer.flush(PATIENCE).is_ok());
    eventually("the callbacks follow", || {
        answered.load(Ordering::SeqCst) == 10
    });
}

#[test]
fn many_oneway_messages_all_arrive() {
    let cluster = Cluster::builder().brokers(2).topic("T", 4).start().unwrap();
    let producer = producer(&cluster);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    producer.send_oneway(&message(vec![7; 300])).unwrap();
                }
            });
        }
    });
    producer.flush(PATIENCE).unwrap();
    let report = producer.shutdown_within(PATIENCE);
    assert!(report.is_clean(), "{report}");
    assert_eq!(cluster.wait_for_messages("T", 2000, PATIENCE).len(), 2000);
}
