use super::*;
use crate::protocol::route::{BrokerData, QueueData, QueueMapping};

fn route(queues: &[(&str, i32, i32)], masters: &[&str]) -> TopicRoute {
    let queue = |&(broker, write, perm): &(&str, i32, i32)| QueueData {
        broker_name: broker.into(),
        read_queue_nums: 8,
        write_queue_nums: write,
        perm,
        topic_sys_flag: 0,
    };
    let broker = |name: &&str| BrokerData {
        broker_name: (*name).into(),
        broker_addrs: [(0, format!("{name}:1")), (1, format!("{name}:2"))].into(),
        ..BrokerData::default()
    };
    TopicRoute {
        queue_datas: queues.iter().map(queue).collect(),
        broker_datas: masters.iter().map(broker).collect(),
        ..TopicRoute::default()
    }
}

#[track_caller]
fn check(route: &TopicRoute, expected: &[&str]) {
    let info = PublishInfo::new(&"T".into(), route);
    let queues: Vec<_> = info
        .queues
        .iter()
        .map(|q| format!("{}:{}", q.broker(), q.id()))
        .collect();
    assert_eq!(queues, expected);
}

#[test]
fn an_unwritable_broker_is_reported_with_the_reason() {
    let mut route = route(&[("a", 1, 6), ("b", 1, 6)], &["a", "b"]);
    route.broker_datas[1].broker_addrs.remove(&0);
    let info = PublishInfo::new(&"T".into(), &route);
    let why = |broker| info.master_of(broker).map_err(|error| error.to_string());
    assert_eq!(why("a").map(|address| &**address), Ok("a:1"));
    for (broker, expected) in [
        ("b", "broker b has no master in the topic's route"),
        ("z", "broker z is not in the topic's route"),
    ] {
        let text = why(broker).expect_err("no master");
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn queues_are_those_of_writable_brokers_with_a_master_by_name() {
    check(
        &route(&[("b", 2, 6), ("a", 1, 6)], &["a", "b"]),
        &["a:0", "b:0", "b:1"],
    );
    check(&route(&[("a", 1, 4), ("b", 1, 2)], &["a", "b"]), &["b:0"]);
    check(&route(&[("a", 1, 6), ("b", 1, 6)], &["a"]), &["a:0"]);
    check(&route(&[("a", 0, 6), ("b", -1, 6)], &["a", "b"]), &[]);
    check(&route(&[], &[]), &[]);
}

#[test]
fn a_static_topic_has_logical_queues_that_brokers_host() {
    let mut route = route(&[("a", 8, 6), ("b", 8, 6)], &["a", "b"]);
    let mapping = |broker: &str, epoch, ids: &[i32]| QueueMapping {
        scope: "__global__".into(),
        total_queues: 4,
        bname: broker.into(),
        epoch,
        curr_id_map: ids.iter().map(|id| (*id, 0)).collect(),
    };
    let by_broker = [
        ("a", mapping("a", 2, &[0, 1])),
        ("b", mapping("b", 1, &[1, 2])),
    ];
    let by_broker = by_broker.map(|(broker, mapping)| (broker.to_owned(), mapping));
    route.topic_queue_mapping_by_broker = by_broker.into();
    let logical = "__syslo__global__";
    let queues = [0, 1, 2, 3].map(|id| format!("{logical}:{id}"));
    check(&route, &queues.each_ref().map(String::as_str));
    let info = PublishInfo::new(&"T".into(), &route);
    let hosts: Vec<&str> = info
        .queues
        .iter()
        .map(|queue| &**info.host(queue))
        .collect();
    assert_eq!(hosts, ["a", "a", "b", logical]);
    let brokers = info.brokers();
    let brokers: Vec<_> = brokers.iter().map(|(name, at)| (&**name, &**at)).collect();
    assert_eq!(brokers, [("a", "a:1"), ("b", "b:1")]);
    let reachable: Vec<bool> = info.queues.iter().map(|q| info.is_reachable(q)).collect();
    assert_eq!(reachable, [true, true, true, false]);
}

#[test]
fn an_absurd_number_of_queues_is_cut() {
    let info = PublishInfo::new(&"T".into(), &route(&[("a", i32::MAX, 6)], &["a"]));
    assert_eq!(info.queues.len(), MOST_QUEUES);
    for none in [0, -1, i32::MIN] {
        let info = PublishInfo::new(&"T".into(), &route(&[("a", none, 6)], &["a"]));
        assert!(info.queues.is_empty(), "{none}");
    }
}

#[test]
fn an_ordered_topic_names_its_queues_itself() {
    let mut route = route(&[("b", 8, 6)], &["a", "b"]);
    route.order_topic_conf = Some("b:2;a:1;x;y:z;a:b:c".into());
    check(&route, &["b:0", "b:1", "a:0"]);
}

#[test]
fn masters_are_found_by_name() {
    let info = PublishInfo::new(&"T".into(), &route(&[("a", 1, 6)], &["b", "a"]));
    assert_eq!(info.master("b").map(|a| &**a), Some("b:1"));
    assert_eq!(info.master("c"), None);
    let has_other = |broker: &str| {
        let target = info.target(&MessageQueue::new("T", broker, 0));
        target.is_ok_and(|target| target.has_other_broker)
    };
    assert!(!has_other("a"));
    assert!(has_other("b"));
}

#[test]
fn an_unwritable_topic_is_reported_with_the_reason() {
    let why = |queues: &[(&str, i32, i32)], masters: &[&str]| {
        let mut route = route(queues, &["a", "b"]);
        let has_master = |data: &BrokerData| masters.contains(&&*data.broker_name);
        let headless = route.broker_datas.iter_mut().filter(|d| !has_master(d));
        headless.for_each(|data| drop(data.broker_addrs.remove(&0)));
        let info = PublishInfo::new(&"T".into(), &route);
        info.check_writable().map_err(|error| error.to_string())
    };
    let both = [("a", 1, 6), ("b", 1, 4)];
    assert_eq!(why(&both, &["a", "b"]), Ok(()));
    for (queues, masters, expected) in [
        (both, &["b"][..], "its brokers give no permission to write"),
        (both, &[], "no broker that has it has a master"),
        (
            [("a", 0, 6), ("b", 0, 6)],
            &["a", "b"],
            "its route has no writable queue",
        ),
    ] {
        let text = why(&queues, masters).expect_err(expected);
        assert!(text.contains(expected), "{text}");
    }
}

#[track_caller]
fn check_turns(names: &str, avoid: Option<&str>, expected: &[usize]) {
    let queue = |(i, name): (usize, char)| MessageQueue::new("T", name.to_string(), i as i32);
    let queues: Vec<_> = names.chars().enumerate().map(queue).collect();
    let reachable = |queue: &MessageQueue| queue.broker() != "z";
    let got: Vec<usize> = (0..queues.len())
        .map(|first| next(&queues, first, avoid, reachable))
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn takes_turns_and_skips_the_broker_to_avoid_if_there_is_another() {
    check_turns("aabb", None, &[0, 1, 2, 3]);
    check_turns("aabb", Some("a"), &[2, 2, 2, 3]);
    check_turns("aaa", Some("a"), &[0, 1, 2]);
    check_turns("azb", None, &[0, 2, 2]);
    check_turns("azb", Some("b"), &[0, 0, 0]);
    check_turns("zz", None, &[0, 1]);
    check_turns("az", Some("a"), &[0, 0]);
}

/// A topic with this many queues on each of these brokers.
fn topic(brokers: &[&str], queues: i32) -> PublishInfo {
    let writable: Vec<_> = brokers.iter().map(|broker| (*broker, queues, 6)).collect();
    PublishInfo::new(&"T".into(), &route(&writable, brokers))
}

fn ids(info: &PublishInfo, count: usize) -> Vec<i32> {
    let mut ids: Vec<i32> = (0..count).map(|_| info.next_queue(None).id()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn round_robin_is_per_topic() {
    let (one, other) = (topic(&["a"], 4), topic(&["a"], 4));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(one.next_queue(None).id());
        other.next_queue(None);
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
    let avoiding = info.next_queue(Some("a"));
    assert_eq!((avoiding.broker(), avoiding.id()), ("b", 0));
    let next = info.next_queue(None);
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
    assert_eq!(info.next_queue(None).id(), 0);
}
