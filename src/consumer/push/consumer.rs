//! `PushConsumer`: its start, its handle, its end.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::builder::PushConsumerBuilder;
use crate::client::Client;
use crate::consumer::config::ConsumerConfig;
use crate::consumer::consume::{Handler, Limits, Worker};
use crate::consumer::observe::{ConsumerState, ConsumerStats, Lag, ShutdownReport};
use crate::consumer::queue::Scope;
use crate::consumer::running::Running;
use crate::error::Result;
use crate::message::MessageQueue;
use crate::transport::Threads;

/// Consumes the messages of topics: fetches them in the background, and calls a handler for them on consume
/// threads.
///
/// Members of the same group share the messages: each queue of a topic belongs to one member at a
/// time. Every message is handled at least once: it counts as consumed when its handler returns `Ok`;
/// otherwise it comes again.
///
/// It is cheap to clone, and its last handle shuts it down.
///
/// ```
/// use rocketmq_blocking::{PushConsumer, Retry, StartFrom};
/// # use rocketmq_blocking::{Message, Producer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
/// # let name_server = cluster.name_server();
/// # let producer = Producer::builder("g").name_server(&name_server).start()?;
/// # producer.send(&Message::new("Orders", "one book"))?;
/// # let (seen, messages) = std::sync::mpsc::channel();
/// let consumer = PushConsumer::builder("billing")
///     .name_server(name_server)
///     .subscribe("Orders", "*")
///     .start_from(StartFrom::First)
///     .start(move |message| -> Result<(), Retry> {
///         println!("{}", message.text()?);
/// #       seen.send(message.clone()).ok();
///         Ok(())
///     })?;
/// # assert_eq!(messages.recv()?.text()?, "one book");
/// consumer.shutdown();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "DefaultMQPushConsumer")]
pub struct PushConsumer(Arc<Running>);

impl PushConsumer {
    /// Starts the set-up of a consumer of this group.
    pub fn builder(group: impl Into<String>) -> PushConsumerBuilder {
        PushConsumerBuilder::new(group.into())
    }

    pub(super) fn start(
        config: ConsumerConfig,
        client: Client,
        owns_client: bool,
        handler: Box<dyn Handler>,
    ) -> Result<PushConsumer> {
        let running = Running::start(config, client, owns_client, |shared, popping, threads| {
            let worker = Worker {
                limits: Limits {
                    max_reconsume: shared.config.max_reconsume,
                    suspend: shared.config.suspend,
                },
                shared: shared.clone(),
                handler,
                popping: popping.cloned(),
            };
            start_threads(threads, worker)
        })?;
        Ok(PushConsumer(Arc::new(running)))
    }

    /// The group, without its namespace.
    pub fn group(&self) -> &str {
        &self.0.shared.config.group
    }

    /// The id under which brokers know this member of the group.
    #[doc(alias = "buildMQClientId")]
    pub fn client_id(&self) -> &str {
        self.0.client.id()
    }

    /// The queues of this member now, sorted.
    pub fn assignment(&self) -> Vec<MessageQueue> {
        self.0.shared.assignment.queues()
    }

    /// Stops handing out and fetching messages until [`resume`](PushConsumer::resume).
    /// Running handlers end; this member keeps its place in the group and its queues.
    #[doc(alias = "suspend")]
    pub fn pause(&self) {
        self.0.pause(&Scope::All, true);
    }

    /// Pauses one topic.
    pub fn pause_topic(&self, topic: &str) {
        self.0.pause(&Scope::Topic(topic.into()), true);
    }

    /// Pauses one queue. It may be another member's now.
    pub fn pause_queue(&self, queue: &MessageQueue) {
        self.0.pause(&Scope::Queue(queue.clone()), true);
    }

    /// Resumes all queues, including those that were paused by topic or queue.
    pub fn resume(&self) {
        self.0.pause(&Scope::All, false);
    }

    /// Resumes a topic, except for queues of it that are paused, and unless all is paused.
    pub fn resume_topic(&self, topic: &str) {
        self.0.pause(&Scope::Topic(topic.into()), false);
    }

    /// Resumes a queue, unless its topic or all is paused.
    pub fn resume_queue(&self, queue: &MessageQueue) {
        self.0.pause(&Scope::Queue(queue.clone()), false);
    }

    /// How far the group is behind in this member's queues. Asks their brokers, and waits for up to 3 s;
    /// a number that is not known by then is `None`. Popped queues are in the lag of each member that pops
    /// them.
    pub fn lag(&self) -> Lag {
        self.0.lag()
    }

    /// The counts since the start.
    #[doc(alias = "ConsumerStatsManager")]
    pub fn stats(&self) -> ConsumerStats {
        self.0.shared.counters.read()
    }

    /// The state at this moment: the queues, the activity of each, and the reason. Cheap enough for a call
    /// per second. Empty after the shutdown.
    #[doc(alias = "consumerRunningInfo")]
    pub fn describe(&self) -> ConsumerState {
        self.0.describe()
    }

    /// Ends the consumer within 30 s, like [`shutdown_within`](PushConsumer::shutdown_within).
    pub fn shutdown(&self) {
        self.0.shut_down();
    }

    /// Ends the consumer within this time: no more messages are fetched or handed out, running handlers
    /// end, the progress is committed and confirmed, the member is unregistered at the brokers, threads
    /// end. The report has the steps that were not complete in time. A second call waits for the first
    /// one, within its own time.
    ///
    /// A call from inside a handler returns at once, because that handler must end first: the shutdown
    /// then goes on in the background.
    pub fn shutdown_within(&self, most: Duration) -> ShutdownReport {
        self.0.shut_down_within(most)
    }
}

fn start_threads(threads: &Threads, worker: Worker) -> io::Result<()> {
    let worker = Arc::new(worker);
    for n in 1..=worker.shared.config.threads {
        let own = worker.clone();
        // Names of threads are short.
        let n = n % 1000;
        threads.spawn(&format!("rmq-consume-{n}"), move || own.run())?;
    }
    Ok(())
}

impl fmt::Debug for PushConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushConsumer")
            .field("group", &self.0.shared.config.group)
            .field("client", &self.0.client)
            .finish_non_exhaustive()
    }
}
