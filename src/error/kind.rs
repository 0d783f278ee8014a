use std::fmt;

/// Why a call failed. [What to do](crate::docs::errors#kinds) about each.
///
/// The snake_case form ([`ErrorKind::as_str`]) is what the example programs print as `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The message, batch or argument breaks a rule, or a hook refused it; nothing was sent.
    Invalid,
    /// The producer or client was shut down.
    Closed,
    /// The configuration cannot work (bad address, unknown group, a group used twice).
    Config,
    /// No name server is configured, or none could be reached.
    NoNameServer,
    /// A name server answered with an error, or its answer cannot be read.
    NameServer,
    /// The topic has no route, or no queue that can be written.
    NoRoute,
    /// The route has no address for the broker (for example because it has no master).
    NoBroker,
    /// A host name could not be resolved.
    Dns,
    /// The connection could not be made.
    #[doc(alias = "RemotingConnectException")]
    Connect,
    /// The deadline passed; [`Error::wait`](crate::Error::wait) says in which wait.
    #[doc(alias = "RemotingTimeoutException")]
    #[doc(alias = "RequestTimeoutException")]
    Timeout,
    /// The connection broke.
    #[doc(alias = "RemotingSendRequestException")]
    Disconnected,
    /// The peer sent bytes that break the protocol.
    Protocol,
    /// The broker refused; [`Error::response_code`](crate::Error::response_code) and [`Error::remark`](crate::Error::remark) say why.
    #[doc(alias = "MQBrokerException")]
    Broker,
    /// The limits for messages or bytes in flight stayed exhausted until the deadline.
    #[doc(alias = "RemotingTooMuchRequestException")]
    Busy,
    /// TLS could not be set up, or the peer could not be verified.
    Tls,
    /// The operating system refused something (a thread, a socket option).
    Io,
}

impl ErrorKind {
    /// All kinds, in the order of their numbers.
    pub(crate) const ALL: [ErrorKind; 16] = [
        ErrorKind::Invalid,
        ErrorKind::Closed,
        ErrorKind::Config,
        ErrorKind::NoNameServer,
        ErrorKind::NameServer,
        ErrorKind::NoRoute,
        ErrorKind::NoBroker,
        ErrorKind::Dns,
        ErrorKind::Connect,
        ErrorKind::Timeout,
        ErrorKind::Disconnected,
        ErrorKind::Protocol,
        ErrorKind::Broker,
        ErrorKind::Busy,
        ErrorKind::Tls,
        ErrorKind::Io,
    ];

    /// The kind in snake_case, for logs and machine-read output.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Invalid => "invalid",
            ErrorKind::Closed => "closed",
            ErrorKind::Config => "config",
            ErrorKind::NoNameServer => "no_name_server",
            ErrorKind::NameServer => "name_server",
            ErrorKind::NoRoute => "no_route",
            ErrorKind::NoBroker => "no_broker",
            ErrorKind::Dns => "dns",
            ErrorKind::Connect => "connect",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Disconnected => "disconnected",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Broker => "broker",
            ErrorKind::Busy => "busy",
            ErrorKind::Tls => "tls",
            ErrorKind::Io => "io",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The wait during which a deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wait {
    /// Waiting for the topic's route.
    Route,
    /// Waiting for a connection (name resolution included).
    Connect,
    /// Waiting for capacity: the in-flight limits, or frames queued ahead on the connection.
    Queue,
    /// Waiting for the socket to take the whole frame.
    Write,
    /// Waiting for the answer.
    Response,
}

impl Wait {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Wait::Route => "waiting for the route",
            Wait::Connect => "connecting",
            Wait::Queue => "waiting for its turn to be written",
            Wait::Write => "writing",
            Wait::Response => "waiting for the response",
        }
    }
}
