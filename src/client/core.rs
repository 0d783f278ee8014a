use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::LOG;
use super::api;
use super::config::{ClientBuilder, ClientConfig};
use super::discovery::Discovery;
use super::identity::{self, Identity};
use super::inbound::TransactionChecks;
use super::name_server::NameServers;
use super::process::Process;
use super::requests::Requests;
use super::route::{DefaultTopic, Routes};
use super::shutdown::ShutdownReport;
use super::{Throttle, Ticker};
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::protocol::Command;
use crate::sync::Mutex;
use crate::transport::{
    Budget, Connection, Deadline, Inbound, Remoting, RemotingConfig, Tls, Workers,
};

/// How long dropping the last handle may take.
const DROP_WITHIN: Duration = Duration::from_secs(3);

/// A route is suspected by every send that fails, of which a connection that ends can have very many:
/// the routes thread, which makes less of it anyway, is told no oftener than this.
const SUSPECT_EVERY: Duration = Duration::from_millis(20);

/// Name servers, routes, connections and threads that several producers share.
///
/// A producer makes a client of its own unless it is given one. A shared client is closed by
/// [`shutdown`](Client::shutdown) or with its last handle, producers included; closing a producer
/// leaves it open.
///
/// ```
/// # fn main() -> rocketmq_blocking::Result<()> {
/// use rocketmq_blocking::{Client, Producer};
///
/// // Nothing is connected before the first send.
/// let client = Client::builder().name_server("127.0.0.1:9876").start()?;
/// let orders = Producer::builder("orders").client(&client).start()?;
/// let events = Producer::builder("events").client(&client).start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "MQClientInstance")]
pub struct Client(Arc<Handle>);

/// Closes the client when the last handle goes.
struct Handle(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: ClientConfig,
    pub(crate) identity: Identity,
    pub(crate) process: Process,
    pub(crate) remoting: Arc<Remoting>,
    pub(crate) routes: Routes,
    pub(crate) budget: Budget,
    pub(crate) workers: Workers,
    pub(crate) requests: Requests,
    /// Of what brokers can bring about as often as they like.
    pub(super) warnings: Arc<Throttle>,
    pub(super) groups: Mutex<BTreeSet<String>>,
    /// The transaction producers, by group.
    pub(crate) checks: Mutex<BTreeMap<String, Arc<dyn TransactionChecks>>>,
    tickers: Mutex<Option<Tickers>>,
    /// The topic whose route was suspected last, and when.
    suspected: Mutex<Option<(Arc<str>, Instant)>>,
    closed: AtomicBool,
    /// Dropped when the client is closed, which threads that live as long see at the other end.
    open: Mutex<Option<Sender<()>>>,
    closing: Receiver<()>,
    /// Locked for the whole of a shutdown.
    report: Mutex<Option<ShutdownReport>>,
}

/// The threads that do things at intervals.
struct Tickers {
    routes: Ticker<Order>,
    heartbeats: Ticker<Arc<str>>,
    #[cfg(feature = "discovery")]
    _discovery: Option<Ticker<()>>,
}

/// What the routes thread is told to do out of turn.
enum Order {
    /// Look at a known topic's route again.
    Refresh(Arc<str>),
    /// Learn topics' routes before the first send needs them.
    Learn,
}

/// A producer group's place in a client; dropping it gives the name free.
pub(crate) struct Registration {
    client: Arc<Inner>,
    /// With its namespace.
    group: String,
}

impl Client {
    /// Begins to set up a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The id under which brokers know this client: `ip@instance`, or `ip@instance@unit`.
    #[doc(alias = "buildMQClientId")]
    pub fn id(&self) -> &str {
        self.inner().identity.client_id()
    }

    /// Closes everything within 3 s, like [`shutdown_within`](Client::shutdown_within).
    pub fn shutdown(&self) {
        let report = self.shutdown_within(DROP_WITHIN);
        if !report.is_clean() {
            logging::warn!(target: LOG, "{report}");
        }
    }

