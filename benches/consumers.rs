//! Messages per second of consumers that pull and of those that pop, in turn, each as a new group that
//! reads a topic from its first message on:
//!
//! ```text
//! tests/rocketmq/run.sh 5.4.0 -- cargo bench -p rocketmq-blocking-benches --bench consumers
//! ```
//!
//! Without `ROCKETMQ_NAME_SERVER` it has a cluster in the same process. The rate counts from the first to the
//! last settled message. It has no figure to compare with yet.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{
    Batch, Client, ClientOptions, Message, Producer, PullConsumer, PushConsumer, SimpleConsumer,
    StartFrom,
};

const TOPIC: &str = "Consumed";

/// Longer than a run takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Threads that receive, of a simple consumer.
const RECEIVERS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    PushPulled,
    PushPopped,
    Pull,
    /// An ack for each message.
    Simple,
    /// An ack for all messages of a receive.
    SimpleBatch,
}

const KINDS: [Kind; 5] = [
    Kind::PushPulled,
    Kind::PushPopped,
    Kind::Pull,
    Kind::Simple,
    Kind::SimpleBatch,
];

/// How many messages have been settled, and when the first and the last one were.
#[derive(Default)]
struct Count {
    settled: AtomicUsize,
    first: OnceLock<Instant>,
    last: OnceLock<Instant>,
}

impl Count {
    fn add(&self, more: usize, all: usize) {
        if more == 0 {
            return;
        }
        let now = Instant::now();
        self.first.get_or_init(|| now);
        if self.settled.fetch_add(more, Relaxed) + more >= all {
            self.last.get_or_init(|| now);
        }
    }

    fn is_done(&self) -> bool {
        self.last.get().is_some()
    }

    fn wait(&self) {
        let start = Instant::now();
        while !self.is_done() {
            assert!(start.elapsed() < PATIENCE, "messages are missing");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn main() {
    let asked = |name: &str, default| match env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    };
    let messages: usize = asked("CONSUMED_MESSAGES", 50_000);
    let (body, rounds) = (asked("CONSUMED_BODY", 1024), asked("CONSUMED_ROUNDS", 3));
    let cluster = env::var("ROCKETMQ_NAME_SERVER").map_or_else(
        |_| Err(Cluster::builder().start().expect("a cluster")),
        Ok::<String, Cluster>,
    );
    let name_server = match &cluster {
        Ok(address) => address.clone(),
        Err(cluster) => cluster.name_server(),
    };
    fill(&name_server, messages, body);
    let mut rates: BTreeMap<Kind, Vec<f64>> = BTreeMap::new();
    for round in 0..rounds {
        for kind in KINDS {
            let rate = run(&name_server, kind, round, messages);
            println!("{kind:?}: {rate:.0}/s");
            rates.entry(kind).or_default().push(rate);
        }
    }
    let middle = |kind: Kind| {
        let rates = rates.get_mut(&kind).expect("it ran");
        rates.sort_unstable_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let [pulled, rest @ ..] = KINDS.map(middle);
    println!("medians: {:?} {pulled:.0}/s", KINDS[0]);
    for (kind, rate) in KINDS[1..].iter().zip(rest) {
        println!("{kind:?} {rate:.0}/s, {:.2} of it", rate / pulled);
    }
}

fn fill(name_server: &str, messages: usize, body: usize) {
    let producer = Producer::builder("fill").name_server(name_server);
    let producer = producer.start().expect("a producer");
    let mut left = messages;
    while left > 0 {
        let now = left.min(32);
        let all = std::iter::repeat_with(|| Message::new(TOPIC, vec![b'a'; body])).take(now);
        let batch = Batch::new(all).expect("a batch");
        producer.send_batch(&batch).map(drop).expect("stored");
        left -= now;
    }
}

fn run(name_server: &str, kind: Kind, round: usize, messages: usize) -> f64 {
    let group = format!("{kind:?}-{round}");
    let options = || ClientOptions::new().name_server(name_server);
    let count = Arc::new(Count::default());
    match kind {
        Kind::PushPulled | Kind::PushPopped => {
            if kind == Kind::PushPopped {
                let client = Client::start(options()).expect("a client");
                let set = client.admin().group(&*group).set_pop(TOPIC, 0);
                set.expect("a broker that has POP");
            }
            let counting = count.clone();
            let consumer = PushConsumer::builder(group)
                .options(options())
                .subscribe(TOPIC, "*")
                .start_from(StartFrom::First)
                .broker_assignment(kind == Kind::PushPopped)
                .start(move |_| {
                    counting.add(1, messages);
                    Ok(())
                });
            let consumer = consumer.expect("a consumer");
            count.wait();
            consumer.shutdown();
        }
        Kind::Pull => {
            let consumer = PullConsumer::builder(group)
                .options(options())
                .subscribe(TOPIC, "*")
                .start_from(StartFrom::First)
                .start()
                .expect("a consumer");
            while !count.is_done() {
                let polled = consumer.poll(PATIENCE).expect("messages");
                let marked = polled.into_iter().map(|message| message.done());
                count.add(marked.filter(|done| *done).count(), messages);
            }
            consumer.shutdown();
        }
        Kind::Simple | Kind::SimpleBatch => {
            let consumer = SimpleConsumer::builder(group)
                .options(options())
                .subscribe(TOPIC, "*")
                .start_from(StartFrom::First)
                .start()
                .expect("a consumer");
            thread::scope(|scope| {
                for _ in 0..RECEIVERS {
                    scope.spawn(|| receive(&consumer, kind, &count, messages));
                }
            });
            consumer.shutdown();
        }
    }
    let (first, last) = (count.first.get(), count.last.get());
    let took = *last.expect("the last") - *first.expect("the first");
    messages as f64 / took.as_secs_f64()
}

fn receive(consumer: &SimpleConsumer, kind: Kind, count: &Count, messages: usize) {
    while !count.is_done() {
        let wait = Duration::from_millis(200);
        let received = consumer
            .receive_within(32, PATIENCE, wait)
            .expect("no error");
        if kind == Kind::SimpleBatch {
            drop(consumer.ack_all(&received).expect("no error"));
        } else {
            for message in &received {
                message.ack().map(drop).expect("no error");
            }
        }
        count.add(received.len(), messages);
    }
}
