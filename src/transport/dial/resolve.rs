use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, ErrorKind, Wait};
use crate::logging;
use crate::transport::{Deadline, LOG, Role, SingleFlight, Threads, catch_bug};

/// Turns `host:port` into addresses.
pub(crate) type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Name resolution with a deadline. The system's resolver has none, so each look-up runs on a
/// separate thread. A host has at most one look-up in flight, for all callers.
pub(super) struct Resolver {
    lookup: Lookup,
    under_way: SingleFlight<Arc<str>, Answer>,
    threads: Threads,
}

type Answer = Result<Vec<SocketAddr>, String>;

impl Resolver {
    pub(super) fn new(lookup: Lookup, threads: Threads) -> Resolver {
        Resolver {
            lookup,
            under_way: SingleFlight::default(),
            threads,
        }
    }

    /// The operating system's resolver.
    pub(super) fn system() -> Lookup {
        Arc::new(|address: &str| Ok(address.to_socket_addrs()?.collect()))
    }

    /// The addresses behind `host:port`; numeric ones need no lookup.
    pub(super) fn resolve(
        &self,
        address: &Arc<str>,
        deadline: Deadline,
    ) -> Result<Vec<SocketAddr>, Error> {
        if let Ok(numeric) = address.parse() {
            return Ok(vec![numeric]);
        }
        let no_thread = |why: &str| {
            let text = format!("no thread to resolve a name{why}");
            Error::new(ErrorKind::Io, text).at(address)
        };
        let flight = match self.under_way.join(address) {
            Role::Follow(flight) => flight,
            Role::Lead(lead) => {
                let flight = lead.flight().clone();
                let (lookup, name) = (self.lookup.clone(), address.clone());
                let spawned = self.threads.spawn("rmq-resolve", move || {
                    let started = Instant::now();
                    let looked_up = catch_bug("a name lookup", || lookup(&name));
                    let result = looked_up.unwrap_or_else(|| Err(io::Error::other("it panicked")));
                    logging::debug!(target: LOG, "{name} resolved in {:?}", started.elapsed());
                    lead.finish(result.map_err(|e| e.to_string()));
                });
                spawned.map_err(|e| no_thread(&format!(": {e}")))?;
                flight
            }
        };
        match flight.wait(deadline) {
            None => Err(Error::timeout(Wait::Connect).at(address)),
            Some(None) => Err(no_thread("")),
            Some(Some(Ok(addresses))) if !addresses.is_empty() => Ok(addresses),
            Some(Some(Ok(_))) => Err(dns(address, "the name has no addresses")),
            Some(Some(Err(text))) => Err(dns(address, &text)),
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
    use crate::sync::Mutex;

    #[test]
    fn a_resolver_that_panics_is_an_error_and_can_be_called_again() {
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
