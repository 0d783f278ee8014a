//! The attempts that did not end a send, and what is learnt from them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LOG;
use super::fault::Report;
use super::retry::Verdict;
use super::send::Send;
use crate::error::{Attempt, Attempts, Error, ErrorKind, ResponseCode};
use crate::logging;
use crate::message::SendReceipt;

/// The attempts that did not end the send.
#[derive(Default)]
pub(super) struct Past {
    pub(super) failed: Attempts,
    /// When the first of them began.
    pub(super) begun: Option<Instant>,
    /// In how many of the last of them nobody was asked.
    unasked: u32,
    /// Why the current one waits until its address may be asked.
    pub(super) held_back: Option<Error>,
    /// The broker of the last one, which a retry avoids.
    pub(super) last_broker: Option<Arc<str>>,
    /// A receipt that says "stored, but"; returned if nothing better comes.
    pub(super) doubtful: Option<Box<SendReceipt>>,
}

impl Send {
    pub(super) fn past(&mut self) -> &mut Past {
        self.past.get_or_insert_default()
    }

    /// The attempts that failed.
    pub(super) fn failed(&self) -> &[Attempt] {
        self.past.as_ref().map_or(&[], |past| past.failed.listed())
    }

    /// From the first of them until now.
    pub(super) fn tried_for(&self) -> Duration {
        let begun = self.past.as_ref().and_then(|past| past.begun);
        begun.map_or(Duration::ZERO, |begun| begun.elapsed())
    }

    /// In how many attempts in a row nobody was asked, up to now.
    pub(super) fn unasked(&self) -> u32 {
        self.past.as_ref().map_or(0, |past| past.unasked)
    }

    /// Avoids a broker that is not well for a while, and has the route looked at if it may be why.
    pub(super) fn learn_from(&self, error: &Error) {
        let broker = self.aim.queue.shared_broker();
        let unwell = match error.kind() {
            ErrorKind::Broker => Some(Report::Refused),
            ErrorKind::Connect
            | ErrorKind::Tls
            | ErrorKind::Dns
            | ErrorKind::Disconnected
            | ErrorKind::Timeout
            | ErrorKind::Protocol => Some(Report::Unreachable),
            _ => None,
        };
        if let Some(report) = unwell {
            self.core.report(broker, report);
        }
        let suspicious = match error.kind() {
            ErrorKind::Connect | ErrorKind::Disconnected | ErrorKind::Dns => true,
            ErrorKind::Broker => matches!(
                error.response_code(),
                Some(
                    ResponseCode::TOPIC_NOT_EXIST
                        | ResponseCode::SYSTEM_BUSY
                        | ResponseCode::NO_PERMISSION
                )
            ),
            _ => false,
        };
        if suspicious {
            self.core
                .client
                .inner()
                .refresh_soon(&self.out.topic_on_wire);
        }
    }

    /// Remembers a failed attempt.
    pub(super) fn note(&mut self, error: Error, verdict: Verdict, took: Duration) {
        self.learn_from(&error);
        let broker = self.aim.queue.shared_broker().clone();
        if verdict != Verdict::Fail {
            let (topic, id, made) = (&self.out.topic, &self.out.message_id, self.made);
            let (level, more) = self.core.warnings.level(Instant::now());
            logging::log!(
                target: LOG,
                level,
                "{topic}: attempt {made} of message {id} on {broker} failed, trying again: {error}{more}"
            );
        }
        let begun = self.out.begun.at;
        let past = self.past();
        past.begun.get_or_insert(begun);
        past.last_broker = Some(broker.clone());
        past.unasked = match error.retry_after() {
            Some(_) => past.unasked.saturating_add(1),
            None => 0,
        };
        past.failed.push(Attempt {
            broker,
            error,
            elapsed: took,
        });
    }
}
