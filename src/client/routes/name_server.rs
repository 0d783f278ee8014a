//! The name servers of a client: asked one after the other until one knows the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::choice::Choice;
use super::discovery::Discovery;
use crate::client::LOG;
use crate::error::{Error, ErrorKind, Result, SendFate, Wait};
use crate::logging;
use crate::sync::Mutex;
use crate::transport::{Deadline, Throttle};

/// How long to wait for a name server that did not answer lately, once another one has answered.
const SECOND_OPINION: Duration = Duration::from_millis(250);

/// The name servers, and which of them answered last.
pub(crate) struct NameServers {
    choice: Mutex<Choice>,
    /// The source of the list, unless it was given.
    discovery: Option<Discovery>,
    /// The one that was asked last.
    asked: Mutex<Option<Arc<str>>>,
    /// Each send can find that none answers.
    warnings: Throttle,
}

/// A name server at one moment.
pub(crate) struct Observed {
    pub(crate) address: Arc<str>,
    pub(crate) is_current: bool,
    pub(crate) last_error: Option<Error>,
}

impl NameServers {
    pub(in crate::client) fn new(
        servers: Vec<Arc<str>>,
        discovery: Option<Discovery>,
        random: u64,
    ) -> NameServers {
        NameServers {
            choice: Mutex::new(Choice::new(servers, random)),
            discovery,
            asked: Mutex::new(None),
            warnings: Throttle::default(),
        }
    }

    /// Asks one name server after the other, the one that answered last first, each within an equal share
    /// of the time that is left: until `ask` has an answer, or an error that is no server's fault.
    ///
    /// `None` is the answer of a server that does not know the topic. The server may have just been
    /// started, so `None` counts only if all servers that answer agree; they get half of the
    /// remaining time.
    ///
    /// # Errors
    /// If none answered: [`NameServer`](ErrorKind::NameServer) if one refused, else
    /// [`NoNameServer`](ErrorKind::NoNameServer), or [`Tls`](ErrorKind::Tls) if that was why.
    pub(super) fn ask<T>(
        &self,
        deadline: Deadline,
        ask: impl Fn(&Arc<str>, Deadline) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        self.discover(deadline)?;
        let order = self.choice.lock().order(Instant::now());
        let mut until = deadline;
        let mut is_unknown = false;
        let mut failures = Vec::new();
        for (i, turn) in order.iter().enumerate() {
            let (now, server) = (Instant::now(), &turn.address);
            let mut share = until.remaining(now) / (order.len() - i) as u32;
            if is_unknown && share.is_zero() {
                break;
            }
            if is_unknown && turn.is_demoted {
                share = share.min(SECOND_OPINION);
            }
            *self.asked.lock() = Some(server.clone());
            match ask(server, deadline.capped(now, share)) {
                Ok(Some(answer)) => {
                    self.choice.lock().answered(server);
                    return Ok(Some(answer));
                }
                Ok(None) if is_unknown => self.choice.lock().agreed(server),
                Ok(None) => {
                    self.choice.lock().answered(server);
                    is_unknown = true;
                    until = deadline.share(Instant::now(), 2);
                }
                // Neither concerns the server: the client is closed, or a hook refused.
                Err(error) if matches!(error.kind(), ErrorKind::Closed | ErrorKind::Invalid) => {
                    return Err(error);
                }
                Err(error) => failures.push(self.note_failure(server, error)),
            }
        }
        match is_unknown {
            true => Ok(None),
            false => Err(none_answered(&failures)),
        }
    }

    /// The error of a caller whose deadline passed during its wait.
    pub(super) fn no_answer(&self) -> Error {
        let error = Error::timeout(Wait::Route);
        match &*self.asked.lock() {
            Some(server) => error.detailed(no_answer_from(server)).at(server),
            None => error,
        }
    }

    fn note_failure(&self, server: &Arc<str>, error: Error) -> Error {
        // No message is on its way yet.
        let error = error.with_fate(SendFate::NotSent).at(server);
        let (level, more) = self.warnings.level(Instant::now());
        logging::log!(target: LOG, level, "name server {error}{more}");
        self.choice.lock().failed(server, &error, Instant::now());
        error
    }

    /// Fetches the list if there is none yet.
    fn discover(&self, deadline: Deadline) -> Result<()> {
        match &self.discovery {
            Some(discovery) if self.choice.lock().is_empty() => {
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

    /// Other name servers from now on. Lookups in flight go on with those they began with.
    fn swap(&self, servers: Vec<Arc<str>>) {
        let names = servers.join(", ");
        if self.choice.lock().swap(servers, Instant::now()) {
            logging::info!(target: LOG, "name servers: {names}");
        }
    }

    /// The state of each.
    pub(crate) fn observe(&self) -> Vec<Observed> {
        let choice = self.choice.lock();
        let servers = choice.all().map(|(server, is_current)| Observed {
            address: server.address.clone(),
            is_current,
            last_error: server.error.clone(),
        });
        servers.collect()
    }

    /// Whether it is a name server's address, or was one so lately that a lookup may be in flight.
    pub(crate) fn contains(&self, address: &str) -> bool {
        self.choice.lock().contains(address, Instant::now())
    }
}

fn no_answer_from(server: &str) -> String {
    format!("no answer from name server {server}")
}

/// The error of a lookup that no name server answered: that of the last one, and why the others did not.
fn none_answered(failures: &[Error]) -> Error {
    let refusal = |error: &&Error| error.kind() == ErrorKind::NameServer;
    if let Some(refusal) = failures.iter().rev().find(refusal) {
        return refusal.clone();
    }
    let Some((last, others)) = failures.split_last() else {
        return Error::new(ErrorKind::NoNameServer, "there is no name server");
    };
    let mut text = format!("no name server answered: {}", reason(last));
    for other in others.iter().rev() {
        let server = other.address().unwrap_or_default();
        text += &format!("; {server}: {}", reason(other));
    }
    let kind = match last.kind() {
        // Waiting does not fix it, as it may fix a name server that is down.
        ErrorKind::Tls => ErrorKind::Tls,
        _ => ErrorKind::NoNameServer,
    };
    let mut error = Error::new(kind, text).caused_by(last.clone());
    if let Some(address) = last.address() {
        error = error.at(&address.into());
    }
    // If all are in back-off, none was asked.
    let pauses = failures.iter().map(Error::retry_after);
    match pauses
        .collect::<Option<Vec<_>>>()
        .and_then(|p| p.into_iter().min())
    {
        Some(pause) => error.retriable_after(pause),
        None => error,
    }
}

/// Why a name server did not answer.
fn reason(error: &Error) -> String {
    let server = error.address().unwrap_or_default();
    if error.wait() == Some(Wait::Response) {
        return no_answer_from(server);
    }
    error
        .to_string()
        .trim_start_matches(server)
        .trim_start_matches(": ")
        .to_owned()
}

#[cfg(test)]
mod tests;
