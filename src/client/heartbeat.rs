use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LOG;
use super::api;
use super::core::Inner;
use crate::error::Result;
use crate::logging;
use crate::protocol::code::response;
use crate::protocol::heartbeat::{Heartbeat, Unregister};
use crate::sync::Mutex;
use crate::transport::{CONNECTIONS_PER_CALL, Connection, Deadline, Next, Outcome, To};

/// The most that brokers have to hear that groups are gone, of a quarter of the time there is.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

impl Inner {
    /// Tells the masters of all known routes which groups live here.
    pub(super) fn heartbeat_all(&self) {
        for master in self.routes.masters() {
            self.heartbeat(&master);
        }
    }

    /// Sees that a broker knows this client before it is to push something to it: the first time
    /// on each connection this waits for the answer to a heartbeat. Returns the connection that the
    /// broker knows: on another one the client would be a stranger. `None` if sends go to another
    /// port, and where something went wrong: what, is left for the request that follows to find out.
    pub(crate) fn introduce(
        &self,
        address: &Arc<str>,
        deadline: Deadline,
    ) -> Option<Arc<Connection>> {
        // Over the ordinary port, as all heartbeats.
        let ordinary = self.broker_of_send_address(address);
        let broker = ordinary.as_ref().unwrap_or(address);
        for _ in 0..CONNECTIONS_PER_CALL {
            let connection = self.remoting.connect(broker, deadline).ok()?;
            if connection.is_introduced() || self.meet(&connection, deadline) {
                return ordinary.is_none().then_some(connection);
            }
            if connection.is_usable() {
                break;
            }
        }
        None
    }

    /// The same for who may not wait. `then` runs once, on whatever thread, and by the deadline.
    pub(crate) fn introduce_apart(
        self: &Arc<Self>,
        address: &Arc<str>,
        deadline: Deadline,
        then: Box<dyn FnOnce() + Send>,
    ) {
        let once = Arc::new(Mutex::new(Some(then)));
        let late = once.clone();
        let ordinary = self.broker_of_send_address(address);
        let then = Box::new(move || go_on(&once));
        let broker = ordinary.as_ref().unwrap_or(address);
        self.clone()
            .connect_and_meet(broker, deadline, CONNECTIONS_PER_CALL, then);
        // At the deadline too: who dials may have more time than this one.
        if late.lock().is_some() {
            let timer = &self.workers.timer;
            timer.schedule(deadline.instant(), move |_| go_on(&late));
        }
    }

    fn connect_and_meet(
        self: Arc<Self>,
        broker: &Arc<str>,
        deadline: Deadline,
        connections: usize,
        then: Box<dyn FnOnce() + Send>,
    ) {
        let client = self.clone();
        let met = move |connection: Result<Arc<Connection>>| match connection {
            Ok(connection) if !connection.is_introduced() => {
                client.meet_apart(connection, deadline, connections, then);
            }
            _ => then(),
        };
        self.remoting
            .connect_parked(broker, deadline, Box::new(met));
    }

    /// The connection to this address, if its broker knows this client and sends go there.
    pub(crate) fn introduced(&self, address: &Arc<str>) -> Option<Arc<Connection>> {
        let connection = self.remoting.current(address)?;
        let known = connection.is_introduced() && self.broker_of_send_address(address).is_none();
        known.then_some(connection)
    }

    /// Tells the broker at the other end of a connection who is here. Says whether it has understood.
    fn meet(&self, connection: &Arc<Connection>, deadline: Deadline) -> bool {
        let Some(heartbeat) = self.own_heartbeat() else {
            return false;
        };
        let deadline = deadline.capped(Instant::now(), self.config.api_timeout);
        let answer = api::heartbeat_and_wait(&self.remoting, connection, &heartbeat, deadline);
        self.note_met(connection, answer)
    }

    fn meet_apart(
        self: Arc<Self>,
        connection: Arc<Connection>,
        deadline: Deadline,
        connections: usize,
        then: Box<dyn FnOnce() + Send>,
    ) {
        let Some(heartbeat) = self.own_heartbeat() else {
            return then();
        };
        let most = deadline.capped(Instant::now(), self.config.api_timeout);
        let (client, known) = (self.clone(), connection.clone());
        let completion = move |answer: Outcome| {
            let answer = answer.and_then(|answer| api::check(&answer, known.address()));
            let met = client.note_met(&known, answer);
            if connections == 1 || met || known.is_usable() {
                then();
                return Next::Done;
            }
            // Not here: this can be the timer, which waits for no socket.
            Next::Retry(Box::new(move || {
                client.connect_and_meet(known.address(), deadline, connections - 1, then);
            }))
        };
        let to = To::Connection(&connection);
        api::heartbeat(&self.remoting, to, &heartbeat, most, Box::new(completion));
    }

