use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::client::LOG;
use crate::client::routes::NeededTopic;
use crate::logging;
use crate::protocol::code::response;
use crate::protocol::heartbeat::Heartbeat;
use crate::protocol::{Command, ProtocolError};
use crate::transport::{Connection, Deadline, Throttle};

/// The kind of a group. A producer and a consumer group may have the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum MemberKind {
    Producer,
    Consumer,
}

impl fmt::Display for MemberKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MemberKind::Producer => "producer",
            MemberKind::Consumer => "consumer",
        })
    }
}

/// A producer or consumer, as its client sees it: one group's part in heartbeats, brokers' requests,
/// routes and the end.
pub(crate) trait Member: Send + Sync {
    fn kind(&self) -> MemberKind;

    /// Its name on the wire.
    fn group(&self) -> &Arc<str>;

    /// Adds what brokers are to know of it. Runs for each heartbeat, under no lock.
    fn add_to(&self, heartbeat: &mut Heartbeat);

    /// The topics whose routes it needs for its lifetime. Once their routes are known, their
    /// brokers are connected and get a heartbeat.
    fn topics(&self) -> Vec<NeededTopic>;

    /// Whether brokers make requests of it, so that they must be able to find this client at any time.
    fn is_asked(&self) -> bool;

    /// Takes a broker's request, or returns it if it is not for this member. The member that takes
    /// it answers it. Runs on a reader thread: it decides and hands over.
    fn answer(&self, request: BrokerRequest) -> Option<BrokerRequest>;

    /// The broker at the other end of this connection has confirmed a heartbeat that has this member in
    /// it, for the first time over this connection, or since the member has changed. Runs on a reader
    /// thread or that of a caller: it hands on.
    fn confirmed(&self, _connection: &Arc<Connection>) {}

    /// The client is about to close: finishes what needs it open, until the deadline.
    fn leave(&self, _deadline: Deadline) {}

    /// Begins nothing from now on that a broker asks for.
    fn stop(&self);

    /// Waits for what runs still; names the threads that have not ended at the deadline.
    fn join(&self, deadline: Deadline) -> Vec<String>;
}

/// A broker's request to this client. The member that takes it answers through one of its
/// functions, none of which blocks.
pub(crate) struct BrokerRequest {
    connection: Arc<Connection>,
    command: Command,
    warnings: Arc<Throttle>,
}

impl BrokerRequest {
    pub(super) fn new(
        connection: Arc<Connection>,
        command: Command,
        warnings: Arc<Throttle>,
    ) -> BrokerRequest {
        BrokerRequest {
            connection,
            command,
            warnings,
        }
    }

    pub(crate) fn command(&self) -> &Command {
        &self.command
    }

    pub(crate) fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.command.body)
    }

    /// The connection that it came over.
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Answers that it was done.
    pub(crate) fn done(self) {
        let answer = Command::response_to(&self.command, response::SUCCESS);
        self.reply(&answer);
    }

    /// Answers with this. Requests of most kinds are made oneway, and have no answer.
    pub(crate) fn reply(self, answer: &Command) {
        if !self.command.is_oneway() {
            self.connection.reply(answer);
        }
    }

    /// Logs that it cannot be read, and answers so.
    pub(crate) fn unreadable(self, error: &ProtocolError) {
        self.warn(&format!("cannot be read: {error}"));
        let answer = Command::response_to(&self.command, response::SYSTEM_ERROR);
        self.reply(&answer.with_remark(error.to_string()));
    }

    /// Logs that no member has taken it, and gives it back.
    pub(super) fn unclaimed(self, name: &str) -> Command {
        self.warn(&format!("({name}) has no addressee here"));
        self.command
    }

    fn warn(&self, what: &str) {
        let (broker, code) = (self.connection.address(), self.command.code);
        let (level, more) = self.warnings.level(Instant::now());
        logging::log!(target: LOG, level, "{broker}: request {code} {what}{more}");
    }
}
