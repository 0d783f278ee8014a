//! What all handles and messages of a simple consumer share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::config::SimpleConfig;
use super::receive::Sources;
use super::settle::Held;
use crate::client::ClientCore;
use crate::consumer::consume::Trace;
use crate::consumer::control::closed;
use crate::consumer::topics::Topics;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Command;
use crate::sync::channel::{self, Receiver, Sender};
use crate::sync::{Condvar, Mutex};
use crate::transport::{Completion, Deadline, Dial, Next, Outcome, Request, To, Via, epoch_millis};

pub(super) struct SimpleShared {
    pub(super) config: SimpleConfig,
    /// The group as brokers know it.
    pub(super) group: Arc<str>,
    pub(super) topics: Topics,
    pub(super) core: Arc<ClientCore>,
    pub(super) sources: Mutex<Sources>,
    /// The sources have changed, or the consumer has ended.
    pub(super) changed: Condvar,
    pub(super) held: Held,
    /// Message trace, if it is on.
    pub(super) trace: Option<Arc<Trace>>,
    /// Dropped at the end, which those at the other end see.
    open: Mutex<Option<Sender<()>>>,
    closing: Receiver<()>,
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

impl SimpleShared {
    pub(super) fn new(
        config: SimpleConfig,
        group: Arc<str>,
        topics: Topics,
        core: Arc<ClientCore>,
        trace: Option<Arc<Trace>>,
    ) -> SimpleShared {
        let (open, closing) = channel::bounded(0);
        SimpleShared {
            config,
            group,
            topics,
            core,
            sources: Mutex::default(),
            changed: Condvar::new(),
            held: Held::default(),
            trace,
            open: Mutex::new(Some(open)),
            closing,
            has_ended: AtomicBool::new(false),
        }
    }

    /// # Errors
    /// `Closed`: the consumer is shut down, or its client.
    pub(super) fn check_open(&self) -> Result<()> {
        self.core.check_open()?;
        match self.is_open() {
            true => Ok(()),
            false => Err(closed()),
        }
    }

    /// Whether messages can be received. After that, received ones can still be settled for a while.
    pub(super) fn is_open(&self) -> bool {
        self.open.lock().is_some()
    }

    /// Nothing is settled from now on.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
    }

    /// Whether messages cannot be settled any more.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst) || self.core.is_closed()
    }

    /// # Errors
    /// `Closed`: nothing can be settled any more.
    pub(super) fn check_not_ended(&self) -> Result<()> {
        match self.has_ended() {
            false => Ok(()),
            true => Err(closed()),
        }
    }

    /// Wakes the threads that wait for messages. None is handed out from now on.
    pub(super) fn close(&self) {
        drop(self.open.lock().take());
        self.wake();
    }

    /// Wakes the threads that wait for messages, to check again.
    pub(super) fn wake(&self) {
        // Not between another thread's look and its wait.
        let _sources = self.sources.lock();
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

    /// Waits before something is tried again; not once the client is closed.
    pub(super) fn pause(&self, time: Duration) {
        let _ = self.core.closing().recv_timeout(time);
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

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// Those of the connection.
    pub(super) fn ask(
        &self,
        to: &Arc<str>,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Result<(Command, Instant)> {
        arrived(self.asked(to, request, deadline).recv())
    }

    /// The same until the consumer is closed.
    ///
    /// # Errors
    /// `Closed`, and those of the connection.
    pub(super) fn ask_while_open(
        &self,
        to: &Arc<str>,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Result<(Command, Instant)> {
        let answer = self.asked(to, request, deadline);
        crossbeam_channel::select! {
            recv(answer) -> answered => arrived(answered),
            recv(self.closing) -> _ => Err(closed()),
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
