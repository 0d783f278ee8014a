//! Signed requests against a real broker that wants them.

use std::sync::{Arc, Mutex};

use rocketmq_blocking::hook::{RpcHook, RpcRequest, RpcResponse};
use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::protocol::HeaderFormat;
use rocketmq_blocking::{
    Batch, ClientOptions, Error, ErrorKind, Message, Producer, PullConsumer, PushConsumer,
    SendFate, SimpleConsumer,
};

use crate::servers::{PATIENCE, env, kinds, refused};

/// With timeouts that a busy machine does not reach.
fn builder(group: &str) -> ProducerBuilder {
    let _ = env_logger::builder().is_test(true).try_init();
    let builder = Producer::builder(group).name_server(env("ROCKETMQ_NAME_SERVER"));
    builder
        .send_timeout(PATIENCE)
        .options(ClientOptions::new().api_timeout(PATIENCE))
}

/// A request's code, and that of its answer.
type Codes = (i32, Option<i32>);

/// Everything that was answered.
#[derive(Debug, Default, Clone)]
struct Answers(Arc<Mutex<Vec<Codes>>>);

impl RpcHook for Answers {
    fn after(&self, request: &RpcRequest, outcome: Result<RpcResponse<'_>, &Error>) {
        let code = outcome.ok().map(|answer| answer.code().number());
        self.0.lock().unwrap().push((request.code(), code));
    }
}

