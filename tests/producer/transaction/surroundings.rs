//! Transactions and requests together with hooks, namespaces and settings of the client.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::hook::{
    EndTransactionContext, EndTransactionHook, MessageType, RpcHook, RpcRequest, SendContext,
    SendMessageHook,
};
use rocketmq_blocking::producer::AutoBatch;
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{ClientOptions, ErrorKind, Message, MessageView, TransactionState};

use super::{bodies, checked, cluster};
use crate::support::PATIENCE;

/// Records its calls.
#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Vec<String>>>);

impl EndTransactionHook for Watch {
    fn end_transaction(&self, context: &EndTransactionContext) {
        let (tag, keys) = (context.tag.as_deref(), context.keys.as_deref());
        assert_eq!((tag, keys), (Some("T"), Some("7 8")));
        assert!(context.broker_address.starts_with("127.0.0.1:"));
        assert_eq!(context.message_id, context.transaction_id);
        let EndTransactionContext {
            group,
            topic,
            state,
            from_check,
            ..
        } = context;
        self.0
            .lock()
            .push(format!("{group} {topic} {state} {from_check}"));
    }
}

impl SendMessageHook for Watch {
    fn before(&self, context: &SendContext) {
        assert_eq!(context.message_type, MessageType::TransactionHalf);
        self.0.lock().push("half".into());
    }
}

#[test]
fn hooks_see_the_half_message_and_both_ends() {
    let cluster = cluster();
    let watch = Watch::default();
    let builder = checked(&cluster, "payments", |_| TransactionState::Rollback)
        .end_transaction_hook(watch.clone())
        .send_message_hook(watch.clone());
    let producer = builder.start().expect("started");
    let message = Message::new("Paid", "x").tag("T").key("7").key("8");
    let receipt = producer
        .send_in_transaction(&message, |_| Ok(TransactionState::Unknown))
        .expect("sent");
    cluster.wait_for_end(receipt.transaction_id(), 1, PATIENCE);
    cluster.check_transactions();
    cluster.wait_for_end(receipt.transaction_id(), 2, PATIENCE);
    producer.shutdown();
    let seen = watch.0.lock().clone();
    let first = "payments Paid UNKNOW false";
    assert_eq!(seen, ["half", first, "payments Paid ROLLBACK_MESSAGE true"]);
}

#[test]
fn a_namespace_is_on_the_wire_and_nowhere_else() {
    let cluster = cluster();
    let (saw, seen) = crossbeam_channel::unbounded();
    let check = move |half: &MessageView| {
        saw.send(half.topic().to_owned()).expect("the test waits");
        TransactionState::Commit
    };
    let builder = checked(&cluster, "payments", check).namespace("NS");
    let producer = builder.start().expect("started");
    let receipt = producer
        .send_in_transaction(&Message::new("Paid", "x"), |_| {
            Ok(TransactionState::Unknown)
        })
        .expect("sent");
    assert_eq!(receipt.receipt().queue().topic(), "Paid");
    let id = receipt.transaction_id();
    let told = cluster.wait_for_end(id, 1, PATIENCE).expect("told");
    assert_eq!((told.topic(), told.group()), ("NS%Paid", "NS%payments"));
    assert_eq!(told.told()[0].topic.as_deref(), Some("NS%Paid"));
    assert_eq!(cluster.check_transactions(), 1);
    assert_eq!(seen.recv_timeout(PATIENCE).as_deref(), Ok("Paid"));
    let told = cluster.wait_for_end(id, 2, PATIENCE).expect("told");
    assert_eq!(told.state(), TransactionState::Commit);
    assert_eq!(bodies(&cluster, "NS%Paid"), ["x"]);

    // The topic of replies belongs to the broker: it is in no namespace.
    let plain = producer.producer().clone();
    let asked = cluster.subscribe();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| plain.request(&Message::new("Prices", "?"), PATIENCE));
        let question = asked.recv_timeout(PATIENCE).expect("stored");
        assert_eq!(question.topic(), "NS%Prices");
        let reply = Message::reply_to(&question.view(), "7").expect("a request");
        plain.send(&reply).map(drop).expect("pushed");
        let reply = asking.join().expect("no panic").expect("a reply");
        assert_eq!(reply.topic(), "DefaultCluster_REPLY_TOPIC");
    });
}

