//! A message that asks, and the one that answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, unbounded};
use rocketmq_blocking::embedded::{Cluster, Fault, On, StoredMessage};
use rocketmq_blocking::error::Wait;
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::protocol::send::SendRequest;
use rocketmq_blocking::{
    Batch, Client, ClientOptions, Error, ErrorKind, Message, MessageQueue, MessageView, Producer,
    SendFate,
};

use crate::support::{PATIENCE, STALL};

/// For requests without a reply: long enough to connect, even on a busy machine.
pub const UNANSWERED: Duration = Duration::from_millis(1500);

pub fn cluster() -> Cluster {
    Cluster::builder()
        .topic("Prices", 4)
        .start()
        .expect("ports")
}

pub fn producer(cluster: &Cluster, group: &str) -> Producer {
    let builder = Producer::builder(group).name_server(cluster.name_server());
    let builder = builder.send_timeout(PATIENCE);
    builder.start().expect("started")
}

/// Answers each request in the topic, until the cluster goes.
pub fn replier(cluster: &Cluster, answer: impl Fn(&str) -> String + Send + 'static) {
    let seen: Receiver<StoredMessage> = cluster.subscribe();
    let replier = producer(cluster, "repliers");
    thread::spawn(move || {
        for message in seen.iter().filter(|m| m.topic() == "Prices") {
            let text = String::from_utf8_lossy(&message.body()).into_owned();
            let Ok(reply) = Message::reply_to(&message.view(), answer(&text)) else {
                continue;
            };
            // The requester may be gone.
            let _ = replier.send(&reply);
        }
    });
}

pub fn text(reply: &MessageView) -> &str {
    std::str::from_utf8(reply.body()).expect("text")
}

#[track_caller]
fn check_no_reply(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(error.wait(), Some(Wait::Response));
    assert_eq!(error.fate(), SendFate::MaybeStored);
    assert!(
        error.to_string().contains("no reply came within"),
        "{error}"
    );
}

#[test]
fn a_request_gets_its_reply() {
    let cluster = cluster();
    replier(&cluster, |question| format!("{question}: 7"));
    let producer = producer(&cluster, "askers");
    let question = Message::new("Prices", "apples").tag("fruit");
    let reply = producer.request(&question, PATIENCE).expect("a reply");
    assert_eq!(text(&reply), "apples: 7");
    assert_eq!(reply.topic(), "DefaultCluster_REPLY_TOPIC");
    assert_eq!(reply.property("MSG_TYPE"), Some("reply"));
    let asked = &cluster.messages("Prices")[0];
    for name in ["CORRELATION_ID", "REPLY_TO_CLIENT", "TTL"] {
        assert!(asked.property(name).is_some(), "{name}");
        assert_eq!(reply.property(name), asked.property(name), "{name}");
    }
    assert_eq!(asked.property("TTL"), Some("20000"));
    assert_eq!(
        asked.property("REPLY_TO_CLIENT"),
        Some(producer.client().id())
    );
    assert_eq!(asked.tag(), Some("fruit"));
    // The broker is answered at once.
    let answers = cluster.wait_for_answers(1, PATIENCE);
    assert_eq!(answers[0].command().code, 0);
}

#[test]
fn an_asynchronous_request_gets_its_reply_once() {
    let cluster = cluster();
    replier(&cluster, |question| format!("{question}: 7"));
    let producer = producer(&cluster, "askers");
    let (got, replies) = unbounded();
    let question = Message::new("Prices", "pears");
    producer.request_async(question, PATIENCE, move |reply| {
        got.send(reply).expect("the test waits");
    });
    let reply = replies
        .recv_timeout(PATIENCE)
        .expect("one")
        .expect("a reply");
    assert_eq!(text(&reply), "pears: 7");
    // The callback was consumed: it cannot be called again.
    assert!(replies.recv_timeout(PATIENCE).is_err());
    assert!(producer.flush(PATIENCE).is_ok());
}

