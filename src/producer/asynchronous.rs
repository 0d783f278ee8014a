//! Asynchronous sends: the same flow, driven by answers instead of by a waiting thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::with_request;
use super::core::Core;
use super::counters::Size;
use super::handle::Promise;
use super::hook::SendMode;
use super::members::Members;
use super::outgoing::Outgoing;
use super::request::Asked;
use super::send::{Send, Step};
use super::target::Target;
use super::turn::{Turn, Waits};
use crate::error::{Error, ErrorKind, Result};
use crate::message::SendReceipt;
use crate::protocol::Command;
use crate::transport::{Completion, Connection, Deadline, Job, Next, Outcome, Permit, To, Via};

/// A larger body is not kept for longer than its send lasts.
const LARGEST_SPARE: usize = 16 * 1024;

type Callback = Box<dyn FnOnce(Result<SendReceipt>) + std::marker::Send>;

/// Who hears of the end, exactly once, and what is counted then.
pub(super) struct Listener {
    pub(super) who: Who,
    pub(super) size: Size,
}

pub(super) enum Who {
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
    /// One of whom nothing is counted here.
    pub(super) fn uncounted(who: Who) -> Listener {
        Listener {
            who,
            size: Size::NOTHING,
        }
    }

    /// Tells the end of a send that no worker has.
    pub(super) fn tell(self, core: &Core, result: Result<SendReceipt>) {
        core.counters.end(self.size, &result);
        match self.who {
            Who::Handle(promise) => promise.keep(result),
            Who::Batch(members) => members.answer(result),
            Who::Asked(asked) => asked.sent(result),
            Who::Callback(callback) => core.call_back(move || callback(result)),
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
    /// Where it waits for a worker, once it has: the timer knows this place. Empty meanwhile.
    turn: Option<Turn<Box<AsyncSend>>>,
}

/// What a worker does with it.
enum Work {
    Nothing,
    Pause {
        pause: Duration,
        then: Box<Work>,
    },
    Aim {
        refresh: bool,
    },
    Resend,
    /// The broker knows this client, or could not be told.
    Introduced,
    /// Hooks are to hear of the answer before it is judged.
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
    let messages = usize::from(!matches!(listener.who, Who::Asked(_)));
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
            turn: None,
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
    fn retire(mut self: Box<Self>) {
        self.turn = None;
        // The message as it was given, for hooks: it may be larger by far than what was sent of it.
        self.send.out.payload = None;
        if self.send.out.body.len() <= LARGEST_SPARE {
            let core = self.send.core.clone();
            core.spares.give(self);
        }
    }

    /// Makes the first attempt; `core` is its own, which goes with it.
    fn attempt(self: Box<Self>, core: &Core) {
        let introduced = self.send.introduce();
        self.dispatch(core, introduced);
    }

    /// Makes another attempt, on a thread that has others to serve and does not wait until a broker
    /// knows this client.
    fn attempt_again(mut self: Box<Self>) {
        let core = self.send.core.clone();
        if !self.send.out.wants_reply {
            return self.dispatch(&core, None);
        }
        let client = core.client.inner();
        let (address, deadline) = (self.send.aim.address.clone(), self.send.aim.deadline);
        let retries = client.workers.retries.clone();
        self.next = Work::Introduced;
        let job = self.queue_up();
        let then = move || retries.submit(job);
        client.introduce_apart(&address, deadline, Box::new(then));
    }

    fn dispatch(self: Box<Self>, core: &Core, introduced: Option<Arc<Connection>>) {
        let Send { out, aim, .. } = &self.send;
        let (address, deadline) = (aim.address.clone(), aim.deadline);
        let remoting = &core.client.inner().remoting;
        let encoded = with_request(core, out, aim, |r| remoting.encode(&address, r, false));
        let to = To::over(introduced.as_ref(), &address);
        remoting.dispatch(to, encoded, deadline, Via::WriterThread, self);
    }

    /// Gives the result to whoever listens: to a handle right here, to user code by way of the
    /// callback workers.
    fn finish(mut self: Box<Self>, result: Result<SendReceipt>) -> Next {
        let Some(Listener { who, size }) = self.listener.take() else {
            return Next::Done;
        };
        if let Who::Callback(_) = who {
            self.listener = Some(Listener { who, size });
            self.next = Work::Call(result);
            return Next::Callback(self);
        }
        if !matches!(who, Who::Batch(_)) {
            self.permit = None;
        }
        Listener { who, size }.tell(&self.send.core, result);
        Next::Done
    }

    fn complete_now(self: Box<Self>, outcome: Outcome, at: Instant) -> Next {
        match outcome {
            Ok(answer) => self.settle(Ok(&answer), at),
            Err(error) => self.settle(Err(error), at),
        }
    }

    fn settle(mut self: Box<Self>, answer: Result<&Command>, at: Instant) -> Next {
        self.next = match self.send.settle(answer, at) {
            Step::Done(result) => return self.finish(result),
            Step::Resend { pause } => Work::Resend.after(pause),
            Step::Again { pause, refresh } => Work::Aim { refresh }.after(pause),
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

    /// What the retry workers are given.
    fn queue_up(mut self: Box<Self>) -> Box<dyn Job> {
        let deadline = self.send.deadline;
        let timer = self.send.core.client.inner().workers.timer.clone();
        let known = self.turn.take();
        let is_new = known.is_none();
        let turn = known.unwrap_or_else(Turn::new);
        turn.put(self);
        // Once for all attempts of the send, however many; if the timer has come by just before, again.
        if is_new || deadline.has_passed(Instant::now()) {
            turn.watch(&timer, deadline);
        }
        Box::new(turn)
    }

    fn go_on_after(mut self: Box<Self>, pause: Duration, then: Work) {
        self.next = then;
        let client = self.send.core.client.inner();
        let (timer, retries) = (client.workers.timer.clone(), client.workers.retries.clone());
        let pause = self.send.within_deadline(pause);
        timer.schedule(Instant::now() + pause, move |_| {
            self.send.resume(pause);
            retries.submit(self.queue_up())
        });
    }
}

impl Waits for Box<AsyncSend> {
    /// Only of a send that waits: the connection ends those in flight.
    fn end_late(mut self) {
        let callbacks = self.send.core.client.inner().workers.callbacks.clone();
        let watched = self.send.is_watched();
        let end = move || {
            let end = self.send.fail();
            self.end(end);
        };
        // Hooks hear of the end, and they are user code.
        match watched {
            true => callbacks.submit(Box::new(end)),
            false => end(),
        }
    }
}

/// The worker's part of a turn.
impl Job for Turn<Box<AsyncSend>> {
    fn run(self: Box<Self>) {
        if let Some(mut send) = self.take() {
            send.turn = Some(*self);
            send.run();
        }
    }
}

impl Completion for AsyncSend {
    /// Judges on the reader or timer thread; everything that may wait goes to a worker.
    fn complete(mut self: Box<Self>, outcome: Outcome, at: Instant) -> Next {
        if self.send.is_watched() {
            self.next = Work::Settle(Box::new((outcome, at)));
            return Next::Callback(self);
        }
        self.complete_now(outcome, at)
    }

    fn answer(self: Box<Self>, answer: &mut Command, at: Instant) -> Next {
        if self.send.is_watched() {
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
            Work::Aim { refresh } => self.go_on(refresh),
            Work::Resend => self.attempt_again(),
            Work::Introduced => {
                let core = self.send.core.clone();
                let introduced = core.client.inner().introduced(&self.send.aim.address);
                self.dispatch(&core, introduced);
            }
            Work::Settle(settle) => {
                let workers = self.send.core.client.inner().workers.clone();
                let (outcome, at) = *settle;
                match self.complete_now(outcome, at) {
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
                if let Some(Listener {
                    who: Who::Callback(callback),
                    size,
                }) = self.listener.take()
                {
                    self.send.core.counters.end(size, &result);
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
            let core = self.send.core.clone();
            let result = match core.check_open() {
                Err(_) => self.send.interrupt(Error::new(
                    ErrorKind::Closed,
                    "the producer was shut down during the send",
                )),
                // Then only a panic can do this, and nobody knows how far the send came.
                Ok(()) => self
                    .send
                    .interrupt(Error::lost())
                    .map_err(Error::maybe_stored),
            };
            listener.tell(&core, result);
        }
    }
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    use std::time::Duration;

    use super::super::attempt::Start;
    use super::*;
    use crate::embedded::Cluster;
    use crate::error::SendFate;
    use crate::message::Message;
    use crate::producer::Producer;

    /// Drops a send that is in flight, and returns what its callback hears.
    fn forget_one(core: &Arc<Core>) -> Error {
        let deadline = Deadline::after(Instant::now(), Duration::from_secs(20));
        let message = Message::new("Orders", "x");
        let out = core.outgoing(&message, None, Start::now(), String::new());
        let out = out.expect("a message");
        let send = Send::new(core, out, Target::Any, deadline, SendMode::Async).expect("a route");
        let (tell, told) = crossbeam_channel::bounded(1);
        let callback: Callback = Box::new(move |result| tell.send(result).expect("one"));
        let forgotten = AsyncSend {
            send,
            listener: Some(Listener::uncounted(Who::Callback(callback))),
            permit: None,
            next: Work::Nothing,
            turn: None,
        };
        drop(forgotten);
        told.recv().expect("an answer").expect_err("no receipt")
    }

    #[test]
    fn a_send_that_gets_lost_inside_says_that_its_message_may_be_stored() {
        let cluster = Cluster::start().expect("ports");
        let builder = Producer::builder("g").name_server(cluster.name_server());
        let producer = builder.start().expect("started");
        let lost = forget_one(producer.core());
        assert_eq!(lost.kind(), ErrorKind::Disconnected, "{lost}");
        assert_eq!(lost.fate(), SendFate::MaybeStored);
        assert!(lost.to_string().contains("bug of this crate"), "{lost}");
    }
}
