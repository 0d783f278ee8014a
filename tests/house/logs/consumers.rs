//! The events of consumers in the guide's table, brought about.

use std::fs;
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};

use log::Level;
use rocketmq_blocking::consumer::{Allocation, PushConsumerBuilder};
use rocketmq_blocking::embedded::{Fault, On, Release};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{
    ClientOptions, MessageQueue, PushConsumer, Retry, SimpleConsumer, StartFrom,
};

use super::events::{Event, SOON};
use super::*;
use crate::support::files::Folder;

/// The shortest time for which a message can be hidden.
const HIDDEN: Duration = Duration::from_secs(1);

pub const EVENTS: &[Event] = &[
    (
        Level::Error,
        "consumer",
        "a handler that panicked",
        "the handler panicked",
        |wait| {
            let cluster = brokers(1);
            let started = consumer(&cluster).start(|_| panic!("a test's own panic"));
            let _consumer = started.unwrap();
            send(&cluster);
            wait();
        },
    ),
    (
        Level::Error,
        "consumer",
        "a listener of events that panicked",
        "a listener of events panicked",
        |wait| {
            let cluster = brokers(1);
            let builder = consumer(&cluster).events(|_| panic!("a test's own panic"));
            let _consumer = builder.start(|_| Ok(())).unwrap();
            wait();
        },
    ),
    (
        Level::Warn,
        "consumer",
        "a failed message that broadcasting drops",
        "broadcasting has no retries",
        |wait| {
            let cluster = brokers(1);
            let builder = consumer(&cluster).broadcast();
            let _consumer = builder.start(|_| Err(Retry::later())).unwrap();
            send(&cluster);
            wait();
        },
    ),
    (
        Level::Warn,
        "consumer",
        "trace that is off or lost*",
        "message trace is off",
        |wait| {
            let cluster = brokers(1);
            // The group of the trace would be longer than a group may be.
            let builder = PushConsumer::builder("g".repeat(120)).subscribe("T", "*");
            let builder = builder.name_server(cluster.name_server()).trace();
            let _consumer = builder.start(|_| Ok(())).unwrap();
            wait();
        },
    ),
    (
        Level::Warn,
        "consumer",
        "a handler that takes too long",
        "a handler has offset 0",
        |wait| {
            let cluster = brokers(1);
            let (_consumer, release) = stuck(consumer(&cluster).consume_timeout(SOON));
            send(&cluster);
            wait();
            drop(release);
        },
    ),
    (
        Level::Warn,
        "consumer",
        "a queue that was given up before its handlers ended or its offset was committed",
        "was given up with 1 messages in handlers",
        |wait| {
            let cluster = brokers(2);
            let (first, release) = stuck(consumer(&cluster).drain_time(Duration::ZERO));
            let producer = producer(&cluster);
            (0..2).for_each(|_| drop(producer.send(&message()).unwrap()));
            eventually("two handlers run", || running(&first) == 2);
            let _second = consumer(&cluster).start(|_| Ok(())).unwrap();
            wait();
            drop(release);
        },
    ),
    (
        Level::Warn,
        "consumer",
        "an offset that is not there, or was reset",
        "offset 0 has expired; going on at 1",
        |wait| {
            let cluster = brokers(1);
            let queue = MessageQueue::new("T", "broker-a", 0);
            (0..2).for_each(|_| send(&cluster));
            cluster.group("logs").commit(&queue, 0);
            cluster.delete_before(&queue, 1);
            let _consumer = consumer(&cluster).start(|_| Ok(())).unwrap();
            wait();
        },
    ),
    (
        Level::Warn,
        "consumer",
        "a broker that refuses a pull, or whose answer cannot be used",
        "the broker answered NO_PERMISSION (16)",
        |wait| {
            let cluster = brokers(1);
            fail(&cluster, Fault::answer(16, "no").on(On::Pull));
            let _consumer = consumer(&cluster).start(|_| Ok(())).unwrap();
            wait();
        },
    ),
    (
        Level::Warn,
        "consumer",
        "queues that cannot be divided",
        "the queues cannot be divided",
        |wait| {
            let cluster = brokers(1);
            let foreign = || vec![MessageQueue::new("T", "nowhere", 0)];
            let builder =
                consumer(&cluster).allocation(Allocation::custom("own", move |_| foreign()));
            let _consumer = builder.start(|_| Ok(())).unwrap();
            wait();
        },
    ),
    (
        Level::Warn,
        "consumer",
        "members that subscribe differently",
        "subscribe differently",
        |wait| {
            let cluster = brokers(1);
            let _one = consumer(&cluster).start(|_| Ok(())).unwrap();
            let other = PushConsumer::builder("logs").name_server(cluster.name_server());
            let _other = other.subscribe("T", "paid").start(|_| Ok(())).unwrap();
            wait();
        },
    ),
    (
        Level::Warn,
        "consumer",
        "two members with one client id",
        "several clients have the id of this member: 127.0.0.1:",
        |wait| {
            let cluster = brokers(1);
            let named = || consumer(&cluster).instance_name("same").start(|_| Ok(()));
            let _first = named().unwrap();
            // The second one starts because the first one seems to be dead.
            let state = On::Code(request::GET_CONSUMER_RUNNING_INFO);
            fail(&cluster, Fault::answer(1, "no").on(state));
            let _second = named().unwrap();
            wait();
        },
    ),
    (
        Level::Warn,
        "consumer",
        "offsets of broadcasting that are not saved",
        "the offsets are not saved",
        |wait| {
            let cluster = brokers(1);
            let folder = Folder::new("log-unsaved");
            let builder = saved(&cluster, &folder);
            let _consumer = builder.start(|_| Ok(())).unwrap();
            // A file where the folder was, into which the consumer may save meanwhile.
            let place = folder.path().join("one");
            while fs::write(&place, "in the way").is_err() {
                let _ = fs::remove_dir_all(&place);
            }
            send(&cluster);
            wait();
            fs::remove_file(&place).unwrap();
            fs::create_dir_all(place.join("logs")).unwrap();
        },
    ),
    (
        Level::Warn,
        "consumer",
        "broadcasting whose offsets are lost at its end",
        "broadcasting without offset_dir",
        |wait| {
            let cluster = brokers(1);
            let builder = consumer(&cluster).broadcast();
            let _consumer = builder.start(|_| Ok(())).unwrap();
            wait();
        },
    ),
    (
        Level::Warn,
        "consumer",
        "an offset file that is damaged",
        "an offset file that cannot be used",
        |wait| {
            let cluster = brokers(1);
            let folder = Folder::new("log-damaged");
            let path = folder.path().join("one").join("logs");
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("offsets"), "damaged").unwrap();
            let builder = saved(&cluster, &folder);
            let _consumer = builder.start(|_| Ok(())).unwrap();
            wait();
        },
    ),
    (
        Level::Warn,
        "consumer",
        "a dead letter that cannot be stored",
        "cannot become a dead letter",
        |wait| {
            let cluster = brokers(1);
            fail(&cluster, Fault::answer(16, "no").on(On::SendBack));
            bury(&cluster, wait);
        },
    ),
    (
        Level::Warn,
        "consumer",
        "topics that are pulled because no broker assigns queues",
        "T is pulled: its brokers do not assign queues: REQUEST_CODE_NOT_SUPPORTED (3)",
        |wait| {
            let old = Cluster::builder().topic("T", 1).release(Release::V4_9_7);
            let old = old.start().unwrap();
            let builder = consumer(&old).broker_assignment(true);
            let _consumer = builder.start(|_| Ok(())).unwrap();
            wait();
        },
    ),
    (
        Level::Warn,
        "consumer",
        "a popped message that cannot stay hidden while its handler runs",
        "cannot be hidden for longer while its handler runs",
        |wait| {
            let cluster = popped();
            let code = request::CHANGE_MESSAGE_INVISIBLETIME;
            fail(&cluster, Fault::answer(16, "no").on(On::Code(code)));
            let builder = consumer(&cluster).broker_assignment(true);
            let (_consumer, release) = stuck(builder.invisible_time(HIDDEN * 2));
            send(&cluster);
            wait();
            drop(release);
        },
    ),
    (
        Level::Warn,
        "consumer",
        "a consumer's shutdown that was not clean",
        "consumer logs dropped: shutdown left 1 messages with handlers",
        |wait| {
            let cluster = brokers(1);
            let (consumer, release) = stuck(consumer(&cluster));
            send(&cluster);
            eventually("the handler runs", || running(&consumer) == 1);
            drop(consumer);
            wait();
            drop(release);
        },
    ),
    (
        Level::Info,
        "consumer",
        "queues that were assigned or are given up",
        "queues assigned: ",
        |wait| {
            let cluster = brokers(1);
            let _consumer = consumer(&cluster).start(|_| Ok(())).unwrap();
            wait();
        },
    ),
    (
        Level::Info,
        "consumer",
        "how brokers have a topic asked for",
        "brokers have T popped",
        |wait| {
            let cluster = popped();
            let builder = consumer(&cluster).broker_assignment(true);
            let _consumer = builder.start(|_| Ok(())).unwrap();
            wait();
        },
    ),
    (
        Level::Info,
        "consumer",
        "the offsets that broadcasting starts with",
        "no offsets yet",
        |wait| {
            let cluster = brokers(1);
            let folder = Folder::new("log-offsets");
            let builder = saved(&cluster, &folder);
            let _consumer = builder.start(|_| Ok(())).unwrap();
            wait();
        },
    ),
    (
        Level::Info,
        "consumer",
        "a dead letter of a popped message",
        "is a dead letter",
        |wait| bury(&brokers(1), wait),
    ),
    (
        Level::Debug,
        "consumer",
        "a popped message that came too late",
        "came too late to be handed out",
        |wait| {
            let cluster = brokers(1);
            send(&cluster);
            let late = Fault::late(Duration::from_millis(1_500));
            fail(&cluster, late.on(On::Pop).after_storing().once());
            receiving(simple(&cluster), wait);
        },
    ),
    (
        Level::Debug,
        "consumer",
        "an error of a handler",
        "failure 1: ",
        |wait| {
            let cluster = brokers(1);
            let started = consumer(&cluster).start(|_| Err(Retry::later()));
            let _consumer = started.unwrap();
            send(&cluster);
            wait();
        },
    ),
    (
        Level::Debug,
        "consumer",
        "the offset at which a queue starts",
        "T@broker-a:0: starts at 0",
        |wait| {
            let cluster = brokers(1);
            let _consumer = consumer(&cluster).start(|_| Ok(())).unwrap();
            wait();
        },
    ),
    (
        Level::Debug,
        "consumer",
        "a pull, a commit, a pop, an ack or a send-back that failed",
        "commit of 1 failed: ",
        |wait| {
            let cluster = brokers(1);
            fail(&cluster, Fault::answer(1, "no").on(On::Commit));
            let consumer = consumer(&cluster).start(|_| Ok(())).unwrap();
            send(&cluster);
            wait();
            cluster.broker("broker-a").clear_faults();
            drop(consumer);
        },
    ),
    (
        Level::Debug,
        "consumer",
        "a rebalance in doubt",
        "a rebalance is in doubt",
        |wait| {
            let cluster = brokers(1);
            let _consumer = consumer(&cluster).start(|_| Ok(())).unwrap();
            fail(&cluster, Fault::answer(1, "no").on(On::Members).times(2));
            cluster.group("logs").notify_members();
            wait();
        },
    ),
    (
        Level::Debug,
        "consumer",
        "a queue that moved to another broker",
        "moved from broker-a to broker-b",
        |wait| {
            let cluster = brokers(2);
            cluster.create_static_topic("T", &["broker-a"]);
            let options = ClientOptions::new().route_interval(SOON);
            let builder = consumer(&cluster).options(options);
            let builder = builder.name_server(cluster.name_server());
            let _consumer = builder.start(|_| Ok(())).unwrap();
            cluster.move_queue("T", 0, "broker-b");
            wait();
        },
    ),
    (
        Level::Debug,
        "consumer",
        "whether all members use this library",
        "logs: all members use this library",
        |wait| {
            let cluster = brokers(1);
            let _consumer = consumer(&cluster).start(|_| Ok(())).unwrap();
            wait();
        },
    ),
];

