//! Asynchronous sends: the same flow, driven by answers instead of by a waiting thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::listener::{Listener, Recipient};
use crate::error::{Error, ErrorKind, Result};
use crate::message::SendReceipt;
use crate::protocol::Command;
use crate::send::engine::Engine;
use crate::send::flow::{SendFlow, Step, check_open_to_send, ensure_registered, with_request};
use crate::send::hooks::SendMode;
use crate::send::prepared_message::{PreparedMessage, SendCall};
use crate::transport::{
    Completion, Connection, Deferred, Dial, Job, Next, Outcome, Permit, To, Via,
};

/// A send with a larger body is not kept for reuse.
const LARGEST_KEPT: usize = 16 * 1024;

/// A send in flight. It is its own continuation: the one box goes from the connection that waits
/// for the answer to the workers that go on.
pub(crate) struct AsyncSend {
    flow: SendFlow,
    /// Taken when it is answered.
    listener: Option<Listener>,
    permit: Option<Permit>,
    next: Work,
}

/// The next step of a worker.
enum Work {
    Nothing,
    Pause {
        pause: Duration,
        then: Box<Work>,
    },
    /// Choose a queue and make another attempt.
    Choose {
        refresh: bool,
    },
    Resend,
    /// The broker has registered this client, or could not.
    Registered,
    /// Hooks see the answer before it is judged.
    Settle(Box<(Outcome, Instant)>),
    Call(Result<SendReceipt>),
}

impl Work {
    fn after(self, pause: Duration) -> Work {
        match pause.is_zero() {
            true => self,
            false => Work::Pause {
                pause,
                then: Box::new(self),
            },
        }
    }
}

/// Sends without waiting for the answer; the first attempt is made on this thread. No failure is
/// returned: all reach the recipient.
pub(crate) fn send_async(engine: &Arc<Engine>, call: SendCall<'_>, recipient: Recipient) {
    let size = call.size;
    engine.counters.begin(size);
    let listener = Listener { recipient, size };
    match check_open_to_send(engine, call.start.at) {
        Ok(()) => launch(engine, call, 1, listener),
        Err(error) => listener.end(engine, Err(error)),
    }
}

/// The same for a call that is counted elsewhere, and for which the engine is known to be open.
/// `messages` (0 or 1) is how many it takes of the limit in flight.
pub(crate) fn launch(
    engine: &Arc<Engine>,
    call: SendCall<'_>,
    messages: usize,
    listener: Listener,
) {
    let mut ended = AsyncSend::reuse(engine);
    let buffer = ended.as_mut().map_or_else(String::new, |ended| {
        std::mem::take(&mut ended.flow.message.properties)
    });
    let first = || {
        let mut message = PreparedMessage::new(engine, &call, buffer)?;
        let permit = message.take_capacity(&engine.account, messages, call.deadline)?;
        let (choice, deadline) = (call.choice, call.deadline);
        let flow = SendFlow::new(engine, message, choice, deadline, SendMode::Async)?;
        Ok((flow, permit))
    };
    match first() {
        Ok((flow, permit)) => AsyncSend::start(engine, flow, listener, Some(permit), ended),
        Err(error) => listener.end(engine, Err(error)),
    }
}

impl AsyncSend {
    /// Makes the first attempt, on this thread, in the memory of an ended send if there is one.
    pub(crate) fn start(
        engine: &Engine,
        flow: SendFlow,
        listener: Listener,
        permit: Option<Permit>,
        ended: Option<Box<AsyncSend>>,
    ) {
        let start = AsyncSend {
            flow,
            listener: Some(listener),
            permit,
            next: Work::Nothing,
        };
        let boxed = match ended {
            Some(mut ended) => {
                *ended = start;
                ended
            }
            None => Box::new(start),
        };
        let flow = &boxed.flow;
        let registered = ensure_registered(engine, &flow.message, &flow.destination);
        boxed.dispatch(engine, registered, Dial::Wait);
    }

