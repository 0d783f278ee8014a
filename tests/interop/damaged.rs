//! Messages whose bodies are damaged in the commit log of a broker. A broker that runs does not compare checksums
//! when it serves messages. (One that starts does: it cuts its log off at such a message, unless the setting
//! `checkCRCOnRecover` is off.)

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use rocketmq_blocking::consumer::{AckStatus, Event, OnCorrupt, PushConsumerBuilder};
use rocketmq_blocking::protocol::id::OffsetMessageId;
use rocketmq_blocking::{
    Message, MessageQueue, Producer, PullConsumer, PushConsumer, SendReceipt, SimpleConsumer,
    StartFrom,
};

use crate::servers::{PATIENCE, Server, Version, env, eventually, wire};

const COUNT: usize = 10;

/// The one that is damaged.
const DAMAGED: usize = 4;

/// `mappedFileSizeCommitLog` of `run.sh`.
const FILE: u64 = 64 << 20;

/// A flipped bit.
struct Damage {
    file: File,
    at: u64,
    was: u8,
}

impl Damage {
    /// Damages the first byte of a stored body.
    fn of(receipt: &SendReceipt, body: &str) -> Damage {
        let id = OffsetMessageId::decode(receipt.offset_message_id()).expect("an id");
        let offset = u64::try_from(id.commit_log_offset).expect("an offset");
        // A file has the offset of its first byte as its name.
        let folder = Path::new(&env("ROCKETMQ_HOME_DIR")).join("broker-a/store/commitlog");
        let path = folder.join(format!("{:020}", offset / FILE * FILE));
        let mut options = File::options();
        let file = options.read(true).write(true).open(path).expect("the log");
        let mut record = [0; 1024];
        let read = file.read_at(&mut record, offset % FILE).expect("a record");
        let mut places = record[..read].windows(body.len());
        let at = places.position(|part| part == body.as_bytes());
        let at = at.expect("the body");
        let damage = Damage {
            file,
            at: offset % FILE + at as u64,
            was: record[at],
        };
        damage.write(damage.was ^ 1);
        damage
    }

    fn repair(self) {
        self.write(self.was);
    }

    /// The broker has the file mapped, and sees it at once.
    fn write(&self, byte: u8) {
        self.file.write_all_at(&[byte], self.at).expect("written");
    }
}

fn body(n: usize) -> String {
    format!("message {n}")
}

/// All but the damaged one.
fn others() -> Vec<String> {
    let others = (0..COUNT).filter(|n| *n != DAMAGED);
    others.map(body).collect()
}

/// Fills a topic of one queue, one message of which is damaged then.
fn fill(server: &Server, producer: &Producer, topic: &str) -> (MessageQueue, Damage) {
    wire::create_topic(&server.brokers[0].address, topic, 1, 6);
    eventually("the topic has a route", || {
        producer.admin().publish_queues(topic).is_ok()
    });
    let receipts: Vec<SendReceipt> = (0..COUNT)
        .map(|n| producer.send(&Message::new(topic, body(n))).unwrap())
        .collect();
    let damage = Damage::of(&receipts[DAMAGED], &body(DAMAGED));
    (MessageQueue::new(topic, "broker-a", 0), damage)
}

fn consumer(server: &Server, group: &str, topic: &str) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
}

/// Starts a consumer whose handler passes all bodies on.
fn start(builder: PushConsumerBuilder) -> (PushConsumer, Receiver<String>) {
    let (seen, bodies) = unbounded();
    let started = builder.start(move |message| {
        seen.send(message.text()?.to_owned())?;
        Ok(())
    });
    (started.unwrap(), bodies)
}

/// An event of a consumer.
struct Found {
    group: &'static str,
    queue: MessageQueue,
    offset: u64,
    what: String,
}

