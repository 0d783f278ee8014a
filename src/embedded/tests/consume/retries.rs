use std::time::Duration;

use super::*;
use crate::embedded::{On, Release, StoredMessage};
use crate::protocol::code::response;
use crate::protocol::consumer::back::SendBack;

fn back(message: &StoredMessage, delay_level: i32) -> SendBack {
    SendBack {
        offset: message.commit_log_offset(),
        group: "g".into(),
        delay_level,
        origin_message_id: Some(message.offset_message_id()),
        origin_topic: Some(message.topic().to_owned()),
        unit_mode: false,
        max_reconsume_times: None,
        broker_name: None,
    }
}

fn send_back(one: &mut Consumer, back: &SendBack) -> i32 {
    let ask = Command::request(request::CONSUMER_SEND_MSG_BACK).with_fields(back);
    one.call(&ask).code
}

fn start_with_message() -> (Cluster, Consumer, StoredMessage) {
    let cluster = start();
    let mut one = Consumer::join(cluster.broker("broker-a"), "one", &[("T", "*")]);
    one.call(&send_with("T", "UNIQ_KEY\u{1}K\u{2}mine\u{1}1\u{2}", "x"));
    let message = cluster.only_message("T");
    (cluster, one, message)
}

#[test]
fn a_message_given_back_comes_again_when_the_clock_says_so() {
    let (cluster, mut one, message) = start_with_message();
    assert_eq!(send_back(&mut one, &back(&message, 0)), 0);
    let group = cluster.group("g");
    assert!(group.retries().is_empty());
    // The first time after level 3, 10 s.
    assert_eq!(cluster.advance(Duration::from_millis(9999)), 0);
    assert_eq!(cluster.advance(Duration::from_millis(1)), 1);
    let again = &group.retries()[0];
    assert_eq!((again.text(), again.reconsume_times()), ("x".into(), 1));
    assert_eq!((again.topic(), again.queue_id()), ("%RETRY%g", 0));
    assert_eq!(again.property("RETRY_TOPIC"), Some("T"));
    assert_eq!(again.property("DELAY"), None);
    let first_id = message.offset_message_id();
    assert_eq!(again.property("ORIGIN_MESSAGE_ID"), Some(&*first_id));
    assert_eq!(again.unique_key(), Some("K"));
    assert_eq!(again.property("mine"), Some("1"));
    assert_eq!(again.born_timestamp(), message.born_timestamp());
    assert_eq!(again.born_host(), message.born_host());
    // The second time after level 4, 30 s; what it was at first stays.
    assert_eq!(send_back(&mut one, &back(again, 0)), 0);
    assert_eq!(cluster.advance(Duration::from_secs(30)), 1);
    let second = &group.retries()[1];
    assert_eq!(second.reconsume_times(), 2);
    assert_eq!(second.property("RETRY_TOPIC"), Some("T"));
    assert_eq!(second.property("ORIGIN_MESSAGE_ID"), Some(&*first_id));
    // A level that the consumer chose: 1 s.
    assert_eq!(send_back(&mut one, &back(second, 1)), 0);
    assert_eq!(cluster.advance(Duration::from_secs(1)), 1);
    assert_eq!(group.retries()[2].reconsume_times(), 3);
}

#[test]
fn a_message_that_comes_too_often_is_a_dead_letter() {
    let (cluster, mut one, message) = start_with_message();
    let group = cluster.group("g");
    let with_max = |message: &StoredMessage, max| SendBack {
        max_reconsume_times: Some(max),
        ..back(message, 1)
    };
    send_back(&mut one, &with_max(&message, 1));
    cluster.advance(Duration::from_secs(1));
    let again = group.retries().remove(0);
    assert!(group.dead_letters().is_empty());
    send_back(&mut one, &with_max(&again, 1));
    let dead = group.dead_letters().remove(0);
    assert_eq!((dead.text(), dead.topic()), ("x".into(), "%DLQ%g"));
    assert_eq!(dead.property("RETRY_TOPIC"), Some("T"));
    assert_eq!(dead.reconsume_times(), 2);
    // At once, if the consumer says so.
    send_back(&mut one, &back(&message, -1));
    assert_eq!(group.dead_letters().len(), 2);
    // The group's own limit, if the consumer says none.
    group.set_max_retries(0);
    send_back(&mut one, &back(&message, 0));
    assert_eq!(group.dead_letters().len(), 3);
    assert_eq!(
        cluster.route("%DLQ%g").unwrap().queue_datas[0].write_queue_nums,
        1
    );
    assert_eq!(cluster.requests(&On::SendBack).len(), 4);
}

