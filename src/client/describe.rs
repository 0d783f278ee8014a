use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::core::Client;
use super::routes::{Known, Observed};
use crate::error::{Error, Printable};
use crate::transport::Connection;

/// A snapshot of a client: [`Client::describe`]. Its `Display` is for a log or a status page: one
/// line for the client, one for each name server, connection, failed dial and topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientState {
    /// The client's id.
    pub id: String,
    /// Asynchronous and oneway messages, and requests, that count towards
    /// [`max_in_flight_messages`](crate::ClientOptions::max_in_flight_messages), of all producers.
    pub in_flight: u64,
    /// Bytes that count towards [`max_in_flight_bytes`](crate::ClientOptions::max_in_flight_bytes),
    /// those of synchronous sends too.
    pub in_flight_bytes: u64,
    /// Oneway messages that were accepted and then lost with their connection, since the start.
    pub lost_oneway: u64,
    /// The name servers, in the order of the list.
    pub name_servers: Vec<NameServerState>,
    /// Its connections that can take requests, by address.
    pub connections: Vec<ConnectionState>,
    /// Addresses to which the last dial failed, by address.
    pub dial_failures: Vec<DialFailure>,
    /// The topics whose routes are known, by name.
    pub topics: Vec<TopicState>,
}

/// A name server at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameServerState {
    /// Host and port.
    pub address: Arc<str>,
    /// Whether it is asked first.
    pub is_current: bool,
    /// Why it did not answer when it was last asked; none if it did.
    pub last_error: Option<String>,
}

/// A snapshot of a connection. Counters start with the connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ConnectionState {
    /// Host and port.
    pub address: Arc<str>,
    /// Requests whose answers are due soon.
    pub in_flight: usize,
    /// Parked requests (long polls): the server may answer them late.
    pub parked: usize,
    /// Bytes that wait to be written.
    pub queued_bytes: u64,
    /// Bytes that the socket has taken.
    pub written_bytes: u64,
    /// In how many system calls. (Not counted with TLS.)
    pub writes: u64,
    /// The version of TLS that was agreed on (`TLS 1.3`); none if the connection is plain.
    pub tls: Option<&'static str>,
}

/// An address without a connection, since the last attempt to make one failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct DialFailure {
    /// Host and port.
    pub address: Arc<str>,
    /// Why.
    pub error: String,
}

/// A topic at one moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct TopicState {
    /// The topic, as brokers know it.
    pub topic: Arc<str>,
    /// Queues that can be written to.
    pub queues: usize,
    /// The brokers that these queues are on, by name, and the addresses of their masters.
    pub brokers: Vec<(Arc<str>, Arc<str>)>,
    /// The time since a name server last gave this route.
    pub age: Duration,
}

impl Client {
    /// A snapshot of this client: name servers, connections and known topics. Cheap enough for a
    /// call every second.
    pub fn describe(&self) -> ClientState {
        let inner = self.inner();
        let (in_flight, in_flight_bytes) = inner.budget.used();
        let usable = inner.remoting.usable();
        let mut connections: Vec<_> = usable.iter().map(|c| state_of(c)).collect();
        connections.sort();
        let failures = inner.remoting.dial_failures().into_iter();
        let mut dial_failures: Vec<_> = failures
            .map(|(address, error)| DialFailure {
                error: why(&error, &address),
                address,
            })
            .collect();
        dial_failures.sort();
        let topic = |(topic, known): (Arc<str>, Arc<Known>)| topic_state(topic, &known);
        let mut topics: Vec<_> = inner.routes.all().into_iter().map(topic).collect();
        topics.sort();
        let name_servers = inner.routes.name_servers.observe().into_iter();
        ClientState {
            id: self.id().to_owned(),
            in_flight,
            in_flight_bytes,
            lost_oneway: inner.remoting.lost_oneway(),
            name_servers: name_servers.map(name_server_state).collect(),
            connections,
            dial_failures,
            topics,
        }
    }
}

fn topic_state(topic: Arc<str>, known: &Known) -> TopicState {
    let info = known.route.publish();
    TopicState {
        topic,
        queues: info.queues.len(),
        brokers: info.brokers(),
        age: known.confirmed().elapsed(),
    }
}

fn name_server_state(server: Observed) -> NameServerState {
    NameServerState {
        last_error: server.last_error.map(|e| why(&e, &server.address)),
        address: server.address,
        is_current: server.is_current,
    }
}

/// The text of an error without the address, which is printed before it.
fn why(error: &Error, address: &str) -> String {
    let text = error.to_string();
    let own = text
        .strip_prefix(address)
        .and_then(|t| t.strip_prefix(": "));
    own.map_or_else(|| text.clone(), str::to_owned)
}

fn state_of(connection: &Connection) -> ConnectionState {
    let load = connection.load();
    ConnectionState {
        address: connection.address().clone(),
        in_flight: load.in_flight,
        parked: load.parked,
        queued_bytes: load.queued_bytes,
        written_bytes: load.written_bytes,
        writes: load.writes,
        tls: load.tls,
    }
}

impl fmt::Display for ClientState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "client {}: {} messages and {} bytes in flight, {} oneway lost",
            self.id, self.in_flight, self.in_flight_bytes, self.lost_oneway
        )?;
        for server in &self.name_servers {
            write!(f, "\n  {server}")?;
        }
        for connection in &self.connections {
            write!(f, "\n  {connection}")?;
        }
        for failure in &self.dial_failures {
            write!(f, "\n  {failure}")?;
        }
        for topic in &self.topics {
            write!(f, "\n  {topic}")?;
        }
        Ok(())
    }
}

impl fmt::Display for NameServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = if self.is_current {
            " (asked first)"
        } else {
            ""
        };
        write!(f, "name server {}{current}", self.address)?;
        match &self.last_error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionState {
            address,
            in_flight,
            parked,
            queued_bytes,
            written_bytes,
            writes,
            tls,
        } = self;
        write!(f, "connection {address}: {in_flight} in flight, ")?;
        if *parked > 0 {
            write!(f, "{parked} parked, ")?;
        }
        write!(f, "{queued_bytes} bytes queued, {written_bytes} written")?;
        match tls {
            Some(version) => write!(f, ", {version}"),
            None => write!(f, " in {writes} calls"),
        }
    }
}

impl fmt::Display for DialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection to {}: {}", self.address, self.error)
    }
}

impl fmt::Display for TopicState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, queues, age) = (Printable(&self.topic), self.queues, self.age);
        write!(
            f,
            "topic {topic}: {queues} queues, route confirmed {age:.1?} ago"
        )?;
        for (broker, address) in &self.brokers {
            let (broker, address) = (Printable(broker), Printable(address));
            write!(f, ", {broker} at {address}")?;
        }
        Ok(())
    }
}
