//! The attempts of one send: choose a queue, make an attempt, judge it, perhaps make another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LOG;
use super::engine::Engine;
use super::history::History;
use super::hook_calls;
use super::hooks::{SendContext, SendMode, SendOutcome};
use super::prepared_message::{PreparedMessage, SendCall, Start};
use super::queue::{QueueChoice, Report, next_queue};
use super::retry::{self, Outcome, Situation, Verdict};
use super::wire::{self, Destination, with_request};
use crate::client::PublishInfo;
use crate::error::{Attempt, Error, ErrorKind, Result, Wait};
use crate::logging;
use crate::message::{SendReceipt, SendStatus};
use crate::protocol::Command;
use crate::protocol::send::code;
use crate::transport::{Deadline, Permit};

/// However short its share, an attempt gets this long before it is given up for another broker.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(500);

/// When more attempts in a row reached no broker, since addresses are in back-off, another one waits.
const MOST_UNASKED: u32 = 2;

/// One send, from its first attempt to its end.
pub(crate) struct SendFlow {
    pub(super) engine: Arc<Engine>,
    pub(super) message: PreparedMessage,
    /// Where the current attempt goes.
    pub(super) destination: Destination,
    pub(super) deadline: Deadline,
    /// An attempt's even share of the whole time.
    share: Duration,
    /// The queue was given or chosen by the caller: it never changes.
    fixed_queue: bool,
    most_attempts: u32,
    /// Attempts that were begun, the current one included.
    made: u32,
    /// The attempts that did not end it, if there were any.
    history: Option<Box<History>>,
    other_broker: bool,
    /// A queue was gone: only a route that is newer than this counts from then on.
    outdated: Option<Instant>,
    went_away: bool,
    mode: SendMode,
    /// What hooks were shown of the current attempt; taken when they hear of its end.
    shown: Option<Box<SendContext>>,
}

/// What follows an attempt.
pub(super) enum Step {
    Done(Result<SendReceipt>),
    /// Another attempt, after a pause and perhaps a look at the route.
    Again {
        pause: Duration,
        refresh: bool,
    },
    /// The same attempt over a new connection, after a pause.
    Resend {
        pause: Duration,
    },
}

/// Sends, and waits for the receipt.
pub(crate) fn send(engine: &Arc<Engine>, call: SendCall<'_>) -> Result<SendReceipt> {
    let size = call.content.size();
    engine.counters.count(size, || send_uncounted(engine, call))
}

/// The same for a call that is counted elsewhere.
pub(crate) fn send_uncounted(engine: &Arc<Engine>, call: SendCall<'_>) -> Result<SendReceipt> {
    engine.check_open_to_send(call.start.at)?;
    let mut message = PreparedMessage::new(engine, &call, String::new())?;
    let _permit = message.take_capacity(&engine.account, 0, call.deadline)?;
    SendFlow::new(engine, message, call.choice, call.deadline, SendMode::Sync)?.run()
}

/// Sends without an answer: `Ok` once the connection has accepted it.
pub(crate) fn send_oneway(engine: &Arc<Engine>, call: SendCall<'_>) -> Result<()> {
    let size = call.content.size();
    engine.counters.count(size, || {
        engine.check_open_to_send(call.start.at)?;
        let mut message = PreparedMessage::new(engine, &call, String::new())?;
        let permit = message.take_capacity(&engine.account, 1, call.deadline)?;
        let (choice, deadline) = (call.choice, call.deadline);
        SendFlow::new(engine, message, choice, deadline, SendMode::Oneway)?.run_oneway(permit)
    })
}

impl SendFlow {
    /// A send whose first attempt is aimed: everything that can go wrong before anything is sent
    /// has gone right.
    pub(crate) fn new(
        engine: &Arc<Engine>,
        mut message: PreparedMessage,
        choice: QueueChoice,
        deadline: Deadline,
        mode: SendMode,
    ) -> Result<SendFlow> {
        let fixed_queue = !matches!(choice, QueueChoice::Any);
        let by_caller = matches!(choice, QueueChoice::Select(_));
        let first = || {
            let (info, asked) = engine.publish_info(&message.topic_on_wire, deadline)?;
            let faults = engine.faults.as_ref();
            let queue = choice.first_queue(faults, &info, &message.topic)?;
            // Of what came before, only a name server or a selector can have taken long.
            let start = (asked || by_caller).then(Start::now);
            let destination = Destination::new(engine, &info, queue, deadline)?;
            Result::Ok((info, destination, start))
        };
        let (info, destination, start) = first().map_err(|error: Error| {
            if error.kind() == ErrorKind::NoBroker {
                // By now there may be the broker that the known route lacks.
                engine.core.refresh_soon(&message.topic_on_wire);
            }
            message.failed(error)
        })?;
        message.begun = start.unwrap_or(message.begun);
        let retries = match mode {
            _ if fixed_queue => 0,
            SendMode::Sync => engine.config.retries,
            SendMode::Async => engine.config.async_retries,
            SendMode::Oneway => 0,
        };
        let most_attempts = retries.saturating_add(1);
        let mut flow = SendFlow {
            share: deadline.remaining(message.begun.at) / most_attempts,
            engine: engine.clone(),
            message,
            destination,
            deadline,
            fixed_queue,
            most_attempts,
            made: 0,
            history: None,
            other_broker: false,
            outdated: None,
            went_away: false,
            mode,
            shown: None,
        };
        flow.begin(&info)?;
        Ok(flow)
    }

