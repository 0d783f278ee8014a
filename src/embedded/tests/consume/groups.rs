use std::time::Duration;

use super::super::client::{Client, heartbeat};
use super::*;
use crate::embedded::On;
use crate::protocol::code::response;
use crate::protocol::consumer::member::{Connections, GroupName, Members, MessageModel};
use crate::protocol::heartbeat::Unregister;

fn ask(code: i32) -> Command {
    let consumer_group = "g".into();
    Command::request(code).with_fields(&GroupName { consumer_group })
}

/// The member list as the broker gives it.
fn listed(consumer: &mut Consumer) -> Vec<String> {
    let answer = consumer.call(&ask(request::GET_CONSUMER_LIST_BY_GROUP));
    match answer.code {
        0 => Members::decode(&answer.body).unwrap().consumer_id_list,
        code => {
            assert_eq!(code, response::SYSTEM_ERROR);
            assert_eq!(
                answer.remark.as_deref(),
                Some("no consumer for this group, g")
            );
            Vec::new()
        }
    }
}

#[test]
fn consumers_are_notified_when_a_member_joins_or_leaves() {
    let cluster = start();
    let broker = cluster.broker("broker-a");
    let mut one = Consumer::join(broker, "one", &[("T", "*")]);
    // The news that it is there itself.
    one.notified();
    let mut two = Consumer::join(broker, "two", &[("T", "*")]);
    one.notified();
    assert_eq!(broker.consumers()["g"], ["one", "two"]);
    assert_eq!(cluster.group("g").members(), ["one", "two"]);
    assert_eq!(listed(&mut one), ["one", "two"]);
    assert!(broker.producers().is_empty());
    let gone = Unregister {
        client_id: "two".into(),
        producer_group: None,
        consumer_group: Some("g".into()),
    };
    two.call(&Command::request(request::UNREGISTER_CLIENT).with_fields(&gone));
    one.notified();
    assert_eq!(listed(&mut one), ["one"]);
    two.heartbeat(data(&[("T", "*")]));
    one.notified();
    drop(two);
    one.notified();
    assert_eq!(listed(&mut one), ["one"]);
    let told = one.notices;
    one.heartbeat(data(&[("T", "*")]));
    one.heartbeat(data(&[("T", "*")]));
    assert_eq!(one.notices, told, "no news");
    // Another topic is news.
    one.heartbeat(data(&[("T", "*"), ("U", "*")]));
    one.notified();
    one.heartbeat(data(&[("T", "*"), ("U", "*")]));
    assert_eq!(one.notices, told + 1);
    broker.kill();
    assert!(broker.consumers().is_empty());
    assert!(one.client.try_read().is_none());
}

#[test]
fn a_test_says_when_notices_get_lost_and_when_they_come() {
    let cluster = start();
    let broker = cluster.broker("broker-a");
    broker.drop_notifications(true);
    let mut one = Consumer::join(broker, "one", &[]);
    let two = Consumer::join(broker, "two", &[]);
    assert_eq!(listed(&mut one), ["one", "two"]);
    assert_eq!(one.notices, 0);
    assert_eq!(cluster.group("g").notify_members(), 2);
    one.notified();
    broker.drop_notifications(false);
    drop(two);
    one.notified();
    assert_eq!(cluster.group("h").notify_members(), 0);
}

#[test]
fn a_member_list_can_be_changed_by_the_test() {
    let cluster = start();
    let broker = cluster.broker("broker-a");
    let mut one = Consumer::join(broker, "one", &[]);
    broker.edit_members("g", |mut ids| {
        ids.extend(["two".to_owned(), "one".to_owned()]);
        ids
    });
    assert_eq!(listed(&mut one), ["one", "two", "one"]);
    assert_eq!(cluster.group("g").members(), ["one"], "the truth");
    broker.edit_members("g", |_| Vec::new());
    assert!(listed(&mut one).is_empty());
    broker.list_true_members("g");
    assert_eq!(listed(&mut one), ["one"]);
}

#[test]
fn a_broker_says_who_is_in_a_group_and_what_it_has_subscribed() {
    let cluster = start();
    let broker = cluster.broker("broker-a");
    let mut one = Consumer::connect(broker, "one");
    let offline = one.call(&ask(request::GET_CONSUMER_CONNECTION_LIST));
    assert_eq!(offline.code, response::CONSUMER_NOT_ONLINE);
    one.heartbeat(data(&[("T", "a || b")]));
    let answer = one.call(&ask(request::GET_CONSUMER_CONNECTION_LIST));
    assert_eq!(answer.code, 0);
    let shown = Connections::decode(&answer.body).unwrap();
    assert_eq!(shown.message_model, MessageModel::Clustering);
    let connection = &shown.connection_set[0];
    let sent = Command::request(0);
    assert_eq!(connection.client_id, "one");
    assert_eq!(connection.language, sent.language.name());
    assert_eq!(connection.version, sent.version);
    assert_eq!(connection.address(), one.client.stream.local_addr().ok());
    assert_eq!(shown.subscription_table["T"].sub_string, "a || b");
    let subscribed = cluster.group("g").subscriptions();
    assert_eq!(subscribed, shown.subscription_table);
    // The first heartbeat has made the group's retry topic.
    let retry = cluster.route("%RETRY%g").unwrap();
    assert_eq!(retry.queue_datas[0].read_queue_nums, 1);
}

#[test]
fn a_group_that_the_broker_does_not_make_has_no_members() {
    let builder = Cluster::builder().auto_create_groups(false);
    let cluster = builder.start().unwrap();
    let broker = cluster.broker("broker-a");
    let mut one = Consumer::connect(broker, "one");
    assert_eq!(one.heartbeat(data(&[])).code, 0, "but nobody says so");
    assert!(listed(&mut one).is_empty());
    assert!(cluster.route("%RETRY%g").is_none());
    let group = cluster.group("g");
    group.set_retry_queues(2);
    one.heartbeat(data(&[]));
    assert_eq!(group.members(), ["one"]);
    let retry = cluster.route("%RETRY%g").unwrap();
    assert_eq!(retry.queue_datas[0].read_queue_nums, 2);
}

#[test]
fn a_clock_that_is_moved_expires_no_member() {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    let broker = cluster.broker("broker-a");
    let mut one = Consumer::join(broker, "one", &[]);
    let mut producer = Client::connect(broker.address());
    producer.call(&heartbeat("p", &["g"]));
    cluster.advance(Duration::from_secs(3600));
    assert_eq!(broker.consumers()["g"], ["one"]);
    assert_eq!(broker.producers()["g"], ["p"]);
    one.notified();
    // A test may say that they are gone.
    broker.forget_client("one");
    broker.forget_client("p");
    assert!(broker.consumers().is_empty() && broker.producers().is_empty());
    one.heartbeat(data(&[]));
    assert_eq!(broker.consumers()["g"], ["one"]);
    assert_eq!(cluster.requests(&On::Heartbeat).len(), 3);
}

#[test]
fn members_of_a_broadcasting_group_get_no_notification() {
    let cluster = start();
    let broker = cluster.broker("broker-a");
    let broadcasting = || ConsumerData {
        message_model: MessageModel::Broadcasting,
        ..data(&[("T", "*")])
    };
    let mut one = Consumer::connect(broker, "one");
    one.heartbeat(broadcasting());
    let mut two = Consumer::connect(broker, "two");
    two.heartbeat(broadcasting());
    assert_eq!(one.call(&send("T", "x")).code, 0);
    assert_eq!((one.notices, two.notices), (0, 0));
}
