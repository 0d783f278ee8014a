//! A producer's statistics: every call counts once, whatever its outcome.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rocketmq_blocking::embedded::{Cluster, Fault, Gate, On};
use rocketmq_blocking::producer::AutoBatch;
use rocketmq_blocking::stats::ProducerStats;
use rocketmq_blocking::{
    Batch, ErrorKind, Message, Producer, SendFate, TransactionProducer, TransactionState,
};

use crate::support::{PATIENCE, eventually, patient as builder};

/// Nothing is in flight, so that all that began has ended one way or the other.
#[track_caller]
fn check_quiescent(stats: &ProducerStats) {
    assert_eq!((stats.in_flight, stats.in_flight_bytes), (0, 0), "{stats}");
    assert_eq!(stats.begun, stats.sent + stats.failed, "{stats}");
    let by_kind = stats.failed_by_kind.iter().map(|(_, n)| n).sum::<u64>();
    assert_eq!(by_kind, stats.failed, "{stats}");
}

fn attempts(stats: &ProducerStats) -> u64 {
    stats.brokers.iter().map(|broker| broker.attempts).sum()
}

/// Runs calls on a producer with two brokers, and returns the counts.
#[track_caller]
fn counted(retries: u32, calls: impl FnOnce(&Cluster, &Producer)) -> ProducerStats {
    // One queue each: sends go to them in turn.
    let cluster = Cluster::builder().brokers(2).topic("T", 1).start().unwrap();
    let setup = builder(&cluster).retries(retries).async_retries(retries);
    let producer = setup.send_timeout(PATIENCE).start().unwrap();
    calls(&cluster, &producer);
    // No wait: an outcome is counted before the caller gets it.
    let stats = producer.stats();
    check_quiescent(&stats);
    stats
}

fn batch() -> Batch {
    Batch::new(["a", "bb", "ccc"].map(|body| Message::new("T", body))).unwrap()
}

/// Sends and waits for the callback.
fn send_async(producer: &Producer, message: Message) -> rocketmq_blocking::Result<()> {
    let (done, result) = mpsc::channel();
    producer.send_async(message, move |outcome| {
        done.send(outcome.map(drop)).unwrap();
    });
    result.recv_timeout(PATIENCE).unwrap()
}

/// Each form of a call, with a message of five bytes. (The batch has three of six together.)
type Call = fn(&Producer) -> rocketmq_blocking::Result<()>;

const CALLS: [(&str, Call); 6] = [
    ("sync", |p| p.send(&Message::new("T", "12345")).map(drop)),
    ("async", |p| send_async(p, Message::new("T", "12345"))),
    ("submit", |p| {
        p.submit(Message::new("T", "12345")).wait().map(drop)
    }),
    ("oneway", |p| p.send_oneway(&Message::new("T", "12345"))),
    ("batch", |p| p.send_batch(&batch()).map(drop)),
    ("batch, submitted", |p| {
        p.prepare_batch(&batch()).submit().wait().map(drop)
    }),
];

#[test]
fn every_call_is_counted_once_when_it_succeeds() {
    for (name, call) in CALLS {
        let stats = counted(2, |_, producer| {
            (0..10).for_each(|_| call(producer).unwrap())
        });
        let (messages, bytes) = match name.starts_with("batch") {
            true => (30, 60),
            false => (10, 50),
        };
        assert_eq!((stats.sent, stats.sent_bytes), (messages, bytes), "{name}");
        assert_eq!((attempts(&stats), stats.retries), (10, 0), "{name}");
        let answers: u64 = stats.brokers.iter().map(|b| b.latency.count()).sum();
        assert_eq!(answers, if name == "oneway" { 0 } else { 10 }, "{name}");
    }
}

#[test]
fn attempts_that_fail_are_counted_with_their_broker_and_the_call_once() {
    for (name, call) in CALLS.iter().filter(|(name, _)| *name != "oneway") {
        let stats = counted(2, |cluster, producer| {
            let refusal = Fault::answer(17, "no").on(On::Send).once();
            for broker in cluster.brokers() {
                broker.inject(refusal.clone());
            }
            call(producer).unwrap();
        });
        assert_eq!(
            (stats.retries, attempts(&stats), stats.failed),
            (2, 3, 0),
            "{name}"
        );
        let failures: Vec<_> = stats
            .brokers
            .iter()
            .map(|b| (&*b.broker, b.failures))
            .collect();
        assert_eq!(failures, [("broker-a", 1), ("broker-b", 1)], "{name}");
    }
}

