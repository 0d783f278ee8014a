//! Waits until a broker has confirmed a heartbeat that has a member in it: brokers push only to clients
//! that they know, and serve only groups that they know.

use std::sync::Arc;
use std::time::Instant;

use super::heartbeat::{Heartbeats, InOrder, note_confirmed};
use super::member::MemberKind;
use crate::client::api;
use crate::error::Result;
use crate::transport::{
    CONNECTIONS_PER_CALL, Connection, Deadline, Deferred, Next, Outcome, Prepared,
};

/// The continuation of a wait until a broker knows a member.
type Continuation = Box<dyn FnOnce() + Send>;

impl Heartbeats {
    /// The connection to an address, if the broker there knows a member and sends go there. Never waits.
    pub(in crate::client) fn registered(
        &self,
        kind: MemberKind,
        group: &str,
        address: &Arc<str>,
    ) -> Option<Arc<Connection>> {
        let since = self.registry.since(kind, group)?;
        let connection = self.remoting.current(address)?;
        let known = connection.confirmed() >= since;
        (known && self.broker_of_send_address(address).is_none()).then_some(connection)
    }

    /// Sees that the broker at an address knows a member: the first time over each connection this waits
    /// for the answer to a heartbeat. Returns the connection by which the broker knows it: over another
    /// one the client would be a stranger. `None` if sends go to another port, and where something went
    /// wrong, which the request that follows will find out.
    pub(in crate::client) fn ensure_registered(
        self: &Arc<Self>,
        kind: MemberKind,
        group: &str,
        address: &Arc<str>,
        deadline: Deadline,
    ) -> Option<Arc<Connection>> {
        let since = self.registry.since(kind, group)?;
        // Over the ordinary port, as all heartbeats.
        let ordinary = self.broker_of_send_address(address);
        let broker = ordinary.as_ref().unwrap_or(address);
        for _ in 0..CONNECTIONS_PER_CALL {
            let connection = self.remoting.connect(broker, deadline).ok()?;
            if connection.confirmed() >= since || self.register(&connection, deadline) {
                return ordinary.is_none().then_some(connection);
            }
            if connection.is_usable() {
                break;
            }
        }
        None
    }

    /// The same without waiting. `then` runs once, by the deadline, on any thread.
    pub(in crate::client) fn ensure_registered_then(
        self: &Arc<Self>,
        kind: MemberKind,
        group: &str,
        address: &Arc<str>,
        deadline: Deadline,
        then: Continuation,
    ) {
        let Some(since) = self.registry.since(kind, group) else {
            return then();
        };
        let ordinary = self.broker_of_send_address(address);
        let broker = ordinary.as_ref().unwrap_or(address);
        // At the deadline too: the dial may have more time than this caller.
        let then = Deferred::new(then);
        then.expire_at(&self.timer, deadline.instant(), |then| then());
        let go_on = Box::new(move || {
            if let Some(then) = then.take() {
                then();
            }
        });
        self.clone()
            .connect_and_register(since, broker, deadline, CONNECTIONS_PER_CALL, go_on);
    }

    fn connect_and_register(
        self: Arc<Self>,
        since: u64,
        broker: &Arc<str>,
        deadline: Deadline,
        connections: usize,
        then: Continuation,
    ) {
        let own = self.clone();
        let connected = move |connection: Result<Arc<Connection>>| match connection {
            Ok(connection) if connection.confirmed() < since => {
                own.register_then(since, connection, deadline, connections, then);
            }
            _ => then(),
        };
        self.remoting
            .connect_parked(broker, deadline, Box::new(connected));
    }

    /// Sends a heartbeat over a connection and waits. Says whether the broker has confirmed it.
    fn register(self: &Arc<Self>, connection: &Arc<Connection>, deadline: Deadline) -> bool {
        let Some(heartbeat) = self.prepare(connection) else {
            return false;
        };
        let (version, order) = (heartbeat.version, heartbeat.order);
        let deadline = deadline.capped(Instant::now(), self.timeout);
        let exchange = |prepared: Prepared| {
            let remoting = &self.remoting;
            remoting.exchange_in_order(connection, &prepared, deadline, order)
        };
        let answer = heartbeat.prepared.and_then(exchange);
        let answer = answer.and_then(|answer| api::check(&answer, connection.address()));
        self.note_answer(connection, version, answer)
    }

    fn register_then(
        self: Arc<Self>,
        since: u64,
        connection: Arc<Connection>,
        deadline: Deadline,
        connections: usize,
        then: Continuation,
    ) {
        let prepared = self.prepare(&connection);
        let Some(InOrder {
            prepared,
            version,
            order,
        }) = prepared
        else {
            return then();
        };
        let most = deadline.capped(Instant::now(), self.timeout);
        let (own, to) = (self.clone(), connection.clone());
        let completion = move |answer: Outcome| {
            let answer = answer.and_then(|answer| api::check(&answer, to.address()));
            let confirmed = own.note_answer(&to, version, answer);
            if connections == 1 || confirmed || to.is_usable() {
                then();
                return Next::Done;
            }
            // Not here: this can be the timer thread, which must not wait for a socket.
            Next::Retry(Box::new(move || {
                own.connect_and_register(since, to.address(), deadline, connections - 1, then);
            }))
        };
        let completion = Box::new(completion);
        self.remoting
            .dispatch_in_order(&connection, prepared, most, completion, order);
    }

    fn note_answer(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        version: u64,
        answer: Result<()>,
    ) -> bool {
        if let Err(error) = answer {
            let text = format!("heartbeat before a request failed: {error}");
            self.note_failed(connection, version, &text);
            return false;
        }
        note_confirmed(&self.registry, connection, version);
        // The broker's push can arrive through another broker.
        let others = self.targets().into_iter();
        self.send_soon(others.filter(|other| other != connection.address()));
        true
    }
}
