use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::response_code::is_wrong_signature;
use super::{ErrorKind, OneLine, Printable, ResponseCode, SendFate, Wait};

/// Why a call failed, for which topic and broker, and after which attempts.
///
/// One word wide and cheap to clone. The text is complete in itself; all details have getters:
/// [`kind`](Error::kind), [`fate`](Error::fate), [`attempts`](Error::attempts),
/// [`response_code`](Error::response_code), [`remark`](Error::remark), [`wait`](Error::wait),
/// [`unique_key`](Error::unique_key).
#[derive(Clone)]
#[doc(alias = "MQClientException")]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    fate: SendFate,
    detail: Arc<str>,
    wait: Option<Wait>,
    address: Option<Arc<str>>,
    topic: Option<Arc<str>>,
    unique_key: Option<Box<str>>,
    code: Option<ResponseCode>,
    remark: Option<String>,
    retry_after: Option<Duration>,
    attempts: Attempts,
    /// From the first attempt to the end, pauses included.
    took: Duration,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// The kind of the failure; after several attempts, the kind of the last one.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether a broker may hold the message: the worst case of all attempts.
    pub fn fate(&self) -> SendFate {
        self.0.fate
    }

    /// Whether the same call can succeed later, without a change of the message, the settings, the
    /// topic or permissions.
    ///
    /// | kind | retryable |
    /// |---|---|
    /// | `NoNameServer`, `NoRoute`, `NoBroker`, `Dns`, `Connect`, `Timeout`, `Disconnected`, `Protocol`, `Busy`, `Io` | yes |
    /// | `Invalid`, `Config`, `Closed`, `Tls` | no |
    /// | `Broker`, `NameServer` | by the [code](Error::response_code): yes for `SYSTEM_ERROR` (but not for a wrong signature, as brokers 4.x report it), `SYSTEM_BUSY`, the codes 10 to 12, `SERVICE_NOT_AVAILABLE`, `FLOW_CONTROL`, `GO_AWAY` and other passing conditions; no for permanent refusals such as `MESSAGE_ILLEGAL`, `NO_PERMISSION`, `TOPIC_NOT_EXIST`, and for codes without a name. An unreadable answer of a name server is retryable |
    ///
    /// `NoRoute` is retryable because a topic has no route while its brokers are down. The send
    /// itself has already made its attempts: wait for a second or more.
    ///
    /// This says nothing about duplicates: if the [`fate`](Error::fate) is
    /// [`MaybeStored`](SendFate::MaybeStored), a second call can store a second copy. With the
    /// [unique key](Error::unique_key) of the first one, consumers can recognize it.
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::NoNameServer
            | ErrorKind::NoRoute
            | ErrorKind::NoBroker
            | ErrorKind::Dns
            | ErrorKind::Connect
            | ErrorKind::Timeout
            | ErrorKind::Disconnected
            | ErrorKind::Protocol
            | ErrorKind::Busy
            | ErrorKind::Io => true,
            ErrorKind::Invalid | ErrorKind::Config | ErrorKind::Closed | ErrorKind::Tls => false,
            ErrorKind::NameServer | ErrorKind::Broker => self.0.code.is_none_or(|code| {
                let remark = self.remark().unwrap_or_default();
                code.may_pass() && !is_wrong_signature(code, remark)
            }),
        }
    }

    /// The response code of the broker or name server, if the last attempt got an answer.
    pub fn response_code(&self) -> Option<ResponseCode> {
        self.0.code
    }

    /// The text that came with [`response_code`](Error::response_code).
    pub fn remark(&self) -> Option<&str> {
        self.0.remark.as_deref()
    }

    /// The wait in which the deadline passed, if the kind is [`ErrorKind::Timeout`].
    pub fn wait(&self) -> Option<Wait> {
        self.0.wait
    }

    /// The topic of the send, if it was one.
    pub fn topic(&self) -> Option<&str> {
        self.0.topic.as_deref()
    }

    /// The unique key of the message. Use it to send the same message again
    /// ([`Message::unique_key`](crate::Message::unique_key)) or to look it up
    /// ([`Admin`](crate::Admin)). For a batch, the keys of all its messages, separated by commas.
    /// `None` if the send was refused before it had a key (an invalid message, a closed producer),
    /// if a sent request got no reply, and if the wait for a [`SendHandle`](crate::SendHandle)
    /// timed out.
    pub fn unique_key(&self) -> Option<&str> {
        self.0.unique_key.as_deref()
    }

    /// The address of the peer that failed, if there was one.
    pub fn address(&self) -> Option<&str> {
        self.0.address.as_deref()
    }

    /// The attempts of a send, in order; empty if it failed before the first. Of more than 32
    /// attempts, the first 16 and the last 16; [`attempts_made`](Error::attempts_made) counts all.
    pub fn attempts(&self) -> &[Attempt] {
        self.0.attempts.listed()
    }

    /// The number of attempts; 0 if the send failed before the first.
    pub fn attempts_made(&self) -> usize {
        self.0.attempts.made()
    }

    pub(crate) fn new(kind: ErrorKind, detail: impl Into<Arc<str>>) -> Error {
        Error(Arc::new(Inner {
            kind,
            fate: SendFate::NotSent,
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

    /// A server refused.
    pub(crate) fn response(code: impl Into<ResponseCode>, remark: Option<&str>) -> Error {
        let code = code.into();
        Error::new(ErrorKind::Broker, code.to_string()).with(|e| {
            e.code = Some(code);
            e.remark = remark.map(str::to_owned);
        })
    }

    /// A waiter was dropped without an answer, which only a bug of this crate can cause.
    pub(crate) fn lost() -> Error {
        let text = "the answer was lost inside the client: this is a bug of this crate";
        Error::new(ErrorKind::Disconnected, text).maybe_stored()
    }

    /// A read or write of a socket failed.
    pub(crate) fn socket(what: &str, cause: std::io::Error) -> Error {
        let text = format!("{what} failed: {cause}");
        Error::new(ErrorKind::Disconnected, text).caused_by(cause)
    }

    pub(crate) fn maybe_stored(self) -> Error {
        self.with(|e| e.fate = SendFate::MaybeStored)
    }

    pub(crate) fn with_fate(self, fate: SendFate) -> Error {
        self.with(|e| e.fate = fate)
    }

    /// Adds details to the kind.
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

    /// Adds the attempts and their duration, pauses included.
    pub(crate) fn with_attempts(self, attempts: Attempts, took: Duration) -> Error {
        self.with(|e| (e.attempts, e.took) = (attempts, took))
    }

    pub(crate) fn caused_by(
        self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        self.with(|e| e.source = Some(Arc::from(source.into())))
    }

    /// How long the peer's address stays in back-off.
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

    /// The address is shown only where it may be the cause.
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
        match e.fate {
            SendFate::NotSent => Ok(()),
            SendFate::MaybeStored => f.write_str(" (the message may be stored)"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Error({}, {}: {self})",
            self.0.kind,
            self.0.fate.as_str()
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

/// One attempt of a failed send.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt {
    /// The name of the broker.
    pub broker: Arc<str>,
    /// Why this attempt failed.
    pub error: Error,
    /// How long this attempt took.
    pub elapsed: Duration,
}

/// The failed attempts of a send. Unlimited retries can make many: of those in the middle only the
/// number is kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempts {
    listed: Vec<Attempt>,
    left_out: usize,
    worst: Option<SendFate>,
}

/// The most attempts that are listed: half of them the first ones, half the last ones.
const MOST_LISTED: usize = 32;

impl Attempts {
    pub(crate) fn push(&mut self, attempt: Attempt) {
        self.worst = self.worst.max(Some(attempt.error.fate()));
        match self.listed.len() {
            // Most sends have only one, and a connection that ends can fail very many sends.
            0 => self.listed.reserve_exact(1),
            MOST_LISTED => {
                self.listed.remove(MOST_LISTED / 2);
                self.left_out += 1;
            }
            _ => {}
        }
        self.listed.push(attempt);
    }

    pub(crate) fn listed(&self) -> &[Attempt] {
        &self.listed
    }

    /// The fate of all attempts together.
    pub(crate) fn worst(&self) -> SendFate {
        self.worst.unwrap_or(SendFate::NotSent)
    }

    fn made(&self) -> usize {
        self.listed.len() + self.left_out
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, attempt) in self.listed.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            if i == MOST_LISTED / 2 && self.left_out > 0 {
                write!(f, "({} more); ", self.left_out)?;
            }
            write!(f, "{}", Printable(&attempt.broker))?;
            let address = attempt.error.address();
            match address.filter(|_| attempt.error.was_not_reached()) {
                Some(address) => write!(f, " ({}): ", Printable(address))?,
                None => f.write_str(": ")?,
            }
            attempt.error.write_cause(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
