//! A member of this crate that is killed in a group with Java's: the others go on with its queues.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::ChildStdout;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::{Message, MessageQueue, Producer, PushConsumer, StartFrom};

use crate::ledger::member::Settings;
use crate::ledger::record::{Outcome, Record, What};
use crate::servers::peer::Peer;
use crate::servers::{PATIENCE, Server, eventually, wire, within};

const QUEUES: i32 = 6;
const TOPIC: &str = "Takeover";
const GROUP: &str = "takeover";

/// What the killed one has done, by number; and what it had begun.
#[derive(Default)]
struct Seen {
    begun: BTreeSet<u64>,
    done: BTreeSet<u64>,
    queues: usize,
}

fn listen(output: ChildStdout, seen: &Arc<Mutex<Seen>>) -> thread::JoinHandle<()> {
    let seen = seen.clone();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let Ok(record) = serde_json::from_str::<Record>(&line) else {
                continue;
            };
            let mut seen = seen.lock().unwrap();
            match record.what {
                What::Enter(enter) => drop(seen.begun.insert(enter.key)),
                What::Outcome {
                    enter,
                    outcome: Outcome::Done,
                } => drop(seen.done.insert(enter.key)),
                What::Assigned { queues, .. } => {
                    let of_topic = queues.iter().filter(|queue| queue.topic == TOPIC);
                    seen.queues = of_topic.count();
                }
                _ => {}
            }
        }
    })
}

fn send(producer: &Producer, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let id = i32::try_from(n).expect("small") % QUEUES;
        let message = Message::new(TOPIC, n.to_string());
        let queue = MessageQueue::new(TOPIC, "broker-a", id);
        let sent = producer.prepare(&message).queue(queue).send();
        assert!(sent.is_ok(), "{sent:?}");
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn the_queues_of_a_killed_member_are_taken_by_java_and_by_ours_and_nothing_is_lost() {
    let server = Server::from_env();
    let producer = server.producer("takeover-send").start().unwrap();
    let address = &server.brokers[0].address;
    wire::create_topic(address, TOPIC, QUEUES.unsigned_abs(), 6);
    eventually("the topic has a route", || {
        producer.admin().publish_queues(TOPIC).is_ok()
    });
    let mut java = Peer::start(&server.name_server);
    java.member("j", "push", "averagely", GROUP, TOPIC);
    let ours: Arc<Mutex<BTreeMap<u64, usize>>> = Arc::default();
    let counts = ours.clone();
    let consumer = PushConsumer::builder(GROUP)
        .name_server(&server.name_server)
        .instance_name("o")
        .subscribe(TOPIC, "*")
        .start_from(StartFrom::First)
        .start(move |message| {
            *counts
                .lock()
                .unwrap()
                .entry(message.text()?.parse()?)
                .or_default() += 1;
            Ok(())
        })
        .unwrap();
    let settings = Settings {
        name: "killed".to_owned(),
        instance: "k".to_owned(),
        name_server: server.name_server.clone(),
        group: GROUP.to_owned(),
        topic: TOPIC.to_owned(),
        is_ordered: false,
        window: 1000,
        threads: 4,
        work: Duration::from_millis(20),
        refused: u64::MAX,
        brokers: vec![(address.clone(), "broker-a".to_owned())],
    };
    let mut killed = settings.start();
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let listener = listen(killed.child.stdout.take().expect("a pipe"), &seen);
    let owned = || {
        let queues = consumer.assignment();
        queues.iter().filter(|queue| queue.topic() == TOPIC).count()
    };
    eventually("they share", || {
        let theirs = java.queues("j").len();
        (theirs, owned(), seen.lock().unwrap().queues) == (2, 2, 2)
    });
    // In the midst of its work.
    send(&producer, 0..600);
    eventually("it works", || seen.lock().unwrap().done.len() >= 20);
    killed.child.kill().expect("a child");
    let kill = Instant::now();
    killed.child.wait().expect("its end");
    listener.join().expect("its end");
    send(&producer, 600..900);
    eventually("its queues are taken", || {
        (java.queues("j").len(), owned()) == (3, 3)
    });
    println!("taken after {:?}", kill.elapsed());
    let seen = seen.lock().unwrap();
    let mut of_java: BTreeMap<u64, usize> = BTreeMap::new();
    let mut note_java = |java: &Peer| {
        for message in java.consumed() {
            let number = message.body.parse().expect("a number");
            *of_java.entry(number).or_default() += 1;
        }
        of_java.clone()
    };
    let missing = |of_java: &BTreeMap<u64, usize>| {
        let ours = ours.lock().unwrap();
        let is_there =
            |n: &u64| seen.done.contains(n) || of_java.contains_key(n) || ours.contains_key(n);
        (0..900).filter(|n| !is_there(n)).count()
    };
    within(2 * PATIENCE, "nothing is lost", || {
        missing(&note_java(&java)) == 0
    });
    println!("all there after {:?}", kill.elapsed());
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    java.end();
    // What came again to the others had been begun by the killed one, a commit ago at most, or its queue
    // had moved: nobody has a message twice.
    let ours = ours.lock().unwrap();
    let twice = ours.iter().chain(&of_java).filter(|(_, count)| **count > 1);
    assert_eq!(twice.count(), 0);
    let again = seen
        .begun
        .iter()
        .filter(|n| ours.contains_key(n) || of_java.contains_key(n));
    println!(
        "{} begun, {} of them came again",
        seen.begun.len(),
        again.count()
    );
}
