use std::time::Duration;

use super::*;
use crate::embedded::{On, Release};
use crate::protocol::code::response;

#[test]
fn a_group_gets_the_offset_that_it_has_committed() {
    let cluster = start();
    let broker = cluster.broker("broker-a");
    let mut one = Consumer::join(broker, "one", &[("T", "*")]);
    assert_eq!(one.committed(None), Err(response::QUERY_NOT_FOUND));
    assert_eq!(one.commit(5), 0);
    assert_eq!(one.committed(None), Ok(5));
    assert_eq!(one.commit(3), 0, "backwards too");
    assert_eq!(one.committed(Some(false)), Ok(3));
    let group = cluster.group("g");
    assert_eq!(group.committed(&queue("T", 0)), Some(3));
    assert_eq!(group.committed(&queue("T", 1)), None);
    group.commit(&queue("T", 1), 9);
    let all = [(queue("T", 0), 3), (queue("T", 1), 9)];
    assert_eq!(group.offsets(), all.into());
    assert_eq!(
        one.call(&commit("h", "T", 1)).code,
        response::SUBSCRIPTION_GROUP_NOT_EXIST
    );
    assert_eq!(
        one.call(&commit("g", "X", 1)).code,
        response::TOPIC_NOT_EXIST
    );
    group.delete();
    assert!(group.offsets().is_empty());
}

#[test]
fn a_group_without_an_offset_starts_at_0_in_a_young_queue_unless_it_says_otherwise() {
    let cluster = start();
    let mut one = Consumer::connect(cluster.broker("broker-a"), "one");
    one.call(&send("T", "x"));
    one.call(&send("T", "y"));
    assert_eq!(one.committed(None), Ok(0));
    assert_eq!(one.committed(Some(true)), Ok(0));
    assert_eq!(one.committed(Some(false)), Err(response::QUERY_NOT_FOUND));
    cluster.delete_before(&queue("T", 0), 1);
    assert_eq!(one.committed(None), Err(response::QUERY_NOT_FOUND));

    let old = Cluster::builder().release(Release::V4_9_7).topic("T", 1);
    let old = old.start().unwrap();
    let mut one = Consumer::connect(old.broker("broker-a"), "one");
    assert_eq!(
        one.committed(Some(false)),
        Ok(0),
        "it does not know that field"
    );
    assert_eq!(one.call(&commit("h", "X", 1)).code, 0, "nor what exists");
}

#[test]
fn a_topic_that_is_deleted_begins_at_0_again_and_brokers_of_5_forget_its_offsets() {
    for release in [Release::V5_4_0, Release::V4_9_7] {
        let builder = Cluster::builder()
            .release(release)
            .topic("T", 1)
            .topic("U", 1);
        let cluster = builder.start().unwrap();
        let mut one = Consumer::join(cluster.broker("broker-a"), "one", &[("T", "*")]);
        for topic in ["T", "U", "T"] {
            one.call(&send(topic, "before"));
        }
        let group = cluster.group("g");
        group.commit(&queue("T", 0), 2);
        group.commit(&queue("U", 0), 1);
        cluster.delete_topic("T");
        assert!(cluster.route("T").is_none() && cluster.messages("T").is_empty());
        let kept = (release == Release::V4_9_7).then_some(2);
        assert_eq!(group.committed(&queue("T", 0)), kept, "{release:?}");
        assert_eq!(group.committed(&queue("U", 0)), Some(1));
        cluster.create_topic("T", 1);
        one.call(&send("T", "after"));
        assert_eq!(cluster.only_message("T").queue_offset(), 0);
        assert_eq!(cluster.only_message("U").queue_offset(), 0);
    }
}

#[test]
fn a_kill_loses_the_offsets_that_were_not_on_the_disk_and_a_shutdown_none() {
    let cluster = start();
    let broker = cluster.broker("broker-a");
    let group = cluster.group("g");
    let again = |offset| {
        let mut one = Consumer::join(broker, "one", &[("T", "*")]);
        one.commit(offset);
        one.lock(&[0]);
        assert_eq!(group.locks(), [(queue("T", 0), "one".to_owned())].into());
    };
    let restart = || {
        broker.kill();
        assert!(group.locks().is_empty() && group.members().is_empty());
        broker.restart().unwrap();
        group.committed(&queue("T", 0))
    };
    again(1);
    assert_eq!(restart(), None);
    again(2);
    cluster.advance(Duration::from_secs(5));
    again(3);
    assert_eq!(restart(), Some(2));
    again(4);
    broker.shut_down();
    broker.restart().unwrap();
    assert_eq!(group.committed(&queue("T", 0)), Some(4));
}