#[test]
fn what_cannot_be_given_back_is_refused() {
    let (cluster, mut one, message) = start_with_message();
    let nowhere = SendBack {
        offset: 77,
        ..back(&message, 0)
    };
    assert_eq!(send_back(&mut one, &nowhere), response::SYSTEM_ERROR);
    cluster.set_permission("%RETRY%g", "broker-a", 4);
    assert_eq!(
        send_back(&mut one, &back(&message, 0)),
        response::NO_PERMISSION
    );
    // Without a retry queue nothing is done.
    cluster.group("h").set_retry_queues(0);
    let lost = SendBack {
        group: "h".into(),
        ..back(&message, 0)
    };
    assert_eq!(send_back(&mut one, &lost), 0);
    assert_eq!(cluster.advance(Duration::from_secs(3600)), 0);

    let builder = Cluster::builder().topic("T", 1).auto_create_groups(false);
    let strict = builder.start().unwrap();
    let mut one = Consumer::connect(strict.broker("broker-a"), "one");
    one.call(&send("T", "x"));
    let unknown = back(&strict.only_message("T"), 0);
    assert_eq!(
        send_back(&mut one, &unknown),
        response::SUBSCRIPTION_GROUP_NOT_EXIST
    );
}

/// A plain send to the retry topic, as consumers do it that could not give a message back.
fn retry(times: i32, most: i32) -> Command {
    let header = SendHeader {
        reconsume_times: times,
        max_reconsume_times: Some(most),
        ..header("%RETRY%g")
    };
    v2(&header, b"x")
}

#[test]
fn a_send_to_a_retry_topic_is_a_dead_letter_above_the_limit_or_while_a_lock_is_held() {
    let cluster = start();
    let mut one = Consumer::join(cluster.broker("broker-a"), "one", &[("T", "*")]);
    let group = cluster.group("g");
    let ends = || (group.retries().len(), group.dead_letters().len());
    one.call(&retry(3, 3));
    assert_eq!(ends(), (1, 0));
    one.call(&retry(4, 3));
    assert_eq!(ends(), (1, 1));
    one.lock(&[0]);
    one.call(&retry(1, 3));
    assert_eq!(ends(), (1, 2), "whatever its count");
    one.unlock(&[0]);
    one.call(&retry(1, 3));
    assert_eq!(ends(), (2, 2));
    one.lock(&[0]);
    cluster.advance(Duration::from_secs(61));
    one.call(&retry(1, 3));
    assert_eq!(ends(), (3, 2), "the lock has expired");

    let builder = Cluster::builder().release(Release::V4_9_7);
    let old = builder.start().unwrap();
    let mut one = Consumer::join(old.broker("broker-a"), "one", &[("T", "*")]);
    let group = old.group("g");
    one.lock(&[0]);
    one.call(&retry(2, 3));
    one.call(&retry(3, 3));
    assert_eq!((group.retries().len(), group.dead_letters().len()), (1, 1));
}

#[test]
fn messages_due_while_their_broker_is_down_arrive_when_it_is_up() {
    let (cluster, mut one, message) = start_with_message();
    let broker = cluster.broker("broker-a");
    send_back(&mut one, &back(&message, 1));
    send_back(&mut one, &back(&message, 2));
    broker.kill();
    assert_eq!(cluster.advance(Duration::from_secs(1)), 0);
    let group = cluster.group("g");
    assert!(group.retries().is_empty());
    broker.restart().unwrap();
    assert!(cluster.wait_until(PATIENCE, || group.retries().len() == 1));
    assert_eq!(cluster.advance(Duration::from_secs(4)), 1);
    assert_eq!(group.retries().len(), 2);
}
