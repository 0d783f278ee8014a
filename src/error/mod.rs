//! What a failed call says: its kind, whether the message may be stored, and how it was tried.

mod attempts;
mod printable;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use attempts::Attempt;
pub(crate) use attempts::Attempts;
pub(crate) use printable::{OneLine, Printable};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

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
    /// A name server answered with an error or with something that cannot be read.
    NameServer,
    /// The topic has no route, or no queue that can be written.
    NoRoute,
    /// The route names no address for the broker (for example: it has no master).
    NoBroker,
    /// A host name could not be resolved.
    Dns,
    /// The connection could not be made.
    #[doc(alias = "RemotingConnectException")]
    Connect,
    /// The deadline passed; [`Error::wait`] says during which wait.
    #[doc(alias = "RemotingTimeoutException")]
    #[doc(alias = "RequestTimeoutException")]
    Timeout,
    /// The connection broke.
    #[doc(alias = "RemotingSendRequestException")]
    Disconnected,
    /// The peer sent bytes that break the protocol.
    Protocol,
    /// The broker refused; [`Error::response_code`] and [`Error::remark`] say why.
    #[doc(alias = "MQBrokerException")]
    Broker,
    /// The limits for messages or bytes in flight stayed full until the deadline.
    #[doc(alias = "RemotingTooMuchRequestException")]
    Busy,
    /// TLS could not be set up, or the peer could not be verified.
    Tls,
    /// The operating system refused something (a thread, a socket option).
    Io,
}

impl ErrorKind {
    /// All of them, in the order of their numbers.
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

/// What a failed send promises about the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Delivery {
    /// No attempt of this call left the message with a broker: sending it again cannot duplicate it.
    /// (What an earlier call with the same unique key did is not known here: of several, the worst
    /// counts, and deliveries can be compared for that.)
    NotSent,
    /// A broker may hold the message: sending it again can duplicate it.
    MaybeStored,
}

impl Delivery {
    /// `not_sent` or `maybe_stored`.
    pub fn as_str(self) -> &'static str {
        match self {
            Delivery::NotSent => "not_sent",
            Delivery::MaybeStored => "maybe_stored",
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The wait during which a deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wait {
    /// For the topic's route.
    Route,
    /// For a connection (name resolution included).
    Connect,
    /// For a turn: the limits in flight, or the frames ahead in the connection's queue.
    Queue,
    /// For the socket to take the whole frame.
    Write,
    /// For the answer.
    Response,
}

impl Wait {
    fn as_str(self) -> &'static str {
        match self {
            Wait::Route => "waiting for the route",
            Wait::Connect => "connecting",
            Wait::Queue => "waiting for its turn to be written",
            Wait::Write => "writing",
            Wait::Response => "waiting for the response",
        }
    }
}

/// Why a call failed, for which topic and broker, and how often it was tried.
///
/// One word wide and cheap to clone; the message reads well alone. All details have accessors:
/// [`kind`](Error::kind), [`delivery`](Error::delivery), [`attempts`](Error::attempts),
/// [`response_code`](Error::response_code), [`remark`](Error::remark), [`wait`](Error::wait),
/// [`unique_key`](Error::unique_key).
#[derive(Clone)]
#[doc(alias = "MQClientException")]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    delivery: Delivery,
    detail: Arc<str>,
    wait: Option<Wait>,
    address: Option<Arc<str>>,
    topic: Option<Arc<str>>,
    unique_key: Option<Box<str>>,
    code: Option<i32>,
    remark: Option<String>,
    retry_after: Option<Duration>,
    attempts: Attempts,
    /// From the first attempt to the end, pauses included.
    took: Duration,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// The kind of the failure; for a send of several attempts, that of the last one.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether a broker may hold the message: the worst of all attempts.
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// The broker's (or name server's) response code, if one answered last.
    pub fn response_code(&self) -> Option<i32> {
        self.0.code
    }

    /// The text that came with [`response_code`](Error::response_code).
    pub fn remark(&self) -> Option<&str> {
        self.0.remark.as_deref()
    }

