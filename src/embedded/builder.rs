use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use parking_lot::Mutex;

use super::broker::{Asked, Broker, BrokerState, Delays, Knobs, Parked, Settings, Transactions};
use super::changes::Changes;
use super::clock::Clock;
use super::cluster::Cluster;
use super::groups::{Configs, Locks, Members, Modes, Offsets, Pops};
use super::name_server::{NameServer, NameService};
use super::release::Release;
use super::server::{self, Common, Connections, Server};
use super::service::BrokerService;
use super::store::{CLUSTER_NAME, Store};
use super::topics::Topics;
use crate::message::reply_topic;

/// The distance between the fixed ports of servers of a kind.
const PORT_STEP: u16 = 10;

/// The settings of a [`Cluster`]; made by [`Cluster::builder`].
#[derive(Debug, Clone)]
#[must_use = "nothing runs before start()"]
pub struct ClusterBuilder {
    brokers: usize,
    name_servers: usize,
    broker_port: u16,
    name_server_port: u16,
    topics: Vec<(String, i32)>,
    auto_create_topics: bool,
    auto_create_groups: bool,
    settings: Settings,
    answer_json_always: bool,
    bare_route_keys: bool,
    keep_messages: bool,
    record_requests: bool,
    hold_delayed_messages: bool,
    manual_clock: Option<bool>,
    recall: bool,
}

impl Default for ClusterBuilder {
    fn default() -> ClusterBuilder {
        ClusterBuilder {
            brokers: 1,
            name_servers: 1,
            broker_port: 0,
            name_server_port: 0,
            topics: Vec::new(),
            auto_create_topics: true,
            auto_create_groups: true,
            settings: Settings {
                release: Release::default(),
                max_message_size: 4 * 1024 * 1024,
                lite_pull: true,
                sql_filters: false,
            },
            answer_json_always: false,
            bare_route_keys: false,
            keep_messages: true,
            record_requests: true,
            hold_delayed_messages: false,
            manual_clock: None,
            recall: false,
        }
    }
}

impl ClusterBuilder {
    /// The number of brokers: `broker-a`, `broker-b`, .. Default: 1; 0 counts as 1, and more than 26 as 26.
    pub fn brokers(mut self, brokers: usize) -> ClusterBuilder {
        self.brokers = brokers.clamp(1, 26);
        self
    }

    /// The number of name servers; all of them know all routes. Default: 1; 0 counts as 1.
    pub fn name_servers(mut self, name_servers: usize) -> ClusterBuilder {
        self.name_servers = name_servers.max(1);
        self
    }

    /// The port of the first broker; the others follow at +10, +20, .. Default: 0, free ports.
    pub fn broker_port(mut self, port: u16) -> ClusterBuilder {
        self.broker_port = port;
        self
    }

    /// The port of the first name server; the others follow at +10, +20, .. Default: 0, free ports.
    pub fn name_server_port(mut self, port: u16) -> ClusterBuilder {
        self.name_server_port = port;
        self
    }

    /// A topic that exists from the start, with this number of queues on each broker.
    pub fn topic(mut self, topic: impl Into<String>, queues: i32) -> ClusterBuilder {
        self.topics.push((topic.into(), queues));
        self
    }

    /// Whether a send to an unknown topic makes it, with up to 8 queues, on the broker that gets
    /// the message. Default: yes.
    pub fn auto_create_topics(mut self, on: bool) -> ClusterBuilder {
        self.auto_create_topics = on;
        self
    }

    /// Whether consumer groups are made on demand. Otherwise only [`Group::create`](super::Group::create) makes
    /// them, and brokers refuse unknown groups with code 26. Default: yes.
    pub fn auto_create_groups(mut self, on: bool) -> ClusterBuilder {
        self.auto_create_groups = on;
        self
    }

    /// The release of RocketMQ that brokers imitate towards consumers. Default: 5.4.0.
    pub fn release(mut self, release: Release) -> ClusterBuilder {
        self.settings.release = release;
        self
    }

    /// Whether brokers serve the pulls of lite pull consumers (361; the setting `litePullMessageEnable`).
    /// Otherwise they refuse them with code 16. Default: yes.
    pub fn lite_pull(mut self, on: bool) -> ClusterBuilder {
        self.settings.lite_pull = on;
        self
    }

    /// Whether brokers serve filters by SQL92 (the setting `enablePropertyFilter`). Otherwise they refuse
    /// them with code 1. Default: no, as real brokers.
    pub fn sql_filters(mut self, on: bool) -> ClusterBuilder {
        self.settings.sql_filters = on;
        self
    }

    /// The largest body that brokers take, in bytes; larger ones are answered with code 13.
    /// Default: 4 MiB.
    pub fn max_message_size(mut self, bytes: usize) -> ClusterBuilder {
        self.settings.max_message_size = bytes;
        self
    }

    /// Whether answers have JSON headers even if the request's header is binary, as servers of
    /// 5.4.0 do. Default: no, an answer has the form of its request.
    pub fn answer_json_always(mut self, on: bool) -> ClusterBuilder {
        self.answer_json_always = on;
        self
    }

    /// Whether routes have bare numbers as keys (`{0:"127.0.0.1:10911"}`) for every client, as
    /// those of name servers before 4.9.4 do. Default: no, only for clients of before 4.9.4.
    pub fn bare_route_keys(mut self, on: bool) -> ClusterBuilder {
        self.bare_route_keys = on;
        self
    }

    /// Whether stored messages are kept for [`Cluster::messages`]. They take memory as long as the
    /// cluster lives: turn it off to measure throughput. Default: yes.
    pub fn keep_messages(mut self, on: bool) -> ClusterBuilder {
        self.keep_messages = on;
        self
    }

