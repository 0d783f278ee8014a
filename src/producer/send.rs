//! The one flow of every send: choose a queue, make an attempt, judge it, perhaps make another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LOG;
use super::attempt::{Aim, Start, with_request};
use super::core::Core;
use super::fault::Report;
use super::hook::{SendContext, SendMode, SendOutcome};
use super::outgoing::Outgoing;
use super::past::Past;
use super::retry::{self, Outcome, Situation, Verdict};
use super::target::{self, Target};
use crate::client::PublishInfo;
use crate::error::{Attempts, Error, ErrorKind, Result, Wait};
use crate::logging;
use crate::message::{SendReceipt, SendStatus};
use crate::protocol::Command;
use crate::protocol::send as wire;
use crate::transport::{Deadline, Permit};

/// However short its share, an attempt gets this long before it is given up for another broker.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(500);

/// When in more attempts in a row nobody was asked, since addresses are left alone, another one waits.
const MOST_UNASKED: u32 = 2;

/// One send, from its first attempt to its end.
pub(super) struct Send {
    pub(super) core: Arc<Core>,
    pub(super) out: Outgoing,
    /// Where the current attempt goes.
    pub(super) aim: Aim,
    pub(super) deadline: Deadline,
    /// An attempt's even share of the whole time.
    share: Duration,
    /// The queue was given or chosen by the caller: it never changes.
    fixed_queue: bool,
    most_attempts: u32,
    /// Attempts that were begun, the current one included.
    pub(super) made: u32,
    /// What few sends have.
    pub(super) past: Option<Box<Past>>,
    other_broker: bool,
    /// A queue was gone: the route to go on with is to be newer than this.
    outdated: Option<Instant>,
    went_away: bool,
    pub(super) mode: SendMode,
    /// What hooks were shown of the current attempt; taken when they hear of its end.
    pub(super) watched: Option<Box<SendContext>>,
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

impl Send {
    /// A send whose first attempt is aimed: everything that can go wrong before anything is sent
    /// has gone right.
    pub(super) fn new(
        core: &Arc<Core>,
        mut out: Outgoing,
        target: Target,
        deadline: Deadline,
        mode: SendMode,
    ) -> Result<Send> {
        let fixed_queue = !matches!(target, Target::Any);
        let chosen = matches!(target, Target::Select(_));
        let first = || {
            let (info, asked) = match core.client.inner().routes.known(&out.topic_on_wire) {
                Some(info) => (info, false),
                None => (publish_info(core, &out.topic_on_wire, deadline)?, true),
            };
            let queue = target::first_queue(core, &info, &out.topic, target)?;
            // Of what came before, only a name server or a selector can have taken long.
            let start = (asked || chosen).then(Start::now);
            let aim = Aim::at(core, &info, queue, deadline)?;
            Result::Ok((info, aim, start))
        };
        let (info, aim, start) = first().map_err(|error: Error| {
            if error.kind() == ErrorKind::NoBroker {
                // The route known has not the broker that there may be by now.
                core.client.inner().refresh_soon(&out.topic_on_wire);
            }
            out.failed(error)
        })?;
        out.begun = start.unwrap_or(out.begun);
        let retries = match mode {
            _ if fixed_queue => 0,
            SendMode::Sync => core.config.retries,
            SendMode::Async => core.config.async_retries,
            SendMode::Oneway => 0,
        };
        let most_attempts = retries.saturating_add(1);
        let mut send = Send {
            share: deadline.remaining(out.begun.at) / most_attempts,
            core: core.clone(),
            out,
            aim,
            deadline,
            fixed_queue,
            most_attempts,
            made: 0,
            past: None,
            other_broker: false,
            outdated: None,
            went_away: false,
            mode,
            watched: None,
        };
        send.begin(&info)?;
        Ok(send)
    }

    /// What is left of a pause between attempts when the deadline is looked at.
    pub(super) fn within_deadline(&self, pause: Duration) -> Duration {
        pause.min(self.deadline.remaining(Instant::now()))
    }

