//! The topics of the brokers. Brokers check sends against them, and name servers derive routes from
//! them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::RwLock;

use super::logical::{LogicalQueues, Part};
use super::store::CLUSTER_NAME;
use crate::protocol::route::{BrokerData, MASTER, QueueData, QueueMapping, TopicRoute, perm};

/// The topic whose settings new topics inherit.
pub(super) const DEFAULT_TOPIC: &str = "TBW102";
/// The number of its queues, and the most queues of a new topic.
const DEFAULT_TOPIC_QUEUES: i32 = 8;
/// The number of queues of the topic that is named after the cluster, which all its brokers have.
const CLUSTER_TOPIC_QUEUES: i32 = 16;

/// A broker registers with all name servers at once, so one table serves them all.
pub(super) struct Topics {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    brokers: Vec<Registration>,
    topics: HashMap<Arc<str>, Topic>,
    /// Routes that the test wrote itself.
    routes: HashMap<String, TopicRoute>,
}

struct Registration {
    name: Arc<str>,
    address: SocketAddr,
    alive: bool,
}

#[derive(Default)]
struct Topic {
    /// By broker.
    configs: BTreeMap<usize, TopicConfig>,
    order_conf: Option<String>,
    /// Those of a static topic.
    logical: Option<LogicalQueues>,
}

/// A topic's settings on one broker.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopicConfig {
    pub(super) read_queues: i32,
    pub(super) write_queues: i32,
    pub(super) perm: i32,
}

impl TopicConfig {
    fn new(queues: i32, perm: i32) -> TopicConfig {
        TopicConfig {
            read_queues: queues,
            write_queues: queues,
            perm,
        }
    }
}

impl Topics {
    pub(super) fn new(auto_create: bool, brokers: &[(Arc<str>, SocketAddr)]) -> Topics {
        let mut state = State::default();
        for (index, (name, address)) in brokers.iter().enumerate() {
            state.brokers.push(Registration {
                name: Arc::clone(name),
                address: *address,
                alive: true,
            });
            let all = perm::READ | perm::WRITE | perm::INHERIT;
            let config = TopicConfig::new(CLUSTER_TOPIC_QUEUES, all);
            state.topic(CLUSTER_NAME).configs.insert(index, config);
            if auto_create {
                let config = TopicConfig::new(DEFAULT_TOPIC_QUEUES, all);
                state.topic(DEFAULT_TOPIC).configs.insert(index, config);
            }
        }
        Topics {
            state: RwLock::new(state),
        }
    }

    /// The settings of a topic on a broker, with the topic's shared name.
    pub(super) fn find(&self, topic: &str, broker: usize) -> Option<(Arc<str>, TopicConfig)> {
        let state = self.state.read();
        let (name, topic) = state.topics.get_key_value(topic)?;
        let config = topic.configs.get(&broker)?;
        Some((Arc::clone(name), *config))
    }

    /// A broker creates a missing topic at a send, on itself only, with the settings of the default
    /// topic that the send names.
    pub(super) fn create_on_demand(
        &self,
        topic: &str,
        default_topic: &str,
        queues: i32,
        broker: usize,
    ) -> Option<(Arc<str>, TopicConfig)> {
        let (_, pattern) = self.find(default_topic, broker)?;
        if pattern.perm & perm::INHERIT == 0 {
            return None;
        }
        let queues = queues.min(pattern.write_queues).max(0);
        let config = TopicConfig::new(queues, pattern.perm & !perm::INHERIT);
        let mut state = self.state.write();
        // Another connection may have created it in the meantime.
        state.topic(topic).configs.entry(broker).or_insert(config);
        drop(state);
        self.find(topic, broker)
    }

    /// Makes a topic on one broker, readable and writable, unless it is there.
    pub(super) fn make(&self, topic: &str, broker: usize, queues: i32) {
        if self.find(topic, broker).is_none() {
            let config = TopicConfig::new(queues, perm::READ | perm::WRITE);
            let mut state = self.state.write();
            state.topic(topic).configs.entry(broker).or_insert(config);
        }
    }

    /// Makes a topic on all brokers, or changes its number of queues.
    pub(super) fn create(&self, topic: &str, queues: i32) {
        let mut state = self.state.write();
        for broker in 0..state.brokers.len() {
            let config = TopicConfig::new(queues, perm::READ | perm::WRITE);
            state.topic(topic).configs.insert(broker, config);
        }
    }

    /// Changes a topic on one broker, where it is made if need be.
    pub(super) fn change(&self, topic: &str, broker: usize, change: impl FnOnce(&mut TopicConfig)) {
        let mut state = self.state.write();
        let fresh = TopicConfig::new(0, perm::READ | perm::WRITE);
        change(state.topic(topic).configs.entry(broker).or_insert(fresh));
    }

