//! The topics of a started consumer: their names, and whether the group consumed them before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::offset::{Committed, GroupIs, group_is};
use super::subscription::{Filter, Subscriptions};
use crate::client::Names;
use crate::error::{Error, ErrorKind, Result};
use crate::message::MessageQueue;
use crate::message::name::RETRY_PREFIX;
use crate::protocol::consumer::subscription::Subscription;

/// A subscribed topic. The group's retry topic is one too if messages can be given back.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) subscription: Subscription,
    pub(crate) filter: Filter,
    pub(crate) is_retry: bool,
}

/// The subscribed topics, by their names on the wire. Immutable.
#[derive(Debug)]
pub(crate) struct Topics {
    by_name: BTreeMap<Arc<str>, Topic>,
    names: Names,
}

impl Topics {
    /// `retry_of`: the group, on the wire, whose retry topic is consumed too. `version`, in epoch
    /// milliseconds, orders the subscriptions of the group.
    pub(crate) fn new(
        subscriptions: &Subscriptions,
        retry_of: Option<&Arc<str>>,
        names: Names,
        version: i64,
    ) -> Result<Topics> {
        let mut by_name = BTreeMap::new();
        for (topic, filter) in subscriptions.iter() {
            let on_wire = names.on_wire(topic);
            let made = match filter.expression_type() {
                "SQL92" => Subscription::sql(&*on_wire, filter.expression(), version),
                _ => Subscription::tags(&*on_wire, filter.expression(), version),
            };
            let subscription = made.map_err(|error| {
                Error::new(ErrorKind::Config, error.to_string()).on_topic(topic)
            })?;
            let topic = Topic {
                subscription,
                filter: filter.clone(),
                is_retry: false,
            };
            by_name.insert(on_wire, topic);
        }
        if let Some(group) = retry_of {
            let retry: Arc<str> = format!("{RETRY_PREFIX}{group}").into();
            let all = Subscription::tags(&*retry, "*", version);
            let topic = Topic {
                subscription: all.map_err(Error::from)?,
                filter: Filter::all(),
                is_retry: true,
            };
            by_name.insert(retry, topic);
        }
        Ok(Topics { by_name, names })
    }

    pub(crate) fn get(&self, topic: &str) -> Option<&Topic> {
        self.by_name.get(topic)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Topic)> {
        self.by_name.iter()
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// A queue as brokers know it.
    pub(crate) fn on_wire(&self, queue: &MessageQueue) -> MessageQueue {
        queue.clone().on_topic(|topic| self.names.on_wire(topic))
    }

    /// A queue as users name it.
    pub(crate) fn for_users(&self, queue: &MessageQueue) -> MessageQueue {
        queue.clone().on_topic(|topic| self.names.for_users(topic))
    }
}

/// For each topic: whether the group consumed it before, and which queues it had when the consumer
/// started.
#[derive(Debug, Default)]
pub(crate) struct GroupFacts {
    by_topic: HashMap<Arc<str>, Facts>,
}

#[derive(Debug, Default)]
struct Facts {
    /// The queues at the start, and the first answer for each.
    queues: BTreeMap<MessageQueue, Committed>,
    zero_may_mean_none: bool,
}

impl GroupFacts {
    /// Adds the queues of a topic that exists when the consumer starts.
    pub(crate) fn add(&mut self, topic: &Arc<str>, queues: impl IntoIterator<Item = MessageQueue>) {
        let facts = self.by_topic.entry(topic.clone()).or_default();
        let queues = queues.into_iter().map(|q| (q, Committed::Unknown));
        facts.queues.extend(queues);
    }

    /// Only the first answer for a queue counts: a later one may be an offset that a member has committed
    /// since.
    pub(crate) fn note(
        &mut self,
        queue: &MessageQueue,
        committed: Committed,
        zero_may_mean_none: bool,
    ) {
        if let Some(facts) = self.by_topic.get_mut(queue.topic()) {
            facts.zero_may_mean_none |= zero_may_mean_none;
            if let Some(known @ Committed::Unknown) = facts.queues.get_mut(queue) {
                *known = committed;
            }
        }
    }

    /// Queues without an answer.
    pub(crate) fn unknown(&self, topic: &str) -> BTreeSet<MessageQueue> {
        let facts = self.by_topic.get(topic).into_iter();
        let queues = facts.flat_map(|facts| &facts.queues);
        let unknown = queues.filter(|(_, committed)| **committed == Committed::Unknown);
        unknown.map(|(queue, _)| queue.clone()).collect()
    }

    pub(crate) fn group_is(&self, topic: &str) -> GroupIs {
        self.by_topic.get(topic).map_or(GroupIs::New, |facts| {
            group_is(facts.queues.values().copied(), facts.zero_may_mean_none)
        })
    }

    /// Whether a queue was added after the consumer's start, and so was its first message.
    pub(crate) fn is_new(&self, queue: &MessageQueue) -> bool {
        let facts = self.by_topic.get(queue.topic());
        !facts.is_some_and(|facts| facts.queues.contains_key(queue))
    }
}
