use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::LOG;
use super::api::broker;
use super::background::Background;
use super::config::{ClientConfig, ClientOptions, Identity, local_ip};
use super::members::{
    Dispatcher, Heartbeats, Member, MemberKind, Membership, Registry, Replies, Surroundings,
};
use super::routes::{Discovery, NameServers, RouteListener, Routes};
use super::shutdown::ShutdownReport;
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::sync::Mutex;
use crate::transport::{
    Budget, Connection, Deadline, Remoting, RemotingConfig, Throttle, Tls, Workers,
};

/// The most time that dropping the last handle takes.
const DROP_WITHIN: Duration = Duration::from_secs(3);

/// Name servers, routes, connections and threads that several producers share.
///
/// A producer creates its own client unless it is given one. A shared client closes by
/// [`shutdown`](Client::shutdown) or with its last handle, producers included; closing a producer
/// leaves it open.
///
/// ```
/// # fn main() -> rocketmq_blocking::Result<()> {
/// use rocketmq_blocking::{Client, ClientOptions, Producer};
///
/// // Nothing is connected before the first send.
/// let client = Client::start(ClientOptions::new().name_server("127.0.0.1:9876"))?;
/// let orders = Producer::builder("orders").client(&client).start()?;
/// let events = Producer::builder("events").client(&client).start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "MQClientInstance")]
pub struct Client(Arc<Handle>);

/// Closes the client when the last handle goes.
struct Handle(Arc<ClientCore>);

/// The parts of a client.
pub(crate) struct ClientCore {
    pub(crate) config: ClientConfig,
    pub(crate) identity: Identity,
    pub(crate) remoting: Arc<Remoting>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) budget: Budget,
    pub(crate) workers: Workers,
    pub(crate) replies: Arc<Replies>,
    heartbeats: Arc<Heartbeats>,
    background: Mutex<Option<Background>>,
    closed: AtomicBool,
    /// Dropped when the client is closed, which threads that live as long see at the other end.
    open: Mutex<Option<Sender<()>>>,
    closing: Receiver<()>,
    /// Locked for the whole of a shutdown.
    report: Mutex<Option<ShutdownReport>>,
}

impl Client {
    /// Starts a client's threads. Nothing is connected before the first send.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if a name server's address or another setting cannot work;
    /// [`NoNameServer`](ErrorKind::NoNameServer) if none is set; [`Io`](ErrorKind::Io) if the
    /// system cannot start a thread.
    pub fn start(options: ClientOptions) -> Result<Client> {
        let mut config = ClientConfig::from(options);
        config.complete()?;
        let name_servers = config.checked_name_servers()?;
        let discovery = Discovery::from_config(&config)?;
        let tls = config.checked_tls()?;
        let failed = |error: std::io::Error| {
            let text = format!("the client's threads cannot be started: {error}");
            Error::new(ErrorKind::Io, text).caused_by(error)
        };
        let workers = Workers::start(config.callback_threads).map_err(failed)?;
        let core = Arc::new(ClientCore::new(
            config,
            name_servers,
            discovery,
            tls,
            workers,
        ));
        match core.start_background() {
            Ok(background) => *core.background.lock() = Some(background),
            Err(error) => {
                let _ = core.close(Deadline::after(Instant::now(), DROP_WITHIN));
                return Err(failed(error));
            }
        }
        Ok(Client(Arc::new(Handle(core))))
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

    /// Unregisters the groups of its producers from the brokers, closes all connections and ends
    /// all threads, within this time. Producers of this client then fail with
    /// [`Closed`](ErrorKind::Closed). A second call waits for the first one, within its own time,
    /// and returns its report; in a callback, which the first may be waiting for, it returns at
    /// once.
    pub fn shutdown_within(&self, most: Duration) -> ShutdownReport {
        let inner = self.inner();
        if inner.remoting.process.is_forked() {
            return ShutdownReport::default();
        }
        inner.close(Deadline::after(Instant::now(), most))
    }

    pub(crate) fn inner(&self) -> &Arc<ClientCore> {
        &self.0.0
    }
}

impl ClientCore {
    fn new(
        config: ClientConfig,
        name_servers: Vec<Arc<str>>,
        discovery: Option<Discovery>,
        tls: Option<Tls>,
        workers: Workers,
    ) -> ClientCore {
        let towards = name_servers.first().map(|server| &**server);
        let ip = config.client_ip.unwrap_or_else(|| local_ip(towards));
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
        let random = RandomState::new().hash_one(0);
        let name_servers = NameServers::new(name_servers, discovery, random);
        let registry: Arc<Registry> = Arc::default();
        let warnings: Arc<Throttle> = Arc::default();
        let heartbeats = Arc::new_cyclic(|heartbeats| {
            let inbound = Dispatcher::new(registry.clone(), heartbeats.clone(), warnings.clone());
            let inbound = Arc::new(inbound);
            let remoting = Remoting::new(remoting_config, workers.clone(), inbound, None);
            let remoting = Arc::new(remoting);
            let names = config.rpc.names();
            let routes = Routes::new(name_servers, remoting.clone(), config.api_timeout, names);
            Heartbeats::new(Surroundings {
                registry: registry.clone(),
                remoting,
                routes: Arc::new(routes),
                timer: workers.timer.clone(),
                send_port: config.rpc.send_port(),
                timeout: config.api_timeout,
                client_id: identity.client_id().to_owned(),
                warnings: warnings.clone(),
            })
        });
        let (open, closing) = crossbeam_channel::bounded(0);
        ClientCore {
            budget: Budget::new(config.max_in_flight_messages, config.max_in_flight_bytes),
            identity,
            remoting: heartbeats.remoting().clone(),
            routes: heartbeats.routes().clone(),
            replies: Arc::new(Replies::new(workers.timer.clone())),
            workers,
            heartbeats,
            background: Mutex::new(None),
            closed: AtomicBool::new(false),
            open: Mutex::new(Some(open)),
            closing,
            report: Mutex::new(None),
            config,
        }
    }

