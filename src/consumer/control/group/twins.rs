//! Another client with this member's id: it takes the same queues.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::protocol::consumer::member::Connections;

/// A broker lists the old connection of a client beside the new one for up to two minutes. After that,
/// a second connection is another client.
const OLD_ONE_GONE_AFTER: Duration = Duration::from_secs(130);

/// The connections of a group, from a broker that knows this member.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) broker: &'a Arc<str>,
    pub(super) connections: &'a Connections,
    /// The local address of this member's connection to the broker.
    pub(super) local: Option<SocketAddr>,
}

/// The findings about clients with this member's id.
#[derive(Default)]
pub(super) struct Twins {
    /// Since when a broker lists this member's id with several addresses.
    twice_since: Option<Instant>,
    is_told: bool,
    /// By broker: the addresses with this id that may belong to this member, or to an earlier process.
    ours: HashMap<Arc<str>, BTreeSet<String>>,
}

impl Twins {
    /// A broker knows this member by a connection with this local address.
    pub(super) fn linked(&mut self, broker: &Arc<str>, local: SocketAddr) {
        if let Some(ours) = self.ours.get_mut(broker) {
            ours.insert(local.to_string());
        }
    }

    /// The address of another client with this id, once it is certain and was not reported before. An
    /// address is certain if it was not listed before and this member's own address is listed too, so
    /// that no router changes addresses. Any other address may be an ended connection for a while.
    pub(super) fn look(&mut self, me: &str, seen: &[Seen<'_>], now: Instant) -> Option<String> {
        let (mut others, mut is_twice, mut is_sure) = (None, false, false);
        for seen in seen {
            let members = seen.connections.connection_set.iter();
            let listed = members.filter(|member| member.client_id == me);
            let mut addresses = BTreeSet::new();
            let mut own = None;
            for member in listed {
                if seen.local.is_some() && member.address() == seen.local {
                    own = Some(member.client_addr.clone());
                }
                addresses.insert(member.client_addr.clone());
            }
            let known = self.ours.entry(seen.broker.clone());
            let ours = known.or_insert_with(|| addresses.clone());
            ours.extend(own.clone());
            let foreign = addresses.iter().find(|address| !ours.contains(*address));
            if let (Some(foreign), Some(_)) = (foreign, &own) {
                (others, is_sure) = (Some(foreign.clone()), true);
            } else if addresses.len() > 1 && !is_sure {
                let all: Vec<&str> = addresses.iter().map(String::as_str).collect();
                others = Some(all.join(" and "));
            }
            is_twice |= addresses.len() > 1;
            ours.retain(|address| addresses.contains(address));
        }
        if !is_twice {
            (self.twice_since, self.is_told) = (None, false);
            return None;
        }
        let since = *self.twice_since.get_or_insert(now);
        is_sure |= now.saturating_duration_since(since) >= OLD_ONE_GONE_AFTER;
        if !is_sure || std::mem::replace(&mut self.is_told, true) {
            return None;
        }
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::consumer::member::MemberConnection;

    /// Checks a broker's list, over a connection with this local address.
    struct Look {
        twins: Twins,
        broker: Arc<str>,
        zero: Instant,
    }

    impl Look {
        fn new() -> Look {
            Look {
                twins: Twins::default(),
                broker: "broker".into(),
                zero: Instant::now(),
            }
        }

        fn at(&mut self, seconds: u64, local: &str, listed: &[&str]) -> Option<String> {
            let member = |address: &&str| MemberConnection {
                client_addr: (*address).to_owned(),
                client_id: "me".to_owned(),
                language: "RUST".to_owned(),
                version: 1,
            };
            let connections = Connections {
                connection_set: listed.iter().map(member).collect(),
                ..Connections::default()
            };
            let seen = Seen {
                broker: &self.broker,
                connections: &connections,
                local: local.parse().ok(),
            };
            let now = self.zero + Duration::from_secs(seconds);
            self.twins.look("me", &[seen], now)
        }
    }

    const A: &str = "10.0.0.1:1";
    const B: &str = "10.0.0.1:2";
    const C: &str = "10.0.0.1:3";

    #[test]
    fn a_twin_that_starts_later_is_reported_at_once_and_once() {
        let mut look = Look::new();
        assert_eq!(look.at(0, A, &[A]), None);
        assert_eq!(look.at(1, A, &[A, B]), Some(B.to_owned()));
        assert_eq!(look.at(20, A, &[A, B]), None);
        assert_eq!(look.at(40, A, &[A]), None);
        assert_eq!(look.at(60, A, &[A, C]), Some(C.to_owned()));
    }

    #[test]
    fn an_address_that_may_be_an_old_connection_is_reported_once_it_cannot_be_one() {
        let mut look = Look::new();
        assert_eq!(look.at(0, A, &[A, C]), None);
        look.twins.linked(&look.broker.clone(), B.parse().unwrap());
        assert_eq!(look.at(10, B, &[A, B, C]), None);
        assert_eq!(look.at(129, B, &[B, C]), None);
        assert_eq!(look.at(130, B, &[B, C]), Some(format!("{B} and {C}")));
        assert_eq!(look.at(150, B, &[B, C]), None);
        assert_eq!(look.at(170, B, &[B]), None);
    }

    #[test]
    fn behind_a_router_that_changes_addresses_a_twin_is_reported_later() {
        let mut look = Look::new();
        assert_eq!(look.at(0, "192.168.0.1:9", &[A]), None);
        assert_eq!(look.at(20, "192.168.0.1:8", &[A, B]), None);
        let both = Some(format!("{A} and {B}"));
        assert_eq!(look.at(150, "192.168.0.1:8", &[A, B]), both);
    }
}
