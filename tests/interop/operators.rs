//! What operators do with the tool `mqadmin` to consumers of this crate.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::{Event, MoveReason, PushConsumerBuilder};
use rocketmq_blocking::{
    Message, MessageQueue, Producer, PullConsumer, PushConsumer, Retry, SendReceipt,
    SimpleConsumer, StartFrom,
};

use crate::servers::peer::Mqadmin;
use crate::servers::{PATIENCE, Server, Version, eventually, wire};

const QUEUES: u32 = 4;

type Lines = Vec<Vec<String>>;

fn consumer(server: &Server, group: &str, topic: &str) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic, "red || blue")
        .start_from(StartFrom::First)
        .commit_interval(Duration::from_millis(100))
}

/// Into the queues in turn.
fn send(producer: &Producer, topic: &str, numbers: Range<u32>) -> Vec<SendReceipt> {
    let send = |n: u32| {
        let id = (n % QUEUES).try_into().expect("small");
        let queue = MessageQueue::new(topic, "broker-a", id);
        let message = Message::new(topic, n.to_string()).tag("red");
        let sent = producer.prepare(&message).queue(queue).send();
        sent.expect("it is stored")
    };
    numbers.map(send).collect()
}

fn create_topic(server: &Server, producer: &Producer, topic: &str) {
    wire::create_topic(&server.brokers[0].address, topic, QUEUES, 6);
    eventually("the topic has a route", || {
        producer.admin().publish_queues(topic).is_ok()
    });
}

/// The tool looks a group up by the route of its retry topic, which a broker creates with the first heartbeat
/// and then tells the name server of.
fn wait_for_group(producer: &Producer, group: &str) {
    eventually("the group's retry topic has a route", || {
        let retry_topic = format!("%RETRY%{group}");
        producer.admin().publish_queues(&retry_topic).is_ok()
    });
}

fn take(bodies: &Receiver<u32>, count: usize) -> Vec<u32> {
    let next = |_| bodies.recv_timeout(PATIENCE).expect("a message in time");
    let mut taken: Vec<u32> = (0..count).map(next).collect();
    taken.sort_unstable();
    taken
}

/// The rest of the lines that begin with these words.
fn rest<'a>(lines: &'a Lines, begin: &[&str]) -> Vec<&'a [String]> {
    let begins =
        |line: &&Vec<String>| line.iter().zip(begin).filter(|(a, b)| a == b).count() == begin.len();
    lines
        .iter()
        .filter(begins)
        .map(|line| &line[begin.len()..])
        .collect()
}