#[test]
fn a_hundred_requests_at_a_time_get_each_their_own() {
    let cluster = cluster();
    replier(&cluster, |question| format!("re {question}"));
    let producer = producer(&cluster, "askers");
    let (got, replies) = unbounded();
    thread::scope(|scope| {
        for i in 0..100 {
            let (producer, got) = (&producer, got.clone());
            let question = Message::new("Prices", format!("{i}"));
            let check = move |reply: Result<MessageView, Error>| {
                got.send((format!("re {i}"), reply))
                    .expect("the test waits");
            };
            match i % 2 {
                0 => drop(scope.spawn(move || check(producer.request(&question, PATIENCE)))),
                _ => producer.request_async(question, PATIENCE, check),
            }
        }
    });
    for _ in 0..100 {
        let (expected, reply) = replies.recv_timeout(PATIENCE).expect("all");
        assert_eq!(text(&reply.expect("a reply")), expected);
    }
    let ids = cluster.messages("Prices").into_iter();
    let ids: BTreeSet<_> = ids
        .map(|m| m.property("CORRELATION_ID").map(str::to_owned))
        .collect();
    assert_eq!(ids.len(), 100);
}

#[test]
fn without_a_replier_the_time_is_kept_exactly() {
    let cluster = cluster();
    let producer = producer(&cluster, "askers");
    let question = Message::new("Prices", "apples");
    let timeout = Duration::from_millis(2500);
    let check = |error: &Error, took: Duration| {
        check_no_reply(error);
        assert_eq!(error.topic(), Some("Prices"));
        assert!(took >= timeout && took < timeout + STALL, "{took:?}");
    };
    // The first one also connects.
    let (got, replies) = bounded(1);
    let start = Instant::now();
    producer.request_async(question.clone(), timeout, move |reply| {
        got.send((reply, start.elapsed())).expect("the test waits");
    });
    let start = Instant::now();
    let error = producer.request(&question, timeout).unwrap_err();
    check(&error, start.elapsed());
    let (reply, took) = replies.recv_timeout(PATIENCE).expect("called");
    check(&reply.unwrap_err(), took);
}

#[test]
fn a_late_reply_is_dropped_quietly_and_acknowledged() {
    let cluster = cluster();
    let producer = producer(&cluster, "askers");
    let question = Message::new("Prices", "apples");
    let error = producer.request(&question, UNANSWERED).unwrap_err();
    check_no_reply(&error);
    let late = Message::reply_to(&cluster.messages("Prices")[0].view(), "7").expect("a request");
    for copies in 1..3 {
        producer.send(&late).map(drop).expect("pushed");
        let answers = cluster.wait_for_answers(copies, PATIENCE);
        assert_eq!(answers[copies - 1].command().code, 0);
    }
    // The connection is as good as before.
    replier(&cluster, |_| "8".into());
    let reply = producer.request(&question, PATIENCE).expect("a reply");
    assert_eq!(text(&reply), "8");
}

#[test]
fn the_first_of_two_replies_counts() {
    let cluster = cluster();
    replier(&cluster, |_| "one".into());
    let producer = producer(&cluster, "askers");
    let reply = producer
        .request(&Message::new("Prices", "apples"), PATIENCE)
        .expect("a reply");
    assert_eq!(text(&reply), "one");
    let second = Message::reply_to(&cluster.messages("Prices")[0].view(), "two");
    producer
        .send(&second.expect("a request"))
        .map(drop)
        .expect("pushed");
    let answers = cluster.wait_for_answers(2, PATIENCE);
    assert!(answers.iter().all(|answer| answer.command().code == 0));
}

#[test]
fn a_compressed_reply_comes_whole_and_one_too_large_is_an_error() {
    let cluster = cluster();
    replier(&cluster, |size| "x".repeat(size.parse().expect("a number")));
    let builder = Producer::builder("askers").name_server(cluster.name_server());
    let producer = builder.max_message_size(50_000).start().expect("started");
    let ask = |size: usize| producer.request(&Message::new("Prices", size.to_string()), PATIENCE);
    let reply = ask(50_000).expect("a reply");
    assert_eq!(reply.body().len(), 50_000);
    let raw = cluster.messages("DefaultCluster_REPLY_TOPIC")[0]
        .raw_body()
        .len();
    assert!(raw < 1000, "{raw}");
    let error = ask(50_001).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(error.fate(), SendFate::MaybeStored);
    let answers = cluster.wait_for_answers(2, PATIENCE);
    assert_eq!(answers[1].command().code, 1);
    assert!(ask(1).is_ok(), "the connection lives");
}