    /// Attempts until the end, on this thread.
    pub(super) fn run(mut self) -> Result<SendReceipt> {
        loop {
            let answer = self.exchange();
            let now = Instant::now();
            let step = match answer {
                Ok(answer) => self.settle(Ok(&answer), now),
                Err(error) => self.settle(Err(error), now),
            };
            match step {
                Step::Done(result) => return result,
                Step::Resend { pause } => {
                    self.core.pause(pause);
                    self.resume(pause);
                }
                Step::Again { pause, refresh } => {
                    self.core.pause(self.within_deadline(pause));
                    if let Some(end) = self.aim_again(refresh) {
                        return end;
                    }
                }
            }
        }
    }

    /// Makes the only attempt of a oneway send: `Ok` once the connection has accepted it.
    pub(super) fn run_oneway(mut self, permit: Permit) -> Result<()> {
        let Aim {
            address, deadline, ..
        } = &self.aim;
        let remoting = &self.core.client.inner().remoting;
        let accepted = with_request(&self.core, &self.out, &self.aim, |request| {
            remoting.invoke_oneway(address, request, Some(permit), *deadline)
        });
        let (counters, broker) = (&self.core.counters, &self.aim.host);
        match &accepted {
            Ok(()) => counters.accepted(broker),
            Err(error) => {
                counters.not_stored(broker, error, Duration::ZERO);
                self.learn_from(error);
            }
        }
        let accepted = accepted.map_err(|error| self.out.failed(error));
        self.tell_hooks(match &accepted {
            Ok(()) => SendOutcome::Accepted,
            Err(error) => SendOutcome::Failed(error),
        });
        accepted
    }

    /// Judges the attempt that ended at this time. Never waits: unless it is watched, it may run on a
    /// reader thread.
    pub(super) fn settle(&mut self, answer: Result<&Command>, at: Instant) -> Step {
        let read = answer.and_then(|answer| self.read(answer));
        let took = at.saturating_duration_since(self.out.begun.at);
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
            all_left_alone: error.retry_after().is_some() && self.unasked() >= MOST_UNASKED,
            ..self.situation()
        };
        let verdict = retry::judge(&self.core.config.policy, &situation, outcome);
        if let Verdict::Resend { pause } = verdict {
            match situation.held_back {
                Some(_) => {
                    let begun = self.out.begun.at;
                    let past = self.past();
                    past.begun.get_or_insert(begun);
                    past.held_back = Some(error);
                }
                None => self.went_away = true,
            }
            return Step::Resend { pause };
        }
        let counters = &self.core.counters;
        counters.not_stored(&self.aim.host, &error, took);
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
    pub(super) fn aim_again(&mut self, refresh: bool) -> Option<Result<SendReceipt>> {
        match self.next_aim(refresh) {
            Ok((info, aim)) => {
                self.aim = aim;
                self.out.begun = Start::now();
                let refused = self.begin(&info).err();
                refused.map(|refused| self.interrupt(refused))
            }
            // There was an attempt before, and how it ended says more about why.
            Err(error) => {
                logging::debug!(target: LOG, "{}: no further attempt: {error}", self.out.topic);
                Some(self.fail())
            }
        }
    }

    /// An end from outside, which does not turn what is stored into a failure.
    pub(super) fn interrupt(&mut self, error: Error) -> Result<SendReceipt> {
        match self.past.as_mut().and_then(|past| past.doubtful.take()) {
            Some(receipt) => self.accept(*receipt),
            None => Err(self.end_with(error)),
        }
    }

    /// This error, with what the attempts before it say.
    fn end_with(&mut self, error: Error) -> Error {
        self.tell_hooks(SendOutcome::Failed(&error));
        let took = self.tried_for();
        let past = self.past.take().map(|past| *past).unwrap_or_default();
        self.out
            .failed(error)
            .with_fate(past.failed.worst())
            .with_attempts(past.failed, took)
    }

    fn next_aim(&self, refresh: bool) -> Result<(Arc<PublishInfo>, Aim)> {
        self.core.check_open()?;
        if self.deadline.has_passed(Instant::now()) {
            return Err(Error::timeout(Wait::Queue));
        }
        let (topic, default) = (&self.out.topic_on_wire, &self.core.config.default_topic);
        if let Some(since) = self.outdated.filter(|_| refresh) {
            let routes = &self.core.client.inner().routes;
            // If no name server answers, there is time left for the route known.
            let half = self.deadline.share(Instant::now(), 2);
            if let Err(error) = routes.look_up_after(since, topic, default, half) {
                let (level, more) = self.core.warnings.level(Instant::now());
                logging::log!(target: LOG, level, "{error}; going on with the route known{more}");
            }
        }
        let info = publish_info(&self.core, topic, self.deadline)?;
        let avoid = self
            .past
            .as_ref()
            .and_then(|past| past.last_broker.as_deref());
        let queue = self.core.pick(topic, &info, avoid).clone();
        let aim = Aim::at(&self.core, &info, queue, self.deadline)?;
        Ok((info, aim))
    }

