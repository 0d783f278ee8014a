use std::fmt;
use std::time::Duration;

use super::lifecycle::Lifecycle;
use super::request::Question;
use crate::error::{Error, Result};
use crate::message::{Message, MessageQueue, MessageView, SendReceipt};
use crate::send::{
    Content, QueueChoice, Recipient, SendCall, SendHandle, send, send_async, send_oneway,
};

/// A send with its own settings; created by [`Producer::prepare`](crate::Producer::prepare) and
/// [`Producer::prepare_batch`](crate::Producer::prepare_batch).
///
/// A send to a given queue, by sharding key or by a selector makes one attempt: a retry on another
/// queue would break the order. Of those three settings the last one counts.
#[must_use = "a prepared send does nothing until it is sent"]
pub struct PreparedSend<'a> {
    lifecycle: &'a Lifecycle,
    content: Content<'a>,
    choice: Option<QueueChoice>,
    timeout: Option<Duration>,
}

impl<'a> PreparedSend<'a> {
    pub(super) fn new(lifecycle: &'a Lifecycle, content: Content<'a>) -> PreparedSend<'a> {
        PreparedSend {
            lifecycle,
            content,
            choice: None,
            timeout: None,
        }
    }

    /// Sends to this queue and no other. One of another topic is [`Invalid`](crate::ErrorKind::Invalid)
    /// when it is sent, one of a broker that the route does not have
    /// [`NoBroker`](crate::ErrorKind::NoBroker), and one that its broker does not have is refused with
    /// code 29.
    pub fn queue(mut self, queue: MessageQueue) -> Self {
        let names = &self.lifecycle.engine.config.names;
        let queue = queue.on_topic(|topic| names.for_users(topic));
        self.choice = Some(QueueChoice::Queue(queue));
        self
    }

    /// Sends messages of one key to one queue, as long as the topic's queues do not change: the
    /// queue is found by Java's `String.hashCode` of the key, so that clients of both languages
    /// agree. The key is also written into the message (`__SHARDINGKEY`), batches excepted; one with
    /// `\x01` or `\x02` in it is [`Invalid`](crate::ErrorKind::Invalid).
    #[doc(alias = "SelectMessageQueueByHash")]
    pub fn sharding_key(mut self, key: impl Into<String>) -> Self {
        self.choice = Some(QueueChoice::Key(key.into()));
        self
    }

    /// Sends to the queue whose index the closure returns. It gets the topic's writable queues,
    /// sorted by broker name and number, and runs once, on this thread. It captures its arguments
    /// (Java's `arg`). An out-of-range index, or a panic in the closure, is
    /// [`Invalid`](crate::ErrorKind::Invalid).
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
        choose: impl FnOnce(&[MessageQueue]) -> usize + Send + 'static,
    ) -> Self {
        self.choice = Some(QueueChoice::Select(Box::new(choose)));
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
    /// Those of [`Producer::send`](crate::Producer::send).
    pub fn send(self) -> Result<SendReceipt> {
        let lifecycle = self.lifecycle;
        let call = self.call();
        match &lifecycle.gatherer {
            None => send(&lifecycle.engine, call),
            Some(gatherer) => gatherer.send(call),
        }
    }

    /// Sends a request and waits for the reply; see [`Producer::request`](crate::Producer::request). The timeout given here
    /// is for all of it.
    ///
    /// # Errors
    /// Those of [`Producer::request`](crate::Producer::request); [`Invalid`](crate::ErrorKind::Invalid) also for a batch.
    pub fn request(self, timeout: Duration) -> Result<MessageView> {
        let (engine, size) = (&self.lifecycle.engine, self.content.size());
        engine.counters.count(size, || {
            let message = self.message()?;
            Question::new(engine, message, self.choice, timeout).ask()
        })
    }

    /// Sends a request without waiting; see [`Producer::request_async`](crate::Producer::request_async).
    pub fn request_async(
        self,
        timeout: Duration,
        callback: impl FnOnce(Result<MessageView>) + Send + 'static,
    ) {
        let (engine, size) = (&self.lifecycle.engine, self.content.size());
        engine.counters.begin(size);
        let counting = engine.clone();
        let callback = move |result: Result<MessageView>| {
            counting.counters.end(size, &result);
            drop(counting);
            callback(result);
        };
        match self.message() {
            Ok(message) => {
                let question = Question::new(engine, message, self.choice, timeout);
                question.ask_async(Box::new(callback));
            }
            Err(error) => engine.call_back(move || callback(Err(error))),
        }
    }

    /// Sends without waiting; see [`Producer::send_async`](crate::Producer::send_async).
    pub fn send_async(self, callback: impl FnOnce(Result<SendReceipt>) + Send + 'static) {
        let lifecycle = self.lifecycle;
        let call = self.call();
        let recipient = Recipient::Callback(Box::new(callback));
        match &lifecycle.gatherer {
            None => send_async(&lifecycle.engine, call, recipient),
            Some(gatherer) => gatherer.send_async(call, recipient),
        }
    }

    /// Sends without waiting; see [`Producer::submit`](crate::Producer::submit).
    pub fn submit(self) -> SendHandle {
        let lifecycle = self.lifecycle;
        let call = self.call();
        let (handle, result) = SendHandle::new(call.deadline);
        let recipient = Recipient::Handle(result);
        match &lifecycle.gatherer {
            None => send_async(&lifecycle.engine, call, recipient),
            Some(gatherer) => gatherer.send_async(call, recipient),
        }
        handle
    }

    /// Sends without an answer; see [`Producer::send_oneway`](crate::Producer::send_oneway).
    ///
    /// # Errors
    /// Those of [`Producer::send_oneway`](crate::Producer::send_oneway).
    pub fn send_oneway(self) -> Result<()> {
        let engine = &self.lifecycle.engine;
        send_oneway(engine, self.call())
    }

    /// This send as the engine takes it; its one deadline begins here.
    fn call(self) -> SendCall<'a> {
        let default = self.lifecycle.engine.config.send_timeout;
        let timeout = self.timeout.unwrap_or(default);
        SendCall::new(self.content, self.choice, timeout)
    }

    fn message(&self) -> Result<&'a Message> {
        match self.content {
            Content::Message(message) => Ok(message),
            Content::Batch(_) => Err(Error::invalid("a batch cannot be a request")),
        }
    }
}

impl fmt::Debug for PreparedSend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedSend")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
