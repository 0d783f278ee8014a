//! After an attempt that did not end its send with a good receipt: what the table of retries says, the
//! next attempt, or the end.

use std::time::{Duration, Instant};

use super::{Destination, SendFlow, Step, next_queue, publish_info};
use crate::error::{Attempt, Error, ErrorKind, Result, Wait};
use crate::logging;
use crate::message::SendReceipt;
use crate::protocol::send::code;
use crate::send::LOG;
use crate::send::history::History;
use crate::send::hooks::SendOutcome;
use crate::send::prepared_message::Start;
use crate::send::retry::{self, Outcome, Situation, Verdict};

/// When more attempts in a row reached no broker, since addresses are in back-off, another one waits.
const MOST_UNASKED: u32 = 2;

impl SendFlow {
    /// Judges an attempt that failed at this time.
    pub(super) fn failed(&mut self, error: Error, at: Instant, took: Duration) -> Step {
        let outcome = match (error.kind(), error.response_code()) {
            (ErrorKind::Broker, Some(code)) => Outcome::Refused {
                code: code.number(),
                remark: error.remark().unwrap_or_default(),
            },
            _ => Outcome::Failed(&error),
        };
        let situation = Situation {
            held_back: error
                .retry_after()
                .filter(|pause| self.may_wait(at, *pause)),
            all_in_backoff: error.retry_after().is_some() && self.unasked() >= MOST_UNASKED,
            ..self.situation()
        };
        let verdict = retry::judge(&self.engine.config.policy, &situation, outcome);
        if let Verdict::Resend { pause } = verdict {
            match situation.held_back {
                Some(_) => {
                    let begun = self.message.begun.at;
                    self.history().hold_back(error, begun);
                }
                None => self.went_away = true,
            }
            return Step::Resend { pause };
        }
        self.end_attempt(&error, took);
        self.note(error, verdict, took);
        match verdict {
            Verdict::Retry { pause } => Step::Again {
                pause,
                refresh: false,
            },
            Verdict::RefreshAndRetry { pause } => {
                self.outdated = Some(at + pause);
                Step::Again {
                    pause,
                    refresh: true,
                }
            }
            _ => Step::Done(self.fail()),
        }
    }

    /// Judges an attempt whose message is stored, but not flushed or replicated.
    pub(super) fn stored_in_part(&mut self, receipt: SendReceipt, took: Duration) -> Step {
        let outcome = Outcome::Stored(receipt.status);
        let verdict = retry::judge(&self.engine.config.policy, &self.situation(), outcome);
        let is_end = matches!(verdict, Verdict::Accept);
        // Where replicas are missing, all sends end here: it has the price of a good receipt.
        if is_end && !self.requires_ok() {
            return Step::Done(Ok(receipt));
        }
        let text = format!("stored as {} at {}", receipt.message_id, receipt.queue);
        let error = Error::response(code(receipt.status), Some(&text));
        let error = error.maybe_stored().at(&self.destination.address);
        self.list(error.clone(), took);
        if is_end {
            return Step::Done(self.accept(receipt, error));
        }
        let (level, more) = self.engine.warnings.level(Instant::now());
        logging::log!(target: LOG, level, "{receipt}; trying another broker{more}");
        self.history().doubt(receipt, error);
        Step::Again {
            pause: Duration::ZERO,
            refresh: false,
        }
    }

    /// Chooses the queue of another attempt, with a new route if the old one is suspected. Returns
    /// the end of the send, if it ends here.
    pub(in crate::send) fn choose_again(&mut self, refresh: bool) -> Option<Result<SendReceipt>> {
        match self.next_destination(refresh) {
            Ok(destination) => {
                self.destination = destination;
                self.message.begun = Start::now();
                let refused = self.begin().err();
                refused.map(|refused| self.interrupt(refused))
            }
            // There was an attempt before, and its error has more details.
            Err(error) => {
                logging::debug!(target: LOG, "{}: no further attempt: {error}", self.message.topic);
                Some(self.fail())
            }
        }
    }

    fn next_destination(&self, refresh: bool) -> Result<Destination> {
        self.engine.check_open()?;
        if self.deadline.has_passed(Instant::now()) {
            return Err(Error::timeout(Wait::Queue));
        }
        let (topic, default) = (
            &self.message.topic_on_wire,
            &self.engine.config.default_topic,
        );
        if let Some(since) = self.outdated.filter(|_| refresh) {
            let routes = &self.engine.core.routes;
            // If no name server answers, there is time left for the route known.
            let half = self.deadline.share(Instant::now(), 2);
            if let Err(error) = routes.look_up_after(since, topic, default, half) {
                let (level, more) = self.engine.warnings.level(Instant::now());
                logging::log!(target: LOG, level, "{error}; going on with the route known{more}");
            }
        }
        let (info, _) = publish_info(&self.engine, topic, self.deadline)?;
        let queue = next_queue(&self.engine, &info, self.last_broker()).clone();
        Destination::new(&self.engine, &info, queue, self.deadline)
    }

