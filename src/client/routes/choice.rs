//! The order in which name servers are asked. Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Error;

/// How long the connection to a removed name server is kept: longer than any earlier look-up.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// The back-off of a name server that did not answer, or refused: it is asked last.
pub(super) const DEMOTED_FOR: Duration = Duration::from_secs(30);

pub(super) struct Choice {
    servers: Vec<Server>,
    current: usize,
    random: u64,
    /// Those that were listed before, and until when that counts.
    former: Vec<(Arc<str>, Instant)>,
}

pub(super) struct Server {
    pub(super) address: Arc<str>,
    demoted_until: Option<Instant>,
    /// Why it could not answer, if that is the last that is known of it.
    pub(super) error: Option<Error>,
}

/// The next name server to ask.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) address: Arc<str>,
    /// It did not answer lately.
    pub(super) is_demoted: bool,
}

impl Choice {
    /// Starts at a random one, so that many clients spread over the list.
    pub(super) fn new(servers: Vec<Arc<str>>, random: u64) -> Choice {
        let mut choice = Choice {
            servers: Vec::new(),
            current: 0,
            random,
            former: Vec::new(),
        };
        choice.swap(servers, Instant::now());
        choice
    }

    /// Another list; whether it differs. The current one stays so, and the demoted ones stay last, if
    /// they are still listed.
    pub(super) fn swap(&mut self, addresses: Vec<Arc<str>>, now: Instant) -> bool {
        let known = self.servers.iter().map(|server| &server.address);
        if known.eq(&addresses) {
            return false;
        }
        let listed = |address: &Arc<str>| self.servers.iter().any(|s| s.address == *address);
        self.former.retain(|(a, until)| *until > now && !listed(a));
        for server in &self.servers {
            self.former.push((server.address.clone(), now + KEPT_FOR));
        }
        let current = self.servers.get(self.current);
        let current = current.and_then(|c| addresses.iter().position(|a| *a == c.address));
        let servers = addresses.into_iter().map(|address| {
            let known = self.position(&address).map(|i| &self.servers[i]);
            Server {
                demoted_until: known.and_then(|known| known.demoted_until),
                error: known.and_then(|known| known.error.clone()),
                address,
            }
        });
        self.servers = servers.collect();
        self.current = current.unwrap_or((self.random % self.servers.len().max(1) as u64) as usize);
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Whether it is a name server's address, or was one so lately that a lookup may be in flight.
    pub(super) fn contains(&self, address: &str, now: Instant) -> bool {
        let former = self.former.iter().filter(|(_, until)| *until > now);
        let mut all = former
            .map(|(a, _)| a)
            .chain(self.servers.iter().map(|s| &s.address));
        all.any(|known| **known == *address)
    }

    /// All name servers, from the current one on, those in back-off last.
    pub(super) fn order(&self, now: Instant) -> Vec<Turn> {
        let (before, from_current) = self.servers.split_at(self.current.min(self.servers.len()));
        let turn = |server: &Server| Turn {
            address: server.address.clone(),
            is_demoted: server.demoted_until.is_some_and(|until| until > now),
        };
        let mut order: Vec<Turn> = from_current.iter().chain(before).map(turn).collect();
        order.sort_by_key(|turn| turn.is_demoted);
        order
    }

    /// All name servers in the order of the list, and whether each is the current one.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Server, bool)> {
        let servers = self.servers.iter().enumerate();
        servers.map(|(i, server)| (server, i == self.current))
    }

    /// It answered, and is asked first from now on.
    pub(super) fn answered(&mut self, address: &Arc<str>) {
        if let Some(i) = self.position(address) {
            self.current = i;
            self.servers[i].recover();
        }
    }

    /// It answered, though not the first one.
    pub(super) fn agreed(&mut self, address: &Arc<str>) {
        if let Some(i) = self.position(address) {
            self.servers[i].recover();
        }
    }

    /// It did not answer, or refused.
    pub(super) fn failed(&mut self, address: &Arc<str>, error: &Error, now: Instant) {
        if let Some(i) = self.position(address) {
            self.servers[i].demoted_until = now.checked_add(DEMOTED_FOR);
            self.servers[i].error = Some(error.clone());
        }
    }

    fn position(&self, address: &Arc<str>) -> Option<usize> {
        self.servers
            .iter()
            .position(|server| server.address == *address)
    }
}

impl Server {
    fn recover(&mut self) {
        self.demoted_until = None;
        self.error = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Wait;

    fn order(choice: &Choice, now: Instant) -> String {
        let order = choice.order(now).into_iter();
        order.map(|turn| turn.address.to_string()).collect()
    }

    #[test]
    fn the_choice_sticks_and_silent_ones_are_asked_last_for_a_while() {
        let [a, b, c] = ["a", "b", "c"].map(Arc::<str>::from);
        let now = Instant::now();
        let mut choice = Choice::new(vec![a.clone(), b.clone(), c.clone()], 4);
        assert_eq!(order(&choice, now), "bca");
        let silent = Error::timeout(Wait::Response);
        choice.failed(&b, &silent, now);
        assert_eq!(order(&choice, now), "cab");
        choice.answered(&c);
        assert_eq!(order(&choice, now), "cab");
        choice.failed(&c, &silent, now);
        assert_eq!(order(&choice, now), "acb");
        assert_eq!(order(&choice, now + DEMOTED_FOR), "cab");
        choice.agreed(&b);
        assert_eq!(order(&choice, now), "abc", "answered, but not first");
    }

    #[test]
    fn a_new_list_keeps_the_state_of_the_old_one() {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(Arc::<str>::from);
        let now = Instant::now();
        let order = |choice: &Choice| order(choice, now);
        let mut choice = Choice::new(vec![], 1);
        assert_eq!(order(&choice), "");
        assert!(choice.swap(vec![a.clone(), b.clone(), c.clone()], now));
        assert_eq!(order(&choice), "bca");
        assert!(!choice.swap(vec![a.clone(), b.clone(), c.clone()], now));
        choice.answered(&c);
        choice.failed(&a, &Error::timeout(Wait::Response), now);
        assert!(choice.swap(vec![c.clone(), a.clone(), d.clone()], now));
        assert_eq!(order(&choice), "cda", "c stays the first, a was silent");
        assert!(choice.swap(vec![a, d, b], now));
        assert_eq!(
            order(&choice),
            "dba",
            "c is gone: a random one is the first"
        );
    }
}