#[track_caller]
fn shows(lines: &Lines, begin: &[&str]) {
    assert!(!rest(lines, begin).is_empty(), "{begin:?}: {lines:?}");
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn members_and_what_they_do_are_shown() {
    let server = Server::from_env();
    let (group, pulling, name) = ("operators-show", "operators-pull", "OperatorsShow");
    let producer = server.producer("operators-show-send").start().unwrap();
    create_topic(&server, &producer, name);
    // The rates are those of the last minute, and the tool takes its time to start.
    let mut tool = Mqadmin::start(&server.name_server);
    send(&producer, name, 0..20);
    let (seen, bodies) = unbounded();
    let member = |instance: &str| {
        let seen = seen.clone();
        consumer(&server, group, name)
            .instance_name(instance)
            .start(move |message| -> Result<(), Retry> {
                seen.send(message.text()?.parse()?)?;
                Ok(())
            })
            .unwrap()
    };
    let first = member("first");
    assert_eq!(take(&bodies, 20), (0..20).collect::<Vec<_>>());
    let second = member("second");
    let of_topic = |member: &PushConsumer| {
        let queues = member.assignment().into_iter();
        queues.filter(|queue| queue.topic() == name).count()
    };
    eventually("they share", || {
        of_topic(&first) == 2 && of_topic(&second) == 2
    });
    let pull = PullConsumer::builder(pulling)
        .name_server(&server.name_server)
        .subscribe(name, "*")
        .start_from(StartFrom::First)
        .start()
        .unwrap();
    eventually("fetched", || pull.stats().fetched == 20);
    wait_for_group(&producer, group);
    wait_for_group(&producer, pulling);

    // 203 and 204
    let lines = tool.run(&format!("consumerConnection -g {group}"));
    for member in [&first, &second] {
        let of_it = rest(&lines, &[member.client_id()]);
        assert_eq!(of_it[0][1], "RUST", "{of_it:?}");
    }
    shows(&lines, &[name, "red", "||", "blue"]);
    shows(&lines, &[&format!("%RETRY%{group}"), "*"]);
    shows(&lines, &["ConsumeType:", "CONSUME_PASSIVELY"]);
    shows(&lines, &["MessageModel:", "CLUSTERING"]);
    shows(&lines, &["ConsumeFromWhere:", "CONSUME_FROM_FIRST_OFFSET"]);
    let lines = tool.run(&format!("consumerConnection -g {pulling}"));
    shows(&lines, &["ConsumeType:", "CONSUME_ACTIVELY"]);
    let lines = tool.run(&format!(
        "producerConnection -g operators-show-send -t {name}"
    ));
    assert_eq!(rest(&lines, &["0001"]).len(), 1, "{lines:?}");
    assert_eq!(rest(&lines, &["0002"]).len(), 0, "{lines:?}");

    // 307
    let lines = tool.run(&format!(
        "consumerStatus -g {group} -i {}",
        first.client_id()
    ));
    shows(&lines, &["PROP_CONSUME_TYPE", ":", "CONSUME_PASSIVELY"]);
    shows(&lines, &["PROP_NAMESERVER_ADDR", ":", &server.name_server]);
    shows(&lines, &["001", "Topic:", &format!("%RETRY%{group}")]);
    shows(&lines, &["002", "Topic:", name]);
    let offset = |line: &&[String]| line.len() == 2 && line[1] == "5";
    let of_queues = rest(&lines, &[name, "broker-a"]);
    assert_eq!(
        of_queues
            .iter()
            .copied()
            .filter(|line| offset(line))
            .count(),
        2,
        "{of_queues:?}"
    );
    let state =
        |line: &&[String]| line[1] == "ProcessQueueInfo" && line[2].starts_with("[commitOffset=5");
    assert_eq!(
        of_queues.iter().copied().filter(|line| state(line)).count(),
        2,
        "{of_queues:?}"
    );
    let rates = rest(&lines, &[name]);
    let ok_per_second = |line: &[String]| line.get(3).and_then(|tps| tps.parse::<f64>().ok());
    assert!(
        rates.iter().any(|line| ok_per_second(line) > Some(0.0)),
        "{rates:?}"
    );
    let lines = tool.run(&format!(
        "consumerStatus -g {pulling} -i {}",
        pull.client_id()
    ));
    shows(&lines, &["PROP_CONSUME_TYPE", ":", "CONSUME_ACTIVELY"]);
    let threads = rest(&lines, &["PROP_THREADPOOL_CORE_SIZE"]);
    assert!(threads.is_empty(), "it has none: {lines:?}");
    let cached = rest(&lines, &[name, "broker-a"]).into_iter().flatten();
    assert_eq!(
        cached.filter(|word| *word == "cachedMsgCount=5,").count(),
        4
    );
    // The tool compares what all members say.
    let lines = tool.run(&format!("consumerStatus -g {group}"));
    shows(
        &lines,
        &[
            "Same",
            "subscription",
            "in",
            "the",
            "same",
            "group",
            "of",
            "consumer",
        ],
    );
    shows(&lines, &["Rebalance", "OK"]);

    // 221
    let lines = tool.run(&format!("consumeStatus {group} {name}"));
    for member in [&first, &second] {
        let offsets = rest(&lines, &[member.client_id(), "broker-a"]);
        assert_eq!(offsets.len(), 2, "{lines:?}");
        assert!(offsets.iter().all(|line| line[1] == "5"), "{lines:?}");
    }
    let lines = tool.run(&format!("consumerProgress -g {group}"));
    let total = ["Diff", "Total:", "0"];
    let is_total = |line: &Vec<String>| {
        line.iter()
            .rev()
            .zip(total.iter().rev())
            .all(|(a, b)| a == b)
    };
    assert!(
        lines.iter().any(|line| line.len() >= 3 && is_total(line)),
        "{lines:?}"
    );
    if server.version == Version::V5 {
        let popping = "operators-pop";
        let simple = SimpleConsumer::builder(popping)
            .name_server(&server.name_server)
            .subscribe(name, "*")
            .start()
            .unwrap();
        wait_for_group(&producer, popping);
        let lines = tool.run(&format!("consumerConnection -g {popping}"));
        shows(&lines, &["ConsumeType:", "CONSUME_POP"]);
        let lines = tool.run(&format!(
            "consumerStatus -g {popping} -i {}",
            simple.client_id()
        ));
        shows(&lines, &["PROP_CONSUME_TYPE", ":", "CONSUME_POP"]);
        shows(&lines, &["001", "Topic:", name]);
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_group_is_reset_by_time_while_it_consumes() {
    let server = Server::from_env();
    let (group, name) = ("operators-reset", "OperatorsReset");
    let producer = server.producer("operators-reset-send").start().unwrap();
    create_topic(&server, &producer, name);
    let mut tool = Mqadmin::start(&server.name_server);
    send(&producer, name, 0..20);
    let (seen, bodies) = unbounded();
    let (told, events) = unbounded();
    let consumer = consumer(&server, group, name)
        .events(move |event| drop(told.send(event.clone())))
        .start(move |message| -> Result<(), Retry> {
            seen.send(message.text()?.parse()?)?;
            Ok(())
        })
        .unwrap();
    take(&bodies, 20);
    // The messages that follow are stored later than this.
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_millis()
        + 5;
    std::thread::sleep(Duration::from_millis(10));
    send(&producer, name, 20..40);
    take(&bodies, 20);
    let queues: Vec<MessageQueue> = (0..4)
        .map(|id| MessageQueue::new(name, "broker-a", id))
        .collect();
    let committed = |offset| {
        let of = |queue| producer.admin().committed_offset(group, queue);
        queues
            .iter()
            .all(|queue| of(queue).expect("an answer") == Some(offset))
    };
    eventually("committed", || committed(10));
    let address = &server.brokers[0].address;
    // Brokers 5.x keep a reset for the next pull by default; all can push it.
    let kinds = if server.version == Version::V5 {
        vec![true, false]
    } else {
        vec![false]
    };
    let mut sent = 40;
    for at_the_next_pull in kinds {
        if server.version == Version::V5 {
            tool.run(&format!(
                "updateBrokerConfig -b {address} -k useServerSideResetOffset -v {at_the_next_pull}"
            ));
        }
        let lines = tool.run(&format!("resetOffsetByTime -g {group} -t {name} -s {time}"));
        for id in ["0", "1", "2", "3"] {
            shows(&lines, &["broker-a", id, "5"]);
        }
        if at_the_next_pull {
            // It ends the parked ones.
            send(&producer, name, sent..sent + 4);
            sent += 4;
        }
        let again: Vec<u32> = (20..sent).collect();
        assert_eq!(take(&bodies, again.len()), again);
        let end = u64::from(sent / QUEUES).try_into().expect("small");
        eventually("committed", || committed(end));
        let mut moved: BTreeSet<MessageQueue> = BTreeSet::new();
        eventually("it is told of four queues", || {
            moved.extend(events.try_iter().filter_map(|event| match event {
                Event::OffsetMoved {
                    queue,
                    to: Some(5),
                    why: MoveReason::Reset,
                    ..
                } => Some(queue),
                _ => None,
            }));
            moved.len() >= 4
        });
        assert!(moved.iter().eq(&queues), "{moved:?}");
    }
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(bodies.is_empty());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_message_is_handled_now_on_request() {
    let server = Server::from_env();
    let (group, name) = ("operators-now", "OperatorsNow");
    let producer = server.producer("operators-now-send").start().unwrap();
    create_topic(&server, &producer, name);
    let receipts = send(&producer, name, 0..2);
    let (seen, messages) = unbounded();
    let refused = Arc::new(AtomicBool::new(false));
    let refuses = refused.clone();
    let consumer = consumer(&server, group, name)
        .start(move |message| -> Result<(), Retry> {
            seen.send(message.text()?.parse()?)?;
            match refuses.load(Ordering::Relaxed) {
                true => Err(Retry::level(1)),
                false => Ok(()),
            }
        })
        .unwrap();
    assert_eq!(take(&messages, 2), [0, 1]);
    let mut tool = Mqadmin::start(&server.name_server);
    let id = receipts[1].offset_message_id();
    let client = consumer.client_id();
    // 4.x has no -t.
    let of_topic = match server.version {
        Version::V4 => String::new(),
        Version::V5 => format!("-t {name}"),
    };
    let command = format!("queryMsgById -i {id} -g {group} -d {client} {of_topic}");
    for (refuses, outcome) in [(false, "CR_SUCCESS"), (true, "CR_LATER")] {
        refused.store(refuses, Ordering::Relaxed);
        let lines = tool.run(&command);
        let result = rest(&lines, &["ConsumeMessageDirectlyResult"]);
        let outcome = format!("consumeResult={outcome},");
        assert!(result[0].contains(&outcome), "{result:?}");
        assert_eq!(take(&messages, 1), [1]);
    }
    // A refused one does not come again.
    assert_eq!(consumer.stats().sent_back, 0);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(messages.is_empty());
}
