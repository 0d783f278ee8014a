use super::*;
use crate::protocol::route::{BrokerData, QueueData, perm};

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl RouteListener for Heard {
    fn route_changed(&self, topic: &Arc<str>, _: &Arc<Route>) {
        self.0.lock().push(topic.to_string());
    }
}

fn route(topic: &str, brokers: &[(&str, &str)]) -> Arc<Route> {
    let data = |(name, address): &(&str, &str)| BrokerData {
        broker_name: (*name).into(),
        broker_addrs: [(0, (*address).to_owned())].into(),
        ..BrokerData::default()
    };
    let raw = TopicRoute {
        broker_datas: brokers.iter().map(data).collect(),
        ..TopicRoute::default()
    };
    Arc::new(Route::new(topic.into(), raw))
}

#[test]
fn listeners_get_changes_only_and_are_removed_once_dropped() {
    let table = Table::default();
    let heard = Arc::new(Heard::default());
    let listener: Arc<dyn RouteListener> = heard.clone();
    table.listen(Arc::downgrade(&listener));
    let now = Instant::now();
    let remember = |topic: &str, brokers: &[(&str, &str)]| {
        table.remember(&topic.into(), None, &route(topic, brokers), now)
    };
    assert!(remember("T", &[("a", "a:1")]));
    assert!(!remember("T", &[("a", "a:1")]));
    assert!(remember("T", &[("a", "a:2")]));
    assert!(remember("U", &[("a", "a:2")]));
    assert_eq!(*heard.0.lock(), ["T", "T", "U"]);
    drop((heard, listener));
    assert!(remember("U", &[]));
}

#[test]
fn brokers_are_those_of_all_known_routes_and_the_last_word_counts() {
    let table = Table::default();
    let now = Instant::now();
    let later = |seconds| now + Duration::from_secs(seconds);
    let remember = |topic: &str, brokers: &[(&str, &str)], at| {
        table.remember(&topic.into(), None, &route(topic, brokers), at)
    };
    let addresses = || {
        let brokers = table.brokers();
        let all = brokers.addresses().into_iter();
        all.map(|a| a.to_string()).collect::<Vec<_>>()
    };
    remember("T", &[("a", "a:1"), ("b", "b:1")], later(1));
    remember("U", &[("a", "a:2")], later(2));
    assert_eq!(addresses(), ["a:2", "b:1"]);
    remember("T", &[("a", "a:3")], later(3));
    assert_eq!(addresses(), ["a:3"]);
    table.forget("T");
    assert_eq!(addresses(), ["a:2"]);
}

fn raw(brokers: &[&str]) -> TopicRoute {
    let queue = |broker: &&str| QueueData {
        broker_name: (*broker).into(),
        read_queue_nums: 8,
        write_queue_nums: 8,
        perm: perm::READ | perm::WRITE,
        topic_sys_flag: 0,
    };
    let broker = |name: &&str| BrokerData {
        broker_name: (*name).into(),
        broker_addrs: [(0, format!("{name}:1"))].into(),
        ..BrokerData::default()
    };
    TopicRoute {
        queue_datas: brokers.iter().map(queue).collect(),
        broker_datas: brokers.iter().map(broker).collect(),
        ..TopicRoute::default()
    }
}

#[test]
fn a_topic_to_be_created_gets_at_most_the_default_topics_queues_and_cannot_be_read() {
    for (most, expected) in [(4, 4), (16, 8)] {
        let route = Route::of_default_topic("New".into(), raw(&["a"]), most);
        assert_eq!(route.publish().queues.len(), expected);
        assert!(route.subscribe().is_empty() && !route.is_of_topic());
    }
}

#[test]
fn views_are_made_once_and_the_order_of_a_name_servers_lists_does_not_matter() {
    let one = Route::new("T".into(), raw(&["a", "b"]));
    let other = Route::new("T".into(), raw(&["b", "a"]));
    assert!(one.is_same(&other));
    assert!(!one.is_same(&Route::new("T".into(), raw(&["a"]))));
    assert!(Arc::ptr_eq(one.publish(), one.publish()));
    assert!(Arc::ptr_eq(one.subscribe(), one.subscribe()));
    assert_eq!(one.subscribe().len(), 16);
}