    /// An ended send.
    fn reuse(engine: &Engine) -> Option<Box<AsyncSend>> {
        engine.ended.take()?.downcast().ok()
    }

    /// The end of a send that has reported its result: its memory serves the next one.
    fn retire(mut self: Box<Self>) {
        // The message as given, for hooks: it may be much larger than its compressed form.
        self.flow.message.payload = None;
        if self.flow.message.body.len() <= LARGEST_KEPT {
            let engine = self.flow.engine.clone();
            engine.ended.give(self);
        }
    }

    /// Makes another attempt, on a thread that has others to serve and does not wait until a broker
    /// knows this client.
    fn attempt_again(mut self: Box<Self>) {
        let engine = self.flow.engine.clone();
        if !self.flow.message.wants_reply {
            return self.dispatch(&engine, None, Dial::Park);
        }
        let destination = &self.flow.destination;
        let (address, deadline) = (destination.address.clone(), destination.deadline);
        let retries = engine.core.workers.retries.clone();
        self.next = Work::Registered;
        let job = self.queue_up();
        let then = move || retries.submit(job);
        let group = &engine.config.group_on_wire;
        let core = &engine.core;
        core.ensure_registered_then(group, &address, deadline, Box::new(then));
    }

    /// Makes the next attempt, over this connection if one is given; `dial` says whether this
    /// thread may wait for a new one. The send owns the engine.
    fn dispatch(self: Box<Self>, engine: &Engine, registered: Option<Arc<Connection>>, dial: Dial) {
        let SendFlow {
            message,
            destination,
            ..
        } = &self.flow;
        let (address, deadline) = (destination.address.clone(), destination.deadline);
        let remoting = &engine.core.remoting;
        let encoded = with_request(engine, message, destination, |request| {
            remoting.encode(&address, request, false)
        });
        let to = To::over(registered.as_ref(), &address);
        remoting.dispatch(to, encoded, deadline, Via::WriterThread, dial, self);
    }

    /// Gives the result to the listener: right here, or to user code by way of the callback workers.
    fn finish(mut self: Box<Self>, result: Result<SendReceipt>) -> Next {
        let Some(listener) = self.listener.take() else {
            return Next::Done;
        };
        if let Recipient::Callback(_) = listener.recipient {
            self.listener = Some(listener);
            self.next = Work::Call(result);
            return Next::Callback(self);
        }
        self.permit = None;
        listener.end(&self.flow.engine, result);
        self.retire();
        Next::Done
    }

    fn complete_now(self: Box<Self>, outcome: Outcome, at: Instant) -> Next {
        match outcome {
            Ok(answer) => self.settle(Ok(&answer), at),
            Err(error) => self.settle(Err(error), at),
        }
    }

    fn settle(mut self: Box<Self>, answer: Result<&Command>, at: Instant) -> Next {
        self.next = match self.flow.settle(answer, at) {
            Step::Done(result) => return self.finish(result),
            Step::Resend { pause } => Work::Resend.after(pause),
            Step::Again { pause, refresh } => Work::Choose { refresh }.after(pause),
        };
        Next::Retry(self.queue_up())
    }

    /// The end, on a thread that goes on with something else.
    fn end(self: Box<Self>, result: Result<SendReceipt>) {
        let callbacks = self.flow.engine.core.workers.callbacks.clone();
        if let Next::Callback(job) = self.finish(result) {
            callbacks.submit(job);
        }
    }

    /// Work queued for a retry worker. If none is free by the deadline, the timer fails it.
    fn queue_up(self: Box<Self>) -> Box<dyn Job> {
        let deadline = self.flow.deadline;
        let timer = self.flow.engine.core.workers.timer.clone();
        let waiting = Deferred::new(self);
        waiting.expire_at(&timer, deadline.instant(), AsyncSend::end_late);
        Box::new(move || {
            if let Some(send) = waiting.take() {
                send.run();
            }
        })
    }