    /// Closes all connections and ends all threads, waiting for them at most this long; before that,
    /// brokers hear that the groups of its producers are gone. Producers of this client fail with
    /// [`Closed`](ErrorKind::Closed) from then on. A second call waits for the first one, within its
    /// own time, and returns its report; only in a callback, which the first may be waiting for, it
    /// returns at once.
    pub fn shutdown_within(&self, most: Duration) -> ShutdownReport {
        let inner = self.inner();
        if inner.process.is_forked() {
            return ShutdownReport::default();
        }
        inner.close(Deadline::after(Instant::now(), most))
    }

    pub(crate) fn start(mut config: ClientConfig) -> Result<Client> {
        config.rpc.find_namespace(&config.name_servers);
        config.check()?;
        let name_servers = config.checked_name_servers()?;
        let discovery = config.discovery()?;
        let tls = config.checked_tls()?;
        let failed = |error: std::io::Error| {
            let text = format!("the client's threads cannot be started: {error}");
            Error::new(ErrorKind::Io, text).caused_by(error)
        };
        let workers = Workers::start(config.callback_threads).map_err(failed)?;
        let inner = Inner::new(config, name_servers, discovery, tls, workers);
        match inner.start_tickers() {
            Ok(tickers) => *inner.tickers.lock() = Some(tickers),
            Err(error) => {
                let _ = inner.close(Deadline::after(Instant::now(), DROP_WITHIN));
                return Err(failed(error));
            }
        }
        Ok(Client(Arc::new(Handle(inner))))
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0.0
    }

    /// Takes a producer group's name, which only one producer of a client may have.
    pub(crate) fn register(&self, group: &str) -> Result<Registration> {
        let inner = self.inner();
        inner.check_open()?;
        let on_wire = inner.config.rpc.names().on_wire(&group.into()).to_string();
        if !inner.groups.lock().insert(on_wire.clone()) {
            let text = format!("producer group {group} is already in use on this client");
            return Err(Error::new(ErrorKind::Config, text));
        }
        // Brokers that are connected already must hear of the new group.
        for address in inner.connected_brokers() {
            inner.heartbeat(&address);
        }
        Ok(Registration {
            client: inner.clone(),
            group: on_wire,
        })
    }
}

impl Inner {
    fn new(
        config: ClientConfig,
        name_servers: Vec<Arc<str>>,
        discovery: Option<Discovery>,
        tls: Option<Tls>,
        workers: Workers,
    ) -> Arc<Inner> {
        let towards = name_servers.first().map(|server| &**server);
        let ip = config
            .client_ip
            .unwrap_or_else(|| identity::local_ip(towards));
        let unit = config.rpc.unit_name.as_deref();
        let identity = Identity::new(ip, config.instance_name.as_deref(), unit);
        let remoting_config = RemotingConfig {
            connect_timeout: config.connect_timeout,
            idle_timeout: config.idle_timeout,
            header_format: config.header_format,
            language: config.language,
            version: config.version,
            hooks: config.rpc.hooks(),
            tls,
        };
        Arc::new_cyclic(|client: &Weak<Inner>| {
            let inbound = Arc::new(Dispatcher {
                client: client.clone(),
            });
            let remoting = Remoting::new(remoting_config, workers.clone(), inbound, None);
            let remoting = Arc::new(remoting);
            let (open, closing) = crossbeam_channel::bounded(0);
            let random = RandomState::new().hash_one(0);
            let name_servers = NameServers::new(remoting.clone(), name_servers, discovery, random);
            Inner {
                budget: Budget::new(config.max_in_flight_messages, config.max_in_flight_bytes),
                routes: Routes::new(name_servers, config.api_timeout, config.rpc.names()),
                identity,
                process: Process::current(),
                remoting,
                requests: Requests::new(workers.timer.clone()),
                warnings: Arc::default(),
                workers,
                groups: Mutex::default(),
                checks: Mutex::default(),
                tickers: Mutex::new(None),
                suspected: Mutex::new(None),
                closed: AtomicBool::new(false),
                open: Mutex::new(Some(open)),
                closing,
                report: Mutex::new(None),
                config,
            }
        })
    }

