use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::protocol::Command;
use crate::transport::{Deadline, Remoting, Request};

/// How long a name server that did not answer is asked last.
const DEMOTED_FOR: Duration = Duration::from_secs(30);

/// The name servers, and which of them answered last.
pub(crate) struct NameServers {
    remoting: Arc<Remoting>,
    choice: Mutex<Choice>,
}

impl NameServers {
    pub(crate) fn new(remoting: Arc<Remoting>, servers: Vec<Arc<str>>, random: u64) -> NameServers {
        NameServers {
            remoting,
            choice: Mutex::new(Choice::new(servers, random)),
        }
    }

    /// Asks one name server after the other, the one that answered last first, until one answers.
    /// Each gets an equal share of the time that is left.
    ///
    /// # Errors
    /// [`NoNameServer`](ErrorKind::NoNameServer) with the last cause if none answered.
    pub(crate) fn ask(&self, request: &Request<'_>, deadline: Deadline) -> Result<Command> {
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
                Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
                Err(error) => {
                    // No message is on its way yet.
                    let error = error.delivered(Delivery::NotSent);
                    log::warn!("name server {error}");
                    self.choice.lock().failed(server, Instant::now());
                    left_alone = left_alone.zip(error.retry_after()).map(|(a, b)| a.min(b));
                    last = Some(error);
                }
            }
        }
        let names: Vec<&str> = order.iter().map(|s| &**s).collect();
        let error = match &last {
            Some(cause) => Error::new(
                ErrorKind::NoNameServer,
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

    pub(crate) fn contains(&self, address: &str) -> bool {
        self.choice
            .lock()
            .servers
            .iter()
            .any(|server| *server.address == *address)
    }
}

/// Which name server to ask first. Pure.
struct Choice {
    servers: Vec<Server>,
    current: usize,
}

struct Server {
    address: Arc<str>,
    demoted_until: Option<Instant>,
}

impl Choice {
    /// Starts at a random one, so that many clients spread over the list.
    fn new(servers: Vec<Arc<str>>, random: u64) -> Choice {
        let current = (random % servers.len().max(1) as u64) as usize;
        let server = |address| Server {
            address,
            demoted_until: None,
        };
        Choice {
            servers: servers.into_iter().map(server).collect(),
            current,
        }
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
        }
    }

    fn failed(&mut self, address: &Arc<str>, now: Instant) {
        if let Some(i) = self.position(address) {
            self.servers[i].demoted_until = now.checked_add(DEMOTED_FOR);
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

    #[test]
    fn the_choice_sticks_and_silent_ones_are_asked_last_for_a_while() {
        let [a, b, c] = ["a", "b", "c"].map(Arc::<str>::from);
        let now = Instant::now();
        let mut choice = Choice::new(vec![a.clone(), b.clone(), c.clone()], 4);
        let order = |choice: &Choice, now| choice.order(now).join("");
        assert_eq!(order(&choice, now), "bca");
        choice.failed(&b, now);
        assert_eq!(order(&choice, now), "cab");
        choice.answered(&c);
        assert_eq!(order(&choice, now), "cab");
        choice.failed(&c, now);
        assert_eq!(order(&choice, now), "acb");
        assert_eq!(order(&choice, now + DEMOTED_FOR), "cab");
    }
}
