//! Heartbeats: which brokers get the client's members, and when.

use std::collections::BTreeSet;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::member::{Member, MemberKind};
use super::registry::{Made, Registry};
use crate::client::LOG;
use crate::client::api::{self, group};
use crate::client::config::SendPort;
use crate::client::routes::{Brokers, NeededTopic, Route, RouteListener, RouteNeeds, Routes};
use crate::error::Result;
use crate::logging;
use crate::protocol::heartbeat::Unregister;
use crate::sync::channel::Receiver;
use crate::sync::{Mutex, MutexGuard};
use crate::transport::{
    Connection, Deadline, Next, Outcome, Prepared, Remoting, Threads, Throttle, Ticker, Timer,
};

/// The longest wait for unregistering groups, and at most a quarter of the time left.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// The pause after a heartbeat that failed; twice as long after each further one.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// After so many failures in a row, the next heartbeat is that of the interval.
const MOST_REPEATED: u32 = 6;

/// Tells brokers which groups live in a client: at intervals, at once over every new connection, and when
/// a group joins or changes. A heartbeat that fails is repeated, after pauses that grow.
///
/// All masters of known routes get heartbeats; with a consumer, all slaves too. An address that a
/// route names is a broker, whatever else it is (for example a name server, as the 5.x proxy). The
/// heartbeat thread never dials: it requests a connection, and the heartbeat leaves once it is up.
pub(in crate::client) struct Heartbeats {
    pub(in crate::client) registry: Arc<Registry>,
    pub(super) remoting: Arc<Remoting>,
    pub(super) routes: Arc<Routes>,
    pub(super) timer: Timer,
    pub(super) send_port: SendPort,
    /// The longest time of a heartbeat.
    pub(super) timeout: Duration,
    client_id: String,
    /// About what brokers can cause as often as they like.
    pub(super) warnings: Arc<Throttle>,
    /// Held from the check that a heartbeat is current until it has its place in the connection's queue,
    /// never during a write: no heartbeat follows a later one, or the goodbye of a member in it.
    order: Mutex<()>,
    /// Addresses that get a heartbeat out of turn.
    due: Mutex<BTreeSet<Arc<str>>>,
    ticker: Mutex<Option<Ticker<()>>>,
}

/// A heartbeat that is to go out now.
pub(super) struct InOrder<'a> {
    pub(super) prepared: Result<Prepared>,
    pub(super) version: u64,
    /// To be dropped when the heartbeat has its place.
    pub(super) order: MutexGuard<'a, ()>,
}

/// The parts of the client that heartbeats use.
pub(in crate::client) struct Surroundings {
    pub(in crate::client) registry: Arc<Registry>,
    pub(in crate::client) remoting: Arc<Remoting>,
    pub(in crate::client) routes: Arc<Routes>,
    pub(in crate::client) timer: Timer,
    pub(in crate::client) send_port: SendPort,
    pub(in crate::client) timeout: Duration,
    pub(in crate::client) client_id: String,
    pub(in crate::client) warnings: Arc<Throttle>,
}

impl Heartbeats {
    pub(in crate::client) fn new(around: Surroundings) -> Heartbeats {
        Heartbeats {
            registry: around.registry,
            remoting: around.remoting,
            routes: around.routes,
            timer: around.timer,
            send_port: around.send_port,
            timeout: around.timeout,
            client_id: around.client_id,
            warnings: around.warnings,
            order: Mutex::default(),
            due: Mutex::default(),
            ticker: Mutex::new(None),
        }
    }

    pub(in crate::client) fn remoting(&self) -> &Arc<Remoting> {
        &self.remoting
    }

    pub(in crate::client) fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// Starts the thread.
    pub(in crate::client) fn start(
        self: &Arc<Self>,
        threads: &Threads,
        interval: Duration,
        closing: Receiver<()>,
    ) -> io::Result<()> {
        let own = Arc::downgrade(self);
        let beat = move |order: Option<()>| match (own.upgrade(), order) {
            (Some(own), Some(())) => own.send_due(),
            (Some(own), None) => own.send_all(),
            (None, _) => {}
        };
        let ticker = Ticker::start(threads, "rmq-heartbeat", interval, closing, beat)?;
        *self.ticker.lock() = Some(ticker);
        Ok(())
    }

    /// Ends the thread, and makes no heartbeats from now on.
    pub(in crate::client) fn close(&self) {
        self.registry.close();
        drop(self.ticker.lock().take());
    }