#[test]
fn the_messages_that_are_left_are_counted() {
    let cluster = start();
    let mut one = Consumer::connect(cluster.broker("broker-a"), "one");
    let group = cluster.group("g");
    assert_eq!(group.lag("T"), 0);
    for body in ["a", "b", "c"] {
        one.call(&send("T", body));
    }
    assert_eq!(group.lag("T"), 3);
    group.commit(&queue("T", 0), 2);
    assert_eq!(group.lag("T"), 1);
    group.commit(&queue("T", 0), 99);
    assert_eq!(group.lag("T"), 0);
}

#[test]
fn a_test_waits_for_an_offset() {
    let cluster = start();
    let group = cluster.group("g");
    let committed = || group.committed(&queue("T", 0)) == Some(7);
    assert!(!cluster.wait_until(Duration::ZERO, committed));
    let mut one = Consumer::join(cluster.broker("broker-a"), "one", &[]);
    one.client.write(&commit("g", "T", 7).oneway());
    assert!(cluster.wait_until(PATIENCE, committed));
    assert_eq!(cluster.requests(&On::Commit).len(), 1);
}

#[test]
fn a_lock_belongs_to_a_client_until_it_expires_by_the_clock() {
    let cluster = start();
    let broker = cluster.broker("broker-a");
    let mut one = Consumer::connect(broker, "one");
    let mut two = Consumer::connect(broker, "two");
    assert_eq!(one.lock(&[0, 1]), [0, 1]);
    assert_eq!(two.lock(&[1, 2]), [2]);
    two.unlock(&[0, 1]);
    assert_eq!(two.lock(&[1]), [0; 0], "it was not its own");
    one.unlock(&[1]);
    assert_eq!(two.lock(&[1]), [1]);
    // The end of the connection does not release a lock.
    drop(one);
    wait_until(|| broker.connections() == 1);
    cluster.advance(Duration::from_secs(60));
    assert_eq!(two.lock(&[0]), [0; 0]);
    cluster.advance(Duration::from_millis(1));
    assert_eq!(two.lock(&[0]), [0]);
    let locks = cluster.group("g").locks();
    assert_eq!(
        locks,
        [(queue("T", 0), "two".to_owned())].into(),
        "others expired"
    );
}

#[test]
fn offsets_of_a_time_and_the_ends_of_a_queue() {
    let cluster = start();
    let mut one = Consumer::connect(cluster.broker("broker-a"), "one");
    let base = cluster.now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let base = base.as_millis() as i64;
    // At base, base + 10, base + 10 and base + 20.
    for pause in [0, 10, 0, 10] {
        cluster.advance(Duration::from_millis(pause));
        one.call(&send("T", "x"));
    }
    let mut ask = |code, time: i64, boundary: &str| {
        let mut ask = Command::request(code);
        let time = (base + time).to_string();
        for (name, value) in [("topic", "T"), ("queueId", "0"), ("timestamp", &time)] {
            ask.ext.push(name, value);
        }
        if !boundary.is_empty() {
            ask.ext.push("boundaryType", boundary);
        }
        number(&one.call(&ask), "offset")
    };
    let by_time = request::SEARCH_OFFSET_BY_TIMESTAMP;
    assert_eq!(ask(by_time, -1, ""), 0);
    assert_eq!(ask(by_time, 10, ""), 1);
    assert_eq!(ask(by_time, 10, "lower"), 1);
    assert_eq!(ask(by_time, 10, "UPPER"), 2);
    assert_eq!(ask(by_time, 11, ""), 3);
    assert_eq!(ask(by_time, 21, ""), 4, "behind the last one");
    assert_eq!(ask(request::GET_MAX_OFFSET, 0, ""), 4);
    cluster.delete_before(&queue("T", 0), 2);
    assert_eq!(ask(request::GET_MIN_OFFSET, 0, ""), 2);
}
