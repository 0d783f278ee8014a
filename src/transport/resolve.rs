use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Instant;

use super::LOG;
use super::{Deadline, Threads, catch_bug};
use crate::error::{Error, ErrorKind, Wait};
use crate::logging;
use crate::sync::{Condvar, Mutex};

/// Turns `host:port` into addresses.
pub(crate) type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Name resolution with a deadline. The system's resolver has none, so that each lookup runs on a
/// thread of its own; a host has at most one under way, whoever asks.
pub(crate) struct Resolver {
    lookup: Lookup,
    under_way: Arc<Mutex<HashMap<Arc<str>, Arc<Answer>>>>,
    threads: Threads,
}

#[derive(Default)]
struct Answer {
    result: Mutex<Option<Result<Vec<SocketAddr>, String>>>,
    there: Condvar,
}

impl Resolver {
    pub(crate) fn new(lookup: Lookup, threads: Threads) -> Resolver {
        Resolver {
            lookup,
            under_way: Arc::default(),
            threads,
        }
    }

    /// What the operating system says.
    pub(crate) fn system() -> Lookup {
        Arc::new(|address: &str| Ok(address.to_socket_addrs()?.collect()))
    }

    /// The addresses behind `host:port`; numeric ones need no lookup.
    pub(crate) fn resolve(
        &self,
        address: &Arc<str>,
        deadline: Deadline,
    ) -> Result<Vec<SocketAddr>, Error> {
        if let Ok(numeric) = address.parse() {
            return Ok(vec![numeric]);
        }
        let answer = self.ask(address)?;
        let mut result = answer.result.lock();
        while result.is_none() {
            if answer
                .there
                .wait_until(&mut result, deadline.instant())
                .timed_out()
                && result.is_none()
            {
                return Err(Error::timeout(Wait::Connect).at(address));
            }
        }
        match result.as_ref() {
            Some(Ok(addresses)) if !addresses.is_empty() => Ok(addresses.clone()),
            Some(Err(text)) => Err(dns(address, text)),
            _ => Err(dns(address, "the name has no addresses")),
        }
    }

    fn ask(&self, address: &Arc<str>) -> Result<Arc<Answer>, Error> {
        let mut under_way = self.under_way.lock();
        if let Some(answer) = under_way.get(address) {
            return Ok(answer.clone());
        }
        let answer = Arc::new(Answer::default());
        let (lookup, table) = (self.lookup.clone(), self.under_way.clone());
        let (name, to) = (address.clone(), answer.clone());
        let spawned = self.threads.spawn("rmq-resolve", move || {
            let started = Instant::now();
            let looked_up = catch_bug("a look at a name", || lookup(&name));
            let result = looked_up.unwrap_or_else(|| Err(io::Error::other("it panicked")));
            let result = result.map_err(|e| e.to_string());
            logging::debug!(target: LOG, "{name} resolved in {:?}", started.elapsed());
            table.lock().remove(&name);
            *to.result.lock() = Some(result);
            to.there.notify_all();
        });
        match spawned {
            Ok(()) => {
                under_way.insert(address.clone(), answer.clone());
                Ok(answer)
            }
            Err(e) => Err(
                Error::new(ErrorKind::Io, format!("no thread to resolve a name: {e}")).at(address),
            ),
        }
    }
}

fn dns(address: &Arc<str>, text: &str) -> Error {
    Error::new(ErrorKind::Dns, format!("cannot resolve the name: {text}")).at(address)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_resolver_that_panics_is_an_error_and_can_be_asked_again() {
        let threads = Threads::default();
        let lookup: Lookup = Arc::new(|_| panic!("a resolver that panics"));
        let resolver = Resolver::new(lookup, threads.clone());
        let late = Deadline::after(Instant::now(), Duration::from_secs(10));
        for _ in 0..2 {
            let error = resolver.resolve(&"name:9".into(), late).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Dns, "{error}");
        }
        assert!(threads.join(late).is_empty());
    }

    #[test]
    fn a_stuck_resolver_costs_one_thread_and_no_deadline() {
        let threads = Threads::default();
        let (release, gate) = crossbeam_channel::bounded::<()>(0);
        let lookups = Arc::new(Mutex::new(0));
        let count = lookups.clone();
        let lookup: Lookup = Arc::new(move |_| {
            *count.lock() += 1;
            assert!(gate.recv().is_err());
            Ok(vec!["127.0.0.1:9".parse().unwrap()])
        });
        let resolver = Resolver::new(lookup, threads.clone());
        let host: Arc<str> = "name:9".into();
        for _ in 0..3 {
            let soon = Deadline::after(Instant::now(), Duration::from_millis(5));
            let error = resolver.resolve(&host, soon).unwrap_err();
            assert_eq!(
                (error.kind(), error.wait()),
                (ErrorKind::Timeout, Some(Wait::Connect))
            );
        }
        drop(release);
        let late = Deadline::after(Instant::now(), Duration::from_secs(10));
        assert_eq!(resolver.resolve(&host, late).unwrap().len(), 1);
        assert!(threads.join(late).is_empty());
        assert!(
            *lookups.lock() <= 2,
            "at most the stuck one and one after it"
        );
    }
}