    /// A connection came up. Runs on the thread that dialled.
    pub(super) fn connected(self: &Arc<Self>, connection: &Arc<Connection>) {
        let address = connection.address();
        match self.broker_of_send_address(address) {
            // The ordinary port gets a heartbeat too, over a connection that no sender waits for.
            Some(broker) => self.send_soon([broker]),
            None if self.is_broker(address) => self.send(connection),
            None => {}
        }
    }

    /// Schedules heartbeats to these addresses, unless they know all members.
    pub(super) fn send_soon(&self, addresses: impl IntoIterator<Item = Arc<str>>) {
        let mut due = self.due.lock();
        due.extend(addresses);
        let is_idle = due.is_empty();
        drop(due);
        if is_idle {
            return;
        }
        if let Some(ticker) = &*self.ticker.lock() {
            ticker.wake(());
        }
    }

    /// A member has joined or changed: connected brokers get a heartbeat soon, brokers of its topics
    /// with known routes once they are connected.
    pub(super) fn announce(&self, member: &dyn Member) {
        let connected = self.connected_brokers().into_iter();
        self.send_soon(connected.map(|connection| connection.address().clone()));
        for NeededTopic { topic, default } in member.topics() {
            if let Some(route) = self.routes.known_route(&topic, default.is_some()) {
                self.send_soon(self.concerned(&Brokers::of(route.raw())));
            }
        }
    }

    /// Tells the broker at the other end of a connection of all members. Does not wait for its answer.
    pub(super) fn send(self: &Arc<Self>, connection: &Arc<Connection>) {
        let Some(heartbeat) = self.prepare(connection) else {
            return;
        };
        let version = heartbeat.version;
        let deadline = Deadline::after(Instant::now(), self.timeout);
        let (own, to) = (self.clone(), connection.clone());
        let completion = move |outcome: Outcome| {
            match outcome {
                Ok(answer) if api::check(&answer, to.address()).is_ok() => {
                    note_confirmed(&own.registry, &to, version);
                }
                Ok(answer) => {
                    let text = format!("{}: heartbeat answered {}", to.address(), answer.code);
                    own.note_failed(&to, version, &text);
                }
                Err(error) => {
                    own.note_failed(&to, version, &format!("heartbeat failed: {error}"));
                }
            }
            Next::Done
        };
        self.remoting.dispatch_in_order(
            connection,
            heartbeat.prepared,
            deadline,
            Box::new(completion),
            heartbeat.order,
        );
    }

    /// A heartbeat of this version has failed. Another one follows.
    pub(super) fn note_failed(self: &Arc<Self>, to: &Connection, version: u64, text: &str) {
        let failures = to.registration().note_failed();
        to.registration().end(version);
        warn(&self.warnings, text);
        if let Some(pause) = again_after(failures) {
            let (own, address) = (Arc::downgrade(self), to.address().clone());
            self.timer.schedule(Instant::now() + pause, move |_| {
                if let Some(own) = own.upgrade() {
                    own.send_soon([address]);
                }
            });
        }
    }

