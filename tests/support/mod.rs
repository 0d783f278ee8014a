//! Shared by the test binaries: clusters, producers, ways to wait, scripted servers, separate
//! processes, captures, a recorded log, sources and documents as text.
#![allow(dead_code, reason = "no binary needs all of it")]

pub mod apart;
pub mod captures;
pub mod files;
pub mod logged;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::PushConsumerBuilder;
use rocketmq_blocking::embedded::{Cluster, Fault, NameServer, On, ReceivedRequest};
use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::protocol::route::{BrokerData, QueueData, TopicRoute};
use rocketmq_blocking::protocol::{Command, HeaderFormat, frame};
use rocketmq_blocking::{
    Error, Message, MessageView, Producer, PushConsumer, Result, Retry, SendReceipt,
};

/// Only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The time that a loaded machine may add to a wait.
pub const SLACK: Duration = Duration::from_secs(2);

/// The same, where what is to be ruled out takes much longer.
pub const STALL: Duration = Duration::from_secs(5);

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Says that a test, or a part of it, cannot run on this machine, and why. Past the test harness, which
/// keeps what a passing test prints to itself.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// `broker-a` with the topic `T` of four queues.
pub fn cluster() -> Cluster {
    brokers(1)
}

/// So many brokers, each with four queues of the topic `T`.
pub fn brokers(count: usize) -> Cluster {
    let builder = Cluster::builder().brokers(count).topic("T", 4);
    builder.start().expect("free ports")
}

pub fn builder(cluster: &Cluster) -> ProducerBuilder {
    Producer::builder("group").name_server(cluster.name_server())
}

/// A producer whose sends have more time than a busy machine needs.
pub fn patient(cluster: &Cluster) -> ProducerBuilder {
    builder(cluster).send_timeout(PATIENCE)
}

/// Two brokers, each with two queues of the topic `T`.
pub fn two_brokers() -> Cluster {
    let builder = Cluster::builder().brokers(2).topic("T", 2);
    builder.start().expect("free ports")
}

/// A [`patient`] one: with less time, one late thread causes another attempt.
pub fn producer(cluster: &Cluster) -> Producer {
    patient(cluster).start().expect("a producer")
}

pub fn message(body: impl Into<Vec<u8>>) -> Message {
    Message::new("T", body)
}

/// A body that does not compress.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Starts a consumer whose handler decides. It tells of each message before that.
pub fn start_heard(
    builder: PushConsumerBuilder,
    decide: impl Fn(&MessageView) -> std::result::Result<(), Retry> + Send + Sync + 'static,
) -> (PushConsumer, Receiver<MessageView>) {
    let (seen, messages) = unbounded();
    let started = builder.start(move |message| {
        seen.send(message.clone()).ok();
        decide(message)
    });
    (started.expect("a consumer"), messages)
}

/// Sends, and returns a channel for the result; the callback owns the other end.
pub fn send_async(producer: &Producer, message: Message) -> Receiver<Result<SendReceipt>> {
    let (done, result) = unbounded();
    producer.send_async(message, move |outcome| drop(done.send(outcome)));
    result
}

/// The result, and that there is no second one.
#[track_caller]
pub fn only(results: &Receiver<Result<SendReceipt>>) -> Result<SendReceipt> {
    let result = results.recv_timeout(PATIENCE).expect("a callback in time");
    let second = results.recv_timeout(PATIENCE);
    assert!(second.is_err(), "a second callback: {second:?}");
    result
}

/// Ways to send, for tests in which they must do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Sync,
    Async,
}

pub const MODES: [Mode; 2] = [Mode::Sync, Mode::Async];

impl Mode {
    #[track_caller]
    pub fn send(self, producer: &Producer, message: &Message) -> Result<SendReceipt> {
        match self {
            Mode::Sync => producer.send(message),
            Mode::Async => only(&send_async(producer, message.clone())),
        }
    }

    /// The same, with a time of its own.
    pub fn send_within(
        self,
        producer: &Producer,
        message: &Message,
        timeout: Duration,
    ) -> Result<SendReceipt> {
        let send = producer.prepare(message).timeout(timeout);
        match self {
            Mode::Sync => send.send(),
            Mode::Async => send.submit().wait(),
        }
    }
}

/// Checks all modes at the same time, as suits a check that mostly waits.
pub fn in_each_mode(check: impl Fn(Mode) + Sync) {
    thread::scope(|scope| {
        for mode in MODES {
            let check = &check;
            scope.spawn(move || check(mode));
        }
    });
}

#[track_caller]
pub fn error(result: Result<SendReceipt>) -> Error {
    result.expect_err("the send was to fail")
}

/// Waits until something is so.
#[track_caller]
pub fn eventually(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        thread::sleep(ms(1));
    }
}

