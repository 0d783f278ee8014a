//! A topic's route, and the views on it.

use std::sync::{Arc, OnceLock};

use super::publish::PublishInfo;
use super::subscribe::subscribe_queues;
use crate::message::MessageQueue;
use crate::protocol::route::TopicRoute;

/// A topic's route as a name server gave it. Each view is made once, when it is first asked for, and is
/// shared from then on.
pub(crate) struct Route {
    /// As users name it.
    topic: Arc<str>,
    /// Its lists are sorted by broker name, so that routes which say the same are equal.
    raw: TopicRoute,
    is_default: bool,
    publish: OnceLock<Arc<PublishInfo>>,
    subscribe: OnceLock<Arc<[MessageQueue]>>,
}

impl Route {
    /// The route of a topic that exists. The queues of the views name the topic as it is given here.
    pub(crate) fn new(topic: Arc<str>, raw: TopicRoute) -> Route {
        Route::sorted(topic, raw, false)
    }

    /// The route of a topic that does not exist yet: the default topic's brokers, with at most so many
    /// queues. The broker creates the topic when it gets the first message.
    pub(super) fn of_default_topic(topic: Arc<str>, mut raw: TopicRoute, queues: i32) -> Route {
        for data in &mut raw.queue_datas {
            let queues = queues.min(data.read_queue_nums);
            data.read_queue_nums = queues;
            data.write_queue_nums = queues;
        }
        Route::sorted(topic, raw, true)
    }

    fn sorted(topic: Arc<str>, mut raw: TopicRoute, is_default: bool) -> Route {
        raw.queue_datas
            .sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        raw.broker_datas
            .sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        Route {
            topic,
            raw,
            is_default,
            publish: OnceLock::new(),
            subscribe: OnceLock::new(),
        }
    }

    pub(crate) fn raw(&self) -> &TopicRoute {
        &self.raw
    }

    /// Whether the topic exists. Otherwise these are the default topic's brokers, and nothing can be read.
    pub(crate) fn is_of_topic(&self) -> bool {
        !self.is_default
    }

    /// Where messages of the topic can be written, perhaps nowhere.
    pub(crate) fn publish(&self) -> &Arc<PublishInfo> {
        self.publish
            .get_or_init(|| Arc::new(PublishInfo::new(&self.topic, &self.raw)))
    }

    /// The queues that can be read, sorted by broker name and number.
    #[allow(dead_code, reason = "consumers are to come")]
    pub(crate) fn subscribe(&self) -> &Arc<[MessageQueue]> {
        self.subscribe.get_or_init(|| match self.is_default {
            true => Arc::new([]),
            false => subscribe_queues(&self.topic, &self.raw).into(),
        })
    }

    /// Whether it says the same.
    pub(super) fn is_same(&self, other: &Route) -> bool {
        self.raw == other.raw && self.is_default == other.is_default
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::route::{BrokerData, QueueData, perm};

    fn raw(brokers: &[&str]) -> TopicRoute {
        let queue = |broker: &&str| QueueData {
            broker_name: (*broker).into(),
            read_queue_nums: 8,
            write_queue_nums: 8,
            perm: perm::READ | perm::WRITE,
            topic_sys_flag: 0,
        };
        let broker = |name: &&str| BrokerData {
            broker_name: (*name).into(),
            broker_addrs: [(0, format!("{name}:1"))].into(),
            ..BrokerData::default()
        };
        TopicRoute {
            queue_datas: brokers.iter().map(queue).collect(),
            broker_datas: brokers.iter().map(broker).collect(),
            ..TopicRoute::default()
        }
    }

    #[test]
    fn a_topic_to_be_created_gets_at_most_the_default_topics_queues_and_cannot_be_read() {
        for (most, expected) in [(4, 4), (16, 8)] {
            let route = Route::of_default_topic("New".into(), raw(&["a"]), most);
            assert_eq!(route.publish().queues.len(), expected);
            assert!(route.subscribe().is_empty() && !route.is_of_topic());
        }
    }

    #[test]
    fn views_are_made_once_and_the_order_of_a_name_servers_lists_does_not_matter() {
        let one = Route::new("T".into(), raw(&["a", "b"]));
        let other = Route::new("T".into(), raw(&["b", "a"]));
        assert!(one.is_same(&other));
        assert!(!one.is_same(&Route::new("T".into(), raw(&["a"]))));
        assert!(Arc::ptr_eq(one.publish(), one.publish()));
        assert!(Arc::ptr_eq(one.subscribe(), one.subscribe()));
        assert_eq!(one.subscribe().len(), 16);
    }
}
