//! Push consumers that ask their brokers how messages are to be asked for, on real brokers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use rocketmq_blocking::consumer::{AckStatus, PushConsumerBuilder};
use rocketmq_blocking::{
    Client, ClientOptions, Message, MessageQueue, MessageView, Producer, PushConsumer,
    ResponseCode, Retry, SimpleConsumer, StartFrom,
};

use crate::servers::heard::{self, AGAIN};
use crate::servers::peer::Peer;
use crate::servers::{Over, PATIENCE, Server, Version, eventually};
use crate::support::start_heard;

/// How long members hide what they pop, Java's too.
const HIDDEN: Duration = Duration::from_secs(10);

fn consumer(server: &Server, group: &str, topic: &str) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic, "*")
        .start_from(StartFrom::First)
        .broker_assignment(true)
}

fn send(producer: &Producer, topic: &str, count: usize) -> BTreeSet<String> {
    let bodies: BTreeSet<String> = (0..count).map(|n| format!("message {n}")).collect();
    for body in &bodies {
        let receipt = producer.send(&Message::new(topic, body.clone()));
        assert!(receipt.is_ok(), "{receipt:?}");
    }
    bodies
}

/// The texts of the next messages.
#[track_caller]
fn take(messages: &Receiver<MessageView>, count: usize) -> BTreeSet<String> {
    heard::take(messages, count).into_iter().collect()
}

fn queues(consumer: &PushConsumer) -> Vec<MessageQueue> {
    let queues = consumer.assignment().into_iter();
    queues.filter(|queue| !queue.is_retry()).collect()
}

/// Has brokers of 5.x pop the topic. Those of 4.x say that they cannot.
fn pop(server: &Server, group: &str, topic: &str) {
    let options = ClientOptions::new().name_server(&server.name_server);
    let client = Client::start(options).unwrap();
    let set = client.admin().group(group).set_pop(topic, 0);
    match server.version {
        Version::V5 => set.expect("the mode"),
        _ => {
            let error = set.expect_err("no such request");
            let code = ResponseCode::REQUEST_CODE_NOT_SUPPORTED;
            assert_eq!(error.response_code(), Some(code), "{error}");
        }
    }
    client.shutdown();
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn brokers_have_messages_popped_or_pulled() {
    let server = Server::from_env();
    let (topic, group) = ("Popped", "popped");
    let producer = server.producer("popped-send").start().unwrap();
    let mut sent = send(&producer, topic, 40);
    pop(&server, group, topic);
    let (one, seen) = start_heard(consumer(&server, group, topic), |_| Ok(()));
    assert_eq!(take(&seen, 40), sent);
    let any = queues(&one).iter().all(|queue| queue.id() == -1);
    assert_eq!(any, server.version == Version::V5, "{:?}", queues(&one));
    eventually("nothing is left", || one.lag().messages() == Some(0));
    // With a second member, each message has one handler.
    let builder = consumer(&server, group, topic).instance_name("two");
    let (two, more) = start_heard(builder, |_| Ok(()));
    sent = send(&producer, topic, 40);
    eventually("all are handled", || seen.len() + more.len() >= 40);
    for member in [&one, &two] {
        assert!(member.shutdown_within(PATIENCE).is_clean());
    }
    assert_eq!(seen.len() + more.len(), 40);
    let all = seen.try_iter().chain(more.try_iter());
    let all: BTreeSet<String> = all.map(|m| m.text().unwrap().to_owned()).collect();
    assert_eq!(all, sent);
    // What was acknowledged or committed does not come again.
    let (three, seen) = start_heard(consumer(&server, group, topic), |_| Ok(()));
    sent = send(&producer, topic, 1);
    assert_eq!(take(&seen, 1), sent);
    assert!(three.shutdown_within(PATIENCE).is_clean());
    assert!(seen.is_empty());
}

/// No pop asks for just the few messages that handlers have taken since the last one.
#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn quick_handlers_get_large_answers() {
    const COUNT: usize = 2_000;
    let server = Server::from_env();
    if server.version != Version::V5 {
        return;
    }
    let (topic, group) = ("PoppedQuickly", "popped-quickly");
    let producer = server.producer("popped-quickly-send").start().unwrap();
    let sent = send(&producer, topic, COUNT);
    pop(&server, group, topic);
    let (consumer, seen) = start_heard(consumer(&server, group, topic), |_| Ok(()));
    assert_eq!(take(&seen, COUNT), sent);
    let stats = consumer.stats();
    assert!(stats.pulls <= 400, "{} pops", stats.pulls);
    assert_eq!(stats.expired, 0);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn failed_messages_come_again_become_dead_letters_or_stay_hidden() {
    let server = Server::from_env();
    if server.version != Version::V5 {
        // They are pulled there, which other tests cover.
        return;
    }
    let (topic, group) = ("PoppedFails", "popped-fails");
    let producer = server.producer("popped-fails-send").start().unwrap();
    let _ = send(&producer, topic, 3);
    pop(&server, group, topic);
    let builder = consumer(&server, group, topic).invisible_time(HIDDEN);
    let (popping, seen) = start_heard(builder, |message| {
        match (message.text()?, message.reconsume_times()) {
            ("message 0", 0) => Err(Retry::level(1)),
            ("message 1", _) => Err(Retry::dead_letter()),
            // Longer than it is hidden at first.
            ("message 2", _) => {
                thread::sleep(HIDDEN + Duration::from_secs(5));
                Ok(())
            }
            _ => Ok(()),
        }
    });
    let taken = take(&seen, 3);
    assert_eq!(taken.len(), 3, "{taken:?}");
    let again = seen.recv_timeout(AGAIN).expect("it comes again");
    assert_eq!(again.text().unwrap(), "message 0");
    assert_eq!((again.reconsume_times(), again.topic()), (1, topic));
    eventually("three are settled", || {
        let stats = popping.stats();
        (stats.handled, stats.dead_lettered, stats.sent_back) == (2, 1, 1)
    });
    assert!(popping.shutdown_within(PATIENCE).is_clean());
    assert_eq!(dead_letters(&server, group), ["message 1"]);
    // Nothing is left that could come again.
    let (later, seen) = start_heard(consumer(&server, group, topic), |_| Ok(()));
    let waited = seen.recv_timeout(HIDDEN + Duration::from_secs(7));
    assert!(waited.is_err(), "{waited:?}");
    assert!(later.shutdown_within(PATIENCE).is_clean());
}

/// The dead letters of a group, read by another one.
fn dead_letters(server: &Server, group: &str) -> Vec<String> {
    let builder = PushConsumer::builder(format!("{group}-dead"))
        .name_server(&server.name_server)
        .subscribe(format!("%DLQ%{group}"), "*")
        .start_from(StartFrom::First);
    let (reading, seen) = start_heard(builder, |_| Ok(()));
    let first = seen.recv_timeout(AGAIN).expect("a dead letter");
    assert!(reading.shutdown_within(PATIENCE).is_clean());
    let all = std::iter::once(first).chain(seen.try_iter());
    all.map(|m| m.text().unwrap().to_owned()).collect()
}

/// A group whose members pop: push consumers, a simple one, and Java's.
struct Mixed<'a> {
    server: &'a Server,
    group: &'static str,
    topic: &'static str,
    producer: Producer,
    sent: usize,
    /// Who has handled each message.
    handled: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
}

