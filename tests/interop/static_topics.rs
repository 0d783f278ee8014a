//! A static topic of real brokers, whose logical queues an operator moves from broker to broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rocketmq_blocking::consumer::PushConsumerBuilder;
use rocketmq_blocking::{
    ClientOptions, Message, MessageQueue, Producer, PullConsumer, PushConsumer, Retry,
    SimpleConsumer, StartFrom,
};

use crate::servers::peer::Mqadmin;
use crate::servers::{PATIENCE, Server, Version, eventually};
use crate::support::skipped;

const TOPIC: &str = "StaticTopic";
const QUEUES: usize = 8;

/// Offsets and bodies, by queue, in order.
type ByQueue = BTreeMap<MessageQueue, Vec<(i64, usize)>>;

/// What a consumer has handled.
#[derive(Clone, Default)]
struct Handled(Arc<Mutex<ByQueue>>);

impl Handled {
    fn note(&self, queue: &MessageQueue, offset: i64, body: &str) {
        let number = body.parse().expect("a number");
        let mut handled = self.0.lock().unwrap();
        let of_queue = handled.entry(queue.clone()).or_default();
        of_queue.push((offset, number));
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().values().map(Vec::len).sum()
    }

    fn all(&self) -> Vec<usize> {
        let handled = self.0.lock().unwrap();
        let numbers = handled.values().flatten().map(|(_, number)| *number);
        let mut numbers: Vec<usize> = numbers.collect();
        numbers.sort_unstable();
        numbers
    }

    /// Whether each queue was handled by rising offsets, each once, and in the order of the sends.
    fn is_in_order(&self) -> bool {
        let handled = self.0.lock().unwrap();
        handled
            .values()
            .all(|of_queue| of_queue.is_sorted_by(|a, b| a < b && a.1 < b.1))
    }
}

fn queue(id: usize) -> MessageQueue {
    MessageQueue::new(TOPIC, "__syslo__global__", id as i32)
}

fn push(server: &Server, group: &str) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(TOPIC, "*")
        .start_from(StartFrom::First)
        .commit_interval(Duration::from_millis(500))
}

/// Sends numbers to the queues in turn until it is stopped. Returns how many.
fn send(producer: Producer, stop: Arc<AtomicBool>) -> JoinHandle<usize> {
    thread::spawn(move || {
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            let message = Message::new(TOPIC, number.to_string());
            // While a queue moves, neither broker may take its messages.
            eventually("it is stored", || {
                let queue = queue(number % QUEUES);
                producer.prepare(&message).queue(queue).send().is_ok()
            });
            number += 1;
            thread::sleep(Duration::from_millis(2));
        }
        number
    })
}