    /// During which wait the deadline passed, if the kind is [`ErrorKind::Timeout`].
    pub fn wait(&self) -> Option<Wait> {
        self.0.wait
    }

    /// The topic that was sent to, if there was one.
    pub fn topic(&self) -> Option<&str> {
        self.0.topic.as_deref()
    }

    /// The unique key under which the message went out, or would have: with
    /// [`Message::unique_key`](crate::Message::unique_key) the same message can be sent again under it,
    /// and [`Admin`](crate::Admin) looks for it. For a batch, those of all its messages with commas
    /// between them. `None` for what was refused before it had one (an invalid message, a closed
    /// producer), for a request that was sent and got no reply, and when a
    /// [`SendHandle`](crate::SendHandle) is not waited for any longer.
    pub fn unique_key(&self) -> Option<&str> {
        self.0.unique_key.as_deref()
    }

    /// The address of the peer that failed, if there was one.
    pub fn address(&self) -> Option<&str> {
        self.0.address.as_deref()
    }

    /// The attempts of a send, in order; empty if it failed before the first. Of more than 32 the first
    /// 16 and the last 16; [`attempts_made`](Error::attempts_made) are all.
    pub fn attempts(&self) -> &[Attempt] {
        self.0.attempts.listed()
    }

    /// How many attempts the send made; 0 if it failed before the first.
    pub fn attempts_made(&self) -> usize {
        self.0.attempts.made()
    }

    pub(crate) fn new(kind: ErrorKind, detail: impl Into<Arc<str>>) -> Error {
        Error(Arc::new(Inner {
            kind,
            delivery: Delivery::NotSent,
            detail: detail.into(),
            wait: None,
            address: None,
            topic: None,
            unique_key: None,
            code: None,
            remark: None,
            retry_after: None,
            attempts: Attempts::default(),
            took: Duration::ZERO,
            source: None,
        }))
    }

    pub(crate) fn invalid(detail: impl Into<Arc<str>>) -> Error {
        Error::new(ErrorKind::Invalid, detail)
    }

    pub(crate) fn timeout(wait: Wait) -> Error {
        Error::new(ErrorKind::Timeout, "").with(|e| e.wait = Some(wait))
    }

    pub(crate) fn response(code: i32, name: Option<&str>, remark: Option<&str>) -> Error {
        let detail = match name {
            Some(name) => format!("{name} ({code})"),
            None => format!("response code {code}"),
        };
        Error::new(ErrorKind::Broker, detail).with(|e| {
            e.code = Some(code);
            e.remark = remark.map(str::to_owned);
        })
    }

    /// Somebody who must be answered was forgotten, which only a bug of this crate can do.
    pub(crate) fn lost() -> Error {
        let text = "the answer was lost inside the client: this is a bug of this crate";
        Error::new(ErrorKind::Disconnected, text).maybe_stored()
    }

    /// A read or write of a socket has failed.
    pub(crate) fn socket(what: &str, cause: std::io::Error) -> Error {
        let text = format!("{what} failed: {cause}");
        Error::new(ErrorKind::Disconnected, text).caused_by(cause)
    }

    pub(crate) fn maybe_stored(self) -> Error {
        self.with(|e| e.delivery = Delivery::MaybeStored)
    }

    pub(crate) fn delivered(self, delivery: Delivery) -> Error {
        self.with(|e| e.delivery = delivery)
    }

    /// Says more than the kind does.
    pub(crate) fn detailed(self, detail: impl Into<Arc<str>>) -> Error {
        self.with(|e| e.detail = detail.into())
    }

    pub(crate) fn of_kind(self, kind: ErrorKind) -> Error {
        self.with(|e| e.kind = kind)
    }

    pub(crate) fn at(self, address: &Arc<str>) -> Error {
        self.with(|e| e.address = Some(address.clone()))
    }

    pub(crate) fn on_topic(self, topic: &Arc<str>) -> Error {
        self.with(|e| e.topic = Some(topic.clone()))
    }

    pub(crate) fn with_unique_key(self, key: &str) -> Error {
        self.with(|e| e.unique_key = Some(key.into()))
    }