fn consumer(cluster: &Cluster) -> PushConsumerBuilder {
    PushConsumer::builder("logs")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .commit_interval(SOON)
}

/// Brokers have the group pop `T`.
fn popped() -> Cluster {
    let cluster = brokers(1);
    let producer = producer(&cluster);
    producer.admin().group("logs").set_pop("T", 0).unwrap();
    cluster
}

/// A broadcasting consumer that saves its offsets.
fn saved(cluster: &Cluster, folder: &Folder) -> PushConsumerBuilder {
    let builder = consumer(cluster).instance_name("one");
    builder.broadcast().offset_dir(folder.path())
}

/// A consumer whose handlers run until the sender is dropped.
fn stuck(builder: PushConsumerBuilder) -> (PushConsumer, Sender<()>) {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let started = builder.start(move |_| {
        let _ = gate.lock().unwrap().recv();
        Ok(())
    });
    (started.unwrap(), release)
}

fn simple(cluster: &Cluster) -> SimpleConsumer {
    let builder = SimpleConsumer::builder("logs").name_server(cluster.name_server());
    let builder = builder.subscribe("T", "*").start_from(StartFrom::First);
    builder.max_attempts(1).start().unwrap()
}

/// Receives a message twice: it is a dead letter then.
fn bury(cluster: &Cluster, wait: &dyn Fn()) {
    let consumer = simple(cluster);
    send(cluster);
    // Not for so short a time that it may come too late to be handed out.
    let received = consumer.receive_within(1, PATIENCE, PATIENCE).unwrap();
    assert_eq!(received.len(), 1);
    drop(received);
    cluster.advance(PATIENCE);
    receiving(consumer, wait);
}

/// Another thread receives, until the line is there.
fn receiving(consumer: SimpleConsumer, wait: &dyn Fn()) {
    let own = consumer.clone();
    let receiving = thread::spawn(move || drop(own.receive_within(1, HIDDEN, PATIENCE)));
    wait();
    consumer.shutdown();
    receiving.join().unwrap();
}

fn running(consumer: &PushConsumer) -> usize {
    let queues = consumer.describe().queues.into_iter();
    queues.map(|queue| queue.running).sum()
}

fn send(cluster: &Cluster) {
    let _receipt = producer(cluster).send(&message()).unwrap();
}

fn fail(cluster: &Cluster, fault: Fault) {
    cluster.broker("broker-a").inject(fault);
}
