//! Members of groups on real brokers by name: the same queues, locks and offsets after a restart. Divisions that
//! members are set to, and offsets that a broadcasting member of Java has kept.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::{Allocation, Division, PushConsumerBuilder};
use rocketmq_blocking::{
    ClientOptions, MessageQueue, MessageView, PullConsumer, PushConsumer, Retry, StartFrom,
};

use crate::ledger::member::Settings;
use crate::ledger::record::{Record, What};
use crate::servers::heard::next;
use crate::servers::peer::Peer;
use crate::servers::topic::Topic;
use crate::servers::{PATIENCE, Server, env, eventually};
use crate::support::start_heard;

fn consumer(server: &Server, group: &str, topic: &Topic) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic.name, "*")
        .start_from(StartFrom::First)
}

/// The numbers of a member's queues of a topic.
fn ids(consumer: &PushConsumer, topic: &Topic) -> Vec<i32> {
    let queues = consumer.assignment().into_iter();
    let own = queues.filter(|queue| queue.topic() == topic.name);
    own.map(|queue| queue.id()).collect()
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_named_member_has_its_queues_again_after_a_restart() {
    let server = Server::from_env();
    let (group, topic) = ("named-restart", Topic::create(&server, "NamedRestart", 6));
    let member = |name: &str| {
        let builder = consumer(&server, group, &topic).instance_name(name);
        start_heard(builder, |_| Ok(()))
    };
    let mut members = ["c", "a", "b"].map(|name| (name, member(name)));
    let shares = |members: &[(&str, (PushConsumer, Receiver<MessageView>))]| {
        let share = members.iter().map(|(_, (member, _))| ids(member, &topic));
        share.collect::<Vec<_>>()
    };
    // As their names are sorted.
    let expected = [vec![4, 5], vec![0, 1], vec![2, 3]];
    eventually("each has its queues", || shares(&members) == expected);
    let mut sent = 0;
    for nth in 0..3 {
        let name = members[nth].0;
        let id = members[nth].1.0.client_id().to_owned();
        let report = members[nth].1.0.shutdown_within(PATIENCE);
        assert!(report.is_clean(), "{report}");
        assert!(members[nth].1.1.is_empty());
        members[nth].1 = member(name);
        assert_eq!(members[nth].1.0.client_id(), id);
        eventually("each has its queues", || shares(&members) == expected);
        topic.send(sent..sent + 12);
        sent += 12;
        for ((name, (_, seen)), own) in members.iter().zip(&expected) {
            let queues = (0..4).map(|_| next(seen).queue_id());
            let queues: BTreeSet<i32> = queues.collect();
            assert!(queues.iter().eq(own), "{name}: {queues:?}");
        }
    }
    for (name, (member, seen)) in members {
        assert!(member.shutdown_within(PATIENCE).is_clean());
        assert!(seen.is_empty(), "{name}");
    }
    assert_eq!(topic.committed(group), [6; 6]);
}

/// The broker keeps the locks of a killed member for a minute, for members of another name.
#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn an_ordered_member_that_was_killed_has_its_locks_again_under_its_name() {
    let server = Server::from_env();
    let (group, topic) = ("named-killed", Topic::create(&server, "NamedKilled", 4));
    let settings = Settings {
        name: "killed".to_owned(),
        instance: "same".to_owned(),
        name_server: server.name_server.clone(),
        group: group.to_owned(),
        topic: topic.name.to_owned(),
        is_ordered: true,
        window: 100,
        threads: 4,
        work: Duration::from_millis(20),
        refused: u64::MAX,
        brokers: vec![(server.brokers[0].address.clone(), "broker-a".to_owned())],
    };
    let mut killed = settings.start();
    topic.send(0..396);
    // It has the locks of the queues whose messages it handles.
    let mut locked = BTreeSet::new();
    let output = killed.child.stdout.take().expect("a pipe");
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Ok(Record {
            what: What::Enter(enter),
            ..
        }) = serde_json::from_str(&line)
        {
            locked.insert(enter.place.queue.id);
        }
        if locked.len() == 4 {
            break;
        }
    }
    assert_eq!(locked.len(), 4, "it has ended");
    killed.child.kill().expect("a child");
    killed.child.wait().expect("its end");
    // It may have been done with a queue.
    topic.send(396..400);
    let (seen, numbers) = unbounded();
    let builder = consumer(&server, group, &topic).instance_name("same");
    let next = builder.start_ordered(move |message| -> Result<(), Retry> {
        let number: usize = message.text()?.parse()?;
        seen.send((message.queue_id(), number))?;
        Ok(())
    });
    let next = next.expect("a consumer");
    // By then no lock of the killed one has expired: it had each for 20 s at most when it was killed.
    let mut last = [None; 4];
    while last != [396, 397, 398, 399].map(Some) {
        let (queue, number) = numbers.recv_timeout(PATIENCE).expect("it has the locks");
        let last = &mut last[usize::try_from(queue).expect("a queue")];
        // No gap, and nothing twice.
        assert!(
            last.is_none_or(|last| number == last + 4),
            "{last:?}, {number}"
        );
        *last = Some(number);
    }
    assert!(next.shutdown_within(PATIENCE).is_clean());
    assert!(numbers.is_empty());
    assert_eq!(topic.committed(group), [100; 4]);
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn members_have_the_queues_that_they_are_set_to_and_those_that_a_closure_gives_them() {
    let server = Server::from_env();
    let (group, topic) = ("named-set", Topic::create(&server, "NamedSet", 4));
    let set = |name: &str, ids: std::ops::Range<usize>| {
        let queues: Vec<MessageQueue> = ids.map(|id| topic.queue(id)).collect();
        let builder = consumer(&server, group, &topic).instance_name(name);
        let builder = builder.allocation(Allocation::configured(queues));
        start_heard(builder, |message| match message.reconsume_times() {
            0 if message.text() == Ok("3") => Err(Retry::level(1)),
            _ => Ok(()),
        })
    };
    // By their names it would be the other way round.
    let ((most, of_most), (one, of_one)) = (set("z", 0..3), set("a", 3..4));
    assert_eq!(ids(&most, &topic), [0, 1, 2]);
    eventually("it has one", || ids(&one, &topic) == [3]);
    topic.send(0..8);
    // The queue of retries is divided between both.
    eventually("all are handled", || of_most.len() + of_one.len() == 9);
    let texts = |messages: &Receiver<MessageView>| {
        let first = messages.try_iter().filter(|m| m.reconsume_times() == 0);
        let texts = first.map(|message| message.text().expect("text").to_owned());
        texts.collect::<BTreeSet<_>>()
    };
    assert_eq!(texts(&of_one), ["3", "7"].map(str::to_owned).into());
    let rest = ["0", "1", "2", "4", "5", "6"].map(str::to_owned).into();
    assert_eq!(texts(&of_most), rest);
    for member in [most, one] {
        assert!(member.shutdown_within(PATIENCE).is_clean());
    }
    assert_eq!(topic.committed(group), [2; 4]);

    // Even queues for the first member, and odd ones for the others.
    let group = "named-closure";
    let divide = |division: &Division| {
        let parity = match division.members().first() {
            Some(first) if **first == *division.member() => 0,
            _ => 1,
        };
        let queues = division.queues().iter();
        let own = queues.filter(|queue| queue.id() % 2 == parity);
        own.cloned().collect::<Vec<_>>()
    };
    let member = |name: &str| {
        let builder = consumer(&server, group, &topic).instance_name(name);
        let builder = builder.allocation(Allocation::custom("parity", divide));
        start_heard(builder, |_| Ok(()))
    };
    let ((odd, of_odd), (even, of_even)) = (member("b"), member("a"));
    eventually("each has its share", || {
        [ids(&even, &topic), ids(&odd, &topic)] == [[0, 2], [1, 3]]
    });
    topic.send(8..12);
    let handled = |messages: &Receiver<MessageView>, n: &str| {
        let is_it = |message: MessageView| message.text() == Ok(n);
        messages.try_iter().any(is_it)
    };
    eventually("an even one is handled", || handled(&of_even, "10"));
    eventually("an odd one is handled", || handled(&of_odd, "11"));
    for member in [odd, even] {
        assert!(member.shutdown_within(PATIENCE).is_clean());
    }

    // The names of these brokers name no machine room, so that nobody has their queues.
    let builder = consumer(&server, "named-rooms", &topic);
    let builder = builder.allocation(Allocation::machine_rooms(["north"]));
    let (nobody, seen) = start_heard(builder, |_| Ok(()));
    assert_eq!(ids(&nobody, &topic), [0; 0]);
    assert_eq!(nobody.describe().members, Some(1));
    assert!(nobody.shutdown_within(PATIENCE).is_clean());
    assert!(seen.is_empty());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn broadcasting_goes_on_where_a_member_of_java_has_ended() {
    let server = Server::from_env();
    let (group, topic) = ("named-java", Topic::create(&server, "NamedJava", 2));
    topic.send(0..10);
    let mut java = Peer::start(&server.name_server);
    let id = java.member("j-file", "broadcast", "averagely", group, topic.name);
    let consumed: BTreeSet<String> = java.consume(10).into_iter().map(|m| m.body).collect();
    assert_eq!(consumed.len(), 10);
    let (ip, instance) = id.split_once('@').expect("an id");
    let folder = Path::new(&env("ROCKETMQ_HOME_DIR")).join("java-offsets");
    let file = folder.join(&id).join(group).join("offsets.json");
    eventually("Java has saved its offsets", || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.replace(' ', "").matches("}:5").count() == 2
    });
    java.ask("stop j-file");
    let before = std::fs::read_to_string(&file).expect("Java's file");
    topic.send(10..14);
    let own = || {
        let options = ClientOptions::new().client_ip(ip.parse().expect("an address"));
        let builder = PullConsumer::builder(group)
            .options(options.instance_name(instance))
            .name_server(&server.name_server)
            .subscribe(topic.name, "*")
            .start_from(StartFrom::First)
            .broadcast()
            .offset_dir(&folder);
        builder.start().expect("a consumer")
    };
    let read = |consumer: &PullConsumer| {
        let messages = consumer.messages().until_caught_up();
        let numbers = messages.map(|message| {
            let message = message.expect("no error");
            let number: usize = message.text().expect("text").parse().expect("a number");
            assert!(message.done());
            number
        });
        let mut numbers: Vec<usize> = numbers.collect();
        numbers.sort_unstable();
        numbers
    };
    let consumer = own();
    assert_eq!(consumer.client_id(), id);
    assert_eq!(read(&consumer), [10, 11, 12, 13]);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    let after = std::fs::read_to_string(&file).expect("Java's file");
    assert_eq!(after, before);
    topic.send(14..15);
    let again = own();
    assert_eq!(read(&again), [14], "it goes on at its own offsets");
    assert!(again.shutdown_within(PATIENCE).is_clean());
    java.end();
}
