use std::fmt;
use std::time::{Duration, Instant};

use super::accumulate::{Accumulator, Joined, Joining};
use super::asynchronous::{self, Listener, Who};
use super::attempt::Start;
use super::counters::Size;
use super::handle::{self, SendHandle};
use super::hook::SendMode;
use super::outgoing::Outgoing;
use super::producer::Producer;
use super::request::Question;
use super::send::Send;
use super::target::Target;
use crate::error::{Error, Result};
use crate::message::{Batch, Message, MessageQueue, MessageView, SendReceipt};
use crate::transport::Deadline;

/// How much longer than to its deadline a sender waits for the batch that its message is in.
const BATCH_GRACE: Duration = Duration::from_millis(200);

/// A send with settings of its own; made by [`Producer::prepare`] and
/// [`Producer::prepare_batch`].
///
/// A send to a given queue, by sharding key or by a selector makes one attempt: another queue would
/// break the order that it is meant to keep. Of those three settings the last one counts.
#[must_use = "a prepared send does nothing until it is sent"]
pub struct PreparedSend<'a> {
    producer: &'a Producer,
    what: What<'a>,
    target: Target,
    timeout: Option<Duration>,
}

#[derive(Clone, Copy)]
enum What<'a> {
    Message(&'a Message),
    Batch(&'a Batch),
}

impl<'a> PreparedSend<'a> {
    pub(super) fn message(producer: &'a Producer, message: &'a Message) -> PreparedSend<'a> {
        PreparedSend::new(producer, What::Message(message))
    }

    pub(super) fn batch(producer: &'a Producer, batch: &'a Batch) -> PreparedSend<'a> {
        PreparedSend::new(producer, What::Batch(batch))
    }

    fn new(producer: &'a Producer, what: What<'a>) -> PreparedSend<'a> {
        PreparedSend {
            producer,
            what,
            target: Target::Any,
            timeout: None,
        }
    }

    /// Sends to this queue and no other. One of another topic is [`Invalid`](crate::ErrorKind::Invalid)
    /// when it is sent, one of a broker that the route does not have
    /// [`NoBroker`](crate::ErrorKind::NoBroker), and one that its broker does not have is refused with
    /// code 29.
    pub fn queue(mut self, queue: MessageQueue) -> Self {
        let names = &self.producer.core().config.names;
        self.target = Target::Queue(queue.on_topic(|topic| names.for_users(topic)));
        self
    }

    /// Sends messages of one key to one queue, as long as the topic's queues do not change: the
    /// queue is found by Java's `String.hashCode` of the key, so that clients of both languages
    /// agree. The key is also written into the message (`__SHARDINGKEY`), batches excepted; one with
    /// `\x01` or `\x02` in it is [`Invalid`](crate::ErrorKind::Invalid).
    #[doc(alias = "SelectMessageQueueByHash")]
    pub fn sharding_key(mut self, key: impl Into<String>) -> Self {
        self.target = Target::Key(key.into());
        self
    }

    /// Sends to the queue whose index this returns. It gets the topic's writable queues, sorted by
    /// broker name and number, and runs once, on this thread. What it needs (Java's `arg`) is moved into
    /// it. An index that there is not, and a panic, are [`Invalid`](crate::ErrorKind::Invalid).
    ///
    /// ```
    /// # use rocketmq_blocking::{Message, Producer};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// let (message, customer) = (Message::new("Orders", "paid"), 188);
    /// let receipt = producer.prepare(&message).select(move |queues| customer % queues.len()).send()?;
    /// # assert_eq!(receipt.queue().id(), 188 % 4);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "MessageQueueSelector")]
    pub fn select(
        mut self,
        choose: impl FnOnce(&[MessageQueue]) -> usize + std::marker::Send + 'static,
    ) -> Self {
        self.target = Target::Select(Box::new(choose));
        self
    }

    /// The whole time of this send, retries included, instead of the producer's `send_timeout`. (A
    /// request has its own.)
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends and waits for the receipt.
    ///
    /// # Errors
    /// Those of [`Producer::send`].
    pub fn send(self) -> Result<SendReceipt> {
        let (core, size) = (self.producer.core(), self.size());
        core.counters.count(size, || self.send_now())
    }

    fn send_now(self) -> Result<SendReceipt> {
        let core = self.producer.core();
        let now = Instant::now();
        core.check_open_to_send(now)?;
        let deadline = self.deadline_from(now);
        if let Some(joining) = self.joining(deadline, 0, SendMode::Sync) {
            let (promise, handle) = handle::pair(deadline);
            let listener = Listener::uncounted(Who::Handle(promise));
            match Accumulator::join(core, &joining, listener) {
                Joined::Gathered => {
                    // The batch ends by this deadline, and says more than we could.
                    let result = handle.wait_beyond(BATCH_GRACE);
                    return result.map_err(|e| e.on_topic(joining.message.shared_topic()));
                }
                Joined::Refused(_, error) => return Err(error),
                Joined::Alone(_) => {}
            }
        }
        let (mut out, target) = self.outgoing(now, String::new())?;
        let _permit = out.take_room(&core.account, 0, deadline)?;
        Send::new(core, out, target, deadline, SendMode::Sync)?.run()
    }

    /// Sends a request and waits for the reply; see [`Producer::request`]. The timeout given here
    /// is for all of it.
    ///
    /// # Errors
    /// Those of [`Producer::request`]; [`Invalid`](crate::ErrorKind::Invalid) also for a batch.
    pub fn request(self, timeout: Duration) -> Result<MessageView> {
        let (core, size) = (self.producer.core(), self.size());
        core.counters.count(size, || {
            let (message, target) = (self.question()?, self.target);
            let question = Question {
                core,
                message,
                target,
                timeout,
            };
            question.ask()
        })
    }

    /// Sends a request without waiting; see [`Producer::request_async`].
    pub fn request_async(
        self,
        timeout: Duration,
        callback: impl FnOnce(Result<MessageView>) + std::marker::Send + 'static,
    ) {
        let (core, size) = (self.producer.core(), self.size());
        core.counters.begin(size);
        let counting = core.clone();
        let callback = move |result: Result<MessageView>| {
            counting.counters.end(size, &result);
            drop(counting);
            callback(result);
        };
        match self.question() {
            Ok(message) => {
                let target = self.target;
                let question = Question {
                    core,
                    message,
                    target,
                    timeout,
                };
                question.ask_async(Box::new(callback));
            }
            Err(error) => {
                core.call_back(move || callback(Err(error)));
            }
        }
    }

    fn question(&self) -> Result<&'a Message> {
        match self.what {
            What::Message(message) => Ok(message),
            What::Batch(_) => Err(Error::invalid("a batch cannot be a request")),
        }
    }

    /// Sends without waiting; see [`Producer::send_async`].
    pub fn send_async(
        self,
        callback: impl FnOnce(Result<SendReceipt>) + std::marker::Send + 'static,
    ) {
        let now = Instant::now();
        let deadline = self.deadline_from(now);
        self.begin(Who::Callback(Box::new(callback)), now, deadline);
    }

    /// Sends without waiting; see [`Producer::submit`].
    pub fn submit(self) -> SendHandle {
        let now = Instant::now();
        let deadline = self.deadline_from(now);
        let (promise, handle) = handle::pair(deadline);
        self.begin(Who::Handle(promise), now, deadline);
        handle
    }

    /// Sends without an answer; see [`Producer::send_oneway`].
    ///
    /// # Errors
    /// Those of [`Producer::send_oneway`].
    pub fn send_oneway(self) -> Result<()> {
        let (core, size) = (self.producer.core(), self.size());
        core.counters.count(size, || self.send_oneway_now())
    }

    fn send_oneway_now(self) -> Result<()> {
        let core = self.producer.core();
        let now = Instant::now();
        core.check_open_to_send(now)?;
        let deadline = self.deadline_from(now);
        let (mut out, target) = self.outgoing(now, String::new())?;
        let permit = out.take_room(&core.account, 1, deadline)?;
        Send::new(core, out, target, deadline, SendMode::Oneway)?.run_oneway(permit)
    }

    /// The common beginning of the two asynchronous forms: no failure is returned, all are told.
    fn begin(self, who: Who, now: Instant, deadline: Deadline) {
        let (core, size) = (self.producer.core(), self.size());
        core.counters.begin(size);
        let mut listener = Listener { who, size };
        if let Err(error) = core.check_open_to_send(now) {
            return listener.tell(core, Err(error));
        }
        if let Some(joining) = self.joining(deadline, 1, SendMode::Async) {
            match Accumulator::join(core, &joining, listener) {
                Joined::Gathered => return,
                Joined::Refused(listener, error) => return listener.tell(core, Err(error)),
                Joined::Alone(given) => listener = given,
            }
        }
        let mut spare = core.spares.take();
        let buffer = spare
            .as_mut()
            .map_or_else(String::new, |spare| spare.take_buffer());
        asynchronous::launch(core, self.outgoing(now, buffer), deadline, listener, spare);
    }

    /// What every send does once it is known that the producer is open: check it, make it ready.
    fn outgoing(self, now: Instant, buffer: String) -> Result<(Outgoing, Target)> {
        let core = self.producer.core();
        let out = match self.what {
            What::Message(message) => {
                core.outgoing(message, self.target.sharding_key(), Start::at(now), buffer)?
            }
            What::Batch(batch) => core.outgoing_batch(batch)?,
        };
        Ok((out, self.target))
    }

    /// What is counted of it.
    fn size(&self) -> Size {
        match self.what {
            What::Message(message) => Size::of(1, message.body().len()),
            What::Batch(batch) => {
                let messages = batch.messages();
                let bytes = messages.iter().map(|message| message.body().len());
                Size::of(messages.len(), bytes.sum())
            }
        }
    }

    fn timeout_or_default(&self) -> Duration {
        let default = self.producer.core().config.send_timeout;
        self.timeout.unwrap_or(default)
    }

    /// The one deadline of this send.
    fn deadline_from(&self, now: Instant) -> Deadline {
        Deadline::after(now, self.timeout_or_default())
    }

    /// This send as one that may go with others, if the producer gathers them.
    fn joining(&self, deadline: Deadline, in_flight: usize, mode: SendMode) -> Option<Joining<'a>> {
        let core = self.producer.core();
        core.accumulator.as_ref()?;
        // These threads start batches and tell hooks of their ends: a worker that waited for a batch
        // could be waiting for itself.
        let workers = &core.client.inner().workers;
        if mode == SendMode::Sync && (workers.callbacks.runs_here() || workers.retries.runs_here())
        {
            return None;
        }
        let What::Message(message) = self.what else {
            return None;
        };
        let queue = match &self.target {
            Target::Any => None,
            Target::Queue(queue) if queue.topic() == message.topic() => Some(queue.clone()),
            _ => return None,
        };
        Some(Joining {
            message,
            queue,
            timeout: self.timeout_or_default(),
            deadline,
            mode,
            in_flight,
        })
    }
}

impl fmt::Debug for PreparedSend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedSend")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
