//! The broker asks back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rocketmq_blocking::embedded::{Cluster, On, Transaction};
use rocketmq_blocking::{
    Client, ClientOptions, Message, MessageView, Producer, TransactionProducer, TransactionState,
};

use super::{bodies, checked, cluster};
use crate::support::PATIENCE;

/// Sends a message whose local transaction returns `Unknown`.
fn leave_open(cluster: &Cluster, producer: &TransactionProducer, body: &str) -> String {
    let receipt = producer
        .send_in_transaction(&Message::new("Paid", body), |_| {
            Ok(TransactionState::Unknown)
        })
        .expect("sent");
    let id = receipt.transaction_id().to_owned();
    cluster.wait_for_end(&id, 1, PATIENCE).expect("told");
    id
}

fn send_plain(producer: &Producer, body: &str) {
    let sent = producer.send(&Message::new("Other", body));
    assert!(sent.is_ok(), "{sent:?}");
}

/// Waits until the broker has noticed that its clients are gone: it would ask them still.
fn wait_until_gone(cluster: &Cluster) {
    let broker = cluster.broker("broker-a");
    assert!(broker.wait_for_connections(0, PATIENCE));
}

fn told(cluster: &Cluster, id: &str, count: usize) -> Transaction {
    let transaction = cluster.wait_for_end(id, count, PATIENCE).expect("known");
    assert_eq!(transaction.told().len(), count, "{transaction:?}");
    transaction
}

#[test]
fn the_check_decides_what_the_local_transaction_left_open() {
    let cluster = cluster();
    let by_body = |half: &MessageView| match half.body() {
        b"yes" => TransactionState::Commit,
        b"no" => TransactionState::Rollback,
        _ => TransactionState::Unknown,
    };
    let producer = checked(&cluster, "payments", by_body)
        .start()
        .expect("started");
    let yes = leave_open(&cluster, &producer, "yes");
    let no = leave_open(&cluster, &producer, "no");
    let later = leave_open(&cluster, &producer, "later");
    assert_eq!(cluster.check_transactions(), 3);
    assert_eq!(told(&cluster, &yes, 2).state(), TransactionState::Commit);
    assert_eq!(told(&cluster, &no, 2).state(), TransactionState::Rollback);
    assert_eq!(told(&cluster, &later, 2).state(), TransactionState::Unknown);
    assert_eq!(cluster.check_transactions(), 1);
    assert_eq!(told(&cluster, &later, 3).checks(), 2);
    assert_eq!(bodies(&cluster, "Paid"), ["yes"]);
}

#[test]
fn a_wait_for_a_decision_ends_with_it_or_at_its_timeout() {
    let cluster = cluster();
    let producer = checked(&cluster, "payments", |_| TransactionState::Commit);
    let producer = producer.start().expect("started");
    let id = leave_open(&cluster, &producer, "x");
    let open = cluster.wait_for_decision(&id, Duration::ZERO);
    assert_eq!(open.expect("known").state(), TransactionState::Unknown);
    assert!(cluster.wait_for_decision("?", Duration::ZERO).is_none());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| cluster.wait_for_decision(&id, PATIENCE));
        assert_eq!(cluster.check_transactions(), 1);
        let ended = waiting.join().expect("no panic").expect("known");
        assert_eq!(ended.state(), TransactionState::Commit);
        assert_eq!(bodies(&cluster, "Paid"), ["x"]);
    });
}

#[test]
fn the_check_gets_the_whole_message_and_answers_the_asking_broker() {
    let cluster = cluster();
    let (saw, seen) = unbounded();
    let check = move |half: &MessageView| {
        saw.send(half.clone()).expect("the test listens");
        TransactionState::Commit
    };
    let producer = checked(&cluster, "payments", check)
        .start()
        .expect("started");
    let body = "order ".repeat(2000);
    let message = Message::new("Paid", body.clone())
        .tag("T")
        .property("shop", "north");
    let receipt = producer.send_in_transaction(&message, |_| Ok(TransactionState::Unknown));
    let id = receipt.expect("sent").transaction_id().to_owned();
    told(&cluster, &id, 1);
    assert_eq!(cluster.check_transactions(), 1);
    let half = seen.recv_timeout(PATIENCE).expect("asked");
    assert_eq!(half.topic(), "Paid");
    assert_eq!(half.body(), body.as_bytes());
    assert_eq!(half.unique_key(), Some(&*id));
    assert_eq!(half.tag(), Some("T"));
    assert_eq!(half.property("shop"), Some("north"));

    let transaction = told(&cluster, &id, 2);
    let [first, second] = transaction.told() else {
        panic!("two ends");
    };
    assert!(!first.from_check && second.from_check);
    assert_eq!(second.topic.as_deref(), Some("RMQ_SYS_TRANS_HALF_TOPIC"));
    assert_eq!(second.message_id.as_deref(), Some(&*id));
    assert_eq!(second.transaction_id.as_deref(), Some(&*id));
    assert_eq!(second.broker_name.as_deref(), Some("broker-a"));
    let ends = cluster.requests(&On::EndTransaction);
    let heartbeats = cluster.requests(&On::Heartbeat);
    assert!(ends[1].command().is_oneway());
    assert_eq!(ends[1].connection(), heartbeats[0].connection());
}