/// Sends, but only the first that any of the brokers gets.
pub fn first_send() -> On {
    let met = Arc::new(AtomicBool::new(false));
    On::when(move |command| On::Send.matches(command) && !met.swap(true, Ordering::SeqCst))
}

/// The sends that brokers received.
pub fn sends(cluster: &Cluster) -> Vec<ReceivedRequest> {
    cluster.requests(&On::Send)
}

/// A property in a send's header.
pub fn property(request: &ReceivedRequest, name: &str) -> Option<String> {
    let text = request.command().ext.get("i")?;
    let pieces = text.split('\u{2}');
    let mut pairs = pieces.filter_map(|piece| piece.split_once('\u{1}'));
    pairs.find(|(n, _)| *n == name).map(|(_, v)| v.to_owned())
}

/// The number of queues of topic `T` that a send could choose from now.
pub fn queues_seen(producer: &Producer, topic: &str) -> Vec<String> {
    let (seen, list) = unbounded();
    let probe = Message::new(topic, "probe");
    let chosen = producer.prepare(&probe).select(move |queues| {
        let all: Vec<String> = queues.iter().map(|queue| queue.to_string()).collect();
        seen.send(all).expect("a listener");
        // An index that cannot be: nothing is sent.
        usize::MAX
    });
    assert!(chosen.send().is_err());
    list.try_recv().unwrap_or_default()
}

/// Kills a broker to which nothing was connected yet, and keeps it in the route of `T`.
///
/// A connection that a server ends keeps its port for a while. Otherwise another test's server
/// could get the port, and this test's frames.
pub fn kill_unused(cluster: &Cluster, broker: &str) {
    let (route, broker) = (cluster.route("T"), cluster.broker(broker));
    let _reserve = TcpStream::connect(broker.address()).expect("it listens");
    assert!(broker.wait_for_connections(1, PATIENCE));
    broker.kill();
    cluster.set_route("T", route);
}

/// The same for a name server.
pub fn kill_unused_name_server(server: &NameServer) {
    let _reserve = TcpStream::connect(server.address()).expect("it listens");
    assert!(server.wait_for_connections(1, PATIENCE));
    server.kill();
}

/// A route of topic queues on brokers at these addresses.
pub fn route(brokers: &[(&str, i32, SocketAddr)]) -> TopicRoute {
    let mut route = TopicRoute::default();
    for (name, queues, address) in brokers {
        route.queue_datas.push(QueueData {
            broker_name: (*name).to_owned(),
            read_queue_nums: *queues,
            write_queue_nums: *queues,
            perm: 6,
            topic_sys_flag: 0,
        });
        route.broker_datas.push(BrokerData {
            cluster: "DefaultCluster".to_owned(),
            broker_name: (*name).to_owned(),
            broker_addrs: [(0, address.to_string())].into(),
            enable_acting_master: false,
        });
    }
    route
}

/// A custom server: a function serves each connection, on its own thread.
pub struct Stub {
    pub address: SocketAddr,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Stub {
    pub fn start(serve: impl Fn(Peer) + Send + Sync + 'static) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let stopping = Arc::new(AtomicBool::new(false));
        let (stop, serve) = (stopping.clone(), Arc::new(serve));
        let accept = move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (serve, input) = (serve.clone(), Vec::new());
                if let Ok(stream) = stream {
                    thread::spawn(move || serve(Peer { stream, input }));
                }
            }
        };
        Stub {
            address,
            stopping,
            acceptor: Some(thread::spawn(accept)),
        }
    }

    /// A cluster whose topic `T` has one queue, here.
    pub fn cluster(&self) -> Cluster {
        let cluster = cluster();
        cluster.set_route("T", Some(route(&[("stub", 1, self.address)])));
        cluster
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// The stub's end of a connection.
pub struct Peer {
    pub stream: TcpStream,
    input: Vec<u8>,
}

impl Peer {
    /// The next frame; `None` at the end.
    pub fn read(&mut self) -> Option<Command> {
        loop {
            if let Some(raw) = frame::split(&self.input).expect("good frames") {
                let len = raw.wire_len();
                let command = Command::decode(raw).expect("good headers");
                self.input.drain(..len);
                return Some(command);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(len) => self.input.extend_from_slice(&chunk[..len]),
            }
        }
    }

    pub fn write(&mut self, command: &Command) {
        let mut bytes = Vec::new();
        command.encode(HeaderFormat::Json, &mut bytes);
        // A client that is gone will be noticed by reading.
        let _ = self.stream.write_all(&bytes);
    }

    /// Answers a request with success.
    pub fn answer(&mut self, request: &Command) {
        if !request.is_oneway() {
            self.write(&Command::response_to(request, 0));
        }
    }
}

/// Has all brokers do this.
pub fn inject(cluster: &Cluster, fault: &Fault) {
    for broker in cluster.brokers() {
        broker.inject(fault.clone());
    }
}