    /// Starts the attempt that is aimed.
    fn begin(&mut self, info: &PublishInfo) -> Result<()> {
        self.made += 1;
        self.went_away = false;
        if let Some(past) = &mut self.past {
            past.held_back = None;
        }
        self.other_broker = info.has_other_broker(self.aim.queue.broker());
        if self.made < self.most_attempts {
            // While another broker could still be tried, this one must not eat the whole time.
            let share = self.other_broker.then(|| self.share.max(SHORTEST_ATTEMPT));
            for cap in [share, self.core.config.attempt_timeout]
                .into_iter()
                .flatten()
            {
                self.aim.deadline = self.aim.deadline.capped(self.out.begun.at, cap);
            }
        }
        self.ask_hooks()?;
        if self.made > 1 {
            self.core.counters.retry();
        }
        Ok(())
    }

    fn stored(&mut self, receipt: SendReceipt, took: Duration) -> Step {
        self.core.counters.answered(&self.aim.host, took);
        self.tell_hooks(SendOutcome::Stored(&receipt));
        if self.core.learns_latency() {
            self.core
                .report(self.aim.queue.shared_broker(), Report::Stored(took));
        }
        let outcome = Outcome::Stored(receipt.status);
        match retry::judge(&self.core.config.policy, &self.situation(), outcome) {
            Verdict::Accept => Step::Done(self.accept(receipt)),
            _ => {
                let (level, more) = self.core.warnings.level(Instant::now());
                logging::log!(target: LOG, level, "{receipt}; trying another broker{more}");
                let broker = self.aim.queue.shared_broker().clone();
                let past = self.past();
                past.doubtful = Some(Box::new(receipt));
                past.last_broker = Some(broker);
                Step::Again {
                    pause: Duration::ZERO,
                    refresh: false,
                }
            }
        }
    }

    /// The end with a receipt, unless what it says counts as a failure.
    fn accept(&self, receipt: SendReceipt) -> Result<SendReceipt> {
        let strict = self.core.config.require_store_ok && !self.out.is_half();
        match wire::code(receipt.status) {
            code if strict && receipt.status != SendStatus::Ok => {
                let text = format!("stored as {} at {}", receipt.message_id, receipt.queue);
                let past = self.past.as_ref();
                let failed = past.map_or_else(Attempts::default, |past| past.failed.clone());
                let error = Error::response(code, Some(&text));
                Err(self
                    .out
                    .failed(error.maybe_stored().at(&self.aim.address))
                    .with_attempts(failed, self.tried_for()))
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
            all_left_alone: false,
        }
    }

    /// Goes on with an attempt after a pause, which was not the broker's doing.
    pub(super) fn resume(&mut self, pause: Duration) {
        if !pause.is_zero() {
            self.out.begun = Start::now();
        }
    }

    /// Whether there is time to wait until the address is no longer left alone; once.
    fn may_wait(&self, now: Instant, pause: Duration) -> bool {
        let first = self
            .past
            .as_ref()
            .is_none_or(|past| past.held_back.is_none());
        first && pause < self.deadline.remaining(now)
    }

    /// The end without a good receipt: a doubtful one, or the error of all attempts, whose kind is
    /// that of the last.
    pub(super) fn fail(&mut self) -> Result<SendReceipt> {
        let held_back = self.past.as_mut().and_then(|past| past.held_back.take());
        let last = match (self.failed().last(), held_back) {
            (Some(attempt), _) => attempt.error.clone(),
            (None, Some(error)) => error,
            (None, None) => Error::timeout(Wait::Queue),
        };
        self.interrupt(last)
    }
}

fn publish_info(core: &Core, topic: &Arc<str>, deadline: Deadline) -> Result<Arc<PublishInfo>> {
    let routes = &core.client.inner().routes;
    routes.publish_info(topic, &core.config.default_topic, deadline)
}