    /// Ends a send that waits for a worker (the connection ends those in flight).
    fn end_late(mut self: Box<Self>) {
        let callbacks = self.flow.engine.core.workers.callbacks.clone();
        let has_hooks = self.flow.has_hooks();
        let end = move || {
            let end = self.flow.fail();
            self.end(end);
        };
        // Hooks see the end, and they are user code.
        match has_hooks {
            true => callbacks.submit(Box::new(end)),
            false => end(),
        }
    }

    fn go_on_after(mut self: Box<Self>, pause: Duration, then: Work) {
        self.next = then;
        let workers = &self.flow.engine.core.workers;
        let (timer, retries) = (workers.timer.clone(), workers.retries.clone());
        let pause = self.flow.within_deadline(pause);
        timer.schedule(Instant::now() + pause, move |_| {
            self.flow.resume(pause);
            retries.submit(self.queue_up())
        });
    }

    /// Calls user code, on a callback worker.
    fn call(mut self: Box<Self>, result: Result<SendReceipt>) {
        // Given back before the callback starts, so that a callback may send.
        if let Some(permit) = &mut self.permit {
            permit.give_back();
        }
        if let Some(Listener {
            recipient: Recipient::Callback(callback),
            size,
        }) = self.listener.take()
        {
            self.flow.engine.counters.end(size, &result);
            self.retire();
            callback(result);
        }
    }
}

impl Completion for AsyncSend {
    /// Judges on the reader or timer thread; everything that may wait goes to a worker.
    fn complete(mut self: Box<Self>, outcome: Outcome, at: Instant) -> Next {
        if self.flow.has_hooks() {
            self.next = Work::Settle(Box::new((outcome, at)));
            return Next::Callback(self);
        }
        self.complete_now(outcome, at)
    }

    fn answer(self: Box<Self>, answer: &mut Command, at: Instant) -> Next {
        if self.flow.has_hooks() {
            return self.complete(Ok(answer.take()), at);
        }
        self.settle(Ok(answer), at)
    }
}

impl Job for AsyncSend {
    fn run(mut self: Box<Self>) {
        match std::mem::replace(&mut self.next, Work::Nothing) {
            Work::Nothing => {}
            Work::Pause { pause, then } => self.go_on_after(pause, *then),
            Work::Choose { refresh } => match self.flow.choose_again(refresh) {
                None => self.attempt_again(),
                Some(end) => self.end(end),
            },
            Work::Resend => self.attempt_again(),
            Work::Registered => {
                let engine = self.flow.engine.clone();
                let (group, address) =
                    (&engine.config.group_on_wire, &self.flow.destination.address);
                let registered = engine.core.registered(group, address);
                self.dispatch(&engine, registered, Dial::Park);
            }
            Work::Settle(settle) => {
                let workers = self.flow.engine.core.workers.clone();
                let (outcome, at) = *settle;
                match self.complete_now(outcome, at) {
                    Next::Callback(job) => job.run(),
                    Next::Retry(job) => workers.retries.submit(job),
                    Next::Done => {}
                }
            }
            Work::Call(result) => self.call(result),
        }
    }
}

impl Drop for AsyncSend {
    /// A send that is dropped (by a closed timer or a panicked worker) still answers.
    fn drop(&mut self) {
        if let Some(listener) = self.listener.take() {
            let engine = self.flow.engine.clone();
            let result = match engine.check_open() {
                Err(_) => self.flow.interrupt(Error::new(
                    ErrorKind::Closed,
                    "the producer was shut down during the send",
                )),
                // Then only a panic can cause this, and the progress of the send is unknown.
                Ok(()) => self
                    .flow
                    .interrupt(Error::lost())
                    .map_err(Error::maybe_stored),
            };
            listener.end(&engine, result);
        }
    }
}

#[cfg(all(test, feature = "embedded"))]
mod tests;