    /// What is left of a pause between attempts when the deadline is looked at.
    pub(super) fn within_deadline(&self, pause: Duration) -> Duration {
        pause.min(self.deadline.remaining(Instant::now()))
    }

    /// Attempts until the end, on this thread.
    pub(crate) fn run(mut self) -> Result<SendReceipt> {
        loop {
            let answer = wire::exchange(&self.engine, &self.message, &self.destination);
            let now = Instant::now();
            let step = match answer {
                Ok(answer) => self.settle(Ok(&answer), now),
                Err(error) => self.settle(Err(error), now),
            };
            match step {
                Step::Done(result) => return result,
                Step::Resend { pause } => {
                    self.engine.pause(pause);
                    self.resume(pause);
                }
                Step::Again { pause, refresh } => {
                    self.engine.pause(self.within_deadline(pause));
                    if let Some(end) = self.choose_again(refresh) {
                        return end;
                    }
                }
            }
        }
    }

    /// Makes the only attempt of a oneway send: `Ok` once the connection has accepted it.
    pub(super) fn run_oneway(mut self, permit: Permit) -> Result<()> {
        let Destination {
            address, deadline, ..
        } = &self.destination;
        let remoting = &self.engine.core.remoting;
        let accepted = with_request(&self.engine, &self.message, &self.destination, |request| {
            remoting.invoke_oneway(address, request, Some(permit), *deadline)
        });
        let (counters, broker) = (&self.engine.counters, &self.destination.host);
        match &accepted {
            Ok(()) => counters.accepted(broker),
            Err(error) => {
                counters.not_stored(broker, error, Duration::ZERO);
                self.learn_from(error);
            }
        }
        let accepted = accepted.map_err(|error| self.message.failed(error));
        self.tell_hooks(match &accepted {
            Ok(()) => SendOutcome::Accepted,
            Err(error) => SendOutcome::Failed(error),
        });
        accepted
    }

