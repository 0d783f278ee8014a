//! Limits: what may be in flight, and what a message may be.

use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use rocketmq_blocking::embedded::{Cluster, Fault, Gate, Injected, On};
use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::{Batch, ClientOptions, ErrorKind, Message, Producer, SendFate};

use crate::support::{patient as builder, *};

struct Full {
    cluster: Cluster,
    producer: Producer,
    gate: Gate,
    held: Injected,
}

/// A producer whose answers are all held.
fn held(setup: impl Fn(ProducerBuilder) -> ProducerBuilder) -> Full {
    let cluster = cluster();
    let gate = Gate::new();
    let held = cluster
        .broker("broker-a")
        .inject(Fault::hold(&gate).on(On::Send));
    let setup = setup(builder(&cluster).compress_over(usize::MAX));
    let producer = setup.start().unwrap();
    Full {
        cluster,
        producer,
        gate,
        held,
    }
}

#[track_caller]
fn check_busy(producer: &Producer, message: &Message) {
    let start = Instant::now();
    let short = || producer.prepare(message).timeout(ms(50));
    for error in [
        error(short().submit().wait()),
        short().send_oneway().unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert_eq!(error.fate(), SendFate::NotSent);
    }
    assert!(start.elapsed() >= ms(100) && start.elapsed() < ms(100) + STALL);
}

#[test]
fn a_send_at_the_message_limit_waits_until_its_deadline() {
    let full = held(|setup| setup.options(ClientOptions::new().max_in_flight_messages(3)));
    let pending: Vec<_> = (0..3)
        .map(|_| send_async(&full.producer, message("x")))
        .collect();
    assert!(full.held.wait_hits(3, PATIENCE));
    check_busy(&full.producer, &message("x"));
    assert_eq!(sends(&full.cluster).len(), 3);
    std::thread::scope(|scope| {
        // Synchronous sends are bounded by their threads.
        let sync = scope.spawn(|| full.producer.send(&message("x")));
        let waiting = scope.spawn(|| full.producer.submit(message("x")).wait());
        assert!(full.held.wait_hits(4, PATIENCE));
        assert!(!waiting.is_finished());
        full.gate.open();
        assert!(sync.join().unwrap().is_ok());
        assert!(waiting.join().unwrap().is_ok());
    });
    assert!(pending.iter().all(|results| only(results).is_ok()));
}

#[test]
fn a_send_at_the_byte_limit_waits_until_its_deadline() {
    let full = held(|setup| setup.options(ClientOptions::new().max_in_flight_bytes(1000)));
    let small = message(vec![7; 100]);
    let first = send_async(&full.producer, message(vec![7; 600]));
    let second = send_async(&full.producer, message(vec![7; 400]));
    assert!(full.held.wait_hits(2, PATIENCE));
    check_busy(&full.producer, &small);
    let sync = full.producer.prepare(&small).timeout(ms(50)).send();
    assert_eq!(
        error(sync).kind(),
        ErrorKind::Busy,
        "bytes count in every way of sending"
    );
    full.gate.open();
    assert!(only(&first).is_ok() && only(&second).is_ok());
    // A message larger than the limit could otherwise never be sent.
    assert!(full.producer.send(&message(vec![7; 5000])).is_ok());
}

#[test]
fn capacity_is_returned_when_a_callback_starts() {
    let full = held(|setup| {
        setup.options(
            ClientOptions::new()
                .max_in_flight_messages(1)
                .callback_threads(1),
        )
    });
    let (done, sent) = bounded(1);
    let (release, stuck) = bounded::<()>(0);
    full.producer.send_async(message("x"), move |_| {
        done.send(()).unwrap();
        assert!(stuck.recv().is_err());
    });
    full.gate.open();
    sent.recv_timeout(PATIENCE).unwrap();
    // The callback still runs.
    assert!(full.producer.submit(message("x")).wait().is_ok());
    drop(release);
}