    fn start_background(&self) -> std::io::Result<Background> {
        let listener: Arc<dyn RouteListener> = self.heartbeats.clone();
        self.routes.listen(Arc::downgrade(&listener));
        let threads = &self.workers.threads;
        let interval = self.config.heartbeat_interval;
        self.heartbeats.start(threads, interval, self.closing())?;
        Background::start(&self.config, threads, &self.heartbeats, &self.closing)
    }

    /// Adds a member. Connected brokers get a heartbeat at once, brokers of its topics as soon as
    /// their routes are known.
    ///
    /// # Errors
    /// `Config` if there is one of this kind and group, `Closed` if the client is shut down.
    pub(crate) fn join(&self, member: Arc<dyn Member>) -> Result<Membership> {
        self.check_open()?;
        let membership = Membership::join(&self.heartbeats, member.clone()).ok_or_else(|| {
            let group = self.config.rpc.names().for_users(member.group());
            let text = format!(
                "{} group {group} is already in use on this client",
                member.kind()
            );
            Error::new(ErrorKind::Config, text)
        })?;
        if !member.topics().is_empty() {
            self.learn_soon();
        }
        Ok(membership)
    }

    /// Has a topic's route looked up soon, by the routes thread.
    pub(crate) fn refresh_soon(&self, topic: &Arc<str>) {
        if let Some(background) = &*self.background.lock() {
            background.refresher.refresh_soon(topic);
        }
    }

    /// Has the topics looked up soon that members need and that are not known.
    pub(crate) fn learn_soon(&self) {
        if let Some(background) = &*self.background.lock() {
            background.refresher.learn_soon();
        }
    }

    /// Whether a broker answers; `None` if no route names it any more.
    pub(crate) fn probe(&self, name: &str, deadline: Deadline) -> Option<bool> {
        let (topic, address) = self.routes.topic_on(name)?;
        Some(broker::probe(&self.remoting, &address, &topic, deadline).is_ok())
    }

    /// The connection by which the broker at an address knows a producer group, if there is one and sends
    /// go there.
    pub(crate) fn registered(&self, group: &str, address: &Arc<str>) -> Option<Arc<Connection>> {
        let kind = MemberKind::Producer;
        self.heartbeats.registered(kind, group, address)
    }

    /// The same, waiting until the broker has confirmed a heartbeat. `None` also where something went
    /// wrong, which the request that follows will find out.
    pub(crate) fn ensure_registered(
        &self,
        group: &str,
        address: &Arc<str>,
        deadline: Deadline,
    ) -> Option<Arc<Connection>> {
        let kind = MemberKind::Producer;
        self.heartbeats
            .ensure_registered(kind, group, address, deadline)
    }

    /// The same without waiting. `then` runs once, by the deadline, on any thread.
    pub(crate) fn ensure_registered_then(
        &self,
        group: &str,
        address: &Arc<str>,
        deadline: Deadline,
        then: Box<dyn FnOnce() + Send>,
    ) {
        let kind = MemberKind::Producer;
        self.heartbeats
            .ensure_registered_then(kind, group, address, deadline, then);
    }

    /// Ends everything. The order matters: nothing waits for a permit any more, connections answer
    /// their pending requests, and only then may the threads that carry those answers end.
    fn close(&self, deadline: Deadline) -> ShutdownReport {
        let Some(mut report) = self.workers.threads.take_turn(&self.report, deadline) else {
            return ShutdownReport::default();
        };
        if let Some(report) = &*report {
            return report.clone();
        }
        for member in self.heartbeats.registry.all() {
            member.leave(deadline);
        }
        self.closed.store(true, Ordering::SeqCst);
        drop(self.open.lock().take());
        self.budget.close();
        let members = self.heartbeats.registry.all();
        members.iter().for_each(|member| member.stop());
        self.replies.close();
        let background = self.background.lock().take();
        drop(background);
        self.heartbeats.close();
        self.say_goodbye(&members, deadline);
        self.remoting.close();
        self.routes.close();
        let mut stuck_threads = self.workers.end(deadline);
        for member in members {
            stuck_threads.extend(member.join(deadline));
        }
        let result = ShutdownReport {
            unanswered: 0,
            lost_oneway: self.remoting.lost_oneway(),
            stuck_threads,
        };
        *report = Some(result.clone());
        result
    }

    /// Tells brokers about the members that were not shut down before.
    fn say_goodbye(&self, members: &[Arc<dyn Member>], deadline: Deadline) {
        let groups = members.iter().map(|m| (m.kind(), m.group().clone()));
        let groups: Vec<_> = groups.collect();
        if !groups.is_empty() {
            self.heartbeats.unregister(&groups, deadline);
        }
    }

    /// Disconnected when the client is closed; nothing is ever sent.
    pub(crate) fn closing(&self) -> Receiver<()> {
        self.closing.clone()
    }

    /// `Closed` if it is shut down, or of the process that this one was forked from.
    pub(crate) fn check_open(&self) -> Result<()> {
        let text = match self.remoting.process.is_forked() {
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
        if !self.0.is_closed() && !self.0.remoting.process.is_forked() {
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
