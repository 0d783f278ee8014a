//! The threads that do things at intervals, but for heartbeats.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::config::ClientConfig;
use super::members::Heartbeats;
use super::routes::Refresher;
use crate::sync::channel::Receiver;
use crate::transport::Threads;
#[cfg(feature = "discovery")]
use crate::transport::Ticker;

/// The threads end when this is dropped, or the client is closed.
pub(super) struct Background {
    pub(super) refresher: Refresher,
    #[cfg(feature = "discovery")]
    _discovery: Option<Ticker<()>>,
}

impl Background {
    pub(super) fn start(
        config: &ClientConfig,
        threads: &Threads,
        heartbeats: &Arc<Heartbeats>,
        closing: &Receiver<()>,
    ) -> io::Result<Background> {
        let swept = heartbeats.clone();
        let refresher = Refresher::start(
            threads,
            heartbeats.routes().clone(),
            heartbeats.registry.clone(),
            config.route_interval,
            config.api_timeout,
            closing.clone(),
            move || close_unwanted(&swept),
        )?;
        Ok(Background {
            refresher,
            #[cfg(feature = "discovery")]
            _discovery: start_discovery(config, threads, heartbeats, closing)?,
        })
    }
}

/// Closes the connections to addresses that no route and no list of name servers names any more, and those
/// that were not used for long.
fn close_unwanted(heartbeats: &Heartbeats) {
    let (remoting, routes) = (heartbeats.remoting(), heartbeats.routes());
    // The addresses first: a connection opened in the meantime has found its route before.
    let addresses = remoting.addresses();
    let brokers = routes.brokers();
    let wanted = |address: &Arc<str>| {
        brokers.contains(address)
            || heartbeats.broker_of_send_address(address).is_some()
            || routes.name_servers.contains(address)
    };
    for address in addresses.iter().filter(|address| !wanted(address)) {
        remoting.forget(address);
    }
    remoting.close_idle(Instant::now());
}

#[cfg(feature = "discovery")]
fn start_discovery(
    config: &ClientConfig,
    threads: &Threads,
    heartbeats: &Heartbeats,
    closing: &Receiver<()>,
) -> io::Result<Option<Ticker<()>>> {
    if config.web_list().is_none() {
        return Ok(None);
    }
    let routes = heartbeats.routes().clone();
    let discover = move |_| routes.name_servers.discover_again();
    let interval = config.discovery_interval;
    Ticker::start(threads, "rmq-discover", interval, closing.clone(), discover).map(Some)
}
