//! The addresses of all brokers of the known routes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use super::logical::{self, Hosts};
use crate::message::MessageQueue;
use crate::protocol::route::{MASTER, TopicRoute};

/// The addresses of brokers by name and id: 0 is the master, other ids are slaves. A broker's addresses
/// are those of the route that was confirmed last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Brokers {
    by_name: BTreeMap<Arc<str>, BTreeMap<i64, Arc<str>>>,
    /// The hosts of the queues of static topics, by topic (on the wire).
    hosts: BTreeMap<Arc<str>, Hosts>,
}

/// The address of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullAddress {
    pub(crate) address: Arc<str>,
    /// A slave takes no offsets along with a pull.
    pub(crate) is_slave: bool,
}

impl Brokers {
    /// The addresses of one route.
    pub(in crate::client) fn of(route: &TopicRoute) -> Brokers {
        let mut brokers = Brokers::default();
        brokers.add_addresses(route);
        brokers
    }

    /// Takes over the route of a topic (on the wire).
    pub(super) fn add(&mut self, topic: &Arc<str>, route: &TopicRoute) {
        self.add_addresses(route);
        let hosts = logical::hosts(route);
        if !hosts.is_empty() {
            self.hosts.insert(topic.clone(), hosts);
        }
    }

    fn add_addresses(&mut self, route: &TopicRoute) {
        for data in &route.broker_datas {
            let addresses = data.broker_addrs.iter();
            let addresses = addresses.map(|(id, address)| (*id, address.as_str().into()));
            self.by_name
                .insert(data.broker_name.as_str().into(), addresses.collect());
        }
    }

    /// The addresses of all masters, each once.
    pub(crate) fn masters(&self) -> BTreeSet<&Arc<str>> {
        let addresses = self.by_name.values();
        addresses.filter_map(|ids| ids.get(&MASTER)).collect()
    }

    /// All addresses, each once.
    pub(crate) fn addresses(&self) -> BTreeSet<&Arc<str>> {
        self.by_name.values().flat_map(|ids| ids.values()).collect()
    }

    /// Whether some broker has this address.
    pub(crate) fn contains(&self, address: &str) -> bool {
        let mut addresses = self.by_name.values().flat_map(|ids| ids.values());
        addresses.any(|known| **known == *address)
    }

    /// The address of a broker's master.
    pub(crate) fn master(&self, name: &str) -> Option<&Arc<str>> {
        self.by_name.get(name)?.get(&MASTER)
    }

    /// The name of the broker that a queue (on the wire) is on: the one that the queue names, unless its topic is
    /// a static one.
    pub(crate) fn host<'a>(&'a self, queue: &'a MessageQueue) -> &'a Arc<str> {
        let hosts = self.hosts.get(queue.topic());
        hosts.map_or(queue.shared_broker(), |hosts| hosts.of(queue))
    }

    /// The address of the master that a queue (on the wire) is on.
    pub(crate) fn master_of(&self, queue: &MessageQueue) -> Option<&Arc<str>> {
        self.master(self.host(queue))
    }

    /// The address of the broker that has a message of a queue (on the wire). When a queue of a static topic moves,
    /// its messages stay where they were stored.
    pub(crate) fn keeper(&self, queue: &MessageQueue, stored_at: SocketAddr) -> Option<Arc<str>> {
        match self.hosts.contains_key(queue.topic()) {
            true => Some(stored_at.to_string().into()),
            false => self.master_of(queue).cloned(),
        }
    }

