//! A message, its local transaction, and its end at the broker.

use std::time::{Duration, SystemTime};

use rocketmq_blocking::embedded::{Cluster, Fault, On, Transaction};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::protocol::send::SendRequest;
use rocketmq_blocking::protocol::sys_flag;
use rocketmq_blocking::protocol::transaction::EndTransaction;
use rocketmq_blocking::transaction::{HalfMessage, TransactionReceipt};
use rocketmq_blocking::{Client, ClientOptions, ErrorKind, Message, SendStatus, TransactionState};

use super::{bodies, cluster, unchecked};
use crate::support::PATIENCE;

type LocalResult = Result<TransactionState, Box<dyn std::error::Error + Send + Sync>>;

/// Sends one message in a transaction and waits until the broker heard of the end.
fn run(
    cluster: &Cluster,
    local: impl FnOnce(&HalfMessage<'_>) -> LocalResult,
) -> (TransactionReceipt, Transaction) {
    let producer = unchecked(cluster, "payments");
    let message = Message::new("Paid", "order 7").tag("T").key("7");
    let receipt = producer.send_in_transaction(&message, local).expect("sent");
    let told = cluster.wait_for_end(receipt.transaction_id(), 1, PATIENCE);
    (receipt, told.expect("a transaction"))
}

#[test]
fn a_commit_shows_the_message_once_and_only_then() {
    let cluster = cluster();
    let seen = cluster.subscribe();
    let (receipt, transaction) = run(&cluster, |_| {
        assert!(cluster.messages("Paid").is_empty(), "shown too early");
        Ok(TransactionState::Commit)
    });
    assert_eq!(receipt.state(), TransactionState::Commit);
    assert_eq!(transaction.state(), TransactionState::Commit);
    assert!(receipt.error().is_none());
    assert_eq!(bodies(&cluster, "Paid"), ["order 7"]);
    let message = &cluster.messages("Paid")[0];
    assert_eq!(message.unique_key(), Some(receipt.transaction_id()));
    assert_eq!(
        (message.tag(), message.producer_group()),
        (Some("T"), "payments")
    );
    assert_eq!(message.view().prepared_transaction_offset(), 0);
    drop(cluster);
    assert_eq!(seen.iter().count(), 1);
}

#[test]
fn a_rollback_never_shows_the_message() {
    let cluster = cluster();
    let (receipt, transaction) = run(&cluster, |_| Ok(TransactionState::Rollback));
    assert_eq!(receipt.state(), TransactionState::Rollback);
    assert_eq!(transaction.state(), TransactionState::Rollback);
    assert_eq!(cluster.check_transactions(), 0, "it is over");
    assert_eq!(cluster.message_count("Paid"), 0);
}

#[test]
fn the_local_transaction_sees_the_message_and_its_id() {
    let cluster = cluster();
    let (receipt, transaction) = run(&cluster, |half| {
        assert_eq!(half.message().body(), b"order 7");
        assert_eq!(half.message().get_tag(), Some("T"));
        assert_eq!(half.receipt().status(), SendStatus::Ok);
        assert_eq!(half.transaction_id(), half.receipt().message_id());
        let stored = &cluster.transactions()[0];
        assert_eq!(stored.id(), half.transaction_id());
        Ok(TransactionState::Unknown)
    });
    assert_eq!(receipt.state(), TransactionState::Unknown);
    assert!(receipt.error().is_none());
    assert_eq!(transaction.state(), TransactionState::Unknown);
    assert!(transaction.remarks().is_empty());
    assert_eq!(cluster.message_count("Paid"), 0);
}

#[test]
fn an_error_means_unknown_and_is_in_the_remark() {
    let cluster = cluster();
    let (receipt, transaction) = run(&cluster, |_| Err("no money\nat all".into()));
    assert_eq!(receipt.state(), TransactionState::Unknown);
    assert_eq!(
        receipt.error().expect("an error").to_string(),
        "no money\nat all"
    );
    assert_eq!(transaction.state(), TransactionState::Unknown);
    let remark = "local transaction failed: no money\\nat all";
    assert_eq!(transaction.remarks(), [remark]);
}

#[test]
fn a_local_transaction_that_panics_is_an_unknown_one() {
    let cluster = cluster();
    let (receipt, transaction) = run(&cluster, |_| panic!("a test's own panic"));
    assert_eq!(receipt.state(), TransactionState::Unknown);
    let error = receipt.error().expect("an error").to_string();
    assert_eq!(error, "panicked: a test's own panic");
    assert_eq!(
        transaction.remarks()[0],
        format!("local transaction failed: {error}")
    );
}

#[test]
fn a_half_message_not_flushed_or_replicated_is_rolled_back() {
    for (code, status) in [
        (10, SendStatus::FlushDiskTimeout),
        (11, SendStatus::SlaveNotAvailable),
        (12, SendStatus::FlushSlaveTimeout),
    ] {
        let cluster = cluster();
        let doubtful = Fault::answer(code, "").on(On::Send).after_storing();
        cluster.broker("broker-a").inject(doubtful);
        let (receipt, transaction) = run(&cluster, |_| panic!("executed nevertheless"));
        assert_eq!(receipt.receipt().status(), status);
        assert_eq!(receipt.state(), TransactionState::Rollback);
        assert!(receipt.error().is_none());
        assert_eq!(transaction.state(), TransactionState::Rollback);
        assert_eq!(cluster.message_count("Paid"), 0);
    }
}

#[test]
fn a_half_message_that_cannot_be_sent_is_an_error_and_nothing_is_carried_out() {
    let cluster = cluster();
    let refused = Fault::answer(13, "no").on(On::Send);
    cluster.broker("broker-a").inject(refused);
    let producer = unchecked(&cluster, "payments");
    let local = |_: &HalfMessage<'_>| panic!("executed nevertheless");
    let error = producer.send_in_transaction(&Message::new("Paid", "x"), local);
    assert_eq!(error.unwrap_err().response_code(), Some(13.into()));
    assert!(cluster.requests(&On::EndTransaction).is_empty());
    assert!(cluster.transactions().is_empty());
}

#[test]
fn scheduled_messages_and_marked_ones_are_refused() {
    let cluster = cluster();
    let producer = unchecked(&cluster, "payments");
    let message = || Message::new("Paid", "x");
    for bad in [
        message().delay_level(1),
        message().deliver_after(Duration::from_secs(1)),
        message().deliver_at(SystemTime::now()),
        message().property("TRAN_MSG", "true"),
        message().property("PGROUP", "other"),
        Message::new("Paid", ""),
    ] {
        let local = |_: &HalfMessage<'_>| panic!("executed nevertheless");
        let error = producer.send_in_transaction(&bad, local).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{bad:?}");
    }
    let unscheduled = message().delay_level(0);
    let local = |_: &HalfMessage<'_>| Ok(TransactionState::Commit);
    assert!(producer.send_in_transaction(&unscheduled, local).is_ok());
    assert_eq!(cluster.transactions().len(), 1);
}

#[test]
fn the_half_message_and_its_end_are_those_of_the_java_client() {
    let cluster = cluster();
    let (receipt, transaction) = run(&cluster, |_| Ok(TransactionState::Commit));
    let sends = cluster.requests(&On::Send);
    let half = sends[0].command();
    let header = SendRequest::decode(half.code, &half.ext).expect("a send");
    assert_eq!(half.code, request::SEND_MESSAGE_V2);
    assert_eq!(header.sys_flag, sys_flag::TRANSACTION_PREPARED);
    assert!(header.properties.contains("TRAN_MSG\u{1}true\u{2}"));
    assert!(header.properties.contains("PGROUP\u{1}payments\u{2}"));
    assert_eq!(header.topic, "Paid");

    let ends = cluster.requests(&On::EndTransaction);
    let end = ends[0].command();
    assert_eq!(ends[0].connection(), sends[0].connection());
    assert!(end.is_oneway());
    assert_eq!(end.remark, None);
    let stored = transaction.half();
    let key = Some(receipt.transaction_id().to_owned());
    let expected = EndTransaction {
        topic: Some("Paid".into()),
        producer_group: "payments".into(),
        table_offset: stored.queue_offset(),
        commit_log_offset: stored.commit_log_offset(),
        state: TransactionState::Commit,
        from_check: false,
        message_id: key.clone(),
        transaction_id: key,
        broker_name: Some("broker-a".into()),
    };
    assert_eq!(EndTransaction::decode(&end.ext).expect("an end"), expected);
}

#[test]
fn a_large_half_message_is_compressed_and_committed_whole() {
    let cluster = cluster();
    let producer = unchecked(&cluster, "payments");
    let body = "order ".repeat(2000);
    let message = Message::new("Paid", body.clone());
    let local = |_: &HalfMessage<'_>| Ok(TransactionState::Commit);
    let receipt = producer.send_in_transaction(&message, local).expect("sent");
    cluster.wait_for_end(receipt.transaction_id(), 1, PATIENCE);
    assert_eq!(bodies(&cluster, "Paid"), [body]);
    let zlib = sys_flag::COMPRESSED | sys_flag::COMPRESSION_ZLIB;
    let flag = cluster.messages("Paid")[0].sys_flag();
    assert_eq!(flag, zlib | sys_flag::TRANSACTION_COMMIT);
}

#[test]
fn an_end_that_cannot_be_sent_leaves_the_receipt_unchanged() {
    let cluster = cluster();
    let producer = unchecked(&cluster, "payments");
    let receipt = producer
        .send_in_transaction(&Message::new("Paid", "x"), |_| {
            cluster.broker("broker-a").kill();
            Ok(TransactionState::Commit)
        })
        .expect("the half message was stored");
    assert_eq!(receipt.state(), TransactionState::Commit);
    assert_eq!(cluster.transactions()[0].state(), TransactionState::Unknown);
    assert_eq!(cluster.message_count("Paid"), 0);
}

#[test]
fn plain_messages_go_by_the_same_producer() {
    let cluster = cluster();
    let producer = unchecked(&cluster, "payments");
    let plain = producer.producer();
    assert_eq!(plain.group(), "payments");
    let receipt = plain.send(&Message::new("Paid", "plain")).expect("sent");
    assert_eq!(receipt.status(), SendStatus::Ok);
    assert_eq!(bodies(&cluster, "Paid"), ["plain"]);
    assert!(cluster.transactions().is_empty());
    producer.shutdown();
    let closed = plain.send(&Message::new("Paid", "late")).unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
    let local = |_: &HalfMessage<'_>| panic!("executed nevertheless");
    let closed = producer.send_in_transaction(&Message::new("Paid", "late"), local);
    assert_eq!(closed.unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_shutdown_waits_for_a_local_transaction_and_lets_its_end_out() {
    let cluster = cluster();
    let producer = unchecked(&cluster, "payments");
    let (started, running) = crossbeam_channel::bounded(0);
    let (go_on, gate) = crossbeam_channel::bounded::<()>(0);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            producer.send_in_transaction(&Message::new("Paid", "x"), |_| {
                started.send(()).expect("the test waits");
                assert!(gate.recv().is_err());
                Ok(TransactionState::Commit)
            })
        });
        running.recv_timeout(PATIENCE).expect("it runs");
        let closing = scope.spawn(|| producer.shutdown_within(PATIENCE));
        // The closed producer refuses before the transaction is done.
        let refused = || {
            let late = producer.producer().send(&Message::new("Paid", "late"));
            late.is_err_and(|error| error.kind() == ErrorKind::Closed)
        };
        while !refused() {
            std::thread::yield_now();
        }
        drop(go_on);
        let receipt = sending.join().expect("no panic").expect("sent");
        assert!(closing.join().expect("no panic").is_clean());
        let told = cluster.wait_for_end(receipt.transaction_id(), 1, PATIENCE);
        assert_eq!(told.expect("told").state(), TransactionState::Commit);
    });
}

#[test]
fn odd_settings_are_refused_at_the_start() {
    let cluster = cluster();
    let builder = || super::checked(&cluster, "g", |_| TransactionState::Commit);
    for bad in [
        builder().check_threads(0),
        builder().check_threads(1025),
        builder().check_queue(0),
        builder().compress_level(10),
    ] {
        assert_eq!(bad.start().unwrap_err().kind(), ErrorKind::Config);
    }
    let client = ClientOptions::new().name_server(cluster.name_server());
    let client = Client::start(client).expect("started");
    let both = builder().client(&client).start().unwrap_err();
    assert_eq!(both.kind(), ErrorKind::Invalid);
}
