use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Printable, Result};
use crate::message::MessageQueue;
use crate::protocol::route::{TopicRoute, perm};

/// The most queues of one topic that a route may bring.
const MOST_QUEUES: usize = 65_536;

/// Where messages of a topic can be written: Java's `TopicPublishInfo`, made from a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "TopicPublishInfo")]
pub(crate) struct PublishInfo {
    /// Writable queues of brokers with a master, in the order that all clients share: by broker
    /// name, then number. (Sharding keys need it to agree with Java.)
    pub(crate) queues: Vec<MessageQueue>,
    /// Master addresses by broker name, sorted; brokers without queues of this topic included.
    masters: Vec<(Arc<str>, Arc<str>)>,
    /// Brokers of the route that have no master now, sorted.
    headless: Vec<Arc<str>>,
    /// Whether some queue's broker has no master; only an ordered topic has such queues.
    orphans: bool,
    /// Whether the queues have more than one broker's name.
    several_brokers: bool,
    /// Which broker hosts a logical queue of a static topic, by the name that stands for the broker
    /// and the queue's number; empty for all other topics.
    hosts: BTreeMap<(Arc<str>, i32), Arc<str>>,
}

impl PublishInfo {
    pub(crate) fn new(topic: &Arc<str>, route: &TopicRoute) -> PublishInfo {
        let mut masters: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        let mut headless: Vec<Arc<str>> = Vec::new();
        for data in &route.broker_datas {
            let broker = data.broker_name.as_str().into();
            match route.master(&data.broker_name) {
                Some(address) => masters.push((broker, address.into())),
                None => headless.push(broker),
            }
        }
        masters.sort();
        masters.dedup_by(|a, b| a.0 == b.0);
        headless.sort();
        headless.dedup();
        let mut info = PublishInfo {
            queues: Vec::new(),
            masters,
            headless,
            orphans: false,
            several_brokers: false,
            hosts: BTreeMap::new(),
        };
        match route
            .order_topic_conf
            .as_deref()
            .filter(|conf| !conf.is_empty())
        {
            Some(conf) => info.add_ordered(topic, conf),
            None if !route.topic_queue_mapping_by_broker.is_empty() => {
                info.add_static(topic, route)
            }
            None => info.add_writable(topic, route),
        }
        let is_orphan = |queue: &MessageQueue| info.master(info.host(queue)).is_none();
        info.orphans = info.queues.iter().any(is_orphan);
        let of_first = |queue: &MessageQueue| queue.broker() == info.queues[0].broker();
        info.several_brokers = !info.queues.iter().all(of_first);
        info
    }

    /// The master's address of a broker.
    pub(crate) fn master(&self, broker: &str) -> Option<&Arc<str>> {
        let found = self
            .masters
            .binary_search_by(|(name, _)| (**name).cmp(broker));
        found.ok().map(|i| &self.masters[i].1)
    }

    /// The broker that a queue is on: the one it names, unless its topic is a static one.
    pub(crate) fn host<'a>(&'a self, queue: &'a MessageQueue) -> &'a str {
        if self.hosts.is_empty() {
            return queue.broker();
        }
        let key = (queue.shared_broker().clone(), queue.id());
        self.hosts.get(&key).map_or(queue.broker(), |host| host)
    }

    /// The master's address of a broker to which a message or the end of a transaction goes.
    ///
    /// # Errors
    /// `NoBroker`, which says whether the route knows the broker at all.
    pub(crate) fn master_of(&self, broker: &str) -> Result<&Arc<str>> {
        let is_headless = || self.headless.iter().any(|name| **name == *broker);
        self.master(broker)
            .ok_or_else(|| no_master(broker, is_headless()))
    }

    /// Whether a queue can be written to now.
    pub(crate) fn is_reachable(&self, queue: &MessageQueue) -> bool {
        !self.orphans || self.master(self.host(queue)).is_some()
    }

    /// The brokers that messages are written to, with their masters' addresses, by name.
    pub(crate) fn brokers(&self) -> Vec<(Arc<str>, Arc<str>)> {
        // Most are next to others of their broker.
        let mut hosts: Vec<&str> = self.queues.iter().map(|queue| self.host(queue)).collect();
        hosts.dedup();
        hosts.sort_unstable();
        let masters = self.masters.iter();
        let used = masters.filter(|(name, _)| hosts.binary_search(&&**name).is_ok());
        used.cloned().collect()
    }

