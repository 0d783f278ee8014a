//! The remoting port of a proxy of RocketMQ 5.x, in the place of the name server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::PushConsumerBuilder;
use rocketmq_blocking::{
    Batch, ClientOptions, Message, MessageView, Producer, PushConsumer, ResponseCode,
    SimpleConsumer, StartFrom, TransactionProducer, TransactionState,
};

use crate::servers::stored::{Sent, check};
use crate::servers::{PATIENCE, Server, env, eventually, kinds, refused, wire};
use crate::support::files::Folder;

/// Timeouts that a busy machine does not reach.
const UNHURRIED: Duration = Duration::from_secs(15);

/// A proxy refuses messages to a topic that does not say which types it takes. (The script lets brokers have this one.)
const ANY_TYPE: &str = "+message.type=MIXED";

fn options() -> ClientOptions {
    let options = ClientOptions::new().name_server(env("ROCKETMQ_PROXY_ADDR"));
    options.api_timeout(UNHURRIED)
}

fn producer(group: &str) -> Producer {
    let builder = Producer::builder(group).options(options());
    builder.send_timeout(UNHURRIED).start().expect("a producer")
}

fn consumer(group: &str, topic: &str) -> PushConsumerBuilder {
    let builder = PushConsumer::builder(group).options(options());
    builder.subscribe(topic, "*").start_from(StartFrom::First)
}

/// Makes a topic on the broker, of four queues, which the name server knows.
fn create_topic(topic: &str, attributes: &str) -> Server {
    let server = Server::from_env();
    wire::create_topic_with(&server.brokers[0].address, topic, 4, 6, attributes);
    let looking = server.producer(&format!("{topic}-look")).start().unwrap();
    eventually("the topic has a route", || {
        looking.admin().publish_queues(topic).is_ok()
    });
    server
}

fn send(producer: &Producer, topic: &str, numbers: std::ops::Range<usize>) {
    for n in numbers {
        let sent = producer.send(&Message::new(topic, n.to_string()));
        assert!(sent.is_ok(), "{sent:?}");
    }
}

