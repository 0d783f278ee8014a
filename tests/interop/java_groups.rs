//! Java's clients and ours on real brokers: each consumes what the other one sends, and both are members of
//! the same groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::{Allocation, PushConsumerBuilder};
use rocketmq_blocking::{
    Message, MessageQueue, Producer, PullConsumer, PushConsumer, Result, StartFrom,
};

use crate::servers::peer::{Peer, names};
use crate::servers::{self, PATIENCE, Server, eventually, wire, within};

fn consumer(server: &Server, group: &str, topic: &str) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
}

fn place(queue: &MessageQueue) -> String {
    format!("{}:{}", queue.broker(), queue.id())
}

fn take<T>(from: &Receiver<T>, count: usize) -> Vec<T> {
    let next = |_| from.recv_timeout(PATIENCE).expect("a message in time");
    (0..count).map(next).collect()
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn every_kind_of_consumer_gets_what_java_sends_once() {
    const COUNT: usize = 300;
    let server = Server::from_env();
    let topic = "JavaSends";
    let mut java = Peer::start(&server.name_server);
    java.ask(&format!("send {topic} 0 {COUNT}"));
    // Brokers index what they have confirmed a moment later, and so does the name server hear of the topic.
    let looking = server.producer("java-sends-look").start().unwrap();
    eventually("all can be read", || {
        let admin = looking.admin();
        let queues = admin.subscribe_queues(topic).unwrap_or_default();
        let ends = queues.iter().map(|queue| admin.max_offset(queue));
        ends.sum::<Result<i64>>()
            .is_ok_and(|all| all == COUNT as i64)
    });
    let (seen, pushed) = unbounded();
    let push = consumer(&server, "java-sends-push", topic)
        .start(move |message| {
            assert_eq!(message.tag(), Some("tag"));
            let key = format!("key-{}", message.text().expect("text"));
            assert!(message.keys().eq([key.as_str()]));
            seen.send(message.text().expect("text").to_owned()).ok();
            Ok(())
        })
        .unwrap();
    let pull = PullConsumer::builder("java-sends-pull")
        .name_server(&server.name_server)
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
        .start()
        .unwrap();
    let mut pulled = Vec::new();
    for message in pull.messages().until_caught_up() {
        let message = message.unwrap();
        pulled.push(message.text().unwrap().to_owned());
        assert!(message.done());
    }
    pull.commit().unwrap();
    for (kind, bodies) in [("push", take(&pushed, COUNT)), ("pull", pulled)] {
        assert_eq!(bodies.len(), COUNT, "{kind}");
        let all: BTreeSet<usize> = bodies.iter().map(|body| body.parse().unwrap()).collect();
        assert_eq!(all, (0..COUNT).collect(), "{kind}");
    }
    assert!(push.shutdown_within(PATIENCE).is_clean());
    assert!(pull.shutdown_within(PATIENCE).is_clean());
    assert!(pushed.is_empty());
    java.end();
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_key_has_the_same_queue_from_java_and_from_here_and_its_messages_come_in_order() {
    const KEYS: usize = 12;
    const EACH: usize = 20;
    let server = Server::from_env();
    let (group, topic) = ("java-keyed", "JavaKeyed");
    wire::create_topic(&server.brokers[0].address, topic, 8, 6);
    let mut java = Peer::start(&server.name_server);
    let (seen, messages) = unbounded();
    let consumer = consumer(&server, group, topic)
        .start_ordered(move |message| {
            let queue = place(message.queue().expect("a queue"));
            let (key, n) = message.text()?.split_once('-').expect("key and number");
            seen.send((key.to_owned(), n.parse::<usize>()?, queue))?;
            Ok(())
        })
        .unwrap();
    let queues = names(&java.ask(&format!("keyed {topic} {KEYS} {EACH}"))["queues"]);
    let producer = server.producer("java-keyed-send").start().unwrap();
    for n in EACH..2 * EACH {
        for key in (0..KEYS).map(|k| format!("key{k}")) {
            let message = Message::new(topic, format!("{key}-{n}"));
            let receipt = producer.prepare(&message).sharding_key(&key).send();
            let _stored = receipt.unwrap();
        }
    }
    let mut next = [0; KEYS];
    for (key, n, queue) in take(&messages, 2 * KEYS * EACH) {
        let k: usize = key.strip_prefix("key").unwrap().parse().unwrap();
        assert_eq!(n, next[k], "{key}");
        assert_eq!(queue, queues[k], "{key}");
        next[k] += 1;
    }
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(messages.is_empty());
    java.end();
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn every_kind_of_java_consumer_gets_what_is_sent_here() {
    const COUNT: usize = 300;
    let server = Server::from_env();
    let topic = "JavaConsumes";
    wire::create_topic(&server.brokers[0].address, topic, 4, 6);
    let producer = server.producer("java-consumes-send").start().unwrap();
    let mut sent = BTreeMap::new();
    let mut send = |body: String| {
        let message = Message::new(topic, body.clone());
        let receipt = producer.prepare(&message).sharding_key("one").send();
        sent.insert(body, receipt.unwrap().queue_offset());
    };
    (0..COUNT - 1).for_each(|n| send(n.to_string()));
    send("retry".to_owned());
    let mut java = Peer::start(&server.name_server);
    java.member("j-push", "push", "averagely", "java-consumes-push", topic);
    java.member(
        "j-orderly",
        "orderly",
        "averagely",
        "java-consumes-orderly",
        topic,
    );
    java.member(
        "j-broadcast",
        "broadcast",
        "averagely",
        "java-consumes-all",
        topic,
    );
    // Java drops what fails in broadcasting.
    let consumed = java.consume(3 * COUNT - 1);
    let of = |member: &str| {
        consumed
            .iter()
            .filter(|m| m.member == member)
            .cloned()
            .collect::<Vec<_>>()
    };
    let (pushed, ordered) = (of("j-push"), of("j-orderly"));
    for (who, messages) in [("push", &pushed), ("orderly", &ordered)] {
        assert_eq!(messages.len(), COUNT, "{who}");
        let bodies: BTreeSet<&str> = messages.iter().map(|m| &*m.body).collect();
        assert!(bodies.into_iter().eq(sent.keys()), "{who}");
    }
    assert_eq!(of("j-broadcast").len(), COUNT - 1);
    for message in &pushed {
        let retried = message.body == "retry";
        assert_eq!(message.reconsume_times, i32::from(retried), "{message:?}");
    }
    let offsets: Vec<i64> = ordered.iter().map(|m| m.queue_offset).collect();
    assert!(offsets.is_sorted(), "{offsets:?}");
    assert!(ordered.iter().all(|m| sent[&m.body] == m.queue_offset));
    assert_eq!(java.consumed().len(), 0);
    java.end();

    let args = [
        &*server.name_server,
        "pull",
        "java-consumes-pull",
        topic,
        &COUNT.to_string(),
    ];
    let printed = servers::java(&[], "JavaConsume.java", &args);
    assert_eq!(printed.lines().count(), COUNT, "lite pull");
    for group in [
        "java-consumes-push",
        "java-consumes-orderly",
        "java-consumes-pull",
    ] {
        let admin = producer.admin();
        let behind = || {
            let queues = admin.subscribe_queues(topic).unwrap();
            let lag = |queue| {
                let committed = admin.committed_offset(group, queue).unwrap();
                admin.max_offset(queue).unwrap() - committed.unwrap_or(0)
            };
            queues.iter().map(lag).sum::<i64>()
        };
        eventually("committed", || behind() == 0);
    }
}

/// A group of members of both kinds.
struct Mixed {
    how: &'static str,
    group: String,
    topic: String,
    allocation: Allocation,
    ours: BTreeMap<&'static str, PushConsumer>,
    /// The names and ids of Java's.
    java: BTreeMap<&'static str, String>,
    sent: usize,
    /// Who has consumed each message.
    seen: Arc<Mutex<BTreeMap<usize, Vec<String>>>>,
}

impl Mixed {
    fn new(how: &'static str, allocation: Allocation) -> Mixed {
        Mixed {
            how,
            group: format!("mixed-{how}"),
            topic: format!("Mixed-{how}"),
            allocation,
            ours: BTreeMap::new(),
            java: BTreeMap::new(),
            sent: 0,
            seen: Arc::default(),
        }
    }

    fn join(&mut self, server: &Server, name: &'static str) {
        let (seen, me) = (self.seen.clone(), name.to_owned());
        let consumer = consumer(server, &self.group, &self.topic)
            .instance_name(format!("{name}-{}", self.how))
            .allocation(self.allocation.clone())
            .start(move |message| {
                let number = message.text()?.parse()?;
                seen.lock()
                    .unwrap()
                    .entry(number)
                    .or_default()
                    .push(me.clone());
                Ok(())
            });
        self.ours.insert(name, consumer.unwrap());
    }

    fn join_java(&mut self, java: &mut Peer, name: &'static str) {
        let instance = format!("{name}-{}", self.how);
        let id = java.member(&instance, "push", self.how, &self.group, &self.topic);
        self.java.insert(name, id);
    }

    fn leave_java(&mut self, java: &mut Peer, name: &'static str) {
        self.java.remove(name).expect("a member");
        java.ask(&format!("stop {name}-{}", self.how));
    }

    fn leave(&mut self, name: &'static str) {
        let consumer = self.ours.remove(name).expect("a member");
        assert!(consumer.shutdown_within(PATIENCE).is_clean());
    }

    fn send(&mut self, producer: &Producer, count: usize) {
        for _ in 0..count {
            let sent = producer.send(&Message::new(&*self.topic, self.sent.to_string()));
            let _receipt = sent.unwrap();
            self.sent += 1;
        }
    }

    /// Every member has the queues that Java gives it.
    fn settle(&self, java: &mut Peer) {
        let mut members: Vec<(&str, String)> = Vec::new();
        members.extend(self.java.iter().map(|(name, id)| (*name, id.clone())));
        members.extend(
            self.ours
                .iter()
                .map(|(name, consumer)| (*name, consumer.client_id().to_owned())),
        );
        let ids: Vec<String> = members.iter().map(|(_, id)| id.clone()).collect();
        let expected = java.divide(self.how, &ids, &self.topic);
        assert_eq!(
            expected.iter().map(Vec::len).sum::<usize>(),
            QUEUES as usize
        );
        let mut now = Vec::new();
        let mut is_so = || {
            now = members
                .iter()
                .map(|(name, _)| self.queues(java, name))
                .collect();
            now == expected
        };
        let start = std::time::Instant::now();
        while !is_so() {
            std::thread::sleep(Duration::from_millis(100));
            assert!(
                start.elapsed() < PATIENCE,
                "{}: {members:?} have {now:?}, not {expected:?}",
                self.how
            );
        }
    }

    fn queues(&self, java: &mut Peer, name: &str) -> Vec<String> {
        match self.ours.get(name) {
            Some(consumer) => {
                let queues = consumer.assignment().into_iter();
                queues
                    .filter(|queue| queue.topic() == self.topic)
                    .map(|queue| place(&queue))
                    .collect()
            }
            None => java.queues(&format!("{name}-{}", self.how)),
        }
    }

    fn count(&self, from: usize) -> usize {
        self.seen.lock().unwrap().range(from..).count()
    }

    fn copies(&self, from: usize) -> Vec<(usize, Vec<String>)> {
        let seen = self.seen.lock().unwrap();
        let twice = seen.range(from..).filter(|(_, who)| who.len() > 1);
        twice.map(|(number, who)| (*number, who.clone())).collect()
    }
}

const QUEUES: u32 = 7;

/// Even queues are in one room, and odd ones in another; so are members, by the number in their names.
fn nearby() -> Allocation {
    let room_of_member = |id: &str| {
        let (_, name) = id.split_once('@').expect("an id");
        match name[1..].starts_with(['1', '3', '5', '7', '9']) {
            true => "odd".to_owned(),
            false => "even".to_owned(),
        }
    };
    let room_of_queue = |queue: &MessageQueue| match queue.id() % 2 {
        0 => "even".to_owned(),
        _ => "odd".to_owned(),
    };
    Allocation::nearby(Allocation::averagely(), room_of_queue, room_of_member)
}

/// Puts what Java's members have consumed to the rest.
fn note_java(groups: &[Mixed], java: &Peer) {
    for message in java.consumed() {
        let (name, how) = message.member.split_once('-').expect("a name of ours");
        let group = groups
            .iter()
            .find(|group| group.how == how)
            .expect("a group");
        let number = message.body.parse().expect("a number");
        group
            .seen
            .lock()
            .unwrap()
            .entry(number)
            .or_default()
            .push(name.to_owned());
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_mixed_group_divides_as_java_does_and_loses_nothing_when_members_come_go_and_die() {
    let server = Server::from_env();
    let producer = server.producer("mixed-send").start().unwrap();
    let mut java = Peer::start(&server.name_server);
    let mut groups = [
        Mixed::new("averagely", Allocation::averagely()),
        Mixed::new("circle", Allocation::by_circle()),
        Mixed::new("hash", Allocation::consistent_hash()),
        Mixed::new("nearby", nearby()),
    ];
    for group in &mut groups {
        wire::create_topic(&server.brokers[0].address, &group.topic, QUEUES, 6);
        eventually("the topic has a route", || {
            producer.admin().publish_queues(&group.topic).is_ok()
        });
        group.join_java(&mut java, "j1");
        group.join(&server, "o1");
    }
    steady(&mut groups, &producer, &mut java);
    change(&mut groups, &producer, &mut java, |group, java| {
        group.join(&server, "o2");
        group.join_java(java, "j2");
    });
    change(&mut groups, &producer, &mut java, |group, java| {
        group.leave_java(java, "j1")
    });
    change(&mut groups, &producer, &mut java, |group, _| {
        group.leave("o1")
    });
    change(&mut groups, &producer, &mut java, |group, _| {
        group.join(&server, "o3")
    });
    note_java(&groups, &java);
    java.kill();
    for group in &mut groups {
        group.java.clear();
        group.send(&producer, 100);
    }
    for group in &groups {
        let owned = |name: &str| {
            let queues = group.ours[name].assignment().into_iter();
            queues
                .filter(|queue| queue.topic() == group.topic)
                .map(|queue| place(&queue))
                .collect::<BTreeSet<_>>()
        };
        eventually("the queues of the dead are taken", || {
            let (two, three) = (owned("o2"), owned("o3"));
            two.is_disjoint(&three) && two.len() + three.len() == QUEUES as usize
        });
        eventually("nothing is lost", || {
            note_java(&groups, &java);
            group.count(0) == group.sent
        });
        println!(
            "{}: {} messages, {} copies",
            group.how,
            group.sent,
            group.copies(0).len()
        );
        // A copy comes from a queue that moved.
        for (number, who) in group.copies(0) {
            assert!(
                who.windows(2).all(|two| two[0] != two[1]),
                "{number}: {who:?}"
            );
        }
    }
    for group in &mut groups {
        group.leave("o2");
        group.leave("o3");
    }
}

/// Changes all groups, with messages on their way.
fn change(
    groups: &mut [Mixed],
    producer: &Producer,
    java: &mut Peer,
    mut change: impl FnMut(&mut Mixed, &mut Peer),
) {
    for group in &mut *groups {
        group.send(producer, 50);
        change(group, java);
        group.send(producer, 50);
    }
    steady(groups, producer, java);
}

/// Where members have their queues, each message comes once.
fn steady(groups: &mut [Mixed], producer: &Producer, java: &mut Peer) {
    for group in &*groups {
        group.settle(java);
    }
    let before: Vec<usize> = groups.iter().map(|group| group.sent).collect();
    for group in &mut *groups {
        group.send(producer, 70);
    }
    for (group, before) in groups.iter().zip(before) {
        // A member of Java may ask for nothing for up to 30 s after it has taken a queue.
        within(2 * PATIENCE, &format!("all come: {}", group.how), || {
            note_java(groups, java);
            group.count(before) == group.sent - before
        });
        assert_eq!(group.copies(before), [], "{}: nobody moved", group.how);
    }
}
