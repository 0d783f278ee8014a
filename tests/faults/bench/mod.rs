//! A cluster behind proxies, the producers of a case, and all checks at its end.

pub mod flood;
pub mod ledger;
pub mod link;
pub mod measure;
pub mod proxy;
pub mod random;
pub mod script;
pub mod sender;
pub mod stalls;
pub mod watch;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::error::Wait;
use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::protocol::route::{BrokerData, QueueData, TopicRoute};
use rocketmq_blocking::{
    Error, ErrorKind, Message, MessageQueue, Producer, Result, SendFate, SendReceipt,
};

use ledger::{Counts, Doubts, Ledger};
use proxy::Proxy;

/// Only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The timeout of sends that are not to end by time.
pub const LONG: Duration = Duration::from_secs(60);

/// The timeout of sends that are: long enough to be sent on a busy machine, and for a silence that counts.
pub const SHORT: Duration = Duration::from_secs(2);

/// Whatever a case leaves open is decided by this.
pub const SEED: u64 = 0x5EED;

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub struct Bench {
    pub cluster: Cluster,
    pub brokers: Vec<Proxy>,
    pub name_servers: Vec<Proxy>,
    ledger: Arc<Ledger>,
    producers: Mutex<Vec<Producer>>,
    keys: AtomicU64,
}

/// One way to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Sync,
    Async,
}

pub const MODES: [Mode; 2] = [Mode::Sync, Mode::Async];

/// A send that has begun.
pub struct Sent {
    key: String,
    ledger: Arc<Ledger>,
}

/// Runs a case on a cluster of this many brokers, each with one queue of the topic `T`, and one
/// name server; all of them behind proxies. Afterwards all faults end, sends must work again, and
/// every invariant is checked.
#[track_caller]
pub fn check(brokers: usize, case: impl FnOnce(&Bench)) {
    check_with(brokers, 1, case);
}

/// The same with several name servers.
#[track_caller]
pub fn check_with(brokers: usize, name_servers: usize, case: impl FnOnce(&Bench)) {
    check_at(Ipv4Addr::LOCALHOST.into(), brokers, name_servers, case);
}

/// The same with proxies at this address.
#[track_caller]
pub fn check_at(address: IpAddr, brokers: usize, name_servers: usize, case: impl FnOnce(&Bench)) {
    watch::start();
    let before = watch::resources();
    let bench = Bench::start(address, brokers, name_servers);
    case(&bench);
    bench.finish();
    watch::check();
    if let Some(before) = before {
        // The system forgets a joined thread a little later: also one of the case before, which was
        // still counted at the beginning.
        eventually(
            "I5: no more threads and files than at the beginning",
            || watch::resources().is_some_and(|now| now.0 <= before.0 && now.1 <= before.1),
        );
    }
}

impl Bench {
    fn start(at: IpAddr, brokers: usize, name_servers: usize) -> Bench {
        let cluster = Cluster::builder()
            .brokers(brokers)
            .name_servers(name_servers)
            .max_message_size(16 << 20)
            .topic("T", 1);
        let cluster = cluster.start().expect("free ports");
        let proxy = |server: SocketAddr| Proxy::start(at, server, SEED);
        let name_servers = cluster.name_servers().iter().map(|s| proxy(s.address()));
        let name_servers = name_servers.collect();
        let brokers: Vec<_> = cluster
            .brokers()
            .iter()
            .map(|b| proxy(b.address()))
            .collect();
        let bench = Bench {
            cluster,
            brokers,
            name_servers,
            ledger: Arc::new(Ledger::new()),
            producers: Mutex::default(),
            keys: AtomicU64::new(0),
        };
        bench.add_topic("T");
        bench
    }

    /// Another topic like `T`, of which the ledger knows nothing: no message of it is kept there.
    pub fn add_topic(&self, topic: &str) {
        let names = self.cluster.brokers().iter().map(|b| b.name().to_owned());
        let addresses = self.brokers.iter().map(|proxy| proxy.address().to_string());
        self.cluster
            .set_route(topic, Some(route(names.zip(addresses))));
    }

    /// The proxy of the first broker.
    pub fn broker(&self) -> &Proxy {
        &self.brokers[0]
    }

    /// The addresses of the name servers' proxies.
    pub fn name_server(&self) -> String {
        let addresses = self.name_servers.iter().map(|p| p.address().to_string());
        addresses.collect::<Vec<_>>().join(";")
    }

