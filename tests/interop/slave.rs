//! A slave that serves reads: while its master suggests it, and while the master is down.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::hook::{RpcHook, RpcRequest, RpcResponse};
use rocketmq_blocking::{
    ClientOptions, Error, Message, MessageQueue, Producer, PushConsumer, StartFrom,
};

use crate::servers::mortal::Mortal;
use crate::servers::{PATIENCE, Server, env, eventually, wire, within};

const TOPIC: &str = "Slave";
const GROUP: &str = "slave";
const QUEUES: usize = 4;
const PULL: i32 = 11;

/// How many pulls each broker has answered with messages.
#[derive(Clone, Default)]
struct Pulls(Arc<Mutex<BTreeMap<String, usize>>>);

impl RpcHook for Pulls {
    fn after(&self, request: &RpcRequest, outcome: Result<RpcResponse<'_>, &Error>) {
        if request.code() == PULL && outcome.is_ok_and(|answer| answer.code().number() == 0) {
            let address = request.address().to_owned();
            *self.0.lock().unwrap().entry(address).or_default() += 1;
        }
    }
}

fn queues() -> Vec<MessageQueue> {
    let queue = |id| MessageQueue::new(TOPIC, "broker-a", id);
    (0..QUEUES as i32).map(queue).collect()
}

fn send(producer: &Producer, numbers: std::ops::Range<usize>) {
    let queues = queues();
    for n in numbers {
        let message = Message::new(TOPIC, n.to_string());
        let queue = queues[n % QUEUES].clone();
        // A master that is back is in the route a moment later.
        eventually("it is stored", || {
            let queue = queue.clone();
            producer.prepare(&message).queue(queue).send().is_ok()
        });
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_slave_is_read_from_when_it_is_suggested_and_while_its_master_is_down() {
    let server = Server::from_env();
    let (master, slave) = (&server.brokers[0], env("ROCKETMQ_SLAVE_ADDR"));
    let options = ClientOptions::new().route_interval(Duration::from_millis(500));
    let producer = server
        .producer("slave-send")
        .options(options)
        .start()
        .unwrap();
    wire::create_topic(&master.address, TOPIC, QUEUES as u32, 6);
    eventually("the topic has a route", || {
        producer.admin().publish_queues(TOPIC).is_ok()
    });
    let replicated = |count: usize| {
        let end = Some((count / QUEUES) as i64);
        eventually("replicated", || {
            (0..QUEUES as i32).all(|id| wire::max_offset(&slave, TOPIC, id) == end)
        });
    };
    send(&producer, 0..400);
    // Slaves copy the topics of their masters from time to time.
    let start = Instant::now();
    while !wire::knows_topic(&slave, TOPIC) {
        assert!(start.elapsed() < 4 * PATIENCE, "the slave knows the topic");
        thread::sleep(Duration::from_millis(200));
    }
    replicated(400);
    let counts: Arc<Mutex<BTreeMap<usize, usize>>> = Arc::default();
    let (pulls, seen) = (Pulls::default(), counts.clone());
    let consumer = PushConsumer::builder(GROUP)
        .name_server(&server.name_server)
        .options(ClientOptions::new().rpc_hook(pulls.clone()))
        .subscribe(TOPIC, "*")
        .start_from(StartFrom::First)
        .window(16)
        .pull_batch(8)
        .consume_threads(1)
        .start(move |message| {
            let number: usize = message.text()?.parse()?;
            if (400..600).contains(&number) {
                // Its lock is looked at, and its wait for it ends, while the slave serves.
                thread::sleep(Duration::from_millis(40));
            }
            *seen.lock().unwrap().entry(number).or_default() += 1;
            Ok(())
        })
        .unwrap();
    let handled = |count: usize| {
        eventually("handled", || counts.lock().unwrap().len() == count);
    };
    handled(400);
    // It was behind, and the master suggested the slave.
    let of_slave = || pulls.0.lock().unwrap().get(&slave).copied().unwrap_or(0);
    let before = of_slave();
    assert!(before > 0);

    let committed = |offset: i64| {
        let admin = producer.admin();
        let of = |queue| admin.committed_offset(GROUP, queue).ok().flatten();
        queues().iter().all(|queue| of(queue) == Some(offset))
    };
    consumer.pause();
    send(&producer, 400..600);
    replicated(600);
    let mut broker = Mortal::new(master);
    broker.kill();
    consumer.resume();
    handled(600);
    assert!(of_slave() > before);

    // The slave had the commits, and the master gets them when it is back.
    broker.start();
    within(4 * PATIENCE, "the master has the offsets", || {
        committed(150)
    });
    send(&producer, 600..700);
    handled(700);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(committed(175));
    let counts = counts.lock().unwrap();
    let again: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(again.is_empty(), "{again:?}");
}