    /// All masters' addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Arc<str>> {
        self.masters.iter().map(|(_, address)| address)
    }

    /// Whether another broker than this one has a queue here.
    pub(crate) fn has_other_broker(&self, broker: &str) -> bool {
        // Every send asks: not a walk through all queues.
        let first = self.queues.first().map(MessageQueue::broker);
        self.several_brokers || first.is_some_and(|first| first != broker)
    }

    /// A globally ordered topic names its queues itself: `broker-a:4;broker-b:4`.
    fn add_ordered(&mut self, topic: &Arc<str>, conf: &str) {
        for part in conf.split(';') {
            if let Some((broker, count)) = part.split_once(':') {
                if let Ok(count) = count.trim().parse() {
                    self.add_queues(topic, &broker.into(), count);
                }
            }
        }
    }

    /// The logical queues of a static topic: all numbers up to the total that the latest epoch
    /// names, also those that no broker hosts now (they cannot be reached).
    fn add_static(&mut self, topic: &Arc<str>, route: &TopicRoute) {
        let mut mappings: Vec<_> = route.topic_queue_mapping_by_broker.values().collect();
        // Of two that claim a queue, the later one comes last and wins.
        mappings.sort_by_key(|mapping| mapping.epoch);
        let mut totals: BTreeMap<Arc<str>, i32> = BTreeMap::new();
        for mapping in mappings {
            let logical: Arc<str> = mapping.logical_broker().into();
            let host: Arc<str> = mapping.bname.as_str().into();
            let ids = mapping.curr_id_map.keys().take(MOST_QUEUES);
            self.hosts
                .extend(ids.map(|id| ((logical.clone(), *id), host.clone())));
            let total = totals.entry(logical).or_insert(0);
            *total = mapping.total_queues.max(*total);
        }
        for (logical, total) in totals {
            self.add_queues(topic, &logical, total);
        }
        self.queues.sort_by_key(MessageQueue::id);
    }

    fn add_writable(&mut self, topic: &Arc<str>, route: &TopicRoute) {
        let mut datas: Vec<_> = route.queue_datas.iter().collect();
        datas.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        datas.dedup_by(|a, b| a.broker_name == b.broker_name);
        for data in datas {
            let broker: Arc<str> = data.broker_name.as_str().into();
            if data.perm & perm::WRITE != 0 && self.master(&broker).is_some() {
                self.add_queues(topic, &broker, data.write_queue_nums);
            }
        }
    }

    fn add_queues(&mut self, topic: &Arc<str>, broker: &Arc<str>, count: i32) {
        let room = MOST_QUEUES.saturating_sub(self.queues.len());
        let count = usize::try_from(count).unwrap_or(0).min(room);
        let queue = |id| MessageQueue::new(topic.clone(), broker.clone(), id);
        self.queues.extend((0..).take(count).map(queue));
    }
}

/// The readable queues of a route, by broker name and number: the subscribe view.
pub(crate) fn subscribe_queues(topic: &Arc<str>, route: &TopicRoute) -> Vec<MessageQueue> {
    if !route.topic_queue_mapping_by_broker.is_empty() {
        return PublishInfo::new(topic, route).queues;
    }
    let mut queues = Vec::new();
    for data in route
        .queue_datas
        .iter()
        .filter(|data| data.perm & perm::READ != 0)
    {
        let broker: Arc<str> = data.broker_name.as_str().into();
        let count = usize::try_from(data.read_queue_nums).unwrap_or(0);
        let room = MOST_QUEUES.saturating_sub(queues.len());
        let queue = |id| MessageQueue::new(topic.clone(), broker.clone(), id);
        queues.extend((0..).take(count.min(room)).map(queue));
    }
    queues.sort();
    queues.dedup();
    queues
}

/// A broker cannot be written to: its master is gone, or it has nothing of the topic.
pub(crate) fn no_master(broker: &str, in_route: bool) -> Error {
    let why = match in_route {
        true => "has no master in the topic's route",
        false => "is not in the topic's route",
    };
    Error::new(
        ErrorKind::NoBroker,
        format!("broker {} {why}", Printable(broker)),
    )
}

/// The route of a topic that does not exist yet: the default topic's brokers, with at most so many
/// queues. The broker creates the topic when it gets the first message.
pub(crate) fn from_default_topic(mut route: TopicRoute, most_queues: i32) -> TopicRoute {
    for data in &mut route.queue_datas {
        let queues = most_queues.min(data.read_queue_nums);
        data.read_queue_nums = queues;
        data.write_queue_nums = queues;
    }
    route
}

#[cfg(test)]
mod tests {
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
    fn why_a_broker_cannot_be_written_to_is_told() {
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
    fn what_can_be_read_depends_on_the_brokers_permission_and_not_on_a_master() {
        let mut route = route(&[("b", 1, 6), ("a", 1, 4), ("c", 1, 2)], &["a"]);
        route
            .queue_datas
            .iter_mut()
            .for_each(|data| data.read_queue_nums = 2);
        let queues = subscribe_queues(&"T".into(), &route);
        let names: Vec<_> = queues
            .iter()
            .map(|q| format!("{}:{}", q.broker(), q.id()))
            .collect();
        assert_eq!(names, ["a:0", "a:1", "b:0", "b:1"]);
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
        let hosts: Vec<&str> = info.queues.iter().map(|queue| info.host(queue)).collect();
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
    fn a_topic_to_be_created_gets_at_most_the_default_topics_queues() {
        let route = from_default_topic(route(&[("a", 8, 7)], &["a"]), 4);
        check(&route, &["a:0", "a:1", "a:2", "a:3"]);
        assert_eq!(
            from_default_topic(route.clone(), 16).queue_datas[0].write_queue_nums,
            4
        );
    }

    #[test]
    fn masters_are_found_by_name() {
        let info = PublishInfo::new(&"T".into(), &route(&[("a", 1, 6)], &["b", "a"]));
        assert_eq!(info.master("b").map(|a| &**a), Some("b:1"));
        assert_eq!(info.master("c"), None);
        assert!(!info.has_other_broker("a"));
        assert!(info.has_other_broker("b"));
    }
}
