//! Transactions and request-reply with real RocketMQ servers, and with the Java client on the other
//! side.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::protocol::id::OffsetMessageId;
use rocketmq_blocking::protocol::{Command as Frame, HeaderFormat, frame, message};
use rocketmq_blocking::transaction::HalfMessage;
use rocketmq_blocking::{
    Client, ClientOptions, ErrorKind, Message, MessageView, Producer, SendFate,
    TransactionProducer, TransactionState,
};
use serde_json::Value;

use crate::servers::{env, java_process, printed, read_back, wire, within};

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A timeout that a busy machine does not reach.
const UNHURRIED: Duration = Duration::from_secs(15);

/// The count of each tag.
fn tags(messages: &[Value]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for message in messages {
        *counts.entry(message["tags"].as_str().unwrap()).or_default() += 1;
    }
    counts
}

/// Long enough for the broker to ask again, if it were to.
const TWO_ROUNDS: Duration = Duration::from_secs(12);

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn transactions_end_by_their_result_or_by_the_check() {
    let (saw, asked) = mpsc::channel();
    let check = move |half: &MessageView| {
        let tag = half.tag().unwrap_or_default().to_owned();
        saw.send((tag.clone(), half.clone())).unwrap();
        match &*tag {
            "unknown" | "error" | "panic" | "large" => TransactionState::Commit,
            "later" => TransactionState::Rollback,
            other => panic!("asked about {other}"),
        }
    };
    let producer = TransactionProducer::builder("interop-tx", check)
        .name_server(env("ROCKETMQ_NAME_SERVER"))
        .send_timeout(UNHURRIED)
        .options(ClientOptions::new().api_timeout(UNHURRIED))
        .start()
        .unwrap();
    let topic = "InteropTx";
    let large = "order ".repeat(2000);
    let mut ids = BTreeMap::new();
    for tag in [
        "commit", "rollback", "unknown", "later", "error", "panic", "large",
    ] {
        let body = if tag == "large" { large.as_str() } else { tag };
        let message = Message::new(topic, body)
            .tag(tag)
            .key(tag)
            .property("own", "x");
        let receipt = producer
            .send_in_transaction(&message, |half| match tag {
                "commit" => Ok(TransactionState::Commit),
                "rollback" => Ok(TransactionState::Rollback),
                "error" => Err("no money".into()),
                "panic" => panic!("a test's own panic"),
                _ => {
                    assert_eq!(half.transaction_id().len(), 32);
                    Ok(TransactionState::Unknown)
                }
            })
            .unwrap();
        println!("{tag}: {receipt}");
        ids.insert(tag, receipt.transaction_id().to_owned());
    }
    let mut seen = BTreeMap::new();
    while seen.len() < 5 {
        let (tag, half) = asked.recv_timeout(PATIENCE).expect("asked about all five");
        println!("asked about {tag}");
        seen.insert(tag, half);
    }
    for (tag, half) in &seen {
        assert_eq!(half.topic(), topic);
        assert_eq!(half.unique_key(), Some(&*ids[&**tag]));
        assert_eq!(half.property("own"), Some("x"));
        let body = if tag == "large" { &large } else { tag };
        assert_eq!(half.body(), body.as_bytes());
    }
    let messages = read_back(topic, 5);
    let expected = ["commit", "error", "large", "panic", "unknown"].map(|tag| (tag, 1));
    assert_eq!(tags(&messages), expected.into());
    for message in &messages {
        let tag = message["tags"].as_str().unwrap();
        assert_eq!(message["msg_id"], ids[tag]);
    }
    // Ended transactions stay ended.
    let again = asked.recv_timeout(TWO_ROUNDS).map(|(tag, _)| tag);
    assert_eq!(again, Err(mpsc::RecvTimeoutError::Timeout));
    assert_eq!(read_back(topic, 5).len(), 5);
    assert!(producer.shutdown_within(PATIENCE).is_clean());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn groups_of_one_client_are_asked_each_about_its_own_and_a_successor_answers() {
    let client = ClientOptions::new().name_server(env("ROCKETMQ_NAME_SERVER"));
    let client = Client::start(client.api_timeout(UNHURRIED)).unwrap();
    let (saw, asked) = mpsc::channel();
    let start = |group: &'static str| {
        let saw = saw.clone();
        let check = move |half: &MessageView| {
            saw.send((group, half.tag().unwrap_or_default().to_owned()))
                .unwrap();
            TransactionState::Commit
        };
        let builder = TransactionProducer::builder(group, check).client(&client);
        builder.send_timeout(UNHURRIED).start().unwrap()
    };
    let topic = "InteropTxGroups";
    let send = |producer: &TransactionProducer, tag: &str| {
        let message = Message::new(topic, "x").tag(tag);
        let unknown = |_: &HalfMessage<'_>| Ok(TransactionState::Unknown);
        producer
            .send_in_transaction(&message, unknown)
            .map(drop)
            .unwrap();
    };
    let (one, two) = (start("interop-tx-one"), start("interop-tx-two"));
    send(&one, "one");
    send(&two, "two");
    let mut answers = [
        asked.recv_timeout(PATIENCE).unwrap(),
        asked.recv_timeout(PATIENCE).unwrap(),
    ];
    answers.sort();
    let expected = [("interop-tx-one", "one"), ("interop-tx-two", "two")];
    assert_eq!(
        answers,
        expected.map(|(group, tag)| (group, tag.to_owned()))
    );
    // The process ends before it was asked; the next one of the group answers.
    send(&one, "orphan");
    one.shutdown();
    let successor = start("interop-tx-one");
    let (_, tag) = asked.recv_timeout(PATIENCE).unwrap();
    assert_eq!(tag, "orphan");
    let expected = ["one", "orphan", "two"].map(|tag| (tag, 1));
    assert_eq!(tags(&read_back(topic, 3)), expected.into());
    drop((two, successor));
}