#[test]
fn failed_calls_are_counted_by_kind_and_by_fate() {
    for (fault, kind, delivery) in [
        (
            Fault::answer(1, "no"),
            ErrorKind::Broker,
            SendFate::MaybeStored,
        ),
        (
            Fault::answer(13, "no"),
            ErrorKind::Broker,
            SendFate::NotSent,
        ),
        (
            Fault::hang_up(),
            ErrorKind::Disconnected,
            SendFate::MaybeStored,
        ),
    ] {
        for (name, call) in CALLS.iter().filter(|(name, _)| *name != "oneway") {
            let stats = counted(0, |cluster, producer| {
                for broker in cluster.brokers() {
                    broker.inject(fault.clone().on(On::Send));
                }
                let error = call(producer).unwrap_err();
                assert_eq!((error.kind(), error.fate()), (kind, delivery), "{name}");
            });
            assert_eq!(stats.failed_with(kind), stats.begun, "{name}: {stats}");
            let unsure = if delivery == SendFate::MaybeStored {
                stats.begun
            } else {
                0
            };
            assert_eq!((stats.maybe_stored, stats.sent), (unsure, 0), "{name}");
            let failures: u64 = stats.brokers.iter().map(|b| b.failures).sum();
            assert_eq!((failures, attempts(&stats)), (1, 1), "{name}");
        }
    }
}

#[test]
fn calls_refused_before_an_attempt_count_as_begun_and_failed() {
    let stats = counted(2, |_, producer| {
        let invalid = Message::new("no topic", "12345");
        assert!(producer.send(&invalid).is_err());
        assert!(producer.send_oneway(&invalid).is_err());
        assert!(producer.submit(invalid.clone()).wait().is_err());
        assert!(send_async(producer, invalid.clone()).is_err());
        assert!(producer.request(&invalid, PATIENCE).is_err());
        assert!(producer.prepare_batch(&batch()).request(PATIENCE).is_err());
        producer.shutdown();
        for (name, call) in CALLS {
            assert!(call(producer).is_err(), "{name}");
        }
    });
    let kinds = [(ErrorKind::Invalid, 5 + 3), (ErrorKind::Closed, 4 + 6)];
    assert_eq!(stats.failed_by_kind, kinds);
    assert_eq!((stats.sent, attempts(&stats)), (0, 0));
}

#[test]
fn unanswered_sends_are_in_flight() {
    let cluster = Cluster::start().unwrap();
    let producer = builder(&cluster).send_timeout(PATIENCE).start().unwrap();
    let answers = Gate::new();
    cluster
        .broker("broker-a")
        .inject(Fault::hold(&answers).on(On::Send));
    let (ended, end) = mpsc::channel();
    let looking = producer.clone();
    producer.send_async(Message::new("T", "12"), move |result| {
        ended.send((result.is_ok(), looking.stats())).unwrap();
    });
    let stats = producer.stats();
    assert_eq!(
        (stats.begun, stats.in_flight, stats.in_flight_bytes),
        (1, 1, 2)
    );
    thread::scope(|scope| {
        let sync = scope.spawn(|| producer.send_batch(&batch()).is_ok());
        // Messages and bytes are counted one after the other.
        eventually("all are in flight", || {
            let stats = producer.stats();
            (stats.in_flight, stats.in_flight_bytes) == (4, 2 + 6)
        });
        answers.open();
        assert!(sync.join().unwrap());
    });
    let (ok, in_callback) = end.recv_timeout(PATIENCE).unwrap();
    assert!(
        ok && in_callback.sent >= 1,
        "it has ended when its callback runs"
    );
    check_quiescent(&producer.stats());
}

#[test]
fn gathered_messages_are_calls_of_their_own() {
    let cluster = Cluster::start().unwrap();
    let auto = AutoBatch::new().max_delay(Duration::from_millis(1));
    let producer = builder(&cluster).auto_batch(auto).start().unwrap();
    let handles: Vec<_> = (0..20)
        .map(|_| producer.submit(Message::new("T", "1")))
        .collect();
    handles
        .into_iter()
        .for_each(|handle| drop(handle.wait().unwrap()));
    let _receipt = producer.send(&Message::new("T", "1")).unwrap();
    send_async(&producer, Message::new("T", "1")).unwrap();
    let stats = producer.stats();
    check_quiescent(&stats);
    assert_eq!((stats.sent, stats.sent_bytes), (22, 22));
    let requests = cluster.requests(&On::Send).len() as u64;
    assert_eq!(attempts(&stats), requests, "an attempt is a request");
}