impl<'a> Mixed<'a> {
    fn new(server: &'a Server, group: &'static str, topic: &'static str) -> Mixed<'a> {
        let producer = server.producer(&format!("{group}-send")).start().unwrap();
        let _stored = producer.send(&Message::new(topic, "0")).unwrap();
        pop(server, group, topic);
        Mixed {
            server,
            group,
            topic,
            producer,
            sent: 1,
            handled: Arc::default(),
        }
    }

    /// A push consumer, which refuses what Java refuses.
    fn push(&self) -> PushConsumer {
        let note = self.note("push");
        let builder = consumer(self.server, self.group, self.topic).invisible_time(HIDDEN);
        let started = builder.start(move |message| {
            match (
                message.text()?.starts_with("retry"),
                message.reconsume_times(),
            ) {
                (true, 0) => return Err(Retry::level(1)),
                _ => note(message.text()?),
            }
            Ok(())
        });
        started.expect("a consumer")
    }

    fn note(&self, member: &'static str) -> impl Fn(&str) + Send + Sync + 'static {
        let handled = self.handled.clone();
        move |body| {
            let mut handled = handled.lock().unwrap();
            let who = handled.entry(body.to_owned()).or_default();
            who.push(member.to_owned());
        }
    }

    fn java(&self, java: &mut Peer, name: &str) {
        java.member(name, "popped", "averagely", self.group, self.topic);
    }

    /// Sends messages whose bodies begin with this.
    fn send(&mut self, what: &str, count: usize) {
        for n in self.sent..self.sent + count {
            let sent = self
                .producer
                .send(&Message::new(self.topic, format!("{what}{n}")));
            assert!(sent.is_ok(), "{sent:?}");
        }
        self.sent += count;
    }

    /// Puts what Java's members have handled to the rest.
    fn hear(&self, java: &Peer) {
        let mut handled = self.handled.lock().unwrap();
        for message in java.consumed() {
            let who = handled.entry(message.body).or_default();
            who.push(message.member);
        }
    }

    /// Sends until each of these members has handled some.
    fn send_until_all_work(&mut self, java: &Peer, members: &[&str]) {
        let start = Instant::now();
        loop {
            self.send("", 20);
            self.hear(java);
            let handled = self.handled.lock().unwrap();
            let works = |member: &&str| handled.values().flatten().any(|who| who == member);
            if members.iter().all(works) {
                return;
            }
            drop(handled);
            assert!(start.elapsed() < AGAIN, "one of {members:?} gets nothing");
        }
    }

    fn unhandled(&self, java: &Peer) -> usize {
        self.hear(java);
        self.sent - self.handled.lock().unwrap().len()
    }

    /// All sent messages have been handled.
    fn settle(&self, java: &Peer) {
        let start = Instant::now();
        while self.unhandled(java) > 0 {
            let left = self.unhandled(java);
            assert!(
                start.elapsed() < 2 * AGAIN,
                "{left} of {} are lost",
                self.sent
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Those that were handled more than once, by these members.
    fn copies(&self) -> Vec<(String, Vec<String>)> {
        let handled = self.handled.lock().unwrap();
        let twice = handled.iter().filter(|(_, who)| who.len() > 1);
        twice
            .map(|(body, who)| (body.clone(), who.clone()))
            .collect()
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_group_of_ours_and_javas_members_pops_each_message_once_and_loses_none_with_a_member() {
    let server = Server::from_env();
    if server.version != Version::V5 {
        // Members divide the queues there, which other tests cover.
        return;
    }
    let mut group = Mixed::new(&server, "popped-mixed", "PoppedMixed");
    let ours = group.push();
    let mut java = Peer::start(&server.name_server);
    group.java(&mut java, "j-one");
    group.send("retry", 4);
    group.send_until_all_work(&java, &["push", "j-one"]);
    group.settle(&java);
    // One of Java's ends. It says that it has a message before it acknowledges it.
    thread::sleep(Duration::from_secs(1));
    java.ask("stop j-one");
    group.send("", 100);
    group.settle(&java);
    // One is killed with messages that it has popped.
    let mut killed = Peer::start(&server.name_server);
    group.java(&mut killed, "j-killed");
    group.send_until_all_work(&killed, &["push", "j-killed"]);
    group.settle(&killed);
    let start = Instant::now();
    loop {
        group.send("slow", 20);
        thread::sleep(Duration::from_millis(300));
        if group.unhandled(&killed) > 0 {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "Java pops nothing");
    }
    killed.kill();
    group.settle(&killed);
    // Ours ends.
    group.java(&mut java, "j-last");
    assert!(ours.shutdown_within(PATIENCE).is_clean());
    group.send("", 50);
    group.settle(&java);
    java.end();
    // The messages of before the kill have been visible again since, had they not been acknowledged.
    let copies = group.copies();
    let by_killed = |(_, who): &(String, Vec<String>)| who.iter().any(|name| name == "j-killed");
    assert!(copies.iter().all(by_killed), "{copies:?}");
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn simple_push_and_javas_consumers_share_a_group() {
    let server = Server::from_env();
    if server.version != Version::V5 {
        return;
    }
    let mut group = Mixed::new(&server, "popped-all", "PoppedAll");
    let push = group.push();
    let mut java = Peer::start(&server.name_server);
    group.java(&mut java, "j-all");
    let simple = SimpleConsumer::builder(group.group)
        .name_server(&server.name_server)
        .subscribe(group.topic, "*")
        .start_from(StartFrom::First)
        .start()
        .unwrap();
    let over = AtomicBool::new(false);
    let note = group.note("simple");
    thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let wait = Duration::from_secs(1);
                let received = simple.receive_within(4, HIDDEN, wait).expect("no error");
                for message in received {
                    note(message.text().expect("text"));
                    let acked = message.ack().expect("no error");
                    assert_eq!(acked, AckStatus::Confirmed);
                }
            }
        });
        group.send_until_all_work(&java, &["push", "j-all", "simple"]);
        group.settle(&java);
    });
    // It ends with messages that it has not acknowledged.
    let start = Instant::now();
    let held = loop {
        group.send("", 20);
        let received = simple.receive_within(4, HIDDEN, Duration::from_secs(1));
        match received.expect("no error") {
            held if !held.is_empty() => break held.len(),
            _ => assert!(start.elapsed() < PATIENCE, "it gets nothing"),
        }
    };
    assert!(group.unhandled(&java) >= held);
    assert!(simple.shutdown_within(PATIENCE).is_clean());
    group.settle(&java);
    assert!(push.shutdown_within(PATIENCE).is_clean());
    group.send("", 50);
    group.settle(&java);
    java.end();
    let copies = group.copies();
    assert!(copies.is_empty(), "{copies:?}");
}
