//! A consumer as a member of a client, as far as the client is concerned.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::{BrokerRequest, Member, MemberKind};
use crate::client::routes::NeededTopic;
use crate::client::{Client, ClientOptions};
use crate::embedded::{Cluster, Fault, Gate, On};
use crate::message::Message;
use crate::producer::Producer;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::member::ConsumerData;
use crate::protocol::heartbeat::{Heartbeat, Unregister};
use crate::protocol::route::{BrokerData, QueueData, TopicRoute};
use crate::protocol::{Command, HeaderFormat, frame};
use crate::sync::Mutex;
use crate::transport::{Connection, Deadline};

mod announcing;

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

const CONSUMER: MemberKind = MemberKind::Consumer;

/// A consumer group that needs one topic and reports its events.
struct Group {
    name: Arc<str>,
    topic: Arc<str>,
    confirmed: Sender<String>,
    asked: Sender<i32>,
    /// Holds up the next heartbeat while it is made: says so, and waits.
    hold: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl Member for Group {
    fn kind(&self) -> MemberKind {
        CONSUMER
    }

    fn group(&self) -> &Arc<str> {
        &self.name
    }

    fn add_to(&self, heartbeat: &mut Heartbeat) {
        if let Some((held, go_on)) = self.hold.lock().take() {
            let _ = held.send(());
            let _ = go_on.recv_timeout(PATIENCE);
        }
        let data = self.name.to_string();
        heartbeat.consumer_data_set.push(ConsumerData::new(data));
    }

    fn topics(&self) -> Vec<NeededTopic> {
        vec![NeededTopic {
            topic: self.topic.clone(),
            default: None,
        }]
    }

    fn is_asked(&self) -> bool {
        true
    }

    fn answer(&self, request: BrokerRequest) -> Option<BrokerRequest> {
        let command = request.command();
        if command.ext.get("consumerGroup") != Some(&*self.name) {
            return Some(request);
        }
        let _ = self.asked.send(command.code);
        let answer =
            Command::response_to(command, response::SUCCESS).with_body(b"running".to_vec());
        request.reply(&answer);
        None
    }

    fn confirmed(&self, connection: &Arc<Connection>) {
        let _ = self.confirmed.send(connection.address().to_string());
    }

    fn stop(&self) {}

    fn join(&self, _: Deadline) -> Vec<String> {
        Vec::new()
    }
}

struct Heard {
    group: Arc<Group>,
    confirmed: Receiver<String>,
    asked: Receiver<i32>,
}

fn group(name: &str, topic: &str) -> Heard {
    let ((confirmed, of_confirmed), (asked, of_asked)) = (unbounded(), unbounded());
    Heard {
        group: Arc::new(Group {
            name: name.into(),
            topic: topic.into(),
            confirmed,
            asked,
            hold: Mutex::new(None),
        }),
        confirmed: of_confirmed,
        asked: of_asked,
    }
}

fn late() -> Deadline {
    Deadline::after(Instant::now(), PATIENCE)
}

fn client(cluster: &Cluster) -> Client {
    Client::start(ClientOptions::new().name_server(cluster.name_server())).expect("started")
}

/// `broker-a` is the master of the topic `T` and `broker-b` its slave.
fn master_and_slave() -> Cluster {
    let cluster = Cluster::builder()
        .brokers(2)
        .topic("T", 4)
        .start()
        .expect("ports");
    let addresses = cluster.brokers().iter().map(|broker| broker.address());
    cluster.set_route("T", Some(route(&addresses.collect::<Vec<_>>())));
    cluster
}

/// A route with one broker at these addresses, the master's first.
fn route(addresses: &[SocketAddr]) -> TopicRoute {
    let addresses = addresses.iter().enumerate();
    TopicRoute {
        queue_datas: vec![QueueData {
            broker_name: "broker-a".into(),
            read_queue_nums: 4,
            write_queue_nums: 4,
            perm: 6,
            topic_sys_flag: 0,
        }],
        broker_datas: vec![BrokerData {
            broker_name: "broker-a".into(),
            broker_addrs: addresses
                .map(|(id, a)| (id as i64, a.to_string()))
                .collect(),
            ..BrokerData::default()
        }],
        ..TopicRoute::default()
    }
}

/// The consumers in each heartbeat, by server.
fn said(cluster: &Cluster, server: &str) -> Vec<String> {
    let beats = cluster.requests(&On::Heartbeat);
    let beats = beats.iter().filter(|beat| beat.server() == server);
    let consumers = beats.map(|beat| {
        let heartbeat = Heartbeat::decode(&beat.command().body).expect("a heartbeat");
        let groups = heartbeat.consumer_data_set.iter();
        groups
            .map(|group| group.group_name.clone())
            .collect::<Vec<_>>()
            .join(",")
    });
    consumers.collect()
}

/// Long before the interval of 30 s.
#[test]
fn all_brokers_of_a_consumers_topics_get_heartbeats_at_once_slaves_too() {
    let cluster = master_and_slave();
    let client = client(&cluster);
    let heard = group("g", "T");
    let membership = client.inner().join(heard.group.clone()).expect("joined");
    let mut confirmed: Vec<_> = (0..2)
        .map(|_| heard.confirmed.recv_timeout(PATIENCE).expect("confirmed"))
        .collect();
    let mut expected = cluster
        .brokers()
        .iter()
        .map(|b| b.address().to_string())
        .collect::<Vec<_>>();
    confirmed.sort();
    expected.sort();
    assert_eq!(confirmed, expected);
    for broker in cluster.brokers() {
        assert_eq!(said(&cluster, broker.name()), ["g"]);
        let address = broker.address().to_string().as_str().into();
        assert!(membership.registered(&address).is_some());
    }
    let brokers = client.inner().routes.brokers();
    let slave = brokers
        .address_for_pull("broker-a", 1, true)
        .expect("a slave");
    assert!(slave.is_slave);
    assert_eq!(
        *slave.address,
        *cluster.broker("broker-b").address().to_string()
    );
    assert!(client.shutdown_within(PATIENCE).is_clean());
    let gone = cluster.wait_for_requests(&On::Unregister, 2, PATIENCE);
    assert_eq!(gone.len(), 2);
    for gone in &gone {
        let gone = Unregister::decode(&gone.command().ext).expect("a header");
        assert_eq!(
            (gone.consumer_group.as_deref(), gone.producer_group),
            (Some("g"), None)
        );
    }
}

#[test]
fn over_a_new_connection_a_member_is_registered_again() {
    let cluster = Cluster::builder().topic("T", 4).start().expect("ports");
    let client = client(&cluster);
    let heard = group("g", "T");
    let membership = client.inner().join(heard.group.clone()).expect("joined");
    let address = heard.confirmed.recv_timeout(PATIENCE).expect("confirmed");
    let address: Arc<str> = address.as_str().into();
    assert!(membership.registered(&address).is_some());
    let gate = Gate::new();
    let broker = cluster.broker("broker-a");
    let held = broker.inject(Fault::hold(&gate).on(On::Heartbeat));
    broker.disconnect_all();
    let end = Instant::now() + PATIENCE;
    while membership.registered(&address).is_some() {
        assert!(Instant::now() < end, "the connection has ended");
        thread::yield_now();
    }
    membership.announce([address.clone()]);
    assert!(held.wait_hits(1, PATIENCE));
    assert!(
        membership.registered(&address).is_none(),
        "not confirmed yet"
    );
    gate.open();
    assert!(membership.ensure_registered(&address, late()).is_some());
    assert!(heard.confirmed.recv_timeout(PATIENCE).is_ok());
}

#[test]
fn a_missing_topic_is_awaited_without_the_default_topic() {
    let cluster = Cluster::start().expect("ports");
    let options = ClientOptions::new()
        .name_server(cluster.name_server())
        .route_interval(Duration::from_millis(10));
    let client = Client::start(options).expect("started");
    let heard = group("g", "New");
    let _membership = client.inner().join(heard.group.clone()).expect("joined");
    // A producer knows where the topic would be made.
    let producer = Producer::builder("g")
        .client(&client)
        .start()
        .expect("another kind");
    let queues = producer.admin();
    let prepared = Message::new("New", "x");
    let nothing = producer.prepare(&prepared).select(|_| usize::MAX).send();
    assert!(nothing.is_err() && queues.publish_queues("New").is_err());
    let routes = &client.inner().routes;
    assert!(routes.known_route("New", true).is_some());
    assert!(routes.known_route("New", false).is_none());
    cluster.create_topic("New", 3);
    let start = Instant::now();
    let found = || {
        routes
            .known_route("New", false)
            .map(|route| route.subscribe().len())
    };
    while found() != Some(3) {
        assert!(start.elapsed() < PATIENCE, "{:?}", found());
        thread::yield_now();
    }
}

/// A broker of this test's own: it takes one connection, confirms heartbeats, and then makes a request.
fn asking_broker(code: i32, group: &'static str) -> (SocketAddr, JoinHandle<Command>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let serve = move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut input = Vec::new();
        let write = |command: &Command| {
            let mut bytes = Vec::new();
            command.encode(HeaderFormat::Json, &mut bytes);
            (&stream).write_all(&bytes).expect("written");
        };
        loop {
            let command = loop {
                if let Some(raw) = frame::split(&input).expect("good frames") {
                    let len = raw.wire_len();
                    let command = Command::decode(raw).expect("good headers");
                    input.drain(..len);
                    break command;
                }
                let mut chunk = [0; 4096];
                let len = (&stream).read(&mut chunk).expect("readable");
                assert!(len > 0, "the client is gone");
                input.extend_from_slice(&chunk[..len]);
            };
            if command.is_response() {
                return command;
            }
            write(&Command::response_to(&command, response::SUCCESS));
            if command.code == request::HEART_BEAT {
                let mut question = Command::request(code);
                question.ext.set("consumerGroup", group);
                write(&question);
            }
        }
    };
    (address, thread::spawn(serve))
}

