//! A broker that answers GO_AWAY: it has executed nothing, and wants another connection.

use std::collections::BTreeSet;
use std::time::Instant;

use rocketmq_blocking::embedded::{Cluster, Fault, Gate, On};
use rocketmq_blocking::{ErrorKind, MessageQueue, SendFate};

use crate::support::*;

fn connections(cluster: &Cluster) -> BTreeSet<u64> {
    sends(cluster)
        .iter()
        .map(|request| request.connection())
        .collect()
}

#[test]
fn the_send_is_repeated_once_over_a_new_connection_while_the_old_one_drains() {
    for mode in MODES {
        let cluster = cluster();
        let broker = cluster.broker("broker-a");
        let producer = producer(&cluster);
        let gate = Gate::new();
        let held = broker.inject(Fault::hold(&gate).on(On::Send).once());
        let pending = send_async(&producer, message("held"));
        assert!(held.wait_hits(1, PATIENCE));
        broker.inject(Fault::go_away().on(On::Send).once());
        let receipt = mode
            .send(&producer, &message("x").unique_key("again"))
            .unwrap();
        assert_eq!(receipt.attempts(), 1, "it was not executed");
        let requests = sends(&cluster);
        assert_eq!(requests.len(), 3);
        assert_eq!(requests[0].connection(), requests[1].connection());
        assert_ne!(requests[1].connection(), requests[2].connection());
        for request in &requests[1..] {
            assert_eq!(property(request, "UNIQ_KEY").as_deref(), Some("again"));
        }
        // The old connection still carries the answers to earlier requests.
        assert_eq!(broker.connections(), 2);
        assert!(producer.send(&message("y")).is_ok());
        gate.open();
        assert!(only(&pending).is_ok());
        assert!(
            broker.wait_for_connections(1, PATIENCE),
            "it ends when it is drained"
        );
        assert_eq!(connections(&cluster).len(), 2);
    }
}

#[test]
fn a_second_refusal_leads_to_another_broker() {
    // A broker that answers heartbeats and refuses sends has its connections taken for good ones.
    for (mode, on) in MODES
        .into_iter()
        .flat_map(|m| [(m, On::Any), (m, On::Send)])
    {
        let cluster = brokers(2);
        cluster.broker("broker-a").inject(Fault::go_away().on(on));
        let producer = producer(&cluster);
        for _ in 0..4 {
            let receipt = mode.send(&producer, &message("x")).unwrap();
            assert_eq!(receipt.queue().broker(), "broker-b");
        }
        let sends = sends(&cluster);
        let key = |request| property(request, "UNIQ_KEY").expect("a key");
        let refused: Vec<_> = sends.iter().filter(|r| r.server() == "broker-a").collect();
        for request in &refused {
            let same = refused.iter().filter(|other| key(other) == key(request));
            assert!(same.count() <= 2, "{mode:?}: {refused:?}");
        }
    }
}

#[test]
fn a_broker_that_only_refuses_is_not_stormed() {
    for mode in MODES {
        let cluster = cluster();
        cluster.broker("broker-a").inject(Fault::go_away());
        let setup = builder(&cluster).send_timeout(ms(500));
        let producer = setup
            .retries(u32::MAX)
            .async_retries(u32::MAX)
            .start()
            .unwrap();
        let start = Instant::now();
        let error = error(mode.send(&producer, &message("x")));
        assert!(start.elapsed() < ms(500) + STALL, "{error}");
        let all = cluster.requests(&On::Any).len();
        assert!(all < 60, "{all} requests in half a second");
    }
}

/// Behind a load balancer the new connection leads to a server that stays.
#[test]
fn a_refusal_on_the_very_first_connection_is_repeated_too() {
    for mode in MODES {
        let cluster = cluster();
        let broker = cluster.broker("broker-a");
        // The heartbeat that opens the connection, and the send: on one connection, or, if the client
        // has heard of the first by then, on two.
        let refusing = [On::Heartbeat, On::Send];
        let refusing = refusing.map(|on| broker.inject(Fault::go_away().on(on).once()));
        let producer = producer(&cluster);
        let queue = MessageQueue::new("T", "broker-a", 2);
        let message = message("x");
        let send = producer.prepare(&message).queue(queue).timeout(PATIENCE);
        let receipt = match mode {
            Mode::Sync => send.send(),
            Mode::Async => send.submit().wait(),
        };
        assert_eq!(receipt.unwrap().queue().id(), 2);
        assert_eq!(refusing.map(|fault| fault.hits()), [1, 1]);
        assert_eq!(cluster.message_count("T"), 1);
    }
}

/// Only the client can end these waits: the peer stays silent.
#[test]
fn shutdown_ends_connections_that_still_drain() {
    let cluster = cluster();
    let broker = cluster.broker("broker-a");
    let producer = builder(&cluster)
        .send_timeout(PATIENCE * 3)
        .start()
        .unwrap();
    let silent = broker.inject(Fault::silence().on(On::Send).once());
    let pending = send_async(&producer, message("lost"));
    assert!(silent.wait_hits(1, PATIENCE));
    broker.inject(Fault::go_away().on(On::Send).once());
    assert!(producer.send(&message("x")).is_ok());
    assert_eq!(broker.connections(), 2);
    let report = producer.shutdown_within(ms(2000));
    assert_eq!(report.unanswered, 1);
    let error = error(only(&pending));
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert_eq!(error.fate(), SendFate::MaybeStored);
    assert!(broker.wait_for_connections(0, PATIENCE));
}

#[test]
fn a_draining_connection_ends_when_its_last_wait_times_out() {
    let cluster = cluster();
    let broker = cluster.broker("broker-a");
    let producer = producer(&cluster);
    let message = message("x");
    assert!(producer.send(&message).is_ok());
    let silent = broker.inject(Fault::silence().on(On::Send).once());
    let lost = producer.prepare(&message).timeout(ms(2500)).submit();
    assert!(silent.wait_hits(1, PATIENCE));
    broker.inject(Fault::go_away().on(On::Send).once());
    assert!(producer.send(&message).is_ok());
    assert_eq!(error(lost.wait()).kind(), ErrorKind::Timeout);
    assert!(broker.wait_for_connections(1, PATIENCE));
}

/// It is not only sends that a server which goes away has not executed.
#[test]
fn a_question_for_a_route_is_repeated_too() {
    let cluster = cluster();
    let server = &cluster.name_servers()[0];
    let away = server.inject(Fault::go_away().on(On::Route).once());
    assert!(producer(&cluster).send(&message("x")).is_ok());
    assert_eq!(away.hits(), 1);
    let asked = cluster.requests(&On::Route);
    let [first, second] = &asked[..] else {
        panic!("two questions, not {asked:?}");
    };
    assert_ne!(first.connection(), second.connection());
}