    /// With what was tried, and how long that took, pauses included.
    pub(crate) fn with_attempts(self, attempts: Attempts, took: Duration) -> Error {
        self.with(|e| (e.attempts, e.took) = (attempts, took))
    }

    pub(crate) fn caused_by(
        self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        self.with(|e| e.source = Some(Arc::from(source.into())))
    }

    /// How long the peer's address should be left alone before it is dialled again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    pub(crate) fn retriable_after(self, wait: Duration) -> Error {
        self.with(|e| e.retry_after = Some(wait))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Error {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Where the address may be what is wrong, it is worth the space.
    fn was_not_reached(&self) -> bool {
        match self.0.kind {
            ErrorKind::Connect | ErrorKind::Dns | ErrorKind::Tls => true,
            ErrorKind::Timeout => self.0.wait == Some(Wait::Connect),
            _ => false,
        }
    }

    /// The cause without topic and attempts: `SYSTEM_BUSY (2): disk full`.
    fn write_cause(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &*self.0;
        match (e.kind, e.wait) {
            (ErrorKind::Timeout, Some(wait)) => {
                write!(f, "timeout while {}", wait.as_str())?;
                if !e.detail.is_empty() {
                    write!(f, ": {}", OneLine(&e.detail))?;
                }
            }
            (ErrorKind::Broker, _) => f.write_str(&e.detail)?,
            (kind, _) if e.detail.is_empty() => write!(f, "{kind}")?,
            _ => write!(f, "{}", OneLine(&e.detail))?,
        }
        if let Some(remark) = &e.remark {
            write!(f, ": {}", Printable(remark))?;
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &*self.0;
        let (last, n) = (e.attempts.listed().last(), e.attempts.made());
        if n > 0 {
            let plural = if n == 1 { "" } else { "s" };
            let topic = e.topic.as_deref().unwrap_or("?");
            write!(f, "send to {} ", OneLine(topic))?;
            write!(f, "failed after {n} attempt{plural} in {:.1?}: ", e.took)?;
            write!(f, "{}", e.attempts)?;
            let last_differs = last.is_some_and(|a| a.error.kind() != e.kind);
            if last_differs {
                f.write_str("; then ")?;
                self.write_cause(f)?;
            }
        } else {
            if let Some(topic) = &e.topic {
                write!(f, "{}: ", OneLine(topic))?;
            }
            if let Some(address) = &e.address {
                write!(f, "{}: ", Printable(address))?;
            }
            self.write_cause(f)?;
        }
        match e.delivery {
            Delivery::NotSent => Ok(()),
            Delivery::MaybeStored => f.write_str(" (the message may be stored)"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Error({}, {}: {self})",
            self.0.kind,
            self.0.delivery.as_str()
        )
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let e = &*self.0;
        match &e.source {
            Some(source) => Some(&**source),
            None => e
                .attempts
                .listed()
                .last()
                .map(|a| &a.error as &(dyn std::error::Error + 'static)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn a_final_error_lists_every_attempt_and_what_it_promises() {
        let attempt = |broker: &str, error| Attempt {
            broker: broker.into(),
            error,
            elapsed: Duration::from_millis(600),
        };
        let busy = Error::response(2, Some("SYSTEM_BUSY"), Some("disk\u{1b}[31m full\n"));
        let mut attempts = Attempts::default();
        attempts.push(attempt("broker-a", Error::timeout(Wait::Response)));
        attempts.push(attempt("broker-b", busy.clone()));
        let error = busy
            .clone()
            .maybe_stored()
            .on_topic(&"TopicTest".into())
            .with_attempts(attempts, Duration::from_millis(1250));
        assert_eq!(
            error.to_string(),
            "send to TopicTest failed after 2 attempts in 1.2s: broker-a: timeout while waiting for the response; \
             broker-b: SYSTEM_BUSY (2): disk\\u{1b}[31m full\\n (the message may be stored)"
        );
        assert_eq!(error.response_code(), Some(2));
        assert!(std::error::Error::source(&error).is_some());
    }
}