    /// Whether requests are kept for [`Cluster::requests`]: the last 65,536, with at most 64 MiB of
    /// bodies. Default: yes.
    pub fn record_requests(mut self, on: bool) -> ClusterBuilder {
        self.record_requests = on;
        self
    }

    /// Whether delayed messages (by level or by timer) wait until the [clock](super#the-clock) makes
    /// them due; until then they are in `SCHEDULE_TOPIC_XXXX` or `rmq_sys_wheel_timer`, as on a real
    /// broker. Default: no, they are stored in their topic at once.
    pub fn hold_delayed_messages(mut self, on: bool) -> ClusterBuilder {
        self.hold_delayed_messages = on;
        self
    }

    /// Whether the [clock](super#the-clock) stops unless [`Cluster::advance`] moves it. Otherwise
    /// it runs with real time, and `advance` moves it further. Default: yes with
    /// [`hold_delayed_messages`](ClusterBuilder::hold_delayed_messages), no without.
    pub fn manual_clock(mut self, on: bool) -> ClusterBuilder {
        self.manual_clock = Some(on);
        self
    }

    /// Whether timer messages that are held can be recalled (the setting `recallMessageEnable` of
    /// brokers from 5.3.2 on). Default: no; sends are answered with a handle in any case.
    pub fn recall(mut self, on: bool) -> ClusterBuilder {
        self.recall = on;
        self
    }

    /// Starts all servers.
    ///
    /// # Errors
    /// A port is taken, or no thread can be started.
    pub fn start(self) -> io::Result<Cluster> {
        let brokers = bind_all(self.broker_port, self.brokers)?;
        let name_servers = bind_all(self.name_server_port, self.name_servers)?;
        let names = (b'a'..=b'z').map(|c| Arc::from(format!("broker-{}", char::from(c))));
        let registered: Vec<(Arc<str>, SocketAddr)> = names
            .zip(brokers.iter().map(|(_, address)| *address))
            .collect();
        let clock = Clock::new(self.manual_clock.unwrap_or(self.hold_delayed_messages));
        let topics = Arc::new(Topics::new(self.auto_create_topics, &registered));
        topics.create(&reply_topic(CLUSTER_NAME), 1);
        for (topic, queues) in &self.topics {
            topics.create(topic, *queues);
        }
        let changes = Arc::new(Changes::default());
        let store = Arc::new(Store::new(
            registered.len(),
            self.keep_messages,
            Arc::clone(&clock),
            Arc::clone(&changes),
        ));
        let transactions = Arc::new(Transactions::default());
        let delays = Arc::new(Delays::new(
            self.hold_delayed_messages,
            self.recall,
            Arc::clone(&clock),
            Arc::clone(&store),
        ));
        let common = Arc::new(Common::new(
            self.record_requests,
            self.answer_json_always,
            self.settings.release.version(),
            Arc::clone(&clock),
        ));

        let start_broker = |index: usize, name: Arc<str>, port: (TcpListener, SocketAddr)| {
            let connections = Connections::new(self.settings.release.version());
            let connections = Arc::new(connections);
            let state = Arc::new(BrokerState {
                index,
                name: Arc::clone(&name),
                address: port.1,
                settings: self.settings,
                clock: Arc::clone(&clock),
                topics: Arc::clone(&topics),
                store: Arc::clone(&store),
                delays: Arc::clone(&delays),
                transactions: Arc::clone(&transactions),
                members: Members::default(),
                configs: Configs::new(self.auto_create_groups),
                offsets: Offsets::new(clock.now()),
                locks: Locks::default(),
                modes: Modes::default(),
                pops: Pops::default(),
                popping: Mutex::new(()),
                parked: Parked::new(Arc::clone(&changes)),
                knobs: Knobs::default(),
                asked: Asked::default(),
                changes: Arc::clone(&changes),
                expiry: Mutex::new(None),
                connections: Arc::clone(&connections),
                counter: AtomicU32::new(0),
            });
            let service = Arc::new(BrokerService(Arc::clone(&state)));
            let server = Server::start(name, port, service, connections, Arc::clone(&common))?;
            Ok(Broker { server, state })
        };
        let start_name_server = |index: usize, port: (TcpListener, SocketAddr)| {
            let service = Arc::new(NameService {
                topics: Arc::clone(&topics),
                bare_route_keys: self.bare_route_keys,
            });
            let name = Arc::from(format!("namesrv-{index}"));
            let connections = Connections::new(self.settings.release.version());
            let connections = Arc::new(connections);
            let server = Server::start(name, port, service, connections, Arc::clone(&common))?;
            Ok(NameServer { server })
        };
        let brokers: io::Result<_> = brokers
            .into_iter()
            .zip(registered)
            .enumerate()
            .map(|(i, (port, (name, _)))| start_broker(i, name, port))
            .collect();
        let name_servers: io::Result<_> = name_servers
            .into_iter()
            .enumerate()
            .map(|(i, port)| start_name_server(i, port))
            .collect();
        Ok(Cluster {
            brokers: brokers?,
            name_servers: name_servers?,
            topics,
            store,
            transactions,
            delays,
            clock,
            changes,
            common,
        })
    }
}

fn bind_all(port: u16, count: usize) -> io::Result<Vec<(TcpListener, SocketAddr)>> {
    let port_of = |index: usize| {
        let offset = u16::try_from(index).ok()?.checked_mul(PORT_STEP)?;
        if port == 0 {
            Some(0)
        } else {
            port.checked_add(offset)
        }
    };
    let too_high = || io::Error::new(io::ErrorKind::InvalidInput, "no port beyond 65535");
    (0..count)
        .map(|index| server::bind(port_of(index).ok_or_else(too_high)?))
        .collect()
}
