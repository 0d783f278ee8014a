use super::*;
use crate::protocol::route::{BrokerData, QueueData, TopicRoute};

fn queues(names: &str) -> Vec<MessageQueue> {
    let queue = |(i, name): (usize, char)| MessageQueue::new("T", name.to_string(), i as i32);
    names.chars().enumerate().map(queue).collect()
}

#[track_caller]
fn check(names: &str, avoid: Option<&str>, expected: &[usize]) {
    let queues = queues(names);
    let reachable = |queue: &MessageQueue| queue.broker() != "z";
    let got: Vec<usize> = (0..queues.len())
        .map(|first| next(&queues, first, avoid, reachable))
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn takes_turns_and_skips_the_broker_to_avoid_if_there_is_another() {
    check("aabb", None, &[0, 1, 2, 3]);
    check("aabb", Some("a"), &[2, 2, 2, 3]);
    check("aaa", Some("a"), &[0, 1, 2]);
    check("azb", None, &[0, 2, 2]);
    check("azb", Some("b"), &[0, 0, 0]);
    check("zz", None, &[0, 1]);
    check("az", Some("a"), &[0, 0]);
}

/// A topic with this many queues on each of these brokers.
fn topic(brokers: &[&str], queues: i32) -> PublishInfo {
    let queue = |broker: &&str| QueueData {
        broker_name: (*broker).to_owned(),
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm: 6,
        topic_sys_flag: 0,
    };
    let broker = |name: &&str| BrokerData {
        broker_name: (*name).to_owned(),
        broker_addrs: [(0, format!("{name}:1"))].into(),
        ..BrokerData::default()
    };
    let route = TopicRoute {
        queue_datas: brokers.iter().map(queue).collect(),
        broker_datas: brokers.iter().map(broker).collect(),
        ..TopicRoute::default()
    };
    PublishInfo::new(&"T".into(), &route)
}

fn ids(info: &PublishInfo, count: usize) -> Vec<i32> {
    let mut ids: Vec<i32> = (0..count)
        .map(|_| next_queue(None, info, None).id())
        .collect();
    ids.sort_unstable();
    ids
}

#[test]
fn round_robin_is_per_topic() {
    let (one, other) = (topic(&["a"], 4), topic(&["a"], 4));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(next_queue(None, &one, None).id());
        next_queue(None, &other, None);
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3]);
}

#[test]
fn threads_take_turns_together() {
    let info = topic(&["a"], 4);
    let seen = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| ids(&info, 6))).collect();
        let seen = threads.into_iter().map(|thread| thread.join().unwrap());
        let mut seen: Vec<i32> = seen.flatten().collect();
        seen.sort_unstable();
        seen
    });
    assert_eq!(seen, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
}

#[test]
fn turns_go_on_behind_a_queue_that_was_taken_for_another() {
    let info = topic(&["a", "b"], 2);
    info.cursor.start_at(0);
    let avoiding = next_queue(None, &info, Some("a"));
    assert_eq!((avoiding.broker(), avoiding.id()), ("b", 0));
    let next = next_queue(None, &info, None);
    assert_eq!((next.broker(), next.id()), ("b", 1));
}

#[test]
fn the_index_wraps_without_a_panic() {
    let info = topic(&["a"], 3);
    info.cursor.start_at(usize::MAX - 1);
    let mut seen = ids(&info, 5);
    seen.dedup();
    assert_eq!(seen, [0, 1, 2]);
    info.cursor.go_on_behind(usize::MAX);
    assert_eq!(next_queue(None, &info, None).id(), 0);
}

/// Hashes printed by Java's `String.hashCode`.
#[test]
fn keys_hash_as_in_java() {
    for (text, hash) in [
        ("", 0),
        ("a", 97),
        ("OrderID188", -1_566_895_736),
        ("polygenelubricants", i32::MIN),
        ("\u{1F600}", 1_772_899),
    ] {
        assert_eq!(string_hash(text), hash, "{text}");
    }
    assert_eq!(by_key("polygenelubricants", &queues("abc")).id(), 2);
    assert_eq!(by_key("a", &queues("abc")).id(), 1);
}
