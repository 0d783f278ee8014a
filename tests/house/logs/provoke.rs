//! Servers and hooks that misbehave.

use rocketmq_blocking::embedded::{Accept, Fault, Gate, On};
use rocketmq_blocking::hook::{
    RpcHook, RpcRequest, RpcResponse, SendContext, SendMessageHook, SendOutcome,
};
use rocketmq_blocking::protocol::{Command, HeaderFormat};
use rocketmq_blocking::{Error, ErrorKind, TransactionProducer, TransactionState};

use super::*;

/// What the line of a late answer says.
pub const LATE_ANSWER: &str = "responses without a request";

/// A hook of either kind.
pub struct Panics;

impl std::fmt::Debug for Panics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Panics")
    }
}

impl RpcHook for Panics {
    fn after(&self, _: &RpcRequest, _: Result<RpcResponse<'_>, &Error>) {
        panic!("a test's own panic");
    }
}

impl SendMessageHook for Panics {
    fn after(&self, _: &SendContext, _: &SendOutcome<'_>) {
        panic!("a test's own panic");
    }
}

/// Has the broker ask us something of this code, without any field.
pub fn ask(code: i32, wait: &dyn Fn()) {
    let cluster = brokers(1);
    // Followed by another unreadable answer, so that no waiter is left.
    let question = move |request: &Command| {
        let mut bytes = Vec::new();
        Command::request(code).encode(HeaderFormat::Json, &mut bytes);
        Command::response_to(request, 0).encode(HeaderFormat::Json, &mut bytes);
        bytes
    };
    cluster
        .broker("broker-a")
        .inject(Fault::bytes_from(question).on(On::Send));
    let producer = producer(&cluster);
    producer.send_async(message(), |_| ());
    wait();
}

/// Does something again and again until a line says this. On a busy machine it may come too late to cause one.
pub fn until_logged(text: &str, again: impl Fn()) {
    eventually(text, || {
        again();
        logged::lines().iter().any(|line| line.text.contains(text))
    });
}

/// The answer to a send comes when nobody waits for it any more.
pub fn answer_late(cluster: &Cluster, producer: &Producer) {
    until_logged(LATE_ANSWER, || {
        let gate = Gate::new();
        let hold = Fault::hold(&gate).on(On::Send).once();
        let held = cluster.broker("broker-a").inject(hold);
        let late = message();
        // Too short a silence for the connection to be given up.
        let late = producer.prepare(&late).timeout(Duration::from_millis(100));
        let error = late.send().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        held.remove();
        gate.open();
        assert!(producer.send(&message()).is_ok());
    });
}

/// A producer that has lost a oneway message: half of it was written when its connection ended.
pub fn lose_oneway(wait: &dyn Fn()) -> Producer {
    let cluster = brokers(1);
    let broker = cluster.broker("broker-a");
    broker.set_accept(Accept::NeverRead);
    let setup = Producer::builder("lossy").name_server(cluster.name_server());
    let setup = setup.compress_over(usize::MAX);
    let producer = setup.max_message_size(15 << 20).start().unwrap();
    producer
        .send_oneway(&Message::new("T", vec![7; 12 << 20]))
        .unwrap();
    assert!(broker.wait_for_connections(1, PATIENCE));
    broker.disconnect_all();
    wait();
    producer
}

/// A transaction producer with one place for checks to wait.
pub fn payments(check: impl Fn() + Send + Sync + 'static) -> (Cluster, TransactionProducer) {
    let cluster = brokers(1);
    let payments = TransactionProducer::builder("payments", move |_| {
        check();
        TransactionState::Commit
    });
    let payments = payments.check_queue(1).name_server(cluster.name_server());
    (cluster, payments.start().unwrap())
}