#[track_caller]
fn take<T>(from: &Receiver<T>, count: usize) -> Vec<T> {
    let next = |_| from.recv_timeout(PATIENCE).expect("a message in time");
    (0..count).map(next).collect()
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn every_mode_of_sending_stores_the_sent_message() {
    let topic = "ProxySends";
    let server = create_topic(topic, ANY_TYPE);
    let producer = producer("proxy-sends");
    let message = |mode: &str| {
        let message = Message::new(topic, mode).tag("tag").key(mode);
        message.property("own", "x")
    };
    let mut sent = Vec::new();
    let receipt = producer.send(&message("sync")).unwrap();
    sent.push(Sent::stored(message("sync"), &receipt));
    let (answer, answers) = unbounded();
    producer.send_async(message("async"), move |outcome| {
        answer.send(outcome).unwrap();
    });
    let receipt = take(&answers, 1).remove(0).unwrap();
    sent.push(Sent::stored(message("async"), &receipt));
    let receipt = producer.submit(message("submit")).wait().unwrap();
    sent.push(Sent::stored(message("submit"), &receipt));
    producer.send_oneway(&message("oneway")).unwrap();
    sent.push(Sent::oneway(message("oneway")));
    let batch = Batch::new(["one", "two", "three"].map(message)).unwrap();
    let receipt = producer.send_batch(&batch).unwrap();
    sent.extend(Sent::batch(&batch, &receipt));
    assert!(producer.shutdown_within(PATIENCE).is_clean());
    check(server.version, &sent, &server.read_back(topic, sent.len()));
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn delayed_and_transactional_messages_come_and_open_transactions_are_asked_about() {
    let topic = "ProxyLater";
    create_topic(topic, ANY_TYPE);
    let (saw, asked) = unbounded();
    let check = move |half: &MessageView| {
        let body = half.text().expect("text").to_owned();
        let rolled_back = body == "rollback";
        saw.send(body).unwrap();
        match rolled_back {
            true => TransactionState::Rollback,
            false => TransactionState::Commit,
        }
    };
    let transactions = TransactionProducer::builder("proxy-transactions", check).options(options());
    let transactions = transactions.send_timeout(UNHURRIED).start().unwrap();
    for (body, state) in [
        ("commit", TransactionState::Commit),
        ("rollback", TransactionState::Rollback),
        ("open", TransactionState::Unknown),
    ] {
        let receipt = transactions.send_in_transaction(&Message::new(topic, body), |_| Ok(state));
        assert_eq!(receipt.unwrap().state(), state);
    }
    let (seen, bodies) = unbounded();
    let consumer = consumer("proxy-later", topic).start(move |message| {
        seen.send((message.text()?.to_owned(), Instant::now()))?;
        Ok(())
    });
    let before = Instant::now();
    let delayed = Message::new(topic, "delayed").delay_level(2);
    let _receipt = transactions.producer().send(&delayed).unwrap();
    let came: BTreeMap<String, Instant> = take(&bodies, 3).into_iter().collect();
    assert!(came.keys().eq(["commit", "delayed", "open"]), "{came:?}");
    assert!(came["delayed"] - before >= Duration::from_millis(4900));
    // The proxy does not pass on how a transaction ended: the broker asks about all of them.
    let mut all = BTreeSet::new();
    while all.len() < 3 {
        all.extend(take(&asked, 1));
    }
    assert!(consumer.unwrap().shutdown_within(PATIENCE).is_clean());
    assert!(transactions.shutdown_within(PATIENCE).is_clean());
    assert!(bodies.is_empty());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn push_ordered_and_pull_consumers_consume_retry_and_commit() {
    let topic = "ProxyKinds";
    create_topic(topic, ANY_TYPE);
    kinds::pushed_and_pulled(&options(), topic);
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn members_divide_the_queues_and_handle_no_message_twice() {
    let (group, topic) = ("proxy-members", "ProxyMembers");
    create_topic(topic, ANY_TYPE);
    let producer = producer("proxy-members-send");
    let counts: Arc<Mutex<BTreeMap<usize, usize>>> = Arc::default();
    let member = |name: &str| {
        let counts = counts.clone();
        let started = consumer(group, topic).instance_name(name).start(move |m| {
            *counts
                .lock()
                .unwrap()
                .entry(m.text()?.parse()?)
                .or_default() += 1;
            Ok(())
        });
        started.unwrap()
    };
    let queues = |member: &PushConsumer| {
        let queues = member.assignment().into_iter();
        queues.filter(|queue| queue.topic() == topic).count()
    };
    let first = member("proxy-one");
    send(&producer, topic, 0..100);
    let second = member("proxy-two");
    eventually("they share", || (queues(&first), queues(&second)) == (2, 2));
    send(&producer, topic, 100..200);
    eventually("all are handled", || counts.lock().unwrap().len() == 200);
    assert!(first.shutdown_within(PATIENCE).is_clean());
    eventually("it has all", || queues(&second) == 4);
    send(&producer, topic, 200..300);
    eventually("all are handled", || counts.lock().unwrap().len() == 300);
    eventually("all is committed", || second.lag().messages() == Some(0));
    assert!(second.shutdown_within(PATIENCE).is_clean());
    let counts = counts.lock().unwrap();
    let repeated: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn in_broadcasting_everybody_gets_every_message() {
    let topic = "ProxyEveryone";
    create_topic(topic, ANY_TYPE);
    send(&producer("proxy-everyone-send"), topic, 0..40);
    let folder = Folder::new("proxy-everyone");
    for name in ["one", "two"] {
        let (seen, numbers) = unbounded();
        let builder = consumer("proxy-everyone", topic).broadcast();
        let builder = builder.instance_name(name).offset_dir(folder.path());
        let started = builder.start(move |message| {
            seen.send(message.text()?.parse::<usize>()?)?;
            Ok(())
        });
        let all: BTreeSet<usize> = take(&numbers, 40).into_iter().collect();
        assert!(all.into_iter().eq(0..40), "{name}");
        assert!(started.unwrap().shutdown_within(PATIENCE).is_clean());
        assert!(numbers.is_empty(), "{name}");
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn requests_that_a_proxy_does_not_serve_fail_with_a_clear_error() {
    let topic = "ProxyRefuses";
    create_topic(topic, "");
    let producer = producer("proxy-refuses-send");
    send(&producer, topic, 0..10);

    // Messages of another type than the topic's, which is NORMAL if it does not say so; and to a topic that does not
    // exist.
    let keyed = Message::new(topic, "keyed");
    let keyed = producer.prepare(&keyed).sharding_key("key").send();
    let lost = producer.send(&Message::new("ProxyMissing", "lost"));
    for sent in [keyed, lost] {
        let error = sent.expect_err("the type is wrong");
        let code = ResponseCode::MESSAGE_ILLEGAL;
        assert_eq!(error.response_code(), Some(code), "{error}");
        assert!(error.to_string().contains("TopicMessageType"), "{error}");
    }

    // POP, by itself.
    let error = refused(|| {
        let simple = SimpleConsumer::builder("proxy-refuses-simple").options(options());
        simple.subscribe(topic, "*").start()
    });
    let code = ResponseCode::REQUEST_CODE_NOT_SUPPORTED;
    assert_eq!(error.response_code(), Some(code), "{error}");
    for part in ["a proxy has none", "PushConsumer"] {
        assert!(error.to_string().contains(part), "{error}");
    }

    // Assignment by brokers: the topic is pulled.
    let (seen, numbers) = unbounded();
    let builder = consumer("proxy-refuses-assigned", topic).broker_assignment(true);
    let assigned = builder.start(move |message| {
        seen.send(message.text()?.parse::<usize>()?)?;
        Ok(())
    });
    let assigned = assigned.unwrap();
    let all: BTreeSet<usize> = take(&numbers, 10).into_iter().collect();
    assert!(all.into_iter().eq(0..10));
    assert!(assigned.assignment().iter().all(|queue| queue.id() >= 0));
    assert!(assigned.shutdown_within(PATIENCE).is_clean());

    // Administration beyond routes, offsets and members.
    let group = producer.admin().group("proxy-refuses-assigned");
    let error = group.set_pop(topic, 0).expect_err("no such request");
    assert_eq!(error.response_code(), Some(code), "{error}");
}
