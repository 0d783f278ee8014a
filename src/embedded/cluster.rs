use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam_channel::Receiver;

use super::broker::{Broker, Delays, Transaction, Transactions};
use super::builder::ClusterBuilder;
use super::changes::Changes;
use super::clock::Clock;
use super::faults::On;
use super::group::Group;
use super::name_server::NameServer;
use super::server::{Common, ReceivedRequest};
use super::store::{QueueRef, Store, StoredMessage};
use super::topics::Topics;
use crate::message::{MessageQueue, TransactionState};
use crate::protocol::route::TopicRoute;

/// Name servers and brokers in this process. Dropping it stops them and joins their threads.
///
/// Each test can have its own: starting and dropping one takes a fraction of a millisecond.
pub struct Cluster {
    pub(super) brokers: Vec<Broker>,
    pub(super) name_servers: Vec<NameServer>,
    pub(super) topics: Arc<Topics>,
    pub(super) store: Arc<Store>,
    pub(super) transactions: Arc<Transactions>,
    pub(super) delays: Arc<Delays>,
    pub(super) clock: Arc<Clock>,
    pub(super) changes: Arc<Changes>,
    pub(super) common: Arc<Common>,
}

impl Cluster {
    /// One name server and one broker, `broker-a`, on free ports; topics are made on demand.
    ///
    /// # Errors
    /// No port is free, or no thread can be started.
    pub fn start() -> io::Result<Cluster> {
        Cluster::builder().start()
    }

    /// Chooses how many servers, which ports, which topics.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// The name servers' addresses, as a producer takes them: `127.0.0.1:PORT`, several joined by
    /// `;`.
    pub fn name_server(&self) -> String {
        let addresses = self.name_servers.iter().map(|s| s.address().to_string());
        addresses.collect::<Vec<_>>().join(";")
    }

    /// The name servers, to kill, restart or disturb them.
    pub fn name_servers(&self) -> &[NameServer] {
        &self.name_servers
    }