/// Sends in every mode, and sees that a broker took it all: every message is the next one of its
/// queue.
fn send_all(builder: ProducerBuilder, topic: &str) -> Vec<Codes> {
    let answers = Answers::default();
    let producer = builder
        .options(ClientOptions::new().rpc_hook(answers.clone()))
        .start()
        .unwrap();
    let message = |body: &str| {
        let message = Message::new(topic, body).tag("T\u{e4}g").key("a b");
        message.property("\u{20ac} \u{1f600}", "gr\u{fc}n \"x\" \\ \u{7f}\n\t")
    };
    let first = producer.send(&message("first")).unwrap();
    let on_queue = |message: &Message| {
        producer
            .prepare(message)
            .queue(first.queue().clone())
            .send()
    };
    let large = Message::new(topic, "compressible ".repeat(10_000));
    assert_eq!(
        on_queue(&large).unwrap().queue_offset(),
        first.queue_offset() + 1
    );
    let queue = first.queue().clone();
    let submitted = producer
        .prepare(&message("async"))
        .queue(queue.clone())
        .submit();
    assert_eq!(
        submitted.wait().unwrap().queue_offset(),
        first.queue_offset() + 2
    );
    let batch = Batch::new([message("1"), message("2")]).unwrap();
    let receipt = producer
        .prepare_batch(&batch)
        .queue(queue.clone())
        .send()
        .unwrap();
    assert!(receipt.offset_message_id().contains(','), "{receipt:?}");
    let oneway = message("oneway");
    producer
        .prepare(&oneway)
        .queue(queue)
        .send_oneway()
        .unwrap();
    // No event reports when a oneway message is stored: then the next one is one place further.
    let next = first.queue_offset() + 5;
    let jumped = |i: i64| on_queue(&message("after")).unwrap().queue_offset() == next + i + 1;
    assert!((0..1000).any(jumped), "the oneway message was not stored");
    let report = producer.shutdown_within(PATIENCE);
    assert!(report.is_clean(), "{report}");
    std::mem::take(&mut *answers.0.lock().unwrap())
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn with_the_right_secret_every_request_is_accepted() {
    for (i, (format, short)) in [
        (HeaderFormat::Json, true),
        (HeaderFormat::Binary, true),
        (HeaderFormat::Json, false),
    ]
    .into_iter()
    .enumerate()
    {
        let builder = builder("AclGroup")
            .options(ClientOptions::new().header_format(format))
            .short_headers(short)
            .credentials(env("ROCKETMQ_ACCESS_KEY"), env("ROCKETMQ_SECRET_KEY"));
        let answers = send_all(builder, &format!("AclTopic{i}"));
        let send = if short { 310 } else { 10 };
        for code in [105, 34, send, 320] {
            assert!(answers.contains(&(code, Some(0))), "{code}: {answers:?}");
        }
        // The goodbye, for whose answer a shutdown does not wait long.
        let goodbye = |answer: &&Codes| answer.0 == 35 && matches!(answer.1, None | Some(0));
        assert!(answers.iter().any(|answer| goodbye(&answer)), "{answers:?}");
        // A name server does not know a new topic.
        let refused = |answer: &&Codes| answer.0 != 105 && answer.1 != Some(0) && !goodbye(answer);
        let refused: Vec<_> = answers.iter().filter(refused).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn namespaces_are_signed_with_the_rest_and_the_vip_port_checks_too() {
    let signed =
        || builder("AclGroup").credentials(env("ROCKETMQ_ACCESS_KEY"), env("ROCKETMQ_SECRET_KEY"));
    for builder in [
        signed().namespace("MQ_INST_1_2"),
        signed().options(ClientOptions::new().namespace_v2("space")),
        signed().options(ClientOptions::new().vip_channel(true)),
    ] {
        let producer = builder.start().unwrap();
        let receipt = producer.send(&Message::new("AclSpaceTopic", "x")).unwrap();
        assert_eq!(receipt.queue().topic(), "AclSpaceTopic");
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn without_the_right_secret_nothing_is_accepted() {
    let key = env("ROCKETMQ_ACCESS_KEY");
    for (why, builder) in [
        (
            "secret",
            builder("AclGroup").credentials(&key, "wrongSecretKey"),
        ),
        (
            "a secret beyond ASCII",
            builder("AclGroup").credentials(&key, "gr\u{fc}n \u{20ac}"),
        ),
        (
            "key",
            builder("AclGroup").credentials("unknownKey", "wrongSecretKey"),
        ),
        ("none", builder("AclGroup")),
    ] {
        let producer = builder.start().unwrap();
        let error = producer.send(&Message::new("AclTopic", "x")).unwrap_err();
        eprintln!("{why}: {error}");
        assert_eq!(error.kind(), ErrorKind::Broker, "{why}: {error}");
        assert_eq!(error.fate(), SendFate::NotSent, "{why}: {error}");
        if env("ROCKETMQ_VERSION").starts_with("4.") {
            assert_eq!(error.response_code(), Some(1.into()), "{why}: {error}");
            assert!(
                error.remark().unwrap().contains("AclException"),
                "{why}: {error}"
            );
            assert_eq!(error.attempts().len(), 1, "{why}: no retry can fix it");
        } else {
            assert_eq!(error.response_code(), Some(16.into()), "{why}: {error}");
            assert_eq!(
                error.attempts().len(),
                3,
                "{why}: 16 is in the list, as in Java"
            );
        }
        let handle = producer.submit(Message::new("AclTopic", "x"));
        assert_eq!(
            handle.wait().unwrap_err().kind(),
            ErrorKind::Broker,
            "{why}"
        );
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn consumers_with_the_right_secret_are_served_also_in_namespaces() {
    let signed =
        || kinds::options().credentials(env("ROCKETMQ_ACCESS_KEY"), env("ROCKETMQ_SECRET_KEY"));
    let binary = signed().header_format(HeaderFormat::Binary);
    for (topic, options) in [
        ("AclConsume", binary),
        ("AclConsumeSpace", signed().namespace("MQ_INST_1_2")),
        ("AclConsumeSpace2", signed().namespace_v2("space")),
    ] {
        kinds::all_consume(&options, topic);
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn consumers_without_the_right_secret_do_not_start() {
    let key = env("ROCKETMQ_ACCESS_KEY");
    let right = kinds::options().credentials(&key, env("ROCKETMQ_SECRET_KEY"));
    let producer = Producer::builder("AclWrong")
        .options(right)
        .send_timeout(PATIENCE);
    let producer = producer.start().unwrap();
    let topic = "AclConsumeWrong";
    let _receipt = producer.send(&Message::new(topic, "x")).unwrap();
    for (why, options) in [
        (
            "secret",
            kinds::options().credentials(&key, "wrongSecretKey"),
        ),
        (
            "key",
            kinds::options().credentials("unknownKey", "wrongSecretKey"),
        ),
        ("none", kinds::options()),
    ] {
        let push = refused(|| {
            let push = PushConsumer::builder("acl-wrong").options(options.clone());
            push.subscribe(topic, "*").start(|_| Ok(()))
        });
        let pull = refused(|| {
            let pull = PullConsumer::builder("acl-wrong").options(options.clone());
            pull.subscribe(topic, "*").start()
        });
        let simple = refused(|| {
            let simple = SimpleConsumer::builder("acl-wrong").options(options.clone());
            simple.subscribe(topic, "*").start()
        });
        for (kind, error) in [("push", push), ("pull", pull), ("simple", simple)] {
            println!("{why}, {kind}: {error}");
            let code = if env("ROCKETMQ_VERSION").starts_with("4.") {
                1
            } else {
                16
            };
            assert_eq!(error.kind(), ErrorKind::Broker, "{why}, {kind}: {error}");
            assert_eq!(
                error.response_code(),
                Some(code.into()),
                "{why}, {kind}: {error}"
            );
        }
    }
}
