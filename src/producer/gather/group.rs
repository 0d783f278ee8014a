use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch_listeners::{BatchListener, BatchListeners};
use crate::error::{Error, ErrorKind, Result, Wait};
use crate::message::{Batch, Message, MessageQueue, SendReceipt};
use crate::send::hooks::SendMode;
use crate::send::{
    AsyncSend, Content, Engine, Listener, PreparedMessage, QueueChoice, Recipient, SendCall,
    SendFlow, SendListener, Start,
};
use crate::transport::{Deadline, Deferred, Promise};

/// How long past its deadline a sender waits for the batch of its message.
const BATCH_GRACE: Duration = Duration::from_millis(200);

/// Messages that leave as one batch.
pub(super) struct Group {
    engine: Arc<Engine>,
    queue: Option<MessageQueue>,
    mode: SendMode,
    messages: Vec<Message>,
    listeners: BatchListeners,
    /// The first waiting thread; none in an asynchronous group.
    first: Option<Seat>,
    /// The size of the batch.
    pub(super) bytes: usize,
    pub(super) flush_at: Instant,
    /// The earliest of its members': the batch ends before any of them has to.
    pub(super) deadline: Deadline,
}

/// A thread's wait for the batch of its message.
#[derive(Clone)]
pub(super) struct Seat(Arc<Promise<Turn>>);

/// The messages to a waiting thread.
enum Turn {
    /// Its batch is due, and this thread is to send it. Its own part of the result comes to another seat.
    Lead(Box<Group>, Seat),
    Ended(Result<SendReceipt>),
}

impl Seat {
    pub(super) fn new() -> Seat {
        Seat(Arc::new(Promise::new()))
    }

    /// The listener that wakes the waiting thread.
    pub(super) fn listener(&self) -> Listener {
        Listener::uncounted(Recipient::Listener(Box::new(self.clone())))
    }

    /// Waits for the result of a send with this deadline, and sends the batch if that is due: then its
    /// hooks run here too, and no worker is needed that might itself wait for a batch.
    pub(super) fn wait(mut self, deadline: Deadline) -> Result<SendReceipt> {
        loop {
            let later = || Deadline::after(Instant::now(), BATCH_GRACE);
            let turn = self.0.take_until(deadline);
            // The batch ends by this deadline, with a more detailed error of its own.
            match turn.or_else(|| self.0.take_until(later())) {
                Some(Turn::Ended(result)) => return result,
                Some(Turn::Lead(group, own)) => {
                    group.run();
                    self = own;
                }
                None => return Err(Error::timeout(Wait::Response).maybe_stored()),
            }
        }
    }
}

impl SendListener for Seat {
    fn ended(self: Box<Self>, result: Result<SendReceipt>) {
        self.0.keep(Turn::Ended(result));
    }
}

impl Group {
    pub(super) fn new(
        engine: &Arc<Engine>,
        queue: Option<MessageQueue>,
        mode: SendMode,
        flush_at: Instant,
        deadline: Deadline,
    ) -> Group {
        Group {
            engine: engine.clone(),
            queue,
            mode,
            messages: Vec::new(),
            listeners: BatchListeners::new(engine),
            first: None,
            bytes: 0,
            flush_at,
            deadline,
        }
    }

    pub(super) fn add(
        &mut self,
        message: Message,
        bytes: usize,
        listener: BatchListener,
        seat: Option<&Seat>,
    ) {
        if self.messages.is_empty() {
            self.first = seat.cloned();
        }
        self.messages.push(message);
        self.listeners.list.push(listener);
        self.bytes += bytes;
    }

    /// Has the batch sent by its own senders: by the first that waits, or on a retry worker.
    pub(super) fn start_soon(mut self) {
        if let Some(first) = self.first.take() {
            return self.hand_over(0, &first);
        }
        let workers = self.engine.core.workers.clone();
        let deadline = self.deadline.instant();
        let waiting = Deferred::new(self);
        waiting.expire_at(&workers.timer, deadline, Group::end_late);
        let start = move || {
            if let Some(group) = waiting.take() {
                group.start();
            }
        };
        workers.retries.submit(Box::new(start));
    }

    /// Has the batch sent by the thread that filled it: it sits here, or goes on with something else.
    pub(super) fn start_here(mut self, seat: Option<&Seat>) {
        self.first = None;
        match seat {
            Some(seat) => {
                let last = self.messages.len() - 1;
                self.hand_over(last, seat);
            }
            None => self.start(),
        }
    }

    /// Lets the thread of one member send the batch.
    fn hand_over(mut self, member: usize, seat: &Seat) {
        let own = Seat::new();
        self.listeners.list[member].listener = own.listener();
        seat.0.keep(Turn::Lead(Box::new(self), own));
    }

    /// Sends, and waits for the answer.
    fn run(self) {
        let (flow, listeners) = self.begin();
        let result = flow.and_then(SendFlow::run);
        listeners.answer(result);
    }

    /// Makes the first attempt; the answer goes to the listeners.
    fn start(self) {
        let engine = self.engine.clone();
        match self.begin() {
            (Ok(flow), listeners) => {
                let recipient = Recipient::Listener(Box::new(listeners));
                AsyncSend::start(&engine, flow, Listener::uncounted(recipient), None, None);
            }
            (Err(error), listeners) => listeners.answer(Err(error)),
        }
    }

    fn begin(mut self) -> (Result<SendFlow>, BatchListeners) {
        self.listeners.begun = true;
        let (engine, messages) = (self.engine, self.messages);
        let choice = self.queue.map(QueueChoice::Queue);
        let deadline = self.deadline;
        let prepare = |content: Content<'_>| {
            let call = SendCall::at(Start::now(), content, None, deadline);
            PreparedMessage::new(&engine, &call, String::new())
        };
        let prepared = match &messages[..] {
            [alone] => prepare(Content::Message(alone)),
            _ => Batch::new(messages).and_then(|batch| prepare(Content::Batch(&batch))),
        };
        let flow = prepared.and_then(|message| {
            if engine.core.is_closed() {
                return Err(Error::new(ErrorKind::Closed, "the client is shut down"));
            }
            SendFlow::new(&engine, message, choice, deadline, self.mode)
        });
        (flow, self.listeners)
    }

    /// No retry worker was free until the deadline.
    fn end_late(self) {
        let late = Error::timeout(Wait::Queue);
        let late = match self.messages.first() {
            Some(message) => late.on_topic(message.shared_topic()),
            None => late,
        };
        self.listeners.answer(Err(late));
    }
}
