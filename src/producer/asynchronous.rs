//! Asynchronous sends: the same flow, driven by answers instead of by a waiting thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::accumulate::Members;
use super::attempt::with_request;
use super::core::Core;
use super::handle::Promise;
use super::hook::SendMode;
use super::outgoing::Outgoing;
use super::request::Asked;
use super::send::{Send, Step};
use super::target::Target;
use crate::error::{Error, ErrorKind, Result};
use crate::message::SendReceipt;
use crate::sync::Mutex;
use crate::transport::{Completion, Deadline, Job, Next, Outcome, Permit, Via};

/// A larger body is not kept for longer than its send lasts.
const LARGEST_SPARE: usize = 16 * 1024;

type Callback = Box<dyn FnOnce(Result<SendReceipt>) + std::marker::Send>;

/// Who hears of the end, exactly once.
pub(super) enum Listener {
    /// User code, on a callback worker.
    Callback(Callback),
    /// A thread that waits, or will.
    Handle(Promise),
    /// All whose messages are in a batch.
    Batch(Box<Members>),
    /// A request, whose reply is yet to come.
    Asked(Box<Asked>),
}

impl Listener {
    /// Tells the end of a send that no worker has.
    pub(super) fn tell(self, core: &Core, result: Result<SendReceipt>) {
        match self {
            Listener::Handle(promise) => promise.keep(result),
            Listener::Batch(members) => members.answer(result),
            Listener::Asked(asked) => asked.sent(result),
            // In a fork of the process there are no workers, and no lock can be trusted.
            Listener::Callback(callback) if core.is_forked() => callback(result),
            Listener::Callback(callback) => {
                let job = move || callback(result);
                core.client.inner().workers.callbacks.submit(Box::new(job));
            }
        }
    }
}

/// A send in flight. It is its own continuation: the one box goes from the connection that waits
/// for the answer to the workers that go on.
pub(super) struct AsyncSend {
    send: Send,
    /// Taken by whoever answers it.
    listener: Option<Listener>,
    permit: Option<Permit>,
    next: Work,
}

/// What a worker does with it.
enum Work {
    Nothing,
    Pause {
        pause: Duration,
        refresh: bool,
    },
    Aim {
        refresh: bool,
    },
    Resend,
    /// Hooks are to hear of the answer before it is judged.
    Settle(Box<Outcome>),
    Call(Result<SendReceipt>),
}

/// Makes the first attempt of an asynchronous send, on this thread. No failure is returned: all are
/// told to the listener, also that of making the message ready.
pub(super) fn launch(
    core: &Arc<Core>,
    ready: Result<(Outgoing, Target)>,
    deadline: Deadline,
    listener: Listener,
    spare: Option<Box<AsyncSend>>,
) {
    // A request has its place among the messages in flight until it has its reply.
    let messages = usize::from(!matches!(listener, Listener::Asked(_)));
    let aimed = ready.and_then(|(mut out, target)| {
        let permit = out.take_room(&core.account, messages, deadline)?;
        let send = Send::new(core, out, target, deadline, SendMode::Async)?;
        Ok((send, permit))
    });
    match aimed {
        Ok((send, permit)) => AsyncSend::start(core, send, listener, Some(permit), spare),
        Err(error) => listener.tell(core, Err(error)),
    }
}

impl AsyncSend {
    /// Makes the first attempt on this thread.
    pub(super) fn start(
        core: &Core,
        send: Send,
        listener: Listener,
        permit: Option<Permit>,
        spare: Option<Box<AsyncSend>>,
    ) {
        let start = AsyncSend {
            send,
            listener: Some(listener),
            permit,
            next: Work::Nothing,
        };
        let boxed = match spare {
            Some(mut spare) => {
                *spare = start;
                spare
            }
            None => Box::new(start),
        };
        boxed.attempt(core);
    }

    /// The buffer of an ended send.
    pub(super) fn take_buffer(&mut self) -> String {
        std::mem::take(&mut self.send.out.properties)
    }

    /// The end of a send that has told its result: what is left of it serves the next one.
    fn retire(self: Box<Self>) {
        if self.send.out.body.len() <= LARGEST_SPARE {
            let core = self.send.core.clone();
            core.spares.give(self);
        }
    }

    /// Makes an attempt on this thread; `core` is its own, which goes with it.
    fn attempt(self: Box<Self>, core: &Core) {
        let Send { out, aim, .. } = &self.send;
        let (address, deadline) = (aim.address.clone(), aim.deadline);
        let remoting = &core.client.inner().remoting;
        let encoded = with_request(core, out, aim, |r| remoting.encode(&address, r, false));
        remoting.dispatch(&address, encoded, deadline, Via::WriterThread, self);
    }

    fn attempt_again(self: Box<Self>) {
        let core = self.send.core.clone();
        self.attempt(&core);
    }

