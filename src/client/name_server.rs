use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LOG;
use super::describe::{self, NameServerState};
use super::discovery::Discovery;
use super::throttle::Throttle;
use crate::error::{Error, ErrorKind, Result, SendFate};
use crate::logging;
use crate::protocol::Command;
use crate::sync::Mutex;
use crate::transport::{Deadline, Remoting, Request};

/// How long the connection to a name server that is not listed any more is left alone: longer than
/// any question that began before.
const LEFT_FOR: Duration = Duration::from_secs(30);

/// How long a name server that did not answer is asked last.
const DEMOTED_FOR: Duration = Duration::from_secs(30);

/// The name servers, and which of them answered last.
pub(crate) struct NameServers {
    remoting: Arc<Remoting>,
    choice: Mutex<Choice>,
    /// Where the list comes from, if it was not given.
    discovery: Option<Discovery>,
    /// Each send can find that none answers.
    warnings: Throttle,
}

impl NameServers {
    pub(super) fn new(
        remoting: Arc<Remoting>,
        servers: Vec<Arc<str>>,
        discovery: Option<Discovery>,
        random: u64,
    ) -> NameServers {
        NameServers {
            remoting,
            discovery,
            warnings: Throttle::default(),
            choice: Mutex::new(Choice::new(servers, random)),
        }
    }

    /// Asks one name server after the other, the one that answered last first, until one answers.
    /// Each gets an equal share of the time that is left.
    ///
    /// # Errors
    /// [`NoNameServer`](ErrorKind::NoNameServer) with the last cause if none answered, or
    /// [`Tls`](ErrorKind::Tls) if that was why.
    pub(crate) fn ask(&self, request: &Request<'_>, deadline: Deadline) -> Result<Command> {
        self.discover(deadline)?;
        let order = self.choice.lock().order(Instant::now());
        let mut last: Option<Error> = None;
        let mut left_alone = Some(Duration::MAX);
        for (i, server) in order.iter().enumerate() {
            let now = Instant::now();
            let share = deadline.remaining(now) / (order.len() - i) as u32;
            match self
                .remoting
                .invoke(server, request, deadline.capped(now, share))
            {
                Ok(answer) => {
                    self.choice.lock().answered(server);
                    return Ok(answer);
                }
                // Neither says anything about the server: we are closed, or a hook refused.
                Err(error) if matches!(error.kind(), ErrorKind::Closed | ErrorKind::Invalid) => {
                    return Err(error);
                }
                Err(error) => {
                    // No message is on its way yet.
                    let error = error.with_fate(SendFate::NotSent);
                    let (level, more) = self.warnings.level(Instant::now());
                    logging::log!(target: LOG, level, "name server {error}{more}");
                    self.choice.lock().failed(server, &error, Instant::now());
                    left_alone = left_alone.zip(error.retry_after()).map(|(a, b)| a.min(b));
                    last = Some(error);
                }
            }
        }
        let names: Vec<&str> = order.iter().map(|s| &**s).collect();
        let error = match &last {
            Some(cause) => Error::new(
                match cause.kind() {
                    // Waiting will not mend it, as it might a name server that is down.
                    ErrorKind::Tls => ErrorKind::Tls,
                    _ => ErrorKind::NoNameServer,
                },
                format!(
                    "no name server answered ({}); last: {cause}",
                    names.join(", ")
                ),
            ),
            None => Error::new(ErrorKind::NoNameServer, "there is no name server"),
        };
        let error = match left_alone {
            Some(pause) if last.is_some() => error.retriable_after(pause),
            _ => error,
        };
        Err(match last {
            Some(cause) => error.caused_by(cause),
            None => error,
        })
    }

    /// Fetches the list if there is none yet.
    fn discover(&self, deadline: Deadline) -> Result<()> {
        match &self.discovery {
            Some(discovery) if self.choice.lock().servers.is_empty() => {
                discovery.fetch(deadline, |servers| self.swap(servers))
            }
            _ => Ok(()),
        }
    }

    /// Fetches the list again. It stays as it is if that fails.
    #[cfg(feature = "discovery")]
    pub(crate) fn discover_again(&self) {
        const MOST: Duration = Duration::from_secs(3);
        if let Some(discovery) = &self.discovery {
            let deadline = Deadline::after(Instant::now(), MOST);
            if let Err(error) = discovery.fetch(deadline, |servers| self.swap(servers)) {
                logging::warn!(target: LOG, "{error}; going on with the list known");
            }
        }
    }