    /// Makes a static topic, whose logical queues are on these brokers.
    pub(super) fn create_static(&self, topic: &str, hosts: &[usize]) {
        let mut state = self.state.write();
        let topic = state.topic(topic);
        topic.logical = Some(LogicalQueues::new(hosts));
        hosts.iter().for_each(|broker| topic.resize(*broker));
    }

    /// The parts of a logical queue, the one at its host last: none if the queue does not exist. `None`: the
    /// topic is not a static one.
    pub(super) fn parts(&self, topic: &str, id: i32) -> Option<Vec<Part>> {
        let state = self.state.read();
        let logical = state.topics.get(topic)?.logical.as_ref()?;
        Some(logical.parts(id).to_vec())
    }

    /// Lets another broker host a logical queue, which has had messages up to this offset.
    pub(super) fn move_queue(&self, topic: &str, id: usize, broker: usize, end: i64) {
        let mut state = self.state.write();
        let topic = state.topic(topic);
        if let Some(logical) = &mut topic.logical {
            logical.move_to(id, broker, end);
            topic.resize(broker);
        }
    }

    pub(super) fn set_order(&self, topic: &str, order_conf: Option<String>) {
        self.state.write().topic(topic).order_conf = order_conf;
    }

    pub(super) fn remove(&self, topic: &str) {
        self.state.write().topics.remove(topic);
    }

    pub(super) fn set_route(&self, topic: &str, route: Option<TopicRoute>) {
        let mut state = self.state.write();
        match route {
            Some(route) => state.routes.insert(topic.to_owned(), route),
            None => state.routes.remove(topic),
        };
    }

    pub(super) fn set_alive(&self, broker: usize, alive: bool) {
        self.state.write().brokers[broker].alive = alive;
    }

    /// The route of a topic: its queues on running brokers. `None` without any.
    pub(super) fn route(&self, topic: &str) -> Option<TopicRoute> {
        let state = self.state.read();
        if let Some(route) = state.routes.get(topic) {
            return Some(route.clone());
        }
        let topic = state.topics.get(topic)?;
        let mapping = |index: usize, name: &str| {
            let logical = topic.logical.as_ref()?;
            Some(QueueMapping {
                scope: "__global__".to_owned(),
                total_queues: i32::try_from(logical.len()).unwrap_or(i32::MAX),
                bname: name.to_owned(),
                epoch: logical.epoch,
                curr_id_map: logical.hosted_by(index),
            })
        };
        let mut route = TopicRoute {
            order_topic_conf: topic.order_conf.clone(),
            ..TopicRoute::default()
        };
        for (index, config) in &topic.configs {
            let broker = &state.brokers[*index];
            if broker.alive {
                let mapping = mapping(*index, &broker.name);
                let mappings = &mut route.topic_queue_mapping_by_broker;
                mappings.extend(mapping.map(|mapping| (broker.name.to_string(), mapping)));
                route.broker_datas.push(broker.data());
                route.queue_datas.push(QueueData {
                    broker_name: broker.name.to_string(),
                    read_queue_nums: config.read_queues,
                    write_queue_nums: config.write_queues,
                    perm: config.perm,
                    topic_sys_flag: 0,
                });
            }
        }
        (!route.broker_datas.is_empty()).then_some(route)
    }
}

impl Topic {
    /// Gives a broker of a static topic as many queues as it uses.
    fn resize(&mut self, broker: usize) {
        let used = self
            .logical
            .as_ref()
            .map_or(0, |logical| logical.used(broker));
        let config = TopicConfig::new(used, perm::READ | perm::WRITE);
        self.configs.insert(broker, config);
    }
}

impl State {
    fn topic(&mut self, name: &str) -> &mut Topic {
        self.topics.entry(Arc::from(name)).or_default()
    }
}

impl Registration {
    fn data(&self) -> BrokerData {
        BrokerData {
            cluster: CLUSTER_NAME.to_owned(),
            broker_name: self.name.to_string(),
            broker_addrs: BTreeMap::from([(MASTER, self.address.to_string())]),
            enable_acting_master: false,
        }
    }
}

/// As Java prints it in the remark about a bad queue.
impl fmt::Display for TopicConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bit = |bit, letter| if self.perm & bit != 0 { letter } else { '-' };
        write!(
            f,
            "readQueueNums={}, writeQueueNums={}, perm={}{}{}, topicFilterType=SINGLE_TAG, \
             topicSysFlag=0, order=false, attributes={{}}",
            self.read_queues,
            self.write_queues,
            bit(perm::READ, 'R'),
            bit(perm::WRITE, 'W'),
            bit(perm::INHERIT, 'X'),
        )
    }
}