#[test]
fn a_transaction_is_its_half_message_and_a_request_has_ended_with_its_reply() {
    let cluster = Cluster::start().unwrap();
    let setup = TransactionProducer::builder("tx", |_| TransactionState::Commit);
    let payments = setup.name_server(cluster.name_server()).start().unwrap();
    let done =
        payments.send_in_transaction(&Message::new("T", "1"), |_| Ok(TransactionState::Commit));
    assert!(done.is_ok());
    let stats = payments.stats();
    check_quiescent(&stats);
    assert_eq!((stats.sent, attempts(&stats)), (1, 1));

    // There is no reply.
    let producer = builder(&cluster).start().unwrap();
    let question = Message::new("T", "1");
    let patience = Duration::from_millis(2500);
    let (ended, end) = mpsc::channel();
    producer.request_async(question.clone(), patience, move |reply| {
        ended.send(reply.is_err()).unwrap()
    });
    assert!(producer.request(&question, patience).is_err());
    assert!(end.recv_timeout(PATIENCE).unwrap());
    let stats = producer.stats();
    check_quiescent(&stats);
    assert_eq!(
        (stats.failed_with(ErrorKind::Timeout), stats.maybe_stored),
        (2, 2)
    );
    assert_eq!((attempts(&stats), stats.brokers[0].failures), (2, 0));
}

#[test]
fn an_interval_is_the_difference_of_two_snapshots_and_numbers_only_grow() {
    let mut before = None;
    let stats = counted(0, |cluster, producer| {
        let send = || producer.send(&Message::new("T", "12345")).is_ok();
        assert!(send());
        let first = producer.stats();
        let refusal = Fault::answer(13, "no").on(On::Send).once();
        cluster
            .brokers()
            .iter()
            .for_each(|b| drop(b.inject(refusal.clone())));
        let ok = (0..4).filter(|_| send()).count();
        assert_eq!(ok, 2);
        before = Some(first);
    });
    let since = stats.since(&before.unwrap());
    assert_eq!(
        (since.begun, since.sent, since.sent_bytes, since.failed),
        (4, 2, 10, 2)
    );
    assert_eq!(
        (attempts(&since), since.failed_with(ErrorKind::Broker)),
        (4, 2)
    );
    let empty = stats.since(&stats);
    assert_eq!(
        (empty.begun, attempts(&empty), empty.failed_by_kind.len()),
        (0, 0, 0)
    );
}

#[test]
fn a_summary_has_a_line_for_the_producer_and_one_for_each_broker() {
    let stats = counted(0, |cluster, producer| {
        let send = || producer.send(&Message::new("T", "12345"));
        let _receipts = (send().unwrap(), send().unwrap());
        let refusal = Fault::answer(1, "no").on(On::Send).once();
        cluster
            .brokers()
            .iter()
            .for_each(|b| drop(b.inject(refusal.clone())));
        assert!(send().is_err());
    });
    let text = stats.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let [total, a, b] = &lines[..] else {
        panic!("{text}");
    };
    let says = "producer group: 2 sent (10 bytes), 1 failed (broker 1, may be stored 1), \
                0 retries, 0 in flight (0 bytes)";
    assert_eq!(*total, says);
    assert!(
        a.starts_with("  broker-a: ") && a.contains(" attempts, "),
        "{a}"
    );
    assert!(
        b.starts_with("  broker-b: ") && b.contains(", p99.9 "),
        "{b}"
    );
}

#[test]
fn a_snapshot_during_sends_never_has_more_ends_than_beginnings() {
    const EACH: u64 = 300;
    let cluster = Cluster::start().unwrap();
    let producer = builder(&cluster).send_timeout(PATIENCE).start().unwrap();
    thread::scope(|scope| {
        let senders: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        producer.send_oneway(&Message::new("T", "1")).unwrap();
                        let _receipt = producer.send(&Message::new("T", "1")).unwrap();
                    }
                })
            })
            .collect();
        let mut last = producer.stats();
        while senders.iter().any(|sender| !sender.is_finished()) {
            let now = producer.stats();
            assert!(
                now.sent >= last.sent && now.begun >= last.begun,
                "{last}\n{now}"
            );
            assert_eq!(now.begun, now.sent + now.failed + now.in_flight, "{now}");
            last = now;
        }
    });
    let stats = producer.stats();
    check_quiescent(&stats);
    assert_eq!(stats.sent, 3 * 2 * EACH);
}