    fn start_tickers(self: &Arc<Self>) -> std::io::Result<Tickers> {
        let threads = &self.workers.threads;
        let client = Arc::downgrade(self);
        let refresh = move |order: Option<Order>| {
            let Some(client) = client.upgrade() else {
                return;
            };
            match order {
                Some(Order::Refresh(topic)) => client.routes.refresh(&topic),
                Some(Order::Learn) => client.routes.learn(),
                None => client.refresh_all(),
            }
        };
        let routes = Ticker::start(
            threads,
            "rmq-routes",
            self.config.route_interval,
            self.closing(),
            refresh,
        )?;
        let client = Arc::downgrade(self);
        let beat = move |broker: Option<Arc<str>>| {
            let Some(client) = client.upgrade() else {
                return;
            };
            match broker {
                Some(broker) => client.heartbeat(&broker),
                None => client.heartbeat_all(),
            }
        };
        let interval = self.config.heartbeat_interval;
        let heartbeats = Ticker::start(threads, "rmq-heartbeat", interval, self.closing(), beat)?;
        Ok(Tickers {
            routes,
            heartbeats,
            #[cfg(feature = "discovery")]
            _discovery: self.start_discovery()?,
        })
    }

    #[cfg(feature = "discovery")]
    fn start_discovery(self: &Arc<Self>) -> std::io::Result<Option<Ticker<()>>> {
        if self.config.name_server_url.is_none() {
            return Ok(None);
        }
        let client = Arc::downgrade(self);
        let discover = move |_| {
            if let Some(client) = client.upgrade() {
                client.routes.name_servers.discover_again();
            }
        };
        let interval = self.config.discovery_interval;
        let threads = &self.workers.threads;
        Ticker::start(threads, "rmq-discover", interval, self.closing(), discover).map(Some)
    }

    /// Has a topic's route looked up soon, by the routes thread.
    pub(crate) fn refresh_soon(&self, topic: &Arc<str>) {
        let now = Instant::now();
        let mut suspected = self.suspected.lock();
        let last = suspected.as_ref().filter(|(last, _)| last == topic);
        if last.is_some_and(|(_, at)| now.saturating_duration_since(*at) < SUSPECT_EVERY) {
            return;
        }
        *suspected = Some((topic.clone(), now));
        drop(suspected);
        if let Some(tickers) = &*self.tickers.lock() {
            tickers.routes.wake(Order::Refresh(topic.clone()));
        }
    }

    /// Has the routes of topics learnt soon.
    pub(crate) fn learn_soon(&self, topics: Vec<Arc<str>>, default: DefaultTopic) {
        self.routes.want(topics, &default);
        if let Some(tickers) = &*self.tickers.lock() {
            tickers.routes.wake(Order::Learn);
        }
    }

    /// Whether a broker answers; `None` if no route names it any more.
    pub(crate) fn probe(&self, broker: &str, deadline: Deadline) -> Option<bool> {
        let (topic, address) = self.routes.topic_on(broker)?;
        Some(api::probe(&self.remoting, &address, &topic, deadline).is_ok())
    }

    /// Has a broker told soon which groups live here, by the heartbeat thread.
    pub(super) fn heartbeat_soon(&self, broker: Arc<str>) {
        if let Some(tickers) = &*self.tickers.lock() {
            tickers.heartbeats.wake(broker);
        }
    }