    /// Judges the attempt that ended at this time. Never waits: unless hooks were shown the attempt, it
    /// may run on a reader thread.
    pub(super) fn settle(&mut self, answer: Result<&Command>, at: Instant) -> Step {
        let read = answer.and_then(|answer| {
            wire::receipt(answer, &mut self.message, &self.destination, self.made)
        });
        let took = at.saturating_duration_since(self.message.begun.at);
        let error = match read {
            Ok(receipt) => return self.stored(receipt, took),
            Err(error) => error,
        };
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
        let counters = &self.engine.counters;
        counters.not_stored(&self.destination.host, &error, took);
        self.tell_hooks(SendOutcome::Failed(&error));
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

    /// Chooses the queue of another attempt, with a new route if the old one is suspected. What it
    /// returns is the end of the send.
    pub(super) fn choose_again(&mut self, refresh: bool) -> Option<Result<SendReceipt>> {
        match self.next_destination(refresh) {
            Ok((info, destination)) => {
                self.destination = destination;
                self.message.begun = Start::now();
                let refused = self.begin(&info).err();
                refused.map(|refused| self.interrupt(refused))
            }
            // There was an attempt before, and how it ended says more about why.
            Err(error) => {
                logging::debug!(target: LOG, "{}: no further attempt: {error}", self.message.topic);
                Some(self.fail())
            }
        }
    }

    /// An end from outside, which does not turn what is stored into a failure.
    pub(crate) fn interrupt(&mut self, error: Error) -> Result<SendReceipt> {
        match self.history.as_mut().and_then(|h| h.take_doubtful()) {
            Some(receipt) => self.accept(receipt),
            None => {
                self.tell_hooks(SendOutcome::Failed(&error));
                let error = self.message.failed(error);
                Err(self.history.take().unwrap_or_default().end(error))
            }
        }
    }

    fn next_destination(&self, refresh: bool) -> Result<(Arc<PublishInfo>, Destination)> {
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
        let (info, _) = self.engine.publish_info(topic, self.deadline)?;
        let (faults, avoid) = (self.engine.faults.as_ref(), self.last_broker());
        let queue = next_queue(faults, &info, avoid).clone();
        let destination = Destination::new(&self.engine, &info, queue, self.deadline)?;
        Ok((info, destination))
    }

    /// Starts the attempt that is aimed.
    fn begin(&mut self, info: &PublishInfo) -> Result<()> {
        self.made += 1;
        self.went_away = false;
        if self.made > 1 {
            self.history().go_on();
        }
        self.other_broker = info.has_other_broker(self.destination.queue.broker());
        if self.made < self.most_attempts {
            // While another broker could still be tried, this one must not eat the whole time.
            let share = self.other_broker.then(|| self.share.max(SHORTEST_ATTEMPT));
            for cap in [share, self.engine.config.attempt_timeout]
                .into_iter()
                .flatten()
            {
                let begun = self.message.begun.at;
                self.destination.deadline = self.destination.deadline.capped(begun, cap);
            }
        }
        if self.message.payload.is_some() {
            let (message, destination) = (&self.message, &self.destination);
            self.shown = hook_calls::show(&self.engine, message, destination, self.mode)?;
        }
        if self.made > 1 {
            self.engine.counters.retry();
        }
        Ok(())
    }

    fn stored(&mut self, receipt: SendReceipt, took: Duration) -> Step {
        self.engine.counters.answered(&self.destination.host, took);
        self.tell_hooks(SendOutcome::Stored(&receipt));
        if self.engine.faults.is_some() {
            let broker = self.destination.queue.shared_broker();
            self.engine.report(broker, Report::Stored(took));
        }
        if let SendStatus::Ok = receipt.status {
            return Step::Done(Ok(receipt));
        }
        let outcome = Outcome::Stored(receipt.status);
        match retry::judge(&self.engine.config.policy, &self.situation(), outcome) {
            Verdict::Accept => Step::Done(self.accept(receipt)),
            _ => {
                let (level, more) = self.engine.warnings.level(Instant::now());
                logging::log!(target: LOG, level, "{receipt}; trying another broker{more}");
                self.history().doubt(receipt);
                Step::Again {
                    pause: Duration::ZERO,
                    refresh: false,
                }
            }
        }
    }

    /// The end with a receipt, unless what it says counts as a failure.
    fn accept(&self, receipt: SendReceipt) -> Result<SendReceipt> {
        let strict = self.engine.config.require_store_ok && !self.message.is_half();
        match code(receipt.status) {
            code if strict && receipt.status != SendStatus::Ok => {
                let text = format!("stored as {} at {}", receipt.message_id, receipt.queue);
                let error = Error::response(code, Some(&text));
                let error = error.maybe_stored().at(&self.destination.address);
                let error = self.message.failed(error);
                Err(match &self.history {
                    Some(history) => history.explain(error),
                    None => error,
                })
            }
            _ => Ok(receipt),
        }
    }

    fn situation(&self) -> Situation {
        Situation {
            left: self.most_attempts.saturating_sub(self.made),
            fixed_queue: self.fixed_queue,
            other_broker: self.other_broker,
            refreshed: self.outdated.is_some(),
            went_away: self.went_away,
            held_back: None,
            all_in_backoff: false,
        }
    }

    /// Goes on with an attempt after a pause, which was not the broker's doing.
    pub(super) fn resume(&mut self, pause: Duration) {
        if !pause.is_zero() {
            self.message.begun = Start::now();
        }
    }

    /// Whether there is time to wait until the address is no longer left alone; once.
    fn may_wait(&self, now: Instant, pause: Duration) -> bool {
        let held_back = self.history.as_ref().is_some_and(|h| h.was_held_back());
        !held_back && pause < self.deadline.remaining(now)
    }

    /// The end without a good receipt: a doubtful one, or the error of all attempts, whose kind is
    /// that of the last.
    pub(super) fn fail(&mut self) -> Result<SendReceipt> {
        let last = self.history.as_mut().and_then(|h| h.last_error());
        let last = last.unwrap_or_else(|| Error::timeout(Wait::Queue));
        self.interrupt(last)
    }

    fn history(&mut self) -> &mut History {
        self.history.get_or_insert_default()
    }

    /// The broker that a retry avoids.
    fn last_broker(&self) -> Option<&str> {
        self.history.as_ref()?.last_broker()
    }

    /// How many of the latest attempts in a row reached no broker.
    fn unasked(&self) -> u32 {
        self.history.as_ref().map_or(0, |h| h.unasked())
    }

    /// Whether user code hears of the end of the attempt, so that it must not be settled on a
    /// thread that reads.
    pub(super) fn has_hooks(&self) -> bool {
        self.shown.is_some()
    }

    /// Tells the hooks how the attempt that they were shown has ended.
    fn tell_hooks(&mut self, outcome: SendOutcome<'_>) {
        if let Some(context) = self.shown.take() {
            self.engine.config.hooks.after(&context, &outcome);
        }
    }

    fn learn_from(&self, error: &Error) {
        let broker = self.destination.queue.shared_broker();
        self.engine
            .learn_from(error, broker, &self.message.topic_on_wire);
    }

    /// Remembers a failed attempt.
    fn note(&mut self, error: Error, verdict: Verdict, took: Duration) {
        self.learn_from(&error);
        let broker = self.destination.queue.shared_broker().clone();
        if verdict != Verdict::Fail {
            let (topic, id, made) = (&self.message.topic, &self.message.message_id, self.made);
            let (level, more) = self.engine.warnings.level(Instant::now());
            logging::log!(
                target: LOG,
                level,
                "{topic}: attempt {made} of message {id} on {broker} failed, trying again: {error}{more}"
            );
        }
        let attempt = Attempt {
            broker,
            error,
            elapsed: took,
        };
        let begun = self.message.begun.at;
        self.history().note(attempt, begun);
    }
}