#[test]
fn a_check_that_panics_is_an_unknown_one_and_the_next_is_answered() {
    let cluster = cluster();
    let calls = AtomicUsize::new(0);
    let check = move |_: &MessageView| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => panic!("a test's own panic"),
        _ => TransactionState::Commit,
    };
    let producer = checked(&cluster, "payments", check)
        .start()
        .expect("started");
    let id = leave_open(&cluster, &producer, "x");
    cluster.check_transactions();
    let open = told(&cluster, &id, 2);
    assert_eq!(open.state(), TransactionState::Unknown);
    assert_eq!(
        open.remarks(),
        ["check failed: panicked: a test's own panic"]
    );
    cluster.check_transactions();
    assert_eq!(told(&cluster, &id, 3).state(), TransactionState::Commit);
}

#[test]
fn transaction_producers_of_one_client_answer_each_for_their_own() {
    let cluster = cluster();
    let client = ClientOptions::new().name_server(cluster.name_server());
    let client = Client::start(client).expect("started");
    let start = |group: &str, state| {
        let builder = TransactionProducer::builder(group, move |_| state);
        builder.client(&client).start().expect("started")
    };
    let payments = start("payments", TransactionState::Commit);
    let refunds = start("refunds", TransactionState::Rollback);
    let paid = leave_open(&cluster, &payments, "paid");
    let refunded = leave_open(&cluster, &refunds, "refunded");
    let connections = cluster.requests(&On::Send);
    assert_eq!(connections[0].connection(), connections[1].connection());
    assert_eq!(cluster.check_transactions(), 2);
    assert_eq!(told(&cluster, &paid, 2).state(), TransactionState::Commit);
    assert_eq!(
        told(&cluster, &refunded, 2).state(),
        TransactionState::Rollback
    );
    assert_eq!(bodies(&cluster, "Paid"), ["paid"]);
    // One goes, the other stays.
    payments.shutdown();
    let open = leave_open(&cluster, &refunds, "again");
    assert_eq!(cluster.check_transactions(), 1);
    assert_eq!(told(&cluster, &open, 2).state(), TransactionState::Rollback);
}

/// A check that reports its start, and continues on request.
struct Stalled {
    running: Receiver<()>,
    go_on: Option<Sender<()>>,
    ran: Arc<AtomicUsize>,
}

fn stalled() -> (
    Stalled,
    impl Fn(&MessageView) -> TransactionState + Send + Sync,
) {
    let (started, running) = unbounded();
    let (go_on, gate) = bounded::<()>(0);
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = ran.clone();
    let check = move |_: &MessageView| {
        counted.fetch_add(1, Ordering::SeqCst);
        let _ = started.send(());
        assert!(gate.recv().is_err());
        TransactionState::Commit
    };
    let go_on = Some(go_on);
    (
        Stalled {
            running,
            go_on,
            ran,
        },
        check,
    )
}

#[test]
fn checks_beyond_the_queue_are_dropped_and_repeated() {
    let cluster = cluster();
    let (mut stalled, check) = stalled();
    let builder = checked(&cluster, "payments", check).check_queue(1);
    let producer = builder.start().expect("started");
    let open = |i: usize| leave_open(&cluster, &producer, &i.to_string());
    let first = open(0);
    assert_eq!(cluster.check_transactions(), 1);
    stalled.running.recv_timeout(PATIENCE).expect("one runs");
    let (got, replies) = unbounded();
    let asking = move |reply| got.send(reply).expect("the test waits");
    let question = Message::new("Asked", "?");
    producer
        .producer()
        .request_async(question, PATIENCE, asking);
    let asked = cluster.wait_for_messages("Asked", 1, PATIENCE);
    // The first of the next five questions waits; four find the queue full.
    let others: Vec<_> = (1..5).map(open).collect();
    assert_eq!(cluster.check_transactions(), 5);
    // The reply goes the way of the checks, behind them: that it is here shows that all of them were read.
    let reply = Message::reply_to(&asked[0].view(), "x").expect("a request");
    let sent = producer.producer().send(&reply);
    assert!(sent.is_ok(), "{sent:?}");
    let got = replies.recv_timeout(PATIENCE).expect("called");
    assert!(got.is_ok(), "{got:?}");
    drop(stalled.go_on.take());
    stalled
        .running
        .recv_timeout(PATIENCE)
        .expect("what waited runs");
    assert_eq!(told(&cluster, &first, 2).state(), TransactionState::Commit);
    assert_eq!(stalled.ran.load(Ordering::SeqCst), 2);
    // Dropped checks are repeated as often as needed: a check of the previous round may still fill
    // the queue.
    for id in &others {
        assert_eq!(told(&cluster, id, 1).state(), TransactionState::Unknown);
    }
    for id in &others {
        let answered = (0..200).any(|_| {
            cluster.check_transactions();
            let known = cluster.wait_for_end(id, 2, Duration::from_millis(50));
            known.expect("known").told().len() >= 2
        });
        assert!(answered, "{id} was asked about");
        assert_eq!(told(&cluster, id, 2).state(), TransactionState::Commit);
    }
    let mut all = bodies(&cluster, "Paid");
    all.sort();
    assert_eq!(all, ["0", "1", "2", "3", "4"]);
}

