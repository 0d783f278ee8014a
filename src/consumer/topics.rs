//! The topics of a started consumer: their names, and whether the group consumed them before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::observe::TopicCounts;
use super::offset::{Committed, GroupIs, group_is};
use super::subscription::{Filter, Subscriptions};
use crate::client::{ClientCore, Names};
use crate::error::{Error, ErrorKind, Result};
use crate::message::MessageQueue;
use crate::message::name::RETRY_PREFIX;
use crate::protocol::consumer::subscription::Subscription;
use crate::protocol::route::MASTER;

/// A subscribed topic. The group's retry topic is one too if messages can be given back.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) subscription: Subscription,
    pub(crate) filter: Filter,
    pub(crate) is_retry: bool,
    pub(crate) counts: TopicCounts,
}

/// The subscribed topics, by their names on the wire. Immutable but for the counters.
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
                counts: TopicCounts::default(),
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
                counts: TopicCounts::default(),
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

    /// The masters of the topics whose routes are known.
    pub(crate) fn masters(&self, core: &ClientCore) -> BTreeSet<Arc<str>> {
        let topics = self.by_name.keys();
        topics.flat_map(|topic| masters_of(topic, core)).collect()
    }

    /// How a broker's subscriptions of a group differ from this consumer's: the user's name of each topic,
    /// and a sentence. Retry topics do not count: not all kinds of consumers subscribe to them.
    pub(crate) fn differences(
        &self,
        table: &BTreeMap<String, Subscription>,
    ) -> BTreeSet<(Arc<str>, String)> {
        let ours = self.by_name.iter().filter(|(_, topic)| !topic.is_retry);
        let different = ours.filter_map(|(name, ours)| {
            let what = difference(&ours.subscription, table.get(&**name))?;
            Some((self.names.for_users(name), what))
        });
        let theirs = table.keys().filter(|name| {
            let is_ours = self.by_name.contains_key(name.as_str());
            !is_ours && !name.starts_with(RETRY_PREFIX)
        });
        let more = theirs.map(|name| {
            let what = "another member subscribes to it, and this one does not".to_owned();
            (self.names.for_users(&name.as_str().into()), what)
        });
        different.chain(more).collect()
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

/// The masters of a topic; empty while its route is not known.
pub(crate) fn masters_of(topic: &str, core: &ClientCore) -> Vec<Arc<str>> {
    let route = core.routes.known_route(topic, false).into_iter();
    let masters = route.flat_map(|route| {
        let brokers = route.raw().broker_datas.iter();
        let masters = brokers.filter_map(|broker| broker.broker_addrs.get(&MASTER));
        masters
            .map(|address| address.as_str().into())
            .collect::<Vec<_>>()
    });
    masters.collect()
}

/// How the broker's subscription of a topic differs from this consumer's, if it does.
fn difference(ours: &Subscription, theirs: Option<&Subscription>) -> Option<String> {
    let Some(theirs) = theirs else {
        return Some("another member does not subscribe to it".to_owned());
    };
    let is_same = ours.expression_type == theirs.expression_type
        && match ours.is_by_tags() {
            // In whichever order and spacing the tags are written.
            true => ours.tags_set == theirs.tags_set,
            false => ours.sub_string == theirs.sub_string,
        };
    let (ours, theirs) = (&ours.sub_string, &theirs.sub_string);
    (!is_same).then(|| format!("another member has the filter {theirs:?}, and this one {ours:?}"))
}

/// For each topic: whether the group consumed it before, and which queues it had when the consumer
/// started.
#[derive(Debug, Default)]
pub(crate) struct GroupFacts {
    by_topic: HashMap<Arc<str>, Facts>,
    /// Topics of which it is not known whether they existed when the consumer started.
    open: BTreeSet<Arc<str>>,
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
        self.open.remove(topic);
        let facts = self.by_topic.entry(topic.clone()).or_default();
        let queues = queues.into_iter().map(|q| (q, Committed::Unknown));
        facts.queues.extend(queues);
    }

    /// No name server answered whether a topic exists. Once it is found, it counts as one that existed.
    pub(crate) fn leave_open(&mut self, topic: &Arc<str>) {
        self.open.insert(topic.clone());
    }

    pub(crate) fn is_open(&self, topic: &Arc<str>) -> bool {
        self.open.contains(topic)
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