    /// A heartbeat to the broker at the other end of a connection, which is to go out now.
    pub(super) fn prepare(&self, connection: &Connection) -> Option<InOrder<'_>> {
        loop {
            let made = self.registry.heartbeat(&self.client_id)?;
            let Made { version, epoch, .. } = made;
            // Under no lock: hooks are users' code.
            let address = connection.address();
            let prepared = group::prepare_heartbeat(&self.remoting, address, &made.heartbeat);
            let order = self.order.lock();
            if self.registry.is_current(epoch) {
                connection.registration().begin(version);
                return Some(InOrder {
                    prepared,
                    version,
                    order,
                });
            }
        }
    }

    /// Tells all brokers that are connected that groups go away, all at once, and waits for the answers,
    /// for a part of the time until the deadline. The groups are in no heartbeat from now on.
    pub(in crate::client) fn unregister(
        &self,
        groups: &[(MemberKind, Arc<str>)],
        deadline: Deadline,
    ) {
        for (kind, group) in groups {
            self.registry.begin_to_leave(*kind, group);
        }
        // Those that were made before have their place by then.
        drop(self.order.lock());
        let now = Instant::now();
        let deadline = deadline.share(now, 4).capped(now, GOODBYE_WITHIN);
        let (answered, answers) = crossbeam_channel::unbounded::<()>();
        let brokers = self.connected_brokers();
        for (kind, group) in groups {
            let name = |of| (*kind == of).then(|| group.to_string());
            let unregister = Unregister {
                client_id: self.client_id.clone(),
                producer_group: name(MemberKind::Producer),
                consumer_group: name(MemberKind::Consumer),
            };
            for broker in &brokers {
                let answered = answered.clone();
                let completion = move |_: Outcome| {
                    drop(answered);
                    Next::Done
                };
                let completion = Box::new(completion);
                group::unregister(&self.remoting, broker, &unregister, deadline, completion);
            }
        }
        drop(answered);
        // Ends when every completion has dropped its end.
        let _ = answers.recv_deadline(deadline.instant());
    }

    /// The addresses that get heartbeats at intervals.
    pub(super) fn targets(&self) -> Vec<Arc<str>> {
        self.concerned(&self.routes.brokers())
    }

    /// Those of brokers' addresses that members are concerned with: slaves if one is a consumer.
    fn concerned(&self, brokers: &Brokers) -> Vec<Arc<str>> {
        let addresses = match self.registry.has_consumers() {
            true => brokers.addresses(),
            false => brokers.masters(),
        };
        addresses.into_iter().cloned().collect()
    }

    /// The broker whose sends go to this address, if that is not its ordinary one.
    pub(in crate::client) fn broker_of_send_address(&self, address: &Arc<str>) -> Option<Arc<str>> {
        if self.send_port == SendPort::Ordinary {
            return None;
        }
        let brokers = self.routes.brokers();
        let mut masters = brokers.masters().into_iter();
        let broker = masters.find(|master| self.send_port.address(master) == *address)?;
        (!brokers.contains(address)).then(|| broker.clone())
    }

    /// Whether a new connection to this address gets heartbeats: if a route names it, or if it is neither
    /// a name server nor a port for sends only.
    fn is_broker(&self, address: &Arc<str>) -> bool {
        self.routes.brokers().contains(address)
            || !self.routes.name_servers.contains(address)
                && self.broker_of_send_address(address).is_none()
    }

    /// The usable connections to brokers' ordinary ports. One that no route names is a broker's if it was
    /// told of members before: it may also be a name server that has left the list.
    fn connected_brokers(&self) -> Vec<Arc<Connection>> {
        let mut usable = self.remoting.usable();
        let brokers = self.routes.brokers();
        let is_named = |connection: &Connection| brokers.contains(connection.address());
        usable.retain(|connection| is_named(connection) || connection.registration().was_told());
        usable
    }

    /// The turn of all brokers.
    fn send_all(self: &Arc<Self>) {
        for address in self.targets() {
            match self.remoting.current(&address) {
                Some(connection) => self.send(&connection),
                None => self.connect(&address),
            }
        }
    }

    /// Takes the addresses that get a heartbeat out of turn.
    fn send_due(self: &Arc<Self>) {
        let due = mem::take(&mut *self.due.lock());
        for address in due {
            match self.remoting.current(&address) {
                Some(connection) if connection.registration().needs(self.registry.version()) => {
                    self.send(&connection);
                }
                Some(_) => {}
                None => self.connect(&address),
            }
        }
    }

    /// Has a connection made, by another thread. The heartbeat follows when it is up.
    fn connect(&self, address: &Arc<str>) {
        if !self.registry.has_any() {
            return;
        }
        let deadline = Deadline::after(Instant::now(), self.timeout);
        let warnings = self.warnings.clone();
        let then = move |connected: Result<Arc<Connection>>| {
            if let Err(error) = connected {
                warn(&warnings, &format!("heartbeat failed: {error}"));
            }
        };
        self.remoting
            .connect_parked(address, deadline, Box::new(then));
    }
}

impl RouteListener for Heartbeats {
    /// Brokers of needed topics, and new broker addresses, get a heartbeat at once.
    fn route_changed(&self, topic: &Arc<str>, route: &Arc<Route>) {
        let needed = self.registry.topics();
        let is_needed = needed.iter().any(|needed| needed.topic == *topic);
        let is_connected = |address: &Arc<str>| self.remoting.current(address).is_some();
        let mut due = self.concerned(&Brokers::of(route.raw()));
        due.retain(|address| is_needed || is_connected(address));
        self.send_soon(due);
    }
}

/// Records that a broker confirmed a heartbeat of this version, and notifies the members that it
/// confirms first.
pub(super) fn note_confirmed(registry: &Registry, connection: &Arc<Connection>, version: u64) {
    let before = connection.registration().note_confirmed(version);
    connection.registration().end(version);
    for member in registry.between(before, version) {
        member.confirmed(connection);
    }
}

/// When a heartbeat is repeated after so many failures in a row.
fn again_after(failures: u32) -> Option<Duration> {
    (failures <= MOST_REPEATED).then(|| AGAIN_AFTER * (1 << (failures - 1)))
}

pub(super) fn warn(warnings: &Throttle, text: &str) {
    let (level, more) = warnings.level(Instant::now());
    logging::log!(target: LOG, level, "{text}{more}");
}
