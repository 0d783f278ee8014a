use std::time::Duration;

use super::client::{Client, heartbeat, send};
use crate::embedded::{Cluster, On};
use crate::protocol::Command;
use crate::protocol::code::request;
use crate::protocol::consumer::member::{ConsumerData, MessageModel};
use crate::protocol::heartbeat::{Heartbeat, Unregister};

fn consumer(client: &str, group: &str, message_model: MessageModel) -> Command {
    let data = ConsumerData {
        message_model,
        ..ConsumerData::new(group)
    };
    let heartbeat = Heartbeat {
        consumer_data_set: vec![data],
        ..Heartbeat::of_producers(client, std::iter::empty())
    };
    Command::request(request::HEART_BEAT).with_body(heartbeat.encode())
}

fn start() -> (Cluster, Client, Client) {
    let cluster = Cluster::builder().manual_clock(true).start().unwrap();
    let connect = || Client::connect(cluster.brokers()[0].address());
    let (one, two) = (connect(), connect());
    (cluster, one, two)
}

/// Reads the answer to a request, and counts the broker's own requests before it.
fn call(client: &mut Client, command: &Command) -> usize {
    let opaque = client.write(command);
    let mut notified = 0;
    loop {
        let came = client.read();
        if came.is_response() && came.opaque == opaque {
            return notified;
        }
        check_notified(&came);
        notified += 1;
    }
}

#[track_caller]
fn check_notified(command: &Command) {
    assert_eq!(command.code, request::NOTIFY_CONSUMER_IDS_CHANGED);
    assert_eq!(command.ext.get("consumerGroup"), Some("g"));
    assert!(command.is_oneway() && !command.is_response());
}

#[test]
fn consumers_are_notified_when_a_member_joins_or_leaves() {
    let (cluster, mut one, mut two) = start();
    let broker = cluster.broker("broker-a");
    one.write(&consumer("one", "g", MessageModel::Clustering));
    // Its own answer, and the news that it is there itself.
    let _ = (one.read(), one.read());
    two.write(&consumer("two", "g", MessageModel::Clustering));
    check_notified(&one.read());
    assert_eq!(broker.consumers()["g"], ["one", "two"]);
    assert!(broker.producers().is_empty());
    let _ = (two.read(), two.read());
    let gone = Unregister {
        client_id: "two".into(),
        producer_group: None,
        consumer_group: Some("g".into()),
    };
    call(&mut two, &Command::request(35).with_fields(&gone));
    check_notified(&one.read());
    assert_eq!(broker.consumers()["g"], ["one"]);
    two.write(&consumer("two", "g", MessageModel::Clustering));
    check_notified(&one.read());
    drop(two);
    check_notified(&one.read());
    assert_eq!(
        call(&mut one, &consumer("one", "g", MessageModel::Clustering)),
        0,
        "no news"
    );
    broker.kill();
    assert!(broker.consumers().is_empty());
    assert!(one.try_read().is_none());
}

#[test]
fn a_silent_consumer_expires_by_the_clock_and_the_others_are_notified() {
    let (cluster, mut one, mut two) = start();
    let broker = cluster.broker("broker-a");
    call(&mut one, &consumer("one", "g", MessageModel::Clustering));
    call(&mut two, &consumer("two", "g", MessageModel::Clustering));
    cluster.advance(Duration::from_secs(60));
    call(&mut one, &consumer("one", "g", MessageModel::Clustering));
    assert_eq!(broker.consumers()["g"].len(), 2);
    cluster.advance(Duration::from_secs(60));
    // The next notification is not caused by its own heartbeat.
    check_notified(&one.read());
    assert_eq!(broker.consumers()["g"], ["one"]);
    cluster.advance(Duration::from_secs(60));
    assert!(broker.consumers().is_empty());
}

#[test]
fn members_of_a_broadcasting_group_get_no_notification() {
    let (_cluster, mut one, mut two) = start();
    assert_eq!(
        call(&mut one, &consumer("one", "g", MessageModel::Broadcasting)),
        0
    );
    call(&mut two, &consumer("two", "g", MessageModel::Broadcasting));
    assert_eq!(call(&mut one, &send("T", "x")), 0);
}

#[test]
fn a_silent_producer_is_forgotten_by_the_clock() {
    let (cluster, mut one, _) = start();
    let broker = cluster.broker("broker-a");
    one.call(&heartbeat("one", &["g"]));
    cluster.advance(Duration::from_secs(119));
    assert_eq!(broker.producers()["g"], ["one"]);
    cluster.advance(Duration::from_secs(1));
    assert!(broker.producers().is_empty());
    one.call(&heartbeat("one", &["g"]));
    assert_eq!(broker.producers()["g"], ["one"]);
    assert_eq!(cluster.requests(&On::Heartbeat).len(), 2);
}
