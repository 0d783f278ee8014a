//! The publish view of a route: where messages of a topic can be written.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::logical::{self, Hosts, MOST_QUEUES};
use crate::error::{Error, ErrorKind, Printable, Result};
use crate::message::MessageQueue;
use crate::protocol::route::{TopicRoute, perm};

/// The writable queues of a topic, derived from a route: Java's `TopicPublishInfo`.
#[derive(Debug)]
#[doc(alias = "TopicPublishInfo")]
pub(crate) struct PublishInfo {
    /// Writable queues of brokers with a master, in the order that all clients share: by broker
    /// name, then number. (Sharding keys need it to agree with Java.)
    pub(crate) queues: Vec<MessageQueue>,
    cursor: Cursor,
    /// Master addresses by broker name, sorted; brokers without queues of this topic included.
    masters: Vec<(Arc<str>, Arc<str>)>,
    /// Brokers of the route that have no master now, sorted.
    headless: Vec<Arc<str>>,
    /// Whether some queue's broker has no master; only an ordered topic has such queues.
    orphans: bool,
    /// Whether some broker with a master has the topic and gives no permission to write it.
    closed: bool,
    /// Whether the queues have more than one broker's name.
    several_brokers: bool,
    /// The hosts of a static topic's queues; empty for other topics.
    hosts: Hosts,
}

/// Where a message for a queue goes.
pub(crate) struct Target<'a> {
    /// The broker that the queue is on.
    pub(crate) host: Arc<str>,
    /// Its master's address.
    pub(crate) master: &'a Arc<str>,
    /// Whether another broker than the one that the queue names has queues of the topic.
    pub(crate) has_other_broker: bool,
}

/// The round-robin position in the queues of a topic, shared by all its senders. It starts at
/// random, so that many processes do not start at the same queue.
#[derive(Debug)]
struct Cursor(AtomicUsize);

impl Cursor {
    /// The index of the next of `len` queues.
    fn next(&self, len: usize) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed) % len
    }

    /// Another queue than the next was taken: turns go on behind it.
    fn go_on_behind(&self, taken: usize) {
        self.0.store(taken.wrapping_add(1), Ordering::Relaxed);
    }

    #[cfg(test)]
    fn start_at(&self, index: usize) {
        self.0.store(index, Ordering::Relaxed);
    }
}

impl PublishInfo {
    pub(crate) fn new(topic: &Arc<str>, route: &TopicRoute) -> PublishInfo {
        let mut masters: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        let mut headless: Vec<Arc<str>> = Vec::new();
        for data in &route.broker_datas {
            let broker = data.broker_name.as_str().into();
            match route.master(&data.broker_name) {
                Some(address) => masters.push((broker, address.into())),
                None => headless.push(broker),
            }
        }
        masters.sort();
        masters.dedup_by(|a, b| a.0 == b.0);
        headless.sort();
        headless.dedup();
        let mut info = PublishInfo {
            queues: Vec::new(),
            cursor: Cursor(AtomicUsize::new(RandomState::new().hash_one(0) as usize)),
            masters,
            headless,
            orphans: false,
            closed: false,
            several_brokers: false,
            hosts: Hosts::default(),
        };
        match route
            .order_topic_conf
            .as_deref()
            .filter(|conf| !conf.is_empty())
        {
            Some(conf) => info.add_ordered(topic, conf),
            None => match logical::queues(topic, route) {
                Some(queues) => (info.queues, info.hosts) = (queues, logical::hosts(route)),
                None => info.add_writable(topic, route),
            },
        }
        let is_orphan = |queue: &MessageQueue| info.master(info.host(queue)).is_none();
        info.orphans = info.queues.iter().any(is_orphan);
        let first = info.queues.first().map(MessageQueue::broker);
        let others = |queue: &MessageQueue| Some(queue.broker()) != first;
        info.several_brokers = info.queues.iter().any(others);
        info
    }

    /// The master's address of a broker.
    pub(crate) fn master(&self, broker: &str) -> Option<&Arc<str>> {
        let found = self
            .masters
            .binary_search_by(|(name, _)| (**name).cmp(broker));
        found.ok().map(|i| &self.masters[i].1)
    }

    /// The broker that a queue is on: the one it names, unless its topic is a static one.
    pub(crate) fn host<'a>(&'a self, queue: &'a MessageQueue) -> &'a Arc<str> {
        self.hosts.of(queue)
    }

    /// The master's address of a broker to which a message or the end of a transaction goes.
    ///
    /// # Errors
    /// `NoBroker`; the text says whether the route knows the broker.
    pub(crate) fn master_of(&self, broker: &str) -> Result<&Arc<str>> {
        let is_headless = || self.headless.iter().any(|name| **name == *broker);
        self.master(broker)
            .ok_or_else(|| no_master(broker, is_headless()))
    }