    fn refresh_all(&self) {
        self.routes.learn();
        // Brokers ask a transaction producer long after its last send.
        let is_awaited = !self.checks.lock().is_empty();
        self.routes
            .refresh_all(self.config.route_interval, is_awaited);
        // The addresses first: whoever connects meanwhile has found a route before.
        let addresses = self.remoting.addresses();
        let masters = self.routes.masters();
        let wanted = |address: &Arc<str>| {
            let send_address = |master| self.config.rpc.send_address(master);
            masters.contains(address)
                || masters
                    .iter()
                    .any(|master| *send_address(master) == **address)
                || self.routes.name_servers.contains(address)
        };
        for address in addresses.iter().filter(|address| !wanted(address)) {
            self.remoting.forget(address);
        }
        self.remoting.close_idle(Instant::now());
    }

    /// Ends everything. The order matters: nobody waits for a permit any more, connections answer
    /// their waiters, and only then may the threads that carry those answers end.
    fn close(&self, deadline: Deadline) -> ShutdownReport {
        let Some(mut report) = self.workers.threads.take_turn(&self.report, deadline) else {
            return ShutdownReport::default();
        };
        if let Some(report) = &*report {
            return report.clone();
        }
        self.closed.store(true, Ordering::SeqCst);
        drop(self.open.lock().take());
        self.budget.close();
        let checks: Vec<_> = std::mem::take(&mut *self.checks.lock())
            .into_values()
            .collect();
        checks.iter().for_each(|checks| checks.stop());
        self.requests.close();
        let tickers = self.tickers.lock().take();
        drop(tickers);
        self.say_goodbye(deadline);
        self.remoting.close();
        self.routes.close();
        let mut stuck_threads = self.workers.end(deadline);
        for checks in checks {
            stuck_threads.extend(checks.join(deadline));
        }
        let result = ShutdownReport {
            unanswered: 0,
            lost_oneway: self.remoting.lost_oneway(),
            stuck_threads,
        };
        *report = Some(result.clone());
        result
    }

    /// Tells brokers about the groups whose producers were not shut down before.
    fn say_goodbye(&self, deadline: Deadline) {
        let groups: Vec<String> = self.groups.lock().iter().cloned().collect();
        if !groups.is_empty() {
            self.unregister(&groups, deadline);
        }
    }

    /// Disconnected when the client is closed; nothing is ever sent.
    pub(crate) fn closing(&self) -> Receiver<()> {
        self.closing.clone()
    }

    /// `Closed` if it is shut down, or of the process that this one was forked from.
    pub(crate) fn check_open(&self) -> Result<()> {
        let text = match self.process.is_forked() {
            true => {
                "the client belongs to the process that this one was forked from; start one here"
            }
            false if self.is_closed() => "the client is shut down",
            false => return Ok(()),
        };
        Err(Error::new(ErrorKind::Closed, text))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.0.is_closed() && !self.0.process.is_forked() {
            let report = self.0.close(Deadline::after(Instant::now(), DROP_WITHIN));
            if !report.is_clean() {
                logging::warn!(target: LOG, "client dropped: {report}");
            }
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl Registration {
    /// Tells the brokers that the group is gone, until the deadline.
    pub(crate) fn unregister(&self, deadline: Deadline) {
        let group = std::slice::from_ref(&self.group);
        self.client.unregister(group, deadline);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.client.groups.lock().remove(&self.group);
    }
}

/// Takes what connections report to the client, while there is one.
struct Dispatcher {
    client: Weak<Inner>,
}

impl Inbound for Dispatcher {
    fn connected(&self, connection: &Arc<Connection>) {
        let Some(client) = self.client.upgrade() else {
            return;
        };
        let address = connection.address();
        if client.routes.name_servers.contains(address) {
            return;
        }
        match client.broker_of_send_address(address) {
            None => client.heartbeat(address),
            // Its ordinary port hears of us too, over a connection that a sender need not wait for.
            Some(broker) => client.heartbeat_soon(broker),
        }
    }

    fn request(
        &self,
        connection: &Arc<Connection>,
        request: Command,
    ) -> std::result::Result<(), Command> {
        match self.client.upgrade() {
            Some(client) => client.answer(connection, request),
            None => Err(request),
        }
    }
}
