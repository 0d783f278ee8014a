//! Faults of consumers: the rows of `src/docs/contributing/consumer_faults.md` that need broken links, damaged
//! answers or many rounds.

mod corrupt;
mod cuts;
mod isolated;
mod leaks;
mod links;
mod storm;
mod topics;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rocketmq_blocking::consumer::PushConsumerBuilder;
use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::protocol::Command;
use rocketmq_blocking::protocol::code::{request, response};
use rocketmq_blocking::{Message, MessageQueue, MessageView, Producer, PushConsumer, StartFrom};

use crate::bench::proxy::Proxy;
use crate::bench::{PATIENCE, SEED, eventually};
use crate::support::{Peer, Stub};

/// How long brokers hold a pull.
const HOLD: Duration = Duration::from_secs(15);

/// One broker with so many queues of the topic `T`.
fn cluster(queues: i32) -> Cluster {
    let builder = Cluster::builder().topic("T", queues);
    builder.start().expect("free ports")
}

/// A consumer of all messages of `T`.
fn consumer(name_server: &str) -> PushConsumerBuilder {
    PushConsumer::builder("g")
        .name_server(name_server)
        .subscribe("T", "*")
        .start_from(StartFrom::First)
}

fn queue(id: i32) -> MessageQueue {
    MessageQueue::new("T", "broker-a", id)
}

/// Sends the numbers, each to the queue that has its turn.
#[track_caller]
fn send(producer: &Producer, queues: i32, numbers: Range<usize>) {
    for number in numbers {
        send_to(producer, queue(number as i32 % queues), number);
    }
}

#[track_caller]
fn send_to(producer: &Producer, queue: MessageQueue, number: usize) {
    let message = Message::new("T", number.to_string());
    let sent = producer.prepare(&message).queue(queue).send();
    assert!(sent.is_ok(), "{sent:?}");
}

/// How often handlers have had each message.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<usize, usize>>>);

impl Seen {
    fn start(&self, builder: PushConsumerBuilder) -> PushConsumer {
        let own = self.clone();
        let started = builder.start(move |message| {
            own.note(message);
            Ok(())
        });
        started.expect("a consumer")
    }

    /// Returns its number.
    fn note(&self, message: &MessageView) -> usize {
        let number = message.text().expect("text").parse().expect("a number");
        *self.0.lock().entry(number).or_default() += 1;
        number
    }

    fn count(&self) -> usize {
        self.0.lock().len()
    }

    #[track_caller]
    fn wait_for(&self, count: usize) {
        let what = format!("{count} messages");
        eventually(&what, || self.count() >= count);
    }

    /// Each of the messages below this number has come, and those that came more than once.
    #[track_caller]
    fn repeated_of(&self, count: usize) -> Vec<usize> {
        let seen = self.0.lock();
        let numbers: Vec<usize> = seen.keys().copied().collect();
        assert_eq!(numbers, Vec::from_iter(0..count));
        let more = seen.iter().filter(|(_, times)| **times > 1);
        more.map(|(number, _)| *number).collect()
    }

    /// All messages below this number have come, and each once.
    #[track_caller]
    fn check_once(&self, count: usize) {
        assert_eq!(self.repeated_of(count), [0_usize; 0], "came more than once");
    }
}

/// The commits that brokers got for each queue.
#[derive(Default)]
struct Commits(BTreeMap<(String, String, String), i64>);

impl Commits {
    /// The offset of a queue never falls, in the order in which the requests came. The requests are
    /// forgotten.
    #[track_caller]
    fn check(&mut self, cluster: &Cluster) {
        let requests = cluster.requests(&On::Commit);
        cluster.clear_requests();
        for request in requests {
            let field = |name: &str| request.command().ext.text(name).expect("a field");
            let offset: i64 = field("commitOffset").parse().expect("a number");
            let key = (
                request.server().to_owned(),
                field("topic"),
                field("queueId"),
            );
            let last = self.0.entry(key.clone()).or_default();
            assert!(*last <= offset, "{key:?} falls from {last} to {offset}");
            *last = offset;
        }
    }
}

/// Checks the commits of a whole test.
#[track_caller]
fn check_commits(cluster: &Cluster) {
    Commits::default().check(cluster);
}

/// The number of requests of the log that are such.
fn count(cluster: &Cluster, on: On) -> usize {
    cluster.requests(&on).len()
}

/// Requests of this kind for one queue of `T`.
fn of_queue(on: On, id: i32) -> On {
    let id = id.to_string();
    On::when(move |command| {
        let is = |name, value| command.ext.get(name) == Some(value);
        on.matches(command) && is("topic", "T") && is("queueId", &*id)
    })
}

/// A cluster behind proxies, for those who ask this name server. Others go to the brokers themselves.
struct Behind {
    cluster: Arc<Cluster>,
    brokers: Vec<Proxy>,
    names: Stub,
}

impl Behind {
    fn start(cluster: Cluster) -> Behind {
        let cluster = Arc::new(cluster);
        let proxy = |server| Proxy::start(Ipv4Addr::LOCALHOST.into(), server, SEED);
        let addresses = cluster.brokers().iter().map(|broker| broker.address());
        let addresses: Vec<_> = addresses.collect();
        let brokers: Vec<Proxy> = addresses.iter().map(|address| proxy(*address)).collect();
        let fronts = brokers.iter().map(|proxy| proxy.address().to_string());
        let fronts = addresses.iter().map(ToString::to_string).zip(fronts);
        let fronts: BTreeMap<String, String> = fronts.collect();
        let known = Arc::downgrade(&cluster);
        let names = Stub::start(move |mut peer: Peer| {
            while let Some(request) = peer.read() {
                let Some(cluster) = known.upgrade() else {
                    return;
                };
                peer.write(&route(&cluster, &fronts, &request));
            }
        });
        Behind {
            cluster,
            brokers,
            names,
        }
    }

    fn name_server(&self) -> String {
        self.names.address.to_string()
    }

    /// The proxy of the first broker.
    fn broker(&self) -> &Proxy {
        &self.brokers[0]
    }

    /// From now on nothing passes between a broker and those behind its proxy, and nobody hears of it.
    fn cut_off(&self, brokers: &[Proxy]) {
        for broker in brokers {
            broker.lose();
            broker.hole();
        }
    }
}

/// A name server's answer: the proxies' addresses in place of the brokers'.
fn route(cluster: &Cluster, fronts: &BTreeMap<String, String>, request: &Command) -> Command {
    let topic = request.ext.get("topic").unwrap_or_default();
    let found = match request.code {
        request::GET_ROUTEINFO_BY_TOPIC => cluster.route(topic),
        _ => None,
    };
    let Some(mut route) = found else {
        return Command::response_to(request, response::TOPIC_NOT_EXIST);
    };
    let brokers = route.broker_datas.iter_mut();
    for address in brokers.flat_map(|broker| broker.broker_addrs.values_mut()) {
        if let Some(front) = fronts.get(address) {
            address.clone_from(front);
        }
    }
    Command::response_to(request, response::SUCCESS).with_body(route.encode())
}

/// Ends it, and checks that nothing was left over.
#[track_caller]
fn end(consumer: &PushConsumer) {
    let report = consumer.shutdown_within(PATIENCE);
    assert!(report.is_clean(), "{report}");
}