#[test]
fn a_brokers_request_goes_to_the_member_that_it_is_for() {
    for (asked_of, expected) in [
        ("g", response::SUCCESS),
        ("h", response::REQUEST_CODE_NOT_SUPPORTED),
    ] {
        let code = request::GET_CONSUMER_RUNNING_INFO;
        let (address, broker) = asking_broker(code, asked_of);
        let cluster = Cluster::builder().topic("T", 4).start().expect("ports");
        cluster.set_route("T", Some(route(&[address])));
        let client = client(&cluster);
        // Another kind with the same name.
        let _producer = Producer::builder("g")
            .client(&client)
            .start()
            .expect("started");
        let heard = group("g", "T");
        let _membership = client.inner().join(heard.group.clone()).expect("joined");
        let answer = broker.join().expect("no panic");
        assert_eq!(answer.code, expected, "{asked_of}");
        match asked_of {
            "g" => {
                assert_eq!(heard.asked.recv_timeout(PATIENCE), Ok(code));
                assert_eq!(answer.body, b"running");
            }
            _ => assert!(heard.asked.is_empty()),
        }
    }
}

/// With dials of 3 s on the heartbeat thread, a round would take 12 s.
#[cfg(target_os = "linux")]
#[test]
fn addresses_that_swallow_connections_do_not_hold_up_the_heartbeats_of_others() {
    use std::net::TcpStream;

    let holes: Vec<_> = (0..4)
        .map(|_| {
            let any: SocketAddr = ([127, 0, 0, 1], 0).into();
            let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let listener = listener.expect("a socket");
            listener.bind(&any.into()).expect("a port");
            listener.listen(0).expect("a listener");
            let address = listener
                .local_addr()
                .expect("its address")
                .as_socket()
                .expect("v4");
            // One that gets no answer shows that the queue is full.
            let fill = || TcpStream::connect_timeout(&address, Duration::from_millis(50));
            let fillers: Vec<_> = std::iter::from_fn(|| fill().ok()).take(10).collect();
            (address, listener, fillers)
        })
        .collect();
    let cluster = Cluster::builder().topic("T", 4).start().expect("ports");
    let mut addresses: Vec<_> = holes.iter().map(|(address, ..)| *address).collect();
    addresses.push(cluster.broker("broker-a").address());
    cluster.set_route("T", Some(route(&addresses)));
    let options = ClientOptions::new()
        .name_server(cluster.name_server())
        .heartbeat_interval(Duration::from_millis(10));
    let client = Client::start(options).expect("started");
    let heard = group("g", "T");
    let _membership = client.inner().join(heard.group.clone()).expect("joined");
    assert!(heard.confirmed.recv_timeout(PATIENCE).is_ok());
    let beats = cluster.wait_for_requests(&On::Heartbeat, 20, PATIENCE);
    assert!(beats.len() >= 20, "{}", beats.len());
}