    /// Whether the topic can be written to now.
    ///
    /// # Errors
    /// `NoRoute`, with the reason.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if !self.queues.is_empty() {
            return Ok(());
        }
        let why = match (self.closed, self.headless.is_empty()) {
            (true, _) => "its brokers give no permission to write",
            (false, false) => "no broker that has it has a master",
            (false, true) => "its route has no writable queue",
        };
        let text = format!("the topic cannot be written to now: {why}");
        Err(Error::new(ErrorKind::NoRoute, text))
    }

    /// Whether a queue can be written to now.
    pub(crate) fn is_reachable(&self, queue: &MessageQueue) -> bool {
        !self.orphans || self.master(self.host(queue)).is_some()
    }

    /// The next queue in turn, if possible not on the broker to avoid.
    pub(crate) fn next_queue(&self, avoid: Option<&str>) -> &MessageQueue {
        self.in_turn(|first| next(&self.queues, first, avoid, |queue| self.is_reachable(queue)))
    }

    /// The queue whose index is returned for that of the next in turn. Turns go on behind it.
    pub(crate) fn in_turn(&self, choose: impl FnOnce(usize) -> usize) -> &MessageQueue {
        let first = self.cursor.next(self.queues.len());
        let chosen = choose(first);
        if chosen != first {
            self.cursor.go_on_behind(chosen);
        }
        &self.queues[chosen]
    }

    /// The brokers that messages are written to, with their masters' addresses, by name.
    pub(crate) fn brokers(&self) -> Vec<(Arc<str>, Arc<str>)> {
        // Most are next to others of their broker.
        let mut hosts: Vec<&str> = self
            .queues
            .iter()
            .map(|queue| &**self.host(queue))
            .collect();
        hosts.dedup();
        hosts.sort_unstable();
        let masters = self.masters.iter();
        let used = masters.filter(|(name, _)| hosts.binary_search(&&**name).is_ok());
        used.cloned().collect()
    }

    /// All masters' addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Arc<str>> {
        self.masters.iter().map(|(_, address)| address)
    }

    /// Where a message for a queue goes.
    ///
    /// # Errors
    /// Those of [`master_of`](PublishInfo::master_of).
    pub(crate) fn target(&self, queue: &MessageQueue) -> Result<Target<'_>> {
        let broker = queue.shared_broker();
        let host = self.host(queue).clone();
        // Every send asks: not a walk through all queues.
        let first = self.queues.first().map(MessageQueue::broker);
        let has_other_broker =
            self.several_brokers || first.is_some_and(|first| first != &**broker);
        Ok(Target {
            master: self.master_of(&host)?,
            host,
            has_other_broker,
        })
    }

    /// A globally ordered topic names its queues itself: `broker-a:4;broker-b:4`.
    fn add_ordered(&mut self, topic: &Arc<str>, conf: &str) {
        for part in conf.split(';') {
            if let Some((broker, count)) = part.split_once(':') {
                if let Ok(count) = count.trim().parse() {
                    self.add_queues(topic, &broker.into(), count);
                }
            }
        }
    }

    fn add_writable(&mut self, topic: &Arc<str>, route: &TopicRoute) {
        let mut datas: Vec<_> = route.queue_datas.iter().collect();
        datas.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        datas.dedup_by(|a, b| a.broker_name == b.broker_name);
        for data in datas {
            let broker: Arc<str> = data.broker_name.as_str().into();
            if self.master(&broker).is_none() {
                continue;
            }
            match data.perm & perm::WRITE {
                0 => self.closed = true,
                _ => self.add_queues(topic, &broker, data.write_queue_nums),
            }
        }
    }

    fn add_queues(&mut self, topic: &Arc<str>, broker: &Arc<str>, count: i32) {
        let left = MOST_QUEUES.saturating_sub(self.queues.len());
        let count = usize::try_from(count).unwrap_or(0).min(left);
        let queue = |id| MessageQueue::new(topic.clone(), broker.clone(), id);
        self.queues.extend((0..).take(count).map(queue));
    }
}

/// The next queue from `first` on that can be reached, if possible not on the broker to avoid.
fn next(
    queues: &[MessageQueue],
    first: usize,
    avoid: Option<&str>,
    is_reachable: impl Fn(&MessageQueue) -> bool,
) -> usize {
    let candidates = || (first..first + queues.len()).map(|at| at % queues.len());
    let reachable = |at: &usize| is_reachable(&queues[*at]);
    let good = |at: &usize| Some(queues[*at].broker()) != avoid && reachable(at);
    let found = candidates()
        .find(good)
        .or_else(|| candidates().find(reachable));
    found.unwrap_or(first)
}

/// A broker cannot be written to: its master is gone, or it has nothing of the topic.
pub(crate) fn no_master(broker: &str, in_route: bool) -> Error {
    let why = match in_route {
        true => "has no master in the topic's route",
        false => "is not in the topic's route",
    };
    Error::new(
        ErrorKind::NoBroker,
        format!("broker {} {why}", Printable(broker)),
    )
}

#[cfg(test)]
mod tests;