/// Marks every request, as a signature does.
#[derive(Debug)]
struct Mark;

impl RpcHook for Mark {
    fn before(&self, request: &mut RpcRequest) -> Result<(), Box<dyn Error + Send + Sync>> {
        request.set_field("mark", "1");
        Ok(())
    }
}

#[test]
fn rpc_hooks_change_ends_of_transactions_too() {
    let cluster = cluster();
    let builder = checked(&cluster, "payments", |_| TransactionState::Commit)
        .options(ClientOptions::new().rpc_hook(Mark));
    let producer = builder.start().expect("started");
    let receipt = producer
        .send_in_transaction(&Message::new("Paid", "x"), |_| {
            Ok(TransactionState::Unknown)
        })
        .expect("sent");
    cluster.check_transactions();
    cluster.wait_for_end(receipt.transaction_id(), 2, PATIENCE);
    for end in cluster.requests(&On::EndTransaction) {
        assert_eq!(end.command().ext.get("mark"), Some("1"));
    }
    assert_eq!(cluster.requests(&On::EndTransaction).len(), 2);
}

/// Two clusters of one broker each, the second two ports below the first.
fn with_send_port() -> (Cluster, Cluster) {
    for _ in 0..50 {
        let plain = Cluster::start().expect("ports");
        let port = plain.broker("broker-a").address().port() - 2;
        if let Ok(vip) = Cluster::builder().broker_port(port).start() {
            return (plain, vip);
        }
    }
    panic!("no two ports");
}

#[test]
fn with_ports_for_sends_only_heartbeats_and_ends_use_the_ordinary_ones() {
    let (plain, vip) = with_send_port();
    let builder = checked(&plain, "payments", |_| TransactionState::Commit);
    let producer = builder
        .options(ClientOptions::new().vip_channel(true))
        .start()
        .expect("started");
    let asked = producer.producer();
    let asked = asked.request(&Message::new("Prices", "?"), Duration::from_millis(2500));
    assert_eq!(asked.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(vip.message_count("Prices"), 1);
    assert!(!plain.requests(&On::Heartbeat).is_empty());
    let receipt = producer
        .send_in_transaction(&Message::new("Paid", "x"), |_| Ok(TransactionState::Commit))
        .expect("sent");
    assert_eq!(vip.transactions()[0].id(), receipt.transaction_id());
    let ends = plain.wait_for_requests(&On::EndTransaction, 1, PATIENCE);
    assert_eq!(ends.len(), 1);
    assert!(vip.requests(&On::Heartbeat).is_empty());
    assert!(vip.requests(&On::EndTransaction).is_empty());
}

#[test]
fn half_messages_requests_and_replies_are_not_gathered() {
    let cluster = cluster();
    let builder = checked(&cluster, "payments", |_| TransactionState::Commit)
        .auto_batch(AutoBatch::new().max_delay(Duration::from_millis(1)));
    let producer = builder.start().expect("started");
    let receipt = producer
        .send_in_transaction(&Message::new("Paid", "x"), |_| Ok(TransactionState::Commit))
        .expect("sent");
    let id = receipt.transaction_id();
    let told = cluster
        .wait_for_end(id, 1, PATIENCE)
        .expect("a transaction");
    assert_eq!(told.state(), TransactionState::Commit);
    let asked = cluster.subscribe();
    std::thread::scope(|scope| {
        let ask = || {
            producer
                .producer()
                .request(&Message::new("Prices", "?"), PATIENCE)
        };
        let asking = scope.spawn(ask);
        let question = asked.recv_timeout(PATIENCE).expect("stored");
        let reply = Message::reply_to(&question.view(), "7").expect("a request");
        producer.producer().send(&reply).map(drop).expect("pushed");
        assert!(asking.join().expect("no panic").is_ok());
    });
    assert!(
        cluster
            .requests(&On::Code(request::SEND_BATCH_MESSAGE))
            .is_empty()
    );
}
