//! A consumer group: state for tests to check and change.

mod ask;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::broker::{Broker, notify_group};
use super::groups::{GroupConfig, Kind, QueueKey};
use super::store::{Store, StoredMessage};
use crate::message::MessageQueue;
use crate::message::name::{DLQ_PREFIX, RETRY_PREFIX};
use crate::protocol::consumer::subscription::Subscription;

/// A consumer group of a cluster: its state on the brokers, and requests of brokers to its members. Made by
/// [`Cluster::group`](super::Cluster::group); the group itself need not exist yet.
///
/// As on real servers, each broker has its own state of a group. The functions combine all brokers, those
/// that are down included.
///
/// ```
/// use rocketmq_blocking::MessageQueue;
/// use rocketmq_blocking::embedded::Cluster;
///
/// let cluster = Cluster::builder().topic("Orders", 4).start()?;
/// let billing = cluster.group("billing");
/// let queue = MessageQueue::new("Orders", "broker-a", 2);
/// assert_eq!(billing.committed(&queue), None);
/// billing.commit(&queue, 7); // its consumer starts there
/// assert_eq!(billing.committed(&queue), Some(7));
/// assert!(billing.members().is_empty() && billing.dead_letters().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Group<'a> {
    brokers: &'a [Broker],
    store: &'a Store,
    name: &'a str,
}