fn listener(group: &'static str, found: &Sender<Found>) -> impl Fn(&Event) + Send + Sync + 'static {
    let found = found.clone();
    move |event| {
        if let Event::Corrupt {
            queue,
            offset,
            what,
        } = event
        {
            let (queue, what) = (queue.clone(), what.clone());
            let found = found.send(Found {
                group,
                queue,
                offset: *offset,
                what,
            });
            found.expect("the test listens");
        }
    }
}

#[track_caller]
fn check(found: &Found, queue: &MessageQueue) {
    assert_eq!((&found.queue, found.offset), (queue, DAMAGED as u64));
    assert!(found.what.contains("checksum"), "{}", found.what);
}

#[track_caller]
fn take(bodies: &Receiver<String>, count: usize) -> Vec<String> {
    let next = |_| bodies.recv_timeout(PATIENCE).expect("a message in time");
    (0..count).map(next).collect()
}

#[track_caller]
fn sorted(mut bodies: Vec<String>) -> Vec<String> {
    bodies.sort_unstable();
    bodies
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_damaged_message_waits_until_it_is_repaired_and_is_not_passed_by_a_commit() {
    let server = Server::from_env();
    let topic = "DamagedWaits";
    let producer = server.producer("damaged-waits-send").start().unwrap();
    let (queue, damage) = fill(&server, &producer, topic);
    let (found, events) = unbounded();

    let groups = ["damaged-push", "damaged-pull", "damaged-ordered"];
    let builder = consumer(&server, groups[0], topic).events(listener(groups[0], &found));
    let (push, pushed) = start(builder);
    let pull = PullConsumer::builder(groups[1])
        .name_server(&server.name_server)
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
        .events(listener(groups[1], &found))
        .start()
        .unwrap();
    let (seen, ordered) = unbounded();
    let builder = consumer(&server, groups[2], topic).events(listener(groups[2], &found));
    let in_order = builder.start_ordered(move |message| {
        seen.send(message.text()?.to_owned())?;
        Ok(())
    });
    let in_order = in_order.unwrap();
    let poll = |count: usize, patience: Duration| {
        let (start, mut polled) = (Instant::now(), Vec::new());
        while polled.len() < count {
            assert!(start.elapsed() < patience, "{polled:?}");
            for message in pull.poll(Duration::from_secs(1)).expect("no error") {
                polled.push(message.text().expect("text").to_owned());
                assert!(message.done());
            }
        }
        polled
    };

    // The others are handled, but in order only those before it.
    assert_eq!(sorted(take(&pushed, COUNT - 1)), others());
    assert_eq!(sorted(poll(COUNT - 1, PATIENCE)), others());
    let before: Vec<String> = (0..DAMAGED).map(body).collect();
    assert_eq!(take(&ordered, DAMAGED), before);
    let mut told = BTreeSet::new();
    eventually("each says so once", || {
        // A message of a pull consumer is read in a poll.
        assert!(pull.poll(Duration::from_millis(100)).unwrap().is_empty());
        for found in events.try_iter() {
            check(&found, &queue);
            assert!(told.insert(found.group), "{}", found.group);
        }
        told.len() == groups.len()
    });
    pull.commit().unwrap();
    let admin = producer.admin();
    let committed = |group: &str| admin.committed_offset(group, &queue).unwrap();
    for group in groups {
        eventually("what is before it is committed", || {
            committed(group) == Some(DAMAGED as i64)
        });
    }
    // Once it can be read, it is handled.
    damage.repair();
    let next = |bodies: &Receiver<String>| bodies.recv_timeout(2 * PATIENCE).expect("it comes");
    assert_eq!(next(&pushed), body(DAMAGED));
    assert_eq!(poll(1, 2 * PATIENCE), [body(DAMAGED)]);
    let rest: Vec<String> = (DAMAGED..COUNT).map(body).collect();
    let mut in_turn = vec![next(&ordered)];
    in_turn.extend(take(&ordered, COUNT - DAMAGED - 1));
    assert_eq!(in_turn, rest);
    for member in [push, in_order] {
        assert_eq!(member.stats().corrupt, 1);
        assert!(member.shutdown_within(PATIENCE).is_clean());
    }
    assert_eq!(pull.stats().corrupt, 1);
    assert!(pull.shutdown_within(PATIENCE).is_clean());
    for group in groups {
        assert_eq!(committed(group), Some(COUNT as i64), "{group}");
    }
    assert!(pushed.is_empty() && ordered.is_empty() && events.is_empty());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_damaged_message_is_skipped_or_becomes_a_dead_letter_if_that_is_set() {
    let server = Server::from_env();
    let topic = "DamagedGoes";
    let producer = server.producer("damaged-goes-send").start().unwrap();
    let (queue, _damage) = fill(&server, &producer, topic);
    let admin = producer.admin();
    for (group, policy) in [
        ("damaged-skip", OnCorrupt::Skip),
        ("damaged-dead", OnCorrupt::DeadLetter),
    ] {
        let (found, events) = unbounded();
        let builder = consumer(&server, group, topic).on_corrupt(policy);
        let (member, bodies) = start(builder.events(listener(group, &found)));
        assert_eq!(sorted(take(&bodies, COUNT - 1)), others(), "{group}");
        check(&events.recv_timeout(PATIENCE).expect("an event"), &queue);
        eventually("all is committed", || {
            admin.committed_offset(group, &queue).unwrap() == Some(COUNT as i64)
        });
        let stats = member.stats();
        assert_eq!((stats.handled, stats.corrupt), (COUNT as u64 - 1, 1));
        let dead = u64::from(policy == OnCorrupt::DeadLetter);
        assert_eq!(stats.dead_lettered, dead, "{group}");
        assert!(member.shutdown_within(PATIENCE).is_clean());
        assert!(bodies.is_empty());
    }
    // The broker computes a new checksum for the copy.
    let mut dead = Vec::new();
    eventually("a dead letter", || {
        let found = admin.group("damaged-dead").dead_letters(..).unwrap();
        dead = found.map(|message| message.expect("readable")).collect();
        !dead.is_empty()
    });
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].text(), Ok("lessage 4"));
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_damaged_message_that_is_popped_is_not_handed_out_until_its_broker_has_copied_it() {
    const HIDDEN: Duration = Duration::from_secs(10);
    let server = Server::from_env();
    if server.version != Version::V5 {
        return;
    }
    let topic = "DamagedPops";
    let producer = server.producer("damaged-pops-send").start().unwrap();
    let (_, _damage) = fill(&server, &producer, topic);
    let simple = SimpleConsumer::builder("damaged-pops")
        .name_server(&server.name_server)
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
        .start()
        .unwrap();
    let (start, mut received) = (Instant::now(), Vec::new());
    while received.len() < COUNT {
        assert!(start.elapsed() < 2 * PATIENCE, "{received:?}");
        for message in simple.receive(32, HIDDEN).expect("no error") {
            let text = message.text().expect("text").to_owned();
            received.push((text, message.reconsume_times()));
            assert_eq!(message.ack().expect("no error"), AckStatus::Confirmed);
        }
    }
    // The copy has a new checksum, which hides the damage.
    let last = received.pop();
    assert_eq!(last, Some(("lessage 4".to_owned(), 1)));
    let first: Vec<(String, i32)> = others().into_iter().map(|body| (body, 0)).collect();
    received.sort_unstable();
    assert_eq!(received, first);
    thread::sleep(HIDDEN);
    let more = simple.receive_within(32, HIDDEN, Duration::ZERO);
    assert!(more.expect("no error").is_empty());
    assert!(simple.shutdown_within(PATIENCE).is_clean());
}