#[test]
fn a_compressed_reply_is_unpacked_by_a_worker_and_not_where_it_is_read() {
    let cluster = cluster();
    replier(&cluster, |size| "x".repeat(size.parse().expect("a number")));
    let builder = Producer::builder("askers").name_server(cluster.name_server());
    let producer = builder
        .options(ClientOptions::new().callback_threads(1))
        .start()
        .expect("started");
    let (release, gate) = bounded::<()>(0);
    let (begun, busy) = bounded(1);
    producer.send_async(Message::new("Prices", "1"), move |_| {
        begun.send(()).expect("the test waits");
        // Ends when the test drops the other end.
        let _ = gate.recv();
    });
    busy.recv_timeout(PATIENCE)
        .expect("the only worker is busy");
    let (got, replies) = bounded(1);
    producer.request_async(Message::new("Prices", "50000"), PATIENCE, move |reply| {
        got.send(reply).expect("the test waits");
    });
    let stored = cluster.wait_for_messages("DefaultCluster_REPLY_TOPIC", 1, PATIENCE);
    assert_eq!(stored.len(), 1);
    // The reader continues, and has not yet answered whether the reply can be read.
    let _receipt = producer.send(&Message::new("Prices", "1")).expect("stored");
    assert_eq!(cluster.wait_for_answers(0, Duration::ZERO).len(), 0);
    drop(release);
    let reply = replies
        .recv_timeout(PATIENCE)
        .expect("one")
        .expect("a reply");
    assert_eq!(reply.body().len(), 50_000);
    let answers = cluster.wait_for_answers(1, PATIENCE);
    assert_eq!(answers[0].command().code, 0);
}

#[test]
fn a_reply_uses_its_own_codes_and_names_of_both_lengths() {
    let cluster = cluster();
    let asker = producer(&cluster, "askers");
    let asked = asker.request(&Message::new("Prices", "apples"), UNANSWERED);
    check_no_reply(&asked.unwrap_err());
    let question = cluster.messages("Prices")[0].view();
    for (short, code) in [
        (true, request::SEND_REPLY_MESSAGE_V2),
        (false, request::SEND_REPLY_MESSAGE),
    ] {
        let builder = Producer::builder("repliers").name_server(cluster.name_server());
        let replier = builder.short_headers(short).start().expect("started");
        let reply = Message::reply_to(&question, "7").expect("a request");
        replier.send(&reply).map(drop).expect("pushed");
        let sent = cluster.requests(&On::Code(code));
        assert_eq!(sent.len(), 1);
        let header = SendRequest::decode(code, &sent[0].command().ext).expect("a send");
        assert_eq!(header.topic, "DefaultCluster_REPLY_TOPIC");
        assert!(header.properties.contains("MSG_TYPE\u{1}reply\u{2}"));
    }
}

#[test]
fn a_reply_to_a_disconnected_requester_fails_with_code_1() {
    let cluster = cluster();
    let asker = producer(&cluster, "askers");
    let asked = asker.request(&Message::new("Prices", "x"), UNANSWERED);
    check_no_reply(&asked.unwrap_err());
    asker.shutdown();
    let broker = cluster.broker("broker-a");
    assert!(broker.wait_for_connections(0, PATIENCE));
    let replier = producer(&cluster, "repliers");
    let late = Message::reply_to(&cluster.messages("Prices")[0].view(), "7").expect("a request");
    let error = replier.send(&late).unwrap_err();
    assert_eq!(error.response_code(), Some(1.into()));
    assert!(
        error
            .remark()
            .is_some_and(|remark| remark.contains("not found")),
        "{error}"
    );
}

#[test]
fn only_requests_can_be_replied_to_and_a_batch_cannot_be_one() {
    let cluster = cluster();
    let producer = producer(&cluster, "askers");
    producer
        .send(&Message::new("Prices", "plain"))
        .map(drop)
        .expect("sent");
    let plain = cluster.messages("Prices")[0].view();
    let error = Message::reply_to(&plain, "7").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("CORRELATION_ID"), "{error}");

    let batch = Batch::new([Message::new("Prices", "x")]).expect("a batch");
    let refused = producer
        .prepare_batch(&batch)
        .request(PATIENCE)
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let (got, refusals) = bounded(1);
    let prepared = producer.prepare_batch(&batch);
    prepared.request_async(PATIENCE, move |reply| {
        got.send(reply).expect("the test waits")
    });
    let refused = refusals
        .recv_timeout(PATIENCE)
        .expect("called")
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let forged = Message::new("Prices", "x").property("CORRELATION_ID", "1");
    let refused = producer.request(&forged, PATIENCE).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
}