    /// Other name servers from now on. Questions under way go on to those they began with.
    fn swap(&self, servers: Vec<Arc<str>>) {
        let names = servers.join(", ");
        if self.choice.lock().swap(servers, Instant::now()) {
            logging::info!(target: LOG, "name servers: {names}");
        }
    }

    /// What is known of each.
    pub(super) fn describe(&self) -> Vec<NameServerState> {
        let choice = self.choice.lock();
        let state = |(i, server): (usize, &Server)| NameServerState {
            address: server.address.clone(),
            is_current: i == choice.current,
            last_error: server
                .error
                .as_ref()
                .map(|e| describe::why(e, &server.address)),
        };
        choice.servers.iter().enumerate().map(state).collect()
    }

    /// Whether it is a name server's address, or was one so lately that a question may be under way.
    pub(crate) fn contains(&self, address: &str) -> bool {
        self.choice.lock().contains(address, Instant::now())
    }
}

/// Which name server to ask first. Pure.
struct Choice {
    servers: Vec<Server>,
    current: usize,
    random: u64,
    /// Those that were listed before, and until when that counts.
    former: Vec<(Arc<str>, Instant)>,
}

struct Server {
    address: Arc<str>,
    demoted_until: Option<Instant>,
    /// Why it did not answer, if that was the last that was heard of it.
    error: Option<Error>,
}

impl Choice {
    /// Starts at a random one, so that many clients spread over the list.
    fn new(servers: Vec<Arc<str>>, random: u64) -> Choice {
        let mut choice = Choice {
            servers: Vec::new(),
            current: 0,
            random,
            former: Vec::new(),
        };
        choice.swap(servers, Instant::now());
        choice
    }

    /// Another list; whether it differs. The current one stays so, and the silent ones stay last, if
    /// they are still listed.
    fn swap(&mut self, addresses: Vec<Arc<str>>, now: Instant) -> bool {
        let known = self.servers.iter().map(|server| &server.address);
        if known.eq(&addresses) {
            return false;
        }
        let listed = |address: &Arc<str>| self.servers.iter().any(|s| s.address == *address);
        self.former.retain(|(a, until)| *until > now && !listed(a));
        for server in &self.servers {
            self.former.push((server.address.clone(), now + LEFT_FOR));
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

    fn contains(&self, address: &str, now: Instant) -> bool {
        let former = self.former.iter().filter(|(_, until)| *until > now);
        let mut all = former
            .map(|(a, _)| a)
            .chain(self.servers.iter().map(|s| &s.address));
        all.any(|known| **known == *address)
    }

    /// All of them: from the current one on, and those that were silent lately last.
    fn order(&self, now: Instant) -> Vec<Arc<str>> {
        let (before, from_current) = self.servers.split_at(self.current.min(self.servers.len()));
        let mut order: Vec<&Server> = from_current.iter().chain(before).collect();
        order.sort_by_key(|server| server.demoted_until.is_some_and(|until| until > now));
        order
            .into_iter()
            .map(|server| server.address.clone())
            .collect()
    }

    fn answered(&mut self, address: &Arc<str>) {
        if let Some(i) = self.position(address) {
            self.current = i;
            self.servers[i].demoted_until = None;
            self.servers[i].error = None;
        }
    }

    fn failed(&mut self, address: &Arc<str>, error: &Error, now: Instant) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Wait;

    #[test]
    fn the_choice_sticks_and_silent_ones_are_asked_last_for_a_while() {
        let [a, b, c] = ["a", "b", "c"].map(Arc::<str>::from);
        let now = Instant::now();
        let mut choice = Choice::new(vec![a.clone(), b.clone(), c.clone()], 4);
        let order = |choice: &Choice, now| choice.order(now).join("");
        assert_eq!(order(&choice, now), "bca");
        let silent = Error::timeout(Wait::Response);
        choice.failed(&b, &silent, now);
        assert_eq!(order(&choice, now), "cab");
        choice.answered(&c);
        assert_eq!(order(&choice, now), "cab");
        choice.failed(&c, &silent, now);
        assert_eq!(order(&choice, now), "acb");
        assert_eq!(order(&choice, now + DEMOTED_FOR), "cab");
    }

    #[test]
    fn a_new_list_keeps_what_was_learnt_of_the_old_one() {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(Arc::<str>::from);
        let now = Instant::now();
        let order = |choice: &Choice| choice.order(now).join("");
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