    /// The address of a broker with this id, or else the next one that may do (Java's
    /// `findBrokerAddressInSubscribe`): for a slave that of the next id; unless it must be `only_this`
    /// one, then any address of the broker.
    pub(crate) fn address_for_pull(
        &self,
        name: &str,
        id: i64,
        only_this: bool,
    ) -> Option<PullAddress> {
        let ids = self.by_name.get(name)?;
        let at = |id: i64| ids.get_key_value(&id);
        let next = || at(id.checked_add(1)?).filter(|_| id != MASTER);
        let any = || ids.first_key_value().filter(|_| !only_this);
        let (id, address) = at(id).or_else(next).or_else(any)?;
        Some(PullAddress {
            address: address.clone(),
            is_slave: *id != MASTER,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::route::{BrokerData, QueueMapping};

    fn data(name: &str, ids: &[i64]) -> BrokerData {
        BrokerData {
            broker_name: name.into(),
            broker_addrs: ids.iter().map(|id| (*id, format!("{name}:{id}"))).collect(),
            ..BrokerData::default()
        }
    }

    fn brokers(routes: &[&[(&str, &[i64])]]) -> Brokers {
        let mut brokers = Brokers::default();
        for route in routes {
            let datas = route.iter().map(|(name, ids)| data(name, ids));
            brokers.add_addresses(&TopicRoute {
                broker_datas: datas.collect(),
                ..TopicRoute::default()
            });
        }
        brokers
    }

    #[test]
    fn the_address_of_a_pull_is_that_of_the_id_or_of_the_next_one_that_may_do() {
        let brokers = brokers(&[&[("a", &[0, 1, 3]), ("b", &[2])]]);
        let pull = |name, id, only_this| {
            let found = brokers.address_for_pull(name, id, only_this);
            found.map(|p| (p.address.to_string(), p.is_slave))
        };
        let at = |address: &str, is_slave| Some((address.to_owned(), is_slave));
        for (name, id, only_this, expected) in [
            ("a", 0, true, at("a:0", false)),
            ("a", 1, true, at("a:1", true)),
            ("a", 2, true, at("a:3", true)),
            ("a", 4, true, None),
            ("a", 4, false, at("a:0", false)),
            ("b", 0, true, None),
            ("b", 0, false, at("b:2", true)),
            ("b", 1, true, at("b:2", true)),
            ("c", 0, false, None),
            ("a", i64::MAX, true, None),
        ] {
            assert_eq!(
                pull(name, id, only_this),
                expected,
                "{name} {id} {only_this}"
            );
        }
    }

    #[test]
    fn a_logical_queue_is_at_its_host_and_its_messages_are_where_they_were_stored() {
        let mapping = |broker: &str, epoch, id| QueueMapping {
            scope: "__global__".into(),
            total_queues: 3,
            bname: broker.into(),
            epoch,
            curr_id_map: [(0, 5), (id, 6)].into(),
        };
        let mut route = TopicRoute {
            broker_datas: ["a", "b"].map(|name| data(name, &[0])).into(),
            ..TopicRoute::default()
        };
        let mut brokers = Brokers::default();
        brokers.add(&"plain".into(), &route);
        let by_broker = [("a", mapping("a", 2, 1)), ("b", mapping("b", 3, 1))];
        let by_broker = by_broker.map(|(name, mapping)| (name.to_owned(), mapping));
        route.topic_queue_mapping_by_broker = by_broker.into();
        brokers.add(&"T".into(), &route);
        let logical = |topic, id| MessageQueue::new(topic, "__syslo__global__", id);
        let at = |queue: &MessageQueue| brokers.master_of(queue).map(|at| at.to_string());
        assert_eq!(
            at(&logical("T", 0)).as_deref(),
            Some("b:0"),
            "the later epoch"
        );
        assert_eq!(at(&logical("T", 2)), None, "nobody hosts it");
        assert_eq!(at(&logical("plain", 0)), None);
        assert_eq!(
            at(&MessageQueue::new("plain", "a", 0)).as_deref(),
            Some("a:0")
        );
        let stored_at = "10.0.0.1:10911".parse().expect("an address");
        let keeper =
            |queue: &MessageQueue| brokers.keeper(queue, stored_at).map(|at| at.to_string());
        assert_eq!(keeper(&logical("T", 0)).as_deref(), Some("10.0.0.1:10911"));
        assert_eq!(
            keeper(&MessageQueue::new("plain", "b", 0)).as_deref(),
            Some("b:0")
        );
    }

    #[test]
    fn a_later_route_replaces_a_brokers_addresses_and_slaves_count() {
        let brokers = brokers(&[&[("a", &[0, 1])], &[("a", &[0, 2]), ("b", &[1])]]);
        let all: Vec<_> = brokers.addresses().into_iter().map(|a| &**a).collect();
        assert_eq!(all, ["a:0", "a:2", "b:1"]);
        let masters: Vec<_> = brokers.masters().into_iter().map(|a| &**a).collect();
        assert_eq!(masters, ["a:0"]);
        assert!(brokers.contains("b:1") && !brokers.contains("a:1"));
        assert_eq!(brokers.master("b"), None);
    }
}
