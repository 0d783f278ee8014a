//! A snapshot of a client's state.

use rocketmq_blocking::client::ClientState;
use rocketmq_blocking::embedded::{Fault, Gate, On};
use rocketmq_blocking::{ErrorKind, Producer};

use crate::support::*;

fn state(producer: &Producer) -> ClientState {
    producer.client().describe()
}

#[test]
fn a_client_shows_its_connections_its_routes_and_what_is_in_flight() {
    let cluster = brokers(2);
    let producer = producer(&cluster);
    let answers = Gate::new();
    for broker in cluster.brokers() {
        broker.inject(Fault::hold(&answers).on(On::Send));
    }
    let handles: Vec<_> = (0..8).map(|_| producer.submit(message("12345"))).collect();
    let held = state(&producer);
    assert_eq!(
        (held.in_flight, held.in_flight_bytes, held.lost_oneway),
        (8, 40, 0)
    );
    let waiting: usize = held.connections.iter().map(|c| c.in_flight).sum();
    assert!(waiting >= 8, "{held}");
    answers.open();
    handles
        .into_iter()
        .for_each(|handle| drop(handle.wait().unwrap()));

    let state = state(&producer);
    assert_eq!((state.in_flight, state.in_flight_bytes), (0, 0));
    assert_eq!(state.id, producer.client().id());
    // The name server and both brokers, all of them plain.
    assert_eq!(
        (state.connections.len(), state.dial_failures.len()),
        (3, 0),
        "{state}"
    );
    assert!(
        state
            .connections
            .iter()
            .all(|c| c.tls.is_none() && c.written_bytes > 0)
    );
    let [topic] = &state.topics[..] else {
        panic!("{state}");
    };
    let brokers = cluster.brokers().iter();
    let brokers: Vec<_> = brokers
        .map(|b| (b.name().into(), b.address().to_string().into()))
        .collect();
    assert_eq!(
        (&*topic.topic, topic.queues, &topic.brokers),
        ("T", 8, &brokers)
    );
    let [server] = &state.name_servers[..] else {
        panic!("{state}");
    };
    assert_eq!(*server.address, cluster.name_server());
    assert!(server.is_current && server.last_error.is_none(), "{state}");
    let text = state.to_string();
    for says in [
        format!(
            "client {}: 0 messages and 0 bytes in flight, 0 oneway lost",
            state.id
        ),
        format!("\n  name server {} (asked first)\n", server.address),
        format!(
            "\n  connection {}: 0 in flight, 0 bytes queued, ",
            brokers[0].1
        ),
        "\n  topic T: 8 queues, route confirmed ".to_owned(),
        format!(
            " ago, broker-a at {}, broker-b at {}",
            brokers[0].1, brokers[1].1
        ),
    ] {
        assert!(text.contains(&says), "{says:?} is not in {text}");
    }
}

#[test]
fn unreachable_addresses_are_listed_with_the_reason_until_they_answer() {
    let cluster = cluster();
    kill_unused(&cluster, "broker-a");
    let producer = builder(&cluster).retries(0).start().unwrap();
    let deaf = cluster.name_servers()[0].inject(Fault::hang_up());
    let last_error = || state(&producer).name_servers[0].last_error.clone();
    let failed = || error(producer.send(&message("x"))).kind();
    assert_eq!((last_error(), failed()), (None, ErrorKind::NoNameServer));
    let why = last_error().expect("an error");
    assert_eq!(why, "the peer closed the connection");

    deaf.remove();
    assert_eq!((failed(), last_error()), (ErrorKind::Connect, None));
    let address = cluster.broker("broker-a").address().to_string();
    let unreachable = state(&producer);
    let [failure] = &unreachable.dial_failures[..] else {
        panic!("{unreachable}");
    };
    assert_eq!(*failure.address, address);
    let says = format!("\n  no connection to {address}: {}", failure.error);
    assert!(failure.error.contains("refused"), "{failure}");
    assert!(unreachable.to_string().contains(&says), "{unreachable}");

    cluster.broker("broker-a").restart().unwrap();
    eventually("it is back", || producer.send(&message("x")).is_ok());
    assert!(state(&producer).dial_failures.is_empty());
}