    /// The brokers.
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// The broker of this name.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn broker(&self, name: &str) -> &Broker {
        match self.brokers.iter().find(|broker| broker.name() == name) {
            Some(broker) => broker,
            None => panic!("no broker {name:?} in {:?}", self.brokers),
        }
    }

    /// A consumer group: its members, offsets and locks, and requests of brokers to its members.
    pub fn group<'a>(&'a self, name: &'a str) -> Group<'a> {
        Group::new(&self.brokers, &self.store, name)
    }

    /// Waits until the condition holds; `false` at the timeout. The condition is checked after each
    /// change on the servers: of messages, offsets, locks, members of groups, and waiting pulls.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use rocketmq_blocking::embedded::Cluster;
    /// let cluster = Cluster::start()?;
    /// let billing = cluster.group("billing");
    /// let left = || billing.members().is_empty();
    /// assert!(cluster.wait_until(Duration::from_secs(20), left));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_until(&self, timeout: Duration, condition: impl FnMut() -> bool) -> bool {
        self.changes.wait(timeout, condition)
    }

    /// Makes a topic with this number of queues on each broker, readable and writable, or gives an
    /// existing topic these settings.
    pub fn create_topic(&self, topic: &str, queues: i32) {
        self.topics.create(topic, queues);
    }

    /// Makes a static topic: its logical queues are hosted by the brokers of these names, each by the one of its
    /// place.
    ///
    /// # Panics
    /// There is no such broker.
    #[track_caller]
    pub fn create_static_topic(&self, topic: &str, hosts: &[&str]) {
        let hosts = hosts.iter().map(|name| self.broker(name).state.index);
        self.topics.create_static(topic, &hosts.collect::<Vec<_>>());
    }

    /// Lets another broker host a logical queue, as `remappingStaticTopic` does: its next messages go there, with
    /// logical offsets that go on at the next multiple of 10,000; the others stay where they are, and are read
    /// through the new host. Pulls that wait at the old host are not woken.
    ///
    /// # Panics
    /// There is no such broker, or no such logical queue.
    #[track_caller]
    pub fn move_queue(&self, topic: &str, id: i32, to: &str) {
        let to = &self.broker(to).state;
        let parts = self.topics.parts(topic, id).unwrap_or_default();
        let Some(host) = parts.last() else {
            panic!("{topic} has no logical queue {id}");
        };
        let queue = QueueRef {
            broker: host.broker,
            topic,
            queue_id: host.queue_id,
        };
        let end = host.first + self.store.bounds(queue).1;
        let index = usize::try_from(id).unwrap_or(0);
        self.topics.move_queue(topic, index, to.index, end);
        // The new host asks the old ones for offsets that it does not have.
        let before = &self.brokers[host.broker].state;
        for (key, offset) in before.offsets.of_queue(topic, id) {
            to.offsets.commit(&key, offset, self.clock.now());
        }
        self.changes.note();
    }

    /// Changes the numbers of queues that a topic has on one broker. Makes the topic there if it does
    /// not exist.
    ///
    /// # Panics
    /// There is no such broker.
    #[track_caller]
    pub fn set_queues(&self, topic: &str, broker: &str, read: i32, write: i32) {
        let broker = self.broker(broker).state.index;
        self.topics.change(topic, broker, |config| {
            config.read_queues = read;
            config.write_queues = write;
        });
    }

    /// Changes a topic's permission on one broker, see [`perm`](crate::protocol::route::perm). It is in
    /// the route, and the broker refuses pulls without `READ`. Like a real master it accepts sends.
    ///
    /// # Panics
    /// There is no such broker.
    #[track_caller]
    pub fn set_permission(&self, topic: &str, broker: &str, perm: i32) {
        let broker = self.broker(broker).state.index;
        self.topics
            .change(topic, broker, |config| config.perm = perm);
    }

    /// Makes a topic globally ordered (`broker-a:4;broker-b:4`), or ordinary again.
    pub fn set_order_conf(&self, topic: &str, conf: Option<&str>) {
        self.topics.set_order(topic, conf.map(str::to_owned));
    }

    /// Removes a topic from all brokers and from the routes. Its messages stay.
    pub fn remove_topic(&self, topic: &str) {
        self.topics.remove(topic);
    }

    /// Deletes a topic with its messages, as an administrator does: if it is made again, its offsets begin
    /// at 0. Brokers of 5.x also forget the offsets of all groups in it. Parked pulls stay parked.
    pub fn delete_topic(&self, topic: &str) {
        self.topics.remove(topic);
        self.store.delete_topic(topic);
        for broker in &self.brokers {
            if broker.state.settings.release.is_5() {
                broker.state.offsets.remove_topic(topic);
            }
        }
        self.changes.note();
    }

    /// Sets the route that name servers answer for a topic, whatever the brokers have: a broker
    /// without a master, with slaves, at another address. `None` restores the true route.
    pub fn set_route(&self, topic: &str, route: Option<TopicRoute>) {
        self.topics.set_route(topic, route);
    }

    /// The route that name servers answer for a topic; `None` if it has no route.
    pub fn route(&self, topic: &str) -> Option<TopicRoute> {
        self.topics.route(topic)
    }

    /// The messages of a topic, over all brokers, in order of arrival. Empty without
    /// [`keep_messages`](ClusterBuilder::keep_messages).
    pub fn messages(&self, topic: &str) -> Vec<StoredMessage> {
        self.store.messages(topic)
    }

    /// The one message of a topic.
    ///
    /// # Panics
    /// There is none, or more than one.
    #[track_caller]
    pub fn only_message(&self, topic: &str) -> StoredMessage {
        let mut messages = self.messages(topic);
        match (messages.pop(), messages.len()) {
            (Some(message), 0) => message,
            (Some(last), _) => panic!("{topic} has more messages than one: {messages:?}, {last:?}"),
            (None, _) => panic!("{topic} has no message"),
        }
    }

    /// The messages of a topic as soon as there are `count`, or those that exist at the timeout.
    /// For oneway sends.
    pub fn wait_for_messages(
        &self,
        topic: &str,
        count: usize,
        timeout: Duration,
    ) -> Vec<StoredMessage> {
        self.store.wait(topic, count, timeout)
    }

    /// Moves the [clock](super#the-clock). Everything that is due by the new time has happened when this
    /// returns, in the order of the times. Returns the number of delayed messages that were stored in
    /// their topics, and of popped ones in their retry topics; without
    /// [`hold_delayed_messages`](ClusterBuilder::hold_delayed_messages) no message is delayed.
    ///
    /// With that setting the clock does not run: a message with a delay of one second is due after
    /// exactly one second of `advance`, however long the test takes.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use rocketmq_blocking::embedded::Cluster;
    /// # use rocketmq_blocking::{Message, Producer};
    ///
    /// let cluster = Cluster::builder().hold_delayed_messages(true).start()?;
    /// let producer = Producer::builder("clock").name_server(cluster.name_server()).start()?;
    /// let _ = producer.send(&Message::new("Reminders", "pay").deliver_after(Duration::from_secs(60)))?;
    /// assert_eq!(cluster.advance(Duration::from_secs(59)), 0);
    /// assert_eq!(cluster.advance(Duration::from_secs(1)), 1);
    /// assert_eq!(cluster.only_message("Reminders").text(), "pay");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn advance(&self, time: Duration) -> usize {
        let before = self.delays.delivered();
        self.clock.advance(time);
        self.delays.delivered() - before
    }

    /// The time of the [clock](super#the-clock). Compute delivery times of day from it, so that no test
    /// depends on when it runs.
    pub fn now(&self) -> SystemTime {
        self.clock.system_time()
    }

    /// The number of messages of a topic that were stored, kept or not.
    pub fn message_count(&self, topic: &str) -> u64 {
        self.store.count(topic)
    }

    /// Every message that is stored from now on. The channel is unbounded, and disconnected when
    /// the cluster is dropped.
    pub fn subscribe(&self) -> Receiver<StoredMessage> {
        self.store.subscribe()
    }

    /// The requests that all servers received, in order of arrival. Empty without
    /// [`record_requests`](ClusterBuilder::record_requests).
    pub fn requests(&self, on: &On) -> Vec<ReceivedRequest> {
        self.common.log.matching(on)
    }

    /// The matching requests as soon as there are `count`, or those that exist at the timeout.
    pub fn wait_for_requests(
        &self,
        on: &On,
        count: usize,
        timeout: Duration,
    ) -> Vec<ReceivedRequest> {
        self.common.log.wait(on, count, timeout)
    }

    /// The transactions of all brokers, ended or not, in order of arrival.
    pub fn transactions(&self) -> Vec<Transaction> {
        self.transactions.all()
    }

    /// The transaction of this id as soon as producers have reported its state `count` times
    /// ("unknown" counts too), or its state at the timeout; `None` if it does not exist. (Such
    /// reports are oneway.)
    pub fn wait_for_end(&self, id: &str, count: usize, timeout: Duration) -> Option<Transaction> {
        let told = |one: &Transaction| one.told().len() >= count;
        self.transactions.wait(id, timeout, told)
    }

    /// The transaction of this id as soon as it is committed or rolled back, or its state at the
    /// timeout; `None` if it does not exist. A committed message is in its topic by then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rocketmq_blocking::embedded::Cluster;
    /// use rocketmq_blocking::{Message, TransactionProducer, TransactionState};
    ///
    /// let cluster = Cluster::start()?;
    /// let payments = TransactionProducer::builder("payments", |_half| TransactionState::Commit)
    ///     .name_server(cluster.name_server())
    ///     .start()?;
    /// let message = Message::new("Paid", "order 7");
    /// let open = payments.send_in_transaction(&message, |_half| Ok(TransactionState::Unknown))?;
    /// assert_eq!(cluster.check_transactions(), 1); // one question went out
    /// let ended = cluster.wait_for_decision(open.transaction_id(), Duration::from_secs(20));
    /// assert_eq!(ended.unwrap().state(), TransactionState::Commit);
    /// assert_eq!(cluster.only_message("Paid").text(), "order 7");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_for_decision(&self, id: &str, timeout: Duration) -> Option<Transaction> {
        let decided = |one: &Transaction| one.state() != TransactionState::Unknown;
        self.transactions.wait(id, timeout, decided)
    }

    /// Has every broker ask about its open transactions, as real brokers do after a time. Returns the
    /// number of questions that went out. See [`Broker::check_transactions`].
    pub fn check_transactions(&self) -> usize {
        let brokers = self.brokers.iter();
        brokers.map(|broker| broker.check_transactions()).sum()
    }

    /// The answers of clients to requests of the brokers (pushed replies), as soon as there are
    /// `count`, or those that exist at the timeout.
    pub fn wait_for_answers(&self, count: usize, timeout: Duration) -> Vec<ReceivedRequest> {
        self.common.answers.wait(&On::Any, count, timeout)
    }

    /// Forgets the messages kept so far, of all topics. Queues keep their offsets, and
    /// [`message_count`](Cluster::message_count) keeps counting.
    pub fn clear_messages(&self) {
        self.store.clear();
    }

    /// Deletes the messages of a queue before an offset, as a broker does with old files.
    ///
    /// # Panics
    /// There is no such broker.
    #[track_caller]
    pub fn delete_before(&self, queue: &MessageQueue, offset: i64) {
        let state = &self.broker(queue.broker()).state;
        let queue = state.queue(queue.topic(), queue.id());
        self.store.delete_before(queue, offset);
    }

    /// Forgets the requests received so far.
    pub fn clear_requests(&self) {
        self.common.log.clear();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for broker in &self.brokers {
            broker.kill();
        }
        for name_server in &self.name_servers {
            name_server.kill();
        }
        self.clock.close();
        self.store.end_subscriptions();
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("name_servers", &self.name_servers)
            .field("brokers", &self.brokers)
            .finish_non_exhaustive()
    }
}
