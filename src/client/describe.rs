use std::fmt;
use std::sync::Arc;

/// What a client has at one moment: [`Client::describe`](super::Client::describe). Its `Display` is
/// made for a log or a status page: one line for the client, one for each connection and topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientState {
    /// The client's id.
    pub id: String,
    /// Its connections that can take requests, by address.
    pub connections: Vec<ConnectionState>,
    /// The topics whose routes are known, by name.
    pub topics: Vec<TopicState>,
}

/// A connection at one moment. What is counted is counted from its beginning on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ConnectionState {
    /// Host and port.
    pub address: Arc<str>,
    /// Requests without an answer yet.
    pub in_flight: usize,
    /// Bytes that wait to be written.
    pub queued_bytes: u64,
    /// Bytes that the socket has taken.
    pub written_bytes: u64,
    /// In how many system calls. (Not counted with TLS.)
    pub writes: u64,
}

/// A topic at one moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct TopicState {
    /// The topic, as brokers know it.
    pub topic: Arc<str>,
    /// Queues that can be written to.
    pub queues: usize,
}

impl fmt::Display for ClientState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (connections, topics) = (self.connections.len(), self.topics.len());
        write!(
            f,
            "client {}: {connections} connections, {topics} topics",
            self.id
        )?;
        for connection in &self.connections {
            write!(f, "\n  {connection}")?;
        }
        for TopicState { topic, queues } in &self.topics {
            write!(f, "\n  topic {topic}: {queues} queues")?;
        }
        Ok(())
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionState {
            address,
            in_flight,
            queued_bytes,
            written_bytes,
            writes,
        } = self;
        write!(
            f,
            "connection {address}: {in_flight} in flight, {queued_bytes} bytes queued, \
             {written_bytes} written in {writes} calls"
        )
    }
}