    /// A producer that makes one attempt and has so much time that only events end its sends.
    pub fn patient(&self) -> Producer {
        self.producer(|setup| setup.retries(0).async_retries(0).send_timeout(LONG))
    }

    /// One that knows the route and has no connection: short sends have all their time for the broker.
    #[track_caller]
    pub fn taught(&self, set: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Producer {
        let producer = self.producer(|setup| set(setup.retries(0).async_retries(0)));
        // An index that cannot be: nothing is sent.
        let nothing = Message::new("T", "x");
        let nothing = producer.prepare(&nothing).select(|_| usize::MAX);
        assert!(nothing.timeout(PATIENCE).send().is_err());
        assert_eq!(producer.client().describe().topics.len(), 1);
        producer
    }

    /// A producer outside of the bench, without the checks at the end.
    pub fn setup(&self, group: &str) -> ProducerBuilder {
        Producer::builder(group).name_server(self.name_server())
    }

    pub fn producer(&self, set: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Producer {
        let group = format!("group-{}", self.producers.lock().len());
        let setup = Producer::builder(group).name_server(self.name_server());
        let producer = set(setup).start().expect("a producer");
        self.producers.lock().push(producer.clone());
        producer
    }

    /// A hook that has copies explained by attempts that may have stored one, and not by any.
    pub fn doubts(&self) -> Doubts {
        self.ledger.doubts()
    }

    /// A message of the topic `T` with its own key and an incompressible body of this size.
    fn message(&self, bytes: usize) -> Message {
        let key = self.keys.fetch_add(1, Ordering::SeqCst);
        let mut state = SEED ^ (key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut body = watch::CANARY.as_bytes().to_vec();
        body.resize_with(bytes.max(body.len()), || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        });
        Message::new("T", body).unique_key(format!("{key:032X}"))
    }

    pub fn send(&self, producer: &Producer, timeout: Duration) -> Result<SendReceipt> {
        self.send_in(Mode::Sync, producer, timeout)
    }

    pub fn send_in(
        &self,
        mode: Mode,
        producer: &Producer,
        timeout: Duration,
    ) -> Result<SendReceipt> {
        self.begin(mode, producer, None, timeout, 0).outcome()
    }

    pub fn send_bytes(
        &self,
        mode: Mode,
        producer: &Producer,
        timeout: Duration,
        bytes: usize,
    ) -> Result<SendReceipt> {
        self.begin(mode, producer, None, timeout, bytes).outcome()
    }

    /// Begins a send that goes on while the test does something else.
    pub fn submit(&self, producer: &Producer, timeout: Duration) -> Sent {
        self.begin(Mode::Async, producer, None, timeout, 0)
    }

    /// The same, to a broker of one's choice.
    pub fn submit_to(&self, broker: &str, producer: &Producer, timeout: Duration) -> Sent {
        let queue = MessageQueue::new("T", broker, 0);
        self.begin(Mode::Async, producer, Some(queue), timeout, 0)
    }

    /// The same, with a thread that waits for its handle.
    pub fn submit_and_wait(&self, producer: &Producer, timeout: Duration) -> Sent {
        let (message, sent) = self.noted(timeout, 0);
        let handle = producer.prepare(&message).timeout(timeout).submit();
        let (ledger, key) = (sent.ledger.clone(), sent.key.clone());
        thread::spawn(move || ledger.end(&key, handle.wait()));
        sent
    }

    /// A synchronous send is over when this returns.
    fn begin(
        &self,
        mode: Mode,
        producer: &Producer,
        queue: Option<MessageQueue>,
        timeout: Duration,
        bytes: usize,
    ) -> Sent {
        let (message, sent) = self.noted(timeout, bytes);
        let mut prepared = producer.prepare(&message).timeout(timeout);
        if let Some(queue) = queue {
            prepared = prepared.queue(queue);
        }
        match mode {
            Mode::Sync => self.ledger.end(&sent.key, prepared.send()),
            Mode::Async => {
                let (ledger, key) = (self.ledger.clone(), sent.key.clone());
                prepared.send_async(move |outcome| ledger.end(&key, outcome));
            }
        }
        sent
    }

    /// A message for a send that begins now.
    fn noted(&self, timeout: Duration, bytes: usize) -> (Message, Sent) {
        let message = self.message(bytes);
        let key = message.get_unique_key().expect("just set").to_owned();
        let ledger = self.ledger.clone();
        ledger.begin(&key, timeout, message.body().to_vec());
        (message, Sent { key, ledger })
    }

    /// Answers will be changed on the wire: their content is no longer checked.
    pub fn distrust(&self) {
        self.ledger.distrust();
    }

    /// The outcomes of all sends so far, after waiting for all of them.
    #[track_caller]
    pub fn counts(&self) -> Counts {
        self.ledger.settle();
        self.ledger.counts()
    }

    /// The legal lateness.
    pub fn slack(&self) -> Duration {
        self.ledger.slack()
    }

    /// Fails if more than `most` and what the machine adds has passed.
    #[track_caller]
    pub fn check_within(&self, most: Duration, start: Instant, end: Instant) {
        let took = end.saturating_duration_since(start);
        let slack = self.slack();
        assert!(
            took <= most + slack,
            "{took:?} instead of {most:?} + {slack:?}"
        );
    }

    /// Checks that something takes no longer than this. Other work delays it at random, the client
    /// delays it each time: so the best of many tries counts.
    #[track_caller]
    pub fn check_prompt(&self, most: Duration, mut took: impl FnMut() -> Duration) {
        let (start, mut best) = (Instant::now(), Duration::MAX);
        loop {
            best = best.min(took());
            if best <= most {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "not once within {most:?}: {best:?}"
            );
            // Other tests come in bursts.
            thread::sleep(ms(20));
        }
    }

    /// Sends until it works: after a break the address is in back-off for a moment.
    #[track_caller]
    pub fn check_heals(&self, producer: &Producer) {
        eventually("sends work again", || self.send(producer, LONG).is_ok());
    }

    #[track_caller]
    fn finish(self) {
        self.ledger.settle();
        for proxy in self.brokers.iter().chain(&self.name_servers) {
            proxy.release();
        }
        let producers = self.producers.lock().split_off(0);
        for producer in &producers {
            self.check_heals(producer);
        }
        for proxy in self.brokers.iter().chain(&self.name_servers) {
            eventually("I7: one connection for each client", || {
                proxy.live() <= producers.len()
            });
        }
        for producer in &producers {
            let report = producer.shutdown_within(PATIENCE);
            assert!(report.is_clean(), "I5: {report}");
        }
        drop(producers);
        for proxy in self.brokers.iter().chain(&self.name_servers) {
            eventually("I5: every connection ends", || proxy.live() == 0);
        }
        for broker in self.cluster.brokers() {
            assert!(broker.wait_for_connections(0, PATIENCE));
        }
        self.ledger.check(&self.cluster.messages("T"));
    }
}

impl Sent {
    pub fn is_over(&self) -> bool {
        self.ledger.is_over(&self.key)
    }

    #[track_caller]
    pub fn outcome(&self) -> Result<SendReceipt> {
        self.ledger.outcome(&self.key).1
    }

    /// When it was over.
    #[track_caller]
    pub fn ended(&self) -> Instant {
        self.ledger.outcome(&self.key).0
    }
}

/// A route of one queue on each of these brokers.
pub fn route(brokers: impl Iterator<Item = (String, String)>) -> TopicRoute {
    let mut route = TopicRoute::default();
    for (name, address) in brokers {
        route.queue_datas.push(QueueData {
            broker_name: name.clone(),
            read_queue_nums: 1,
            write_queue_nums: 1,
            perm: 6,
            topic_sys_flag: 0,
        });
        route.broker_datas.push(BrokerData {
            cluster: "DefaultCluster".to_owned(),
            broker_name: name,
            broker_addrs: [(0, address)].into(),
            enable_acting_master: false,
        });
    }
    route
}

#[track_caller]
pub fn error(result: Result<SendReceipt>) -> Error {
    result.expect_err("the send was to fail")
}

/// Checks that a send failed with one of these kinds, and with this fate.
#[track_caller]
pub fn check_error(result: Result<SendReceipt>, kinds: &[ErrorKind], delivery: SendFate) {
    let error = error(result);
    assert!(kinds.contains(&error.kind()), "{error}");
    assert_eq!(error.fate(), delivery, "{error}");
}

/// Checks that a send timed out in this wait, and with this fate.
#[track_caller]
pub fn check_timeout(result: Result<SendReceipt>, wait: Wait, delivery: SendFate) {
    let error = error(result);
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(error.wait(), Some(wait), "{error}");
    assert_eq!(error.fate(), delivery, "{error}");
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