    fn note_met(&self, connection: &Arc<Connection>, answer: Result<()>) -> bool {
        if let Err(error) = answer {
            let (level, more) = self.warnings.level(Instant::now());
            logging::log!(target: LOG, level, "heartbeat before a request failed: {error}{more}");
            return false;
        }
        connection.note_introduced();
        // The reply can come by way of another broker.
        for other in self.routes.masters() {
            if other != *connection.address() {
                self.heartbeat_soon(other);
            }
        }
        true
    }

    /// Which groups live here; `None` if there is none, or none from now on.
    fn own_heartbeat(&self) -> Option<Heartbeat> {
        if self.is_closed() {
            return None;
        }
        let groups = self.groups.lock();
        let client_id = self.identity.client_id();
        let names = groups.iter().map(String::as_str);
        (!groups.is_empty()).then(|| Heartbeat::of_producers(client_id, names))
    }

    /// The brokers that have a usable connection, by their ordinary addresses.
    pub(super) fn connected_brokers(&self) -> impl Iterator<Item = Arc<str>> {
        self.remoting.connected().into_iter().filter(|address| {
            let name_server = self.routes.name_servers.contains(address);
            !name_server && self.broker_of_send_address(address).is_none()
        })
    }

    /// The broker whose sends go to this address, if that is not its ordinary one.
    pub(super) fn broker_of_send_address(&self, address: &Arc<str>) -> Option<Arc<str>> {
        if !self.config.rpc.vip_channel {
            return None;
        }
        let masters = self.routes.masters();
        let sends_to = |master: &&Arc<str>| self.config.rpc.send_address(master) == *address;
        let broker = masters.iter().find(sends_to)?.clone();
        (!masters.contains(address)).then_some(broker)
    }

    /// Tells one broker. Connects if need be, and does not wait for the answer.
    pub(super) fn heartbeat(&self, broker: &Arc<str>) {
        let Some(heartbeat) = self.own_heartbeat() else {
            return;
        };
        let deadline = Deadline::after(Instant::now(), self.config.api_timeout);
        let (to, warnings) = (broker.clone(), self.warnings.clone());
        let completion = move |outcome: Outcome| {
            let why = match outcome {
                Ok(answer) if answer.code == response::SUCCESS => return Next::Done,
                Ok(answer) => format!("{to}: heartbeat answered {}", answer.code),
                Err(error) => format!("heartbeat failed: {error}"),
            };
            let (level, more) = warnings.level(Instant::now());
            logging::log!(target: LOG, level, "{why}{more}");
            Next::Done
        };
        let to = To::Address(broker);
        api::heartbeat(
            &self.remoting,
            to,
            &heartbeat,
            deadline,
            Box::new(completion),
        );
    }

    /// Tells all connected brokers that groups go away, all at once, and waits for the answers, for a
    /// part of the time until the deadline.
    pub(super) fn unregister(&self, groups: &[String], deadline: Deadline) {
        let now = Instant::now();
        let deadline = deadline.share(now, 4).capped(now, GOODBYE_WITHIN);
        let (answered, answers) = crossbeam_channel::unbounded::<()>();
        let brokers: Vec<_> = self.connected_brokers().collect();
        for group in groups {
            let unregister = Unregister {
                client_id: self.identity.client_id().to_owned(),
                producer_group: Some(group.clone()),
                consumer_group: None,
            };
            for address in &brokers {
                let answered = answered.clone();
                let completion = move |_: Outcome| {
                    drop(answered);
                    Next::Done
                };
                api::unregister(
                    &self.remoting,
                    address,
                    &unregister,
                    deadline,
                    Box::new(completion),
                );
            }
        }
        drop(answered);
        // Ends when every completion has dropped its end.
        let _ = answers.recv_deadline(deadline.instant());
    }
}

/// Does what is to be done once.
fn go_on(once: &Mutex<Option<Box<dyn FnOnce() + Send>>>) {
    let taken = once.lock().take();
    if let Some(then) = taken {
        then();
    }
}