/// State on the brokers.
impl<'a> Group<'a> {
    pub(super) fn new(brokers: &'a [Broker], store: &'a Store, name: &'a str) -> Group<'a> {
        Group {
            brokers,
            store,
            name,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The ids of its members, sorted, each once.
    pub fn members(&self) -> Vec<String> {
        let members = self.brokers.iter().flat_map(|broker| {
            let members = &broker.state.members;
            members.of(Kind::Consumer, self.name)
        });
        let ids: BTreeSet<String> = members.map(|member| member.client_id).collect();
        ids.into_iter().collect()
    }

    /// Its subscriptions, by topic. If brokers have different ones, the one with the highest version.
    pub fn subscriptions(&self) -> BTreeMap<String, Subscription> {
        let mut all: BTreeMap<String, Subscription> = BTreeMap::new();
        for broker in self.brokers {
            let known = broker.state.members.connections(self.name);
            for (topic, subscription) in known.into_iter().flat_map(|k| k.subscription_table) {
                let version = all.get(&topic).map(|latest| latest.sub_version);
                if version.is_none_or(|version| version < subscription.sub_version) {
                    all.insert(topic, subscription);
                }
            }
        }
        all
    }

    /// Its committed offset in a queue: that of the first message not consumed yet.
    pub fn committed(&self, queue: &MessageQueue) -> Option<i64> {
        let broker = self.broker_of(queue)?;
        broker.state.offsets.query(&self.key(queue))
    }

    /// All its committed offsets.
    pub fn offsets(&self) -> BTreeMap<MessageQueue, i64> {
        let of = |broker: &Broker| {
            let name = broker.name().to_owned();
            let offsets = broker.state.offsets.of(self.name).into_iter();
            offsets.map(move |(key, offset)| {
                let queue = MessageQueue::new(key.topic, name.as_str(), key.queue_id);
                (queue, offset)
            })
        };
        self.brokers.iter().flat_map(of).collect()
    }

    /// The number of messages of a topic from its committed offsets on. In a queue without one, all
    /// messages count.
    pub fn lag(&self, topic: &str) -> i64 {
        let lags = self.brokers.iter().map(|broker| {
            let state = &broker.state;
            let found = state.topics.find(topic, state.index);
            let queues = found.map_or(0, |(_, config)| config.read_queues.max(config.write_queues));
            let lag = |id| {
                let (min, max) = self.store.bounds(state.queue(topic, id));
                let committed = state.offsets.query(&QueueKey::new(self.name, topic, id));
                max - committed.unwrap_or(min).clamp(min, max)
            };
            (0..queues).map(lag).sum::<i64>()
        });
        lags.sum()
    }

    /// The locked queues, and the client that holds each.
    pub fn locks(&self) -> BTreeMap<MessageQueue, String> {
        let of = |broker: &Broker| {
            let now = broker.state.clock.now();
            broker.state.locks.of(self.name, now)
        };
        self.brokers.iter().flat_map(of).collect()
    }

    /// The number of its pulls and pops that wait for a message.
    pub fn parked(&self) -> usize {
        let parked = self
            .brokers
            .iter()
            .map(|broker| broker.state.parked.count(self.name));
        parked.sum()
    }

    /// The number of popped messages that are hidden: neither acknowledged nor visible again.
    pub fn in_flight(&self) -> usize {
        let of = |broker: &Broker| {
            let now = broker.state.clock.now();
            broker.state.pops.in_flight(self.name, now)
        };
        self.brokers.iter().map(of).sum()
    }

    /// The messages of its retry topic, consumed or not.
    pub fn retries(&self) -> Vec<StoredMessage> {
        self.store.messages(&format!("{RETRY_PREFIX}{}", self.name))
    }

    /// Its dead letters: the messages of `%DLQ%` and its name.
    pub fn dead_letters(&self) -> Vec<StoredMessage> {
        self.store.messages(&format!("{DLQ_PREFIX}{}", self.name))
    }

    /// Makes the group. Needed only without
    /// [`auto_create_groups`](super::ClusterBuilder::auto_create_groups).
    pub fn create(&self) {
        self.configure(|_| {});
    }

    /// Deletes the group with its offsets, as an administrator does. Its members stay.
    pub fn delete(&self) {
        for broker in self.brokers {
            broker.state.configs.remove(self.name);
            broker.state.offsets.remove(self.name);
        }
        self.changed();
    }

    /// The number of retries before a message is a dead letter (`retryMaxTimes`), unless the consumer sets
    /// another. Default: 16.
    pub fn set_max_retries(&self, retries: i32) {
        self.configure(|config| config.max_retries = retries);
    }

    /// The number of queues of its retry topic (`retryQueueNums`), effective before that topic exists. With
    /// 0, messages that are sent back are lost. Default: 1.
    pub fn set_retry_queues(&self, queues: i32) {
        self.configure(|config| config.retry_queues = queues);
    }

    /// Whether it may consume (`consumeEnable`); pulls are refused with code 16 otherwise. Default: yes.
    pub fn set_consuming(&self, on: bool) {
        self.configure(|config| config.consume = on);
    }

    /// Whether its members may each get all messages (`consumeBroadcastEnable`). Default: yes.
    pub fn set_broadcasting(&self, on: bool) {
        self.configure(|config| config.broadcast = on);
    }

    /// Commits an offset for it, as its member would.
    pub fn commit(&self, queue: &MessageQueue, offset: i64) {
        if let Some(broker) = self.broker_of(queue) {
            broker.state.configs.change(self.name, |_| {});
            let now = broker.state.clock.now();
            broker.state.offsets.commit(&self.key(queue), offset, now);
            self.changed();
        }
    }

    /// Has all brokers that are up notify the members that the group has changed (40). Returns the number of
    /// connections notified. Members of a broadcasting group get no notification.
    pub fn notify_members(&self) -> usize {
        let told = self.brokers.iter();
        told.map(|broker| notify_group(&broker.state, self.name))
            .sum()
    }

    fn configure(&self, change: impl Fn(&mut GroupConfig)) {
        for broker in self.brokers {
            broker.state.configs.change(self.name, &change);
        }
        self.changed();
    }

    fn changed(&self) {
        for broker in self.brokers.iter().take(1) {
            broker.state.changes.note();
        }
    }

    fn broker_of(&self, queue: &MessageQueue) -> Option<&'a Broker> {
        let mut brokers = self.brokers.iter();
        brokers.find(|broker| broker.name() == queue.broker())
    }

    fn key(&self, queue: &MessageQueue) -> QueueKey {
        QueueKey::new(self.name, queue.topic(), queue.id())
    }
}

impl fmt::Debug for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Group");
        shown.field("name", &self.name).finish_non_exhaustive()
    }
}