    /// Gives the result to whoever listens: to a handle right here, to user code by way of the
    /// callback workers.
    fn finish(mut self: Box<Self>, result: Result<SendReceipt>) -> Next {
        match self.listener.take() {
            Some(Listener::Handle(promise)) => {
                self.permit = None;
                promise.keep(result);
                Next::Done
            }
            Some(Listener::Batch(members)) => {
                members.answer(result);
                Next::Done
            }
            Some(Listener::Asked(asked)) => {
                self.permit = None;
                asked.sent(result);
                Next::Done
            }
            Some(callback) => {
                self.listener = Some(callback);
                self.next = Work::Call(result);
                Next::Callback(self)
            }
            None => Next::Done,
        }
    }

    fn settle(mut self: Box<Self>, outcome: Outcome) -> Next {
        self.next = match self.send.settle(outcome) {
            Step::Done(result) => return self.finish(result),
            Step::Resend => Work::Resend,
            Step::Again { pause, refresh } if pause.is_zero() => Work::Aim { refresh },
            Step::Again { pause, refresh } => Work::Pause { pause, refresh },
        };
        Next::Retry(self.queue_up())
    }

    fn go_on(mut self: Box<Self>, refresh: bool) {
        match self.send.aim_again(refresh) {
            None => self.attempt_again(),
            Some(end) => self.end(end),
        }
    }

    /// The end, on a thread that goes on with something else.
    fn end(self: Box<Self>, result: Result<SendReceipt>) {
        let callbacks = self.send.core.client.inner().workers.callbacks.clone();
        if let Next::Callback(job) = self.finish(result) {
            callbacks.submit(job);
        }
    }

    /// What the retry workers are given: they may all be busy, dialling for others, until after this
    /// send's deadline, and then the timer ends it.
    fn queue_up(self: Box<Self>) -> Box<dyn Job> {
        let timer = self.send.core.client.inner().workers.timer.clone();
        let deadline = self.send.deadline.instant();
        let turn = Turn(Arc::new(Mutex::new(Some(self))));
        let waiting = Arc::downgrade(&turn.0);
        timer.schedule(deadline, move |_| {
            let taken = waiting.upgrade().and_then(|turn| turn.lock().take());
            if let Some(mut send) = taken {
                let end = send.send.fail();
                send.end(end);
            }
        });
        Box::new(turn)
    }

    fn go_on_after(mut self: Box<Self>, pause: Duration, refresh: bool) {
        self.next = Work::Aim { refresh };
        let client = self.send.core.client.inner();
        let (timer, retries) = (client.workers.timer.clone(), client.workers.retries.clone());
        let pause = self.send.within_deadline(pause);
        timer.schedule(Instant::now() + pause, move |_| {
            retries.submit(self.queue_up())
        });
    }
}

/// A send that waits for a worker, until the worker or the timer takes it.
struct Turn(Arc<Mutex<Option<Box<AsyncSend>>>>);

impl Job for Turn {
    fn run(self: Box<Self>) {
        let taken = self.0.lock().take();
        if let Some(send) = taken {
            send.run();
        }
    }
}

impl Completion for AsyncSend {
    /// Judges on the reader or timer thread; everything that may wait goes to a worker.
    fn complete(mut self: Box<Self>, outcome: Outcome) -> Next {
        if self.send.is_watched() {
            self.next = Work::Settle(Box::new(outcome));
            return Next::Callback(self);
        }
        self.settle(outcome)
    }
}

impl Job for AsyncSend {
    fn run(mut self: Box<Self>) {
        match std::mem::replace(&mut self.next, Work::Nothing) {
            Work::Nothing => {}
            Work::Pause { pause, refresh } => self.go_on_after(pause, refresh),
            Work::Aim { refresh } => self.go_on(refresh),
            Work::Resend => self.attempt_again(),
            Work::Settle(outcome) => {
                let workers = self.send.core.client.inner().workers.clone();
                match self.settle(*outcome) {
                    Next::Callback(job) => job.run(),
                    Next::Retry(job) => workers.retries.submit(job),
                    Next::Done => {}
                }
            }
            Work::Call(result) => {
                // Given back before the callback starts, so that a callback may send.
                if let Some(permit) = &mut self.permit {
                    permit.give_back();
                }
                if let Some(Listener::Callback(callback)) = self.listener.take() {
                    self.retire();
                    callback(result);
                }
            }
        }
    }
}

impl Drop for AsyncSend {
    /// What is dropped on the way (a timer that was closed, a worker that panicked) still answers.
    fn drop(&mut self) {
        if let Some(listener) = self.listener.take() {
            let error = Error::new(
                ErrorKind::Closed,
                "the producer was shut down during the send",
            );
            let core = self.send.core.clone();
            let result = self.send.interrupt(error);
            listener.tell(&core, result);
        }
    }
}