fn asker() -> Producer {
    let builder = Producer::builder("interop-askers").name_server(env("ROCKETMQ_NAME_SERVER"));
    builder
        .options(ClientOptions::new().api_timeout(UNHURRIED))
        .start()
        .unwrap()
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_java_replier_answers_our_requests() {
    const ASYNC: usize = 20;
    let topic = "InteropRequests";
    let name_server = env("ROCKETMQ_NAME_SERVER");
    let producer = asker();
    // The request has time for little more than its wait.
    wire::create_topic(&env("ROCKETMQ_BROKER"), topic, 4, 6);
    within(PATIENCE, "the topic has a route", || {
        producer.admin().publish_queues(topic).is_ok()
    });
    // One that is answered too late.
    let (start, most) = (Instant::now(), Duration::from_secs(3));
    let question = Message::new(topic, "early");
    let error = producer.request(&question, most).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(error.fate(), SendFate::MaybeStored);
    let late = start.elapsed();
    assert!(late >= most && late < Duration::from_secs(15), "{late:?}");

    let replier = java_process(
        "JavaReplier.java",
        &[&name_server, topic, &(ASYNC + 3).to_string()],
    );
    let reply = producer
        .request(&Message::new(topic, "apples"), PATIENCE)
        .unwrap();
    assert_eq!(reply.body(), b"java: apples");
    assert_eq!(reply.topic(), "DefaultCluster_REPLY_TOPIC");
    // Compressed by the Java client.
    let reply = producer
        .request(&Message::new(topic, "1000 apples"), PATIENCE)
        .unwrap();
    assert_eq!(reply.body(), b"java: 1000 apples".repeat(1000));
    assert!(reply.sys_flag() & 1 != 0, "it was compressed");
    let (got, replies) = mpsc::channel();
    for i in 0..ASYNC {
        let got = got.clone();
        let question = Message::new(topic, format!("q{i}"));
        producer.request_async(question, PATIENCE, move |reply| {
            got.send((i, reply)).unwrap()
        });
    }
    for _ in 0..ASYNC {
        let (i, reply) = replies.recv_timeout(PATIENCE).unwrap();
        assert_eq!(reply.unwrap().body(), format!("java: q{i}").as_bytes());
    }
    // The late one was accepted too: all of the replier's sends succeeded.
    let text = printed(replier);
    assert_eq!(
        text.lines().filter(|line| *line == "SEND_OK").count(),
        ASYNC + 3,
        "{text}"
    );
    assert!(producer.shutdown_within(PATIENCE).is_clean());
}

/// Asks a broker for a message by its offset id.
fn view(offset_message_id: &str) -> MessageView {
    let id = OffsetMessageId::decode(offset_message_id).unwrap();
    let mut request = Frame::request(33);
    request
        .ext
        .push("offset", &id.commit_log_offset.to_string());
    let mut bytes = Vec::new();
    request.encode(HeaderFormat::Json, &mut bytes);
    let mut stream = TcpStream::connect(id.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&bytes).unwrap();
    let mut input = Vec::new();
    loop {
        if let Some(raw) = frame::split(&input).unwrap() {
            let answer = Frame::decode(raw).unwrap();
            assert_eq!(answer.code, 0, "{:?}", answer.remark);
            return message::decode(answer.body, 1 << 20).unwrap();
        }
        let mut chunk = [0; 4096];
        let len = stream.read(&mut chunk).unwrap();
        assert!(len > 0, "the broker hung up");
        input.extend_from_slice(&chunk[..len]);
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn our_reply_reaches_a_java_requester() {
    let topic = "InteropReplies";
    let name_server = env("ROCKETMQ_NAME_SERVER");
    for short in [true, false] {
        let topic = format!("{topic}{short}");
        let requester = java_process(
            "JavaRequester.java",
            &[&name_server, &topic, "apples", "60000"],
        );
        let stored = read_back(&topic, 1);
        let question = view(stored[0]["offset_msg_id"].as_str().unwrap());
        assert_eq!(question.body(), b"apples");
        let replier = Producer::builder("interop-repliers").name_server(&name_server);
        let replier = replier.short_headers(short).send_timeout(UNHURRIED);
        let replier = replier
            .options(ClientOptions::new().api_timeout(UNHURRIED))
            .start()
            .unwrap();
        let body = "rust ".repeat(2000);
        let reply = Message::reply_to(&question, body.clone()).unwrap();
        println!("{}", replier.send(&reply).unwrap());
        assert_eq!(printed(requester).trim_end(), body.trim_end());
        // Its client is gone now.
        let error = replier.send(&reply).unwrap_err();
        assert_eq!(error.response_code(), Some(1.into()), "{error}");
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn the_embedded_cluster_plays_both_for_the_java_client() {
    let cluster = Cluster::builder().topic("FromJava", 4).start().unwrap();
    let program = java_process(
        "JavaTransaction.java",
        &[&cluster.name_server(), "FromJava"],
    );
    let end = Instant::now() + PATIENCE;
    let open = |cluster: &Cluster| {
        let all = cluster.transactions();
        let told = all.iter().filter(|one| !one.told().is_empty()).count();
        all.len() == 3 && told == 3
    };
    while !open(&cluster) {
        assert!(Instant::now() < end, "{:?}", cluster.transactions());
        thread::sleep(Duration::from_millis(20));
    }
    // Clients of 4.9 identify themselves only with their next heartbeat.
    while cluster.check_transactions() == 0 {
        assert!(Instant::now() < end, "no heartbeat came");
        thread::sleep(Duration::from_millis(20));
    }
    let text = printed(program);
    assert!(text.contains("asked FromJava unknown"), "{text}");
    let expected = [
        TransactionState::Commit,
        TransactionState::Rollback,
        TransactionState::Commit,
    ];
    // The last answer is oneway: it may come after the end of the program that has sent it.
    within(PATIENCE, "all have ended as Java said", || {
        let all = cluster.transactions();
        all.iter().map(|one| one.state()).eq(expected)
    });
    assert_eq!(cluster.message_count("FromJava"), 2);

    let stored = cluster.subscribe();
    let requester = java_process(
        "JavaRequester.java",
        &[&cluster.name_server(), "FromJava", "apples", "30000"],
    );
    let question = stored.recv_timeout(PATIENCE).unwrap();
    let replier = Producer::builder("repliers").name_server(cluster.name_server());
    let replier = replier.start().unwrap();
    let reply = Message::reply_to(&question.view(), "7").unwrap();
    replier.send(&reply).map(drop).unwrap();
    assert_eq!(printed(requester).trim(), "7");
    assert_eq!(cluster.wait_for_answers(1, PATIENCE)[0].command().code, 0);
}