#[test]
fn a_request_that_cannot_be_sent_reports_the_reason() {
    let cluster = cluster();
    let refused = Fault::answer(13, "no").on(On::Send);
    cluster.broker("broker-a").inject(refused);
    let producer = producer(&cluster, "askers");
    let question = Message::new("Prices", "x");
    let error = producer.request(&question, PATIENCE).unwrap_err();
    assert_eq!(error.response_code(), Some(13.into()));
    let (got, replies) = bounded(1);
    producer.request_async(question, PATIENCE, move |reply| {
        got.send(reply).expect("the test waits");
    });
    let error = replies.recv_timeout(PATIENCE).expect("called").unwrap_err();
    assert_eq!(error.response_code(), Some(13.into()));
    assert!(producer.flush(PATIENCE).is_ok());
}

#[test]
fn a_reply_counts_even_if_the_receipt_is_lost() {
    let cluster = cluster();
    replier(&cluster, |_| "7".into());
    let silent = Fault::silence().after_storing().on(On::send_to("Prices"));
    cluster.broker("broker-a").inject(silent);
    let producer = producer(&cluster, "askers");
    let question = Message::new("Prices", "x");
    // All of it passes: the receipt is waited for.
    let reply = producer.request(&question, Duration::from_secs(3));
    assert_eq!(text(&reply.expect("a reply")), "7");
}

#[test]
fn a_request_goes_to_the_queue_that_was_chosen() {
    let cluster = cluster();
    replier(&cluster, |question| question.to_owned());
    let producer = producer(&cluster, "askers");
    let question = Message::new("Prices", "x");
    let given = MessageQueue::new("Prices", "broker-a", 3);
    let reply = producer.prepare(&question).queue(given).request(PATIENCE);
    assert!(reply.is_ok());
    let reply = producer.prepare(&question).select(|_| 2).request(PATIENCE);
    assert!(reply.is_ok());
    let (got, replies) = bounded(1);
    let prepared = producer.prepare(&question).sharding_key("a");
    prepared.request_async(PATIENCE, move |reply| {
        got.send(reply).expect("the test waits")
    });
    assert!(replies.recv_timeout(PATIENCE).expect("called").is_ok());
    let messages = cluster.messages("Prices");
    assert_eq!((messages[0].queue_id(), messages[1].queue_id()), (3, 2));
    assert_eq!(messages[2].property("__SHARDINGKEY"), Some("a"));
}

#[test]
fn a_shutdown_answers_all_that_wait_for_replies() {
    let cluster = cluster();
    let client = ClientOptions::new().name_server(cluster.name_server());
    let client = Client::start(client).expect("started");
    for whole_client in [false, true] {
        let producer = Producer::builder("askers").client(&client);
        let producer = Arc::new(producer.start().expect("started"));
        let (got, replies) = unbounded();
        let before = cluster.message_count("Prices");
        let answered = got.clone();
        let question = Message::new("Prices", "x");
        producer.request_async(question.clone(), PATIENCE, move |reply| {
            answered.send(reply).expect("the test waits");
        });
        let asker = producer.clone();
        let asking = thread::spawn(move || {
            got.send(asker.request(&question, PATIENCE))
                .expect("the test waits");
        });
        let all = usize::try_from(before).expect("few") + 2;
        assert_eq!(
            cluster.wait_for_messages("Prices", all, PATIENCE).len(),
            all
        );
        let report = match whole_client {
            true => client.shutdown_within(PATIENCE),
            false => producer.shutdown_within(PATIENCE),
        };
        assert!(report.is_clean(), "{report}");
        for _ in 0..2 {
            let error = replies
                .recv_timeout(PATIENCE)
                .expect("answered")
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        }
        asking.join().expect("no panic");
        let late = producer.request(&Message::new("Prices", "x"), PATIENCE);
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Closed);
    }
}