    /// An end from outside, which does not turn a stored message into a failure.
    pub(crate) fn interrupt(&mut self, error: Error) -> Result<SendReceipt> {
        if self.is_open {
            let took = self.message.begun.at.elapsed();
            self.end_attempt(&error, took);
            self.list(error.clone(), took);
        }
        match self.history.as_mut().and_then(|h| h.take_doubtful()) {
            Some((receipt, error)) => self.accept(receipt, error),
            None => {
                let error = self.message.failed(error);
                Err(self.history.take().unwrap_or_default().end(error))
            }
        }
    }

    /// The end without a good receipt: a doubtful one, or the error of all attempts, with the kind
    /// of the last.
    pub(in crate::send) fn fail(&mut self) -> Result<SendReceipt> {
        let is_open = self.is_open;
        let last = self.history.as_mut().and_then(|h| match is_open {
            true => h.take_held_back(),
            false => h.last_error(),
        });
        self.interrupt(last.unwrap_or_else(|| Error::timeout(Wait::Queue)))
    }

    /// The end with a doubtful receipt: where `SendStatus::Ok` is required, with the same as an error.
    fn accept(&self, receipt: SendReceipt, error: Error) -> Result<SendReceipt> {
        if !self.requires_ok() {
            let attempts = self.made;
            return Ok(SendReceipt {
                attempts,
                ..receipt
            });
        }
        let error = self.message.failed(error);
        Err(match &self.history {
            Some(history) => history.end(error),
            None => error,
        })
    }

    fn requires_ok(&self) -> bool {
        self.engine.config.require_store_ok && !self.message.is_half()
    }

    /// The current attempt has failed.
    fn end_attempt(&mut self, error: &Error, took: Duration) {
        self.is_open = false;
        let counters = &self.engine.counters;
        counters.not_stored(&self.destination.host, error, took);
        self.tell_hooks(SendOutcome::Failed(error));
    }

    fn situation(&self) -> Situation {
        Situation {
            left: self.most_attempts.saturating_sub(self.made),
            fixed_queue: self.fixed_queue,
            other_broker: self.destination.has_other_broker,
            refreshed: self.outdated.is_some(),
            went_away: self.went_away,
            held_back: None,
            all_in_backoff: false,
        }
    }

    /// Whether there is time to wait for the end of the address's back-off; once.
    fn may_wait(&self, now: Instant, pause: Duration) -> bool {
        let held_back = self.history.as_ref().is_some_and(|h| h.was_held_back());
        !held_back && pause < self.deadline.remaining(now)
    }

    pub(super) fn learn_from(&self, error: &Error) {
        let broker = self.destination.queue.shared_broker();
        self.engine
            .learn_from(error, broker, &self.message.topic_on_wire);
    }

    /// Remembers a failed attempt.
    fn note(&mut self, error: Error, verdict: Verdict, took: Duration) {
        self.learn_from(&error);
        if verdict != Verdict::Fail {
            let broker = self.destination.queue.shared_broker();
            let (topic, id, made) = (&self.message.topic, &self.message.message_id, self.made);
            let (level, more) = self.engine.warnings.level(Instant::now());
            logging::log!(
                target: LOG,
                level,
                "{topic}: attempt {made} of message {id} on {broker} failed, trying again: {error}{more}"
            );
        }
        self.list(error, took);
    }

    /// Adds the current attempt to those that did not end the send well.
    fn list(&mut self, error: Error, took: Duration) {
        let attempt = Attempt {
            broker: self.destination.queue.shared_broker().clone(),
            error,
            elapsed: took,
        };
        let begun = self.message.begun.at;
        self.history().note(attempt, begun);
    }

    pub(super) fn history(&mut self) -> &mut History {
        self.history.get_or_insert_default()
    }

    /// The broker that a retry avoids.
    fn last_broker(&self) -> Option<&str> {
        self.history.as_ref()?.last_broker()
    }

    /// Consecutive latest attempts that reached no broker.
    fn unasked(&self) -> u32 {
        self.history.as_ref().map_or(0, |h| h.unasked())
    }
}