#[test]
fn several_threads_check_at_the_same_time() {
    let cluster = cluster();
    let (mut stalled, check) = stalled();
    let builder = checked(&cluster, "payments", check).check_threads(2);
    let producer = builder.start().expect("started");
    let ids = ["a", "b"].map(|body| leave_open(&cluster, &producer, body));
    cluster.check_transactions();
    for _ in &ids {
        stalled.running.recv_timeout(PATIENCE).expect("both run");
    }
    drop(stalled.go_on.take());
    for id in &ids {
        assert_eq!(told(&cluster, id, 2).state(), TransactionState::Commit);
    }
}

#[test]
fn a_shutdown_lets_the_running_check_answer_and_begins_no_other() {
    let cluster = cluster();
    let (mut stalled, check) = stalled();
    let producer = checked(&cluster, "payments", check)
        .start()
        .expect("started");
    let ids = ["a", "b"].map(|body| leave_open(&cluster, &producer, body));
    assert_eq!(cluster.check_transactions(), 2);
    stalled.running.recv_timeout(PATIENCE).expect("one runs");
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| producer.shutdown_within(PATIENCE));
        let late = || producer.producer().send(&Message::new("Other", "late"));
        while late().is_ok() {
            std::thread::yield_now();
        }
        drop(stalled.go_on.take());
        let report = closing.join().expect("no panic");
        assert!(report.is_clean(), "{report}");
    });
    assert_eq!(stalled.ran.load(Ordering::SeqCst), 1);
    assert_eq!(told(&cluster, &ids[0], 2).state(), TransactionState::Commit);
    assert_eq!(
        told(&cluster, &ids[1], 1).state(),
        TransactionState::Unknown
    );
    assert_eq!(bodies(&cluster, "Paid"), ["a"]);
}

#[test]
fn a_check_that_never_ends_is_reported_by_the_shutdown() {
    let cluster = cluster();
    for shared in [false, true] {
        let (mut stalled, check) = stalled();
        let client = ClientOptions::new().name_server(cluster.name_server());
        let client = Client::start(client).expect("started");
        let builder = match shared {
            true => TransactionProducer::builder("payments", check).client(&client),
            false => checked(&cluster, "payments", check),
        };
        let producer = builder.start().expect("started");
        leave_open(&cluster, &producer, "x");
        cluster.check_transactions();
        stalled.running.recv_timeout(PATIENCE).expect("it runs");
        let soon = Duration::from_secs(1);
        let report = match shared {
            // The client goes first, and the producer with it.
            true => client.shutdown_within(soon),
            false => producer.shutdown_within(soon),
        };
        assert!(
            report.stuck_threads.contains(&"rmq-check".into()),
            "{report}"
        );
        drop(stalled.go_on.take());
        wait_until_gone(&cluster);
    }
}

#[test]
fn a_check_of_a_group_without_a_transaction_producer_does_no_harm() {
    let cluster = cluster();
    let transactional = checked(&cluster, "payments", |_| TransactionState::Commit);
    let transactional = transactional.start().expect("started");
    let id = leave_open(&cluster, &transactional, "x");
    transactional.shutdown();
    wait_until_gone(&cluster);
    assert_eq!(cluster.check_transactions(), 0, "no producer is connected");
    // A plain producer of the same group is asked, and cannot answer.
    let plain = Producer::builder("payments").name_server(cluster.name_server());
    let plain = plain.start().expect("started");
    send_plain(&plain, "1");
    assert_eq!(cluster.check_transactions(), 1);
    send_plain(&plain, "2");
    assert_eq!(told(&cluster, &id, 1).state(), TransactionState::Unknown);
    // Another process of the group answers for the one that is gone.
    plain.shutdown();
    wait_until_gone(&cluster);
    let other = checked(&cluster, "payments", |_| TransactionState::Commit);
    let other = other.start().expect("started");
    send_plain(other.producer(), "3");
    assert_eq!(cluster.check_transactions(), 1);
    assert_eq!(told(&cluster, &id, 2).state(), TransactionState::Commit);
}

#[test]
fn a_half_message_that_inflates_beyond_the_limit_is_an_unknown_one() {
    let cluster = cluster();
    let sender = checked(&cluster, "payments", |_| TransactionState::Commit);
    let sender = sender.start().expect("started");
    let id = leave_open(&cluster, &sender, &"x".repeat(100_000));
    sender.shutdown();
    wait_until_gone(&cluster);
    let small = checked(&cluster, "payments", |_| panic!("checked nevertheless"));
    let small = small.max_message_size(50_000).start().expect("started");
    send_plain(small.producer(), "x");
    assert_eq!(cluster.check_transactions(), 1);
    let open = told(&cluster, &id, 2);
    assert_eq!(open.state(), TransactionState::Unknown);
    let remark = &open.remarks()[0];
    assert!(remark.contains("inflates beyond 50000 bytes"), "{remark}");
}
