//! The addresses of all brokers of the known routes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::protocol::route::{MASTER, TopicRoute};

/// The addresses of brokers by name and id: 0 is the master, other ids are slaves. A broker's addresses
/// are those of the route that was confirmed last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Brokers {
    by_name: BTreeMap<Arc<str>, BTreeMap<i64, Arc<str>>>,
}

/// The address of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullAddress {
    pub(crate) address: Arc<str>,
    /// A slave takes no offsets along with a pull.
    pub(crate) is_slave: bool,
}

impl Brokers {
    /// Those of one route.
    pub(in crate::client) fn of(route: &TopicRoute) -> Brokers {
        let mut brokers = Brokers::default();
        brokers.add(route);
        brokers
    }

    /// Takes over the addresses of a route.
    pub(super) fn add(&mut self, route: &TopicRoute) {
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
    use crate::protocol::route::BrokerData;

    fn brokers(routes: &[&[(&str, &[i64])]]) -> Brokers {
        let mut brokers = Brokers::default();
        for route in routes {
            let data = |(name, ids): &(&str, &[i64])| BrokerData {
                broker_name: (*name).into(),
                broker_addrs: ids.iter().map(|id| (*id, format!("{name}:{id}"))).collect(),
                ..BrokerData::default()
            };
            brokers.add(&TopicRoute {
                broker_datas: route.iter().map(data).collect(),
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
