//! What all threads that receive and settle the messages of a consumer share.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::receive::{Look, Source, Sources};
use crate::client::ClientCore;
use crate::consumer::control::closed;
use crate::consumer::observe::Counters;
use crate::consumer::offset::StartFrom;
use crate::consumer::topics::Topics;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Command;
use crate::sync::channel::{self, Receiver, Sender};
use crate::sync::{Condvar, Mutex};
use crate::transport::{Completion, Deadline, Dial, Next, Outcome, Request, To, Via, epoch_millis};

/// The range of the invisible time: brokers count in seconds, and proxies have the same limit.
pub(in crate::consumer) const INVISIBLE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(12 * 3600);

/// The most messages that brokers hand out at once.
pub(in crate::consumer) const MOST_MESSAGES: usize = 32;

/// The settings that count here.
#[derive(Debug, Clone)]
pub(in crate::consumer) struct PopSettings {
    pub(in crate::consumer) start_from: StartFrom,
    pub(in crate::consumer) is_ordered: bool,
    /// Deliveries after which a message is a dead letter; `None`: never.
    pub(in crate::consumer) max_attempts: Option<u32>,
}

/// The state that all threads of a consumer share, and their requests.
pub(in crate::consumer) struct PopShared {
    pub(super) settings: PopSettings,
    /// The group as brokers know it.
    pub(in crate::consumer) group: Arc<str>,
    pub(in crate::consumer) topics: Arc<Topics>,
    pub(in crate::consumer) core: Arc<ClientCore>,
    pub(in crate::consumer) counters: Arc<Counters>,
    pub(super) sources: Mutex<Sources>,
    /// The sources have changed, or the consumer has ended.
    pub(super) changed: Condvar,
    /// Dropped at the end, which those at the other end see.
    open: Mutex<Option<Sender<()>>>,
    closing: Receiver<()>,
    /// The same for the end of settling.
    unended: Mutex<Option<Sender<()>>>,
    ended: Receiver<()>,
    /// Nothing is settled any more.
    has_ended: AtomicBool,
}

/// An outcome, and when it was there.
pub(super) type Answered = (Outcome, Instant);

/// Sends an outcome to the thread that waits for it.
pub(super) struct Reply<T: Send>(pub(super) Sender<(T, Answered)>, pub(super) T);

impl<T: Send> Completion for Reply<T> {
    fn complete(self: Box<Self>, outcome: Outcome, at: Instant) -> Next {
        // The waiting thread may be gone.
        let _ = self.0.send((self.1, (outcome, at)));
        Next::Done
    }
}

impl PopShared {
    pub(in crate::consumer) fn new(
        settings: PopSettings,
        group: Arc<str>,
        topics: Arc<Topics>,
        core: Arc<ClientCore>,
        counters: Arc<Counters>,
    ) -> PopShared {
        let (open, closing) = channel::bounded(0);
        let (unended, ended) = channel::bounded(0);
        PopShared {
            settings,
            group,
            topics,
            core,
            counters,
            sources: Mutex::default(),
            changed: Condvar::new(),
            open: Mutex::new(Some(open)),
            closing,
            unended: Mutex::new(Some(unended)),
            ended,
            has_ended: AtomicBool::new(false),
        }
    }

    /// # Errors
    /// `Closed`: the consumer is shut down, or its client.
    pub(in crate::consumer) fn check_open(&self) -> Result<()> {
        self.core.check_open()?;
        match self.is_open() {
            true => Ok(()),
            false => Err(closed()),
        }
    }

    /// Whether messages can be received. After that, received ones can still be settled for a while.
    pub(in crate::consumer) fn is_open(&self) -> bool {
        self.open.lock().is_some()
    }