/// Polls and marks until it is stopped.
fn poll(consumer: PullConsumer, handled: Handled, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            for message in consumer.poll(Duration::from_millis(500)).expect("no error") {
                let queue = message.queue().expect("a queue").clone();
                let body = message.text().expect("text").to_owned();
                handled.note(&queue, message.queue_offset(), &body);
                message.done();
            }
        }
        consumer.commit().expect("confirmed");
        consumer.shutdown();
    })
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn nothing_is_lost_or_disordered_while_queues_move() {
    let server = Server::from_env();
    if server.version == Version::V4 {
        return skipped("brokers 4.x have no static topics");
    }
    let mut tool = Mqadmin::start(&server.name_server);
    tool.run(&format!(
        "updateStaticTopic -t {TOPIC} -qn {QUEUES} -c DefaultCluster"
    ));
    let options = ClientOptions::new().route_interval(Duration::from_secs(5));
    let started = server
        .producer("static-send")
        .options(options.clone())
        .start();
    let producer = started.unwrap();
    let admin = producer.admin();
    let expected: Vec<MessageQueue> = (0..QUEUES).map(queue).collect();
    eventually("its route", || {
        admin
            .subscribe_queues(TOPIC)
            .is_ok_and(|queues| queues == expected)
    });
    let stop: Arc<AtomicBool> = Arc::default();
    let sending = send(producer.clone(), stop.clone());

    let (pushed, again) = (Handled::default(), Arc::new(Mutex::new(BTreeSet::new())));
    let (seen, failed) = (pushed.clone(), again.clone());
    let concurrent = push(&server, "static-push").options(options.clone());
    let concurrent = concurrent.name_server(&server.name_server);
    let concurrent = concurrent
        .start(move |message| {
            let number: usize = message.text()?.parse()?;
            // Every tenth goes back to the broker that stored it, and comes again.
            if number % 10 == 3 && message.reconsume_times() == 0 {
                failed.lock().unwrap().insert(number);
                return Err(Retry::level(1));
            }
            let queue = message.queue().expect("a queue");
            seen.note(queue, message.queue_offset(), message.text()?);
            Ok(())
        })
        .unwrap();
    let in_order = Handled::default();
    let seen = in_order.clone();
    let ordered = push(&server, "static-ordered").options(options.clone());
    let ordered = ordered.name_server(&server.name_server);
    let ordered = ordered
        .start_ordered(move |message| -> Result<(), Retry> {
            let queue = message.queue().expect("a queue");
            seen.note(queue, message.queue_offset(), message.text()?);
            Ok(())
        })
        .unwrap();
    let polled = Handled::default();
    let pulling = PullConsumer::builder("static-pull")
        .options(options)
        .name_server(&server.name_server)
        .subscribe(TOPIC, "*")
        .start_from(StartFrom::First)
        .start()
        .unwrap();
    let done: Arc<AtomicBool> = Arc::default();
    let polling = poll(pulling, polled.clone(), done.clone());

    let flowing = |at_least: usize| {
        eventually("messages flow", || {
            let counts = [pushed.count(), in_order.count(), polled.count()];
            counts.iter().all(|count| *count >= at_least)
        });
    };
    flowing(500);
    for to in ["broker-a", "broker-b"] {
        tool.run(&format!("remappingStaticTopic -t {TOPIC} -b {to}"));
        let before = in_order.count();
        flowing(before + 500);
    }
    stop.store(true, Ordering::Relaxed);
    let sent = sending.join().unwrap();
    let wanted: Vec<usize> = (0..sent).collect();
    for (handled, what) in [(&pushed, "push"), (&in_order, "ordered"), (&polled, "pull")] {
        let start = Instant::now();
        while handled.count() < sent && start.elapsed() < 2 * PATIENCE {
            thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(handled.all(), wanted, "{what}");
    }
    let failed: BTreeSet<usize> = wanted.iter().copied().filter(|n| n % 10 == 3).collect();
    assert_eq!(*again.lock().unwrap(), failed);
    assert!(in_order.is_in_order() && polled.is_in_order());
    let queues: Vec<MessageQueue> = in_order.0.lock().unwrap().keys().cloned().collect();
    assert_eq!(queues, expected);
    assert!(concurrent.shutdown_within(PATIENCE).is_clean());
    assert!(ordered.shutdown_within(PATIENCE).is_clean());
    done.store(true, Ordering::Relaxed);
    polling.join().unwrap();
    for group in ["static-push", "static-ordered", "static-pull"] {
        for queue in &expected {
            let end = admin.max_offset(queue).unwrap();
            let committed = admin.committed_offset(group, queue).unwrap();
            assert_eq!(committed, Some(end), "{group} {queue}");
        }
    }

    // POP knows the brokers' own queues only.
    let simple = SimpleConsumer::builder("static-simple")
        .name_server(&server.name_server)
        .subscribe(TOPIC, "*")
        .start_from(StartFrom::First)
        .wait(Duration::from_secs(2))
        .start()
        .unwrap();
    let (mut last, mut popped) = (Instant::now(), BTreeMap::new());
    while popped.len() < sent && last.elapsed() < 2 * PATIENCE {
        let received = simple.receive(32, Duration::from_secs(120)).unwrap();
        for message in &received {
            let number: usize = message.text().unwrap().parse().unwrap();
            let broker = message.queue().unwrap().broker().to_owned();
            assert_eq!(popped.insert(number, broker), None);
            last = Instant::now();
        }
        assert!(simple.ack_all(&received).is_ok());
    }
    assert_eq!(popped.keys().copied().collect::<Vec<_>>(), wanted);
    let brokers: BTreeSet<&str> = popped.values().map(String::as_str).collect();
    assert_eq!(brokers, ["broker-a", "broker-b"].into());
    simple.shutdown();
}