#[test]
fn a_failed_send_returns_its_capacity() {
    let cluster = cluster();
    let setup = builder(&cluster).options(
        ClientOptions::new()
            .max_in_flight_messages(1)
            .max_in_flight_bytes(10),
    );
    let producer = setup
        .retries(0)
        .async_retries(0)
        .send_timeout(ms(2000))
        .start()
        .unwrap();
    cluster
        .broker("broker-a")
        .inject(Fault::hang_up().on(On::Send).times(15));
    let unknown = Message::new("bad topic!", "x");
    for i in 0..40 {
        let _ = MODES[i % 2].send(&producer, &message("0123456789"));
        let _ = MODES[i % 2].send(&producer, &unknown);
        let _ = producer.submit(message("0123456789")).wait();
        let _ = producer.send_oneway(&message("0123456789"));
    }
    assert!(producer.flush(PATIENCE).is_ok());
    eventually("it works again", || {
        producer.submit(message("0123456789")).wait().is_ok()
    });
}

#[test]
fn messages_are_checked_as_in_java_and_nothing_is_sent() {
    const MAX: usize = 4 * 1024 * 1024;
    let cluster = Cluster::builder().auto_create_topics(true).start().unwrap();
    let producer = builder(&cluster).compress_over(usize::MAX).start().unwrap();
    // `UNIQ_KEY\1<32>\2WAIT\1true\2` and `p\1..\2` are the rest.
    let fixed = 8 + 1 + 32 + 1 + 4 + 1 + 4 + 1 + 3;
    let property = |len: usize| message("x").property("p", "v".repeat(len - fixed));
    let cases = [
        (message(""), false),
        (message("x"), true),
        (message(vec![7; MAX]), true),
        (message(vec![7; MAX + 1]), false),
        (Message::new("", "x"), false),
        (Message::new(" ", "x"), false),
        (Message::new("a.b", "x"), false),
        (Message::new("t\u{e9}", "x"), false),
        (Message::new("%a|b_c-9", "x"), true),
        (Message::new("t".repeat(127), "x"), true),
        (Message::new("t".repeat(128), "x"), false),
        (Message::new("SCHEDULE_TOPIC_XXXX", "x"), false),
        (Message::new("RMQ_SYS_TRANS_HALF_TOPIC", "x"), false),
        (Message::new("SELF_TEST_TOPIC", "x"), false),
        (message("x").property("KEYS", "v"), false),
        (message("x").property("UNIQ_KEY", "v"), false),
        (message("x").property("", "v"), false),
        (message("x").property("n", " "), false),
        (message("x").property("n", "a\u{1}b"), false),
        (message("x").property("n\u{2}", "v"), false),
        (message("x").tag("a\u{2}b"), false),
        (message("x").key("a\u{1}b"), false),
        // Brokers store 32,767 bytes, and add up to 128 of their own.
        (property(32_767 - 128), true),
        (property(32_767 - 127), false),
        (property(32_768), false),
    ];
    let mut stored = 0;
    for (i, (message, legal)) in cases.iter().enumerate() {
        let results = [
            producer.send(message).map(drop),
            producer.submit(message.clone()).wait().map(drop),
            producer.send_oneway(message),
        ];
        for result in results {
            match result {
                Ok(()) => assert!(legal, "case {i}: {message:?}"),
                Err(error) => {
                    assert!(!legal, "case {i}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Invalid);
                    assert_eq!(error.fate(), SendFate::NotSent);
                }
            }
        }
        if !legal {
            let batch = Batch::new([message.clone()]);
            let refused = batch.and_then(|batch| producer.send_batch(&batch));
            assert_eq!(error(refused).kind(), ErrorKind::Invalid);
        }
        stored += if *legal { 3 } else { 0 };
    }
    producer.flush(PATIENCE).unwrap();
    let all = || -> u64 {
        let topics = cases.iter().map(|(message, _)| message.topic());
        let topics: std::collections::BTreeSet<&str> = topics.collect();
        topics
            .into_iter()
            .map(|topic| cluster.message_count(topic))
            .sum()
    };
    eventually("the legal ones are stored", || all() == stored);
    assert_eq!(cluster.requests(&On::Send).len(), stored as usize);
}

#[test]
fn a_batch_is_limited_as_a_whole() {
    let cluster = cluster();
    let producer = builder(&cluster).max_message_size(1000).start().unwrap();
    let batch = |count| Batch::new((0..count).map(|_| message(vec![7; 100]))).unwrap();
    assert!(producer.send_batch(&batch(5)).is_ok());
    let error = error(producer.send_batch(&batch(9)));
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(cluster.message_count("T"), 5);
}

#[test]
fn a_message_too_large_for_a_frame_is_refused() {
    let cluster = cluster();
    let setup = builder(&cluster)
        .max_message_size(64 << 20)
        .options(ClientOptions::new().max_in_flight_bytes(1 << 30));
    let producer = setup.compress_over(usize::MAX).start().unwrap();
    let message = message(vec![7; 16 << 20]);
    for mode in MODES {
        let error = error(mode.send(&producer, &message));
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert_eq!(error.fate(), SendFate::NotSent);
    }
    assert_eq!(
        producer.send_oneway(&message).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert!(producer.send(&self::message("x")).is_ok());
    assert!(producer.shutdown_within(PATIENCE).is_clean());
}

/// Brokers store 32,767 bytes of properties, and add some of their own.
#[test]
fn properties_leave_what_brokers_add() {
    /// Of region, cluster, trace and checksum.
    const ADDED: usize = 128;
    let cluster = cluster();
    let producer = producer(&cluster);
    let long = |len: usize| Message::new("T", "x").property("long", "p".repeat(len));
    let longest = (0..32_767)
        .rev()
        .find(|len| producer.send(&long(*len)).is_ok());
    let longest = longest.expect("a length");
    let messages = cluster.messages("T");
    let stored = messages.iter().map(|stored| {
        let lengths = stored.properties().iter();
        lengths
            .map(|(name, value)| name.len() + value.len() + 2)
            .sum::<usize>()
    });
    assert_eq!(stored.max(), Some(32_767 - ADDED));

    let error = producer.send(&long(longest + 1)).unwrap_err();
    assert_eq!(
        (error.kind(), error.fate()),
        (ErrorKind::Invalid, SendFate::NotSent)
    );
    assert!(error.to_string().contains("brokers store 32767"), "{error}");
    // Brokers write where a message goes, and when, into one that is delivered later.
    let later = long(longest).deliver_after(Duration::from_secs(60));
    let error = producer.send(&later).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(producer.send(&long(longest - 200).delay_level(1)).is_ok());
}

/// The words of brokers 4.9.7 to 5.4.0, which are the same for a body and for properties.
#[test]
fn the_error_of_a_too_long_message_names_the_part() {
    const REMARK: &str = "the message is illegal, maybe msg body or properties length not matched. \
                          msg body length limit 4194304B, msg properties length limit 32KB.";
    let cluster = cluster();
    let producer = producer(&cluster);
    let refuse = || Fault::answer(13, REMARK).on(On::Send).once();
    let error = |message: &Message| {
        cluster.broker("broker-a").inject(refuse());
        let error = producer.send(message).unwrap_err();
        assert_eq!(error.response_code(), Some(13.into()));
        assert_eq!(error.fate(), SendFate::NotSent);
        error.to_string()
    };
    let long = Message::new("T", "x").property("long", "p".repeat(32_000));
    let text = error(&long);
    assert!(
        text.contains("MESSAGE_ILLEGAL (13), properties too long"),
        "{text}"
    );
    let text = error(&Message::new("T", vec![7; 1000]));
    assert!(text.contains("body or properties too long"), "{text}");
    assert!(text.contains("body 1000 bytes"), "{text}");
}