    /// Nothing is settled from now on. Wakes the threads that wait for brokers, which may not answer.
    pub(in crate::consumer) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        drop(self.unended.lock().take());
    }

    /// Whether messages cannot be settled any more.
    pub(in crate::consumer) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst) || self.core.is_closed()
    }

    /// # Errors
    /// `Closed`: nothing can be settled any more.
    pub(in crate::consumer) fn check_not_ended(&self) -> Result<()> {
        match self.has_ended() {
            false => Ok(()),
            true => Err(closed()),
        }
    }

    /// Wakes the threads that wait for messages. None is handed out from now on.
    pub(in crate::consumer) fn close(&self) {
        drop(self.open.lock().take());
        self.wake();
    }

    /// The state of a source, for people.
    pub(in crate::consumer) fn look(&self, source: &Source, now: Instant) -> Look {
        self.sources.lock().look(source, now)
    }

    /// Wakes the threads that wait for messages, to check again.
    pub(in crate::consumer) fn wake(&self) {
        // Not between another thread's look and its wait.
        self.sources.lock().changed();
        self.changed.notify_all();
    }

    /// The address of a broker's master.
    ///
    /// # Errors
    /// `NoBroker`: no route has one.
    pub(super) fn master(&self, broker: &str) -> Result<Arc<str>> {
        let brokers = self.core.routes.brokers();
        brokers.master(broker).cloned().ok_or_else(|| {
            let text = format!("no address of the master of {broker} is known");
            Error::new(ErrorKind::NoBroker, text)
        })
    }

    /// When a request is made that a broker may hold: by its own clock, if that is known. One that seems too
    /// old is not held.
    pub(super) fn born_time(&self, by_broker: Option<i64>) -> i64 {
        by_broker.unwrap_or_else(epoch_millis)
    }

    /// Waits before something is tried again; not once nothing is settled any more.
    pub(in crate::consumer) fn pause(&self, time: Duration) {
        let closing = self.core.closing();
        crossbeam_channel::select! {
            recv(closing) -> _ => {}
            recv(self.ended) -> _ => {}
            default(time) => {}
        }
    }

    /// Takes answers until all are there, or nothing is settled any more.
    pub(super) fn gather<T: Send>(
        &self,
        answers: &Receiver<(T, Answered)>,
        mut take: impl FnMut(T, Answered),
    ) {
        loop {
            let answer = crossbeam_channel::select! {
                recv(answers) -> answer => answer.ok(),
                recv(self.ended) -> _ => answers.try_recv().ok(),
            };
            match answer {
                Some((about, answered)) => take(about, answered),
                None => return,
            }
        }
    }

    /// Sends a request; the outcome goes to `completion`.
    pub(super) fn begin(
        &self,
        to: &Arc<str>,
        request: &Request<'_>,
        deadline: Deadline,
        completion: Box<dyn Completion>,
    ) {
        let (to, via) = (To::Address(to), Via::Caller);
        let remoting = &self.core.remoting;
        remoting.invoke_async(to, request, deadline, via, Dial::Park, completion);
    }

    /// Sends a request about a received message, and waits for its answer.
    ///
    /// # Errors
    /// `Closed`, and those of the connection.
    pub(super) fn ask(
        &self,
        to: &Arc<str>,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Result<(Command, Instant)> {
        let answer = self.asked(to, request, deadline);
        crossbeam_channel::select! {
            recv(answer) -> answered => arrived(answered),
            recv(self.ended) -> _ => Err(closed()),
        }
    }

    /// The same for messages, until no more are received. After that, an answer is still taken until `until`.
    ///
    /// # Errors
    /// `Closed`, and those of the connection.
    pub(super) fn ask_while_open(
        &self,
        to: &Arc<str>,
        request: &Request<'_>,
        deadline: Deadline,
        until: Instant,
    ) -> Result<(Command, Instant)> {
        let answer = self.asked(to, request, deadline);
        crossbeam_channel::select! {
            recv(answer) -> answered => arrived(answered),
            recv(self.closing) -> _ => crossbeam_channel::select! {
                recv(answer) -> answered => arrived(answered),
                recv(self.ended) -> _ => Err(closed()),
                default(until.saturating_duration_since(Instant::now())) => Err(closed()),
            },
        }
    }

    fn asked(
        &self,
        to: &Arc<str>,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Receiver<((), Answered)> {
        let (reply, answer) = channel::bounded(1);
        self.begin(to, request, deadline, Box::new(Reply(reply, ())));
        answer
    }
}

fn arrived(answered: Result<((), Answered), channel::RecvError>) -> Result<(Command, Instant)> {
    let ((), (outcome, at)) = answered.map_err(|_| Error::lost())?;
    Ok((outcome?, at))
}
