//! Parts of every request: hooks, signatures, namespaces, the VIP channel, units. On the embedded
//! cluster, whose log has each request as received.

#[cfg(feature = "acl")]
mod acl;
mod address;
mod hooks;
mod namespace;

use rocketmq_blocking::embedded::{Cluster, On, ReceivedRequest};
use rocketmq_blocking::{Message, Producer};

use crate::support::{PATIENCE, builder};

const GET_ROUTE: i32 = 105;
const HEARTBEAT: i32 = 34;
const UNREGISTER: i32 = 35;
const SEND: i32 = 310;
const SEND_BATCH: i32 = 320;

fn message(body: &str) -> Message {
    Message::new("Topic", body)
}

/// Sends in every mode, and shuts down.
fn send_in_all_modes(producer: &Producer) {
    let receipt = producer.send(&message("sync")).unwrap();
    let handle = producer.submit(message("async"));
    assert_eq!(
        handle.wait().unwrap().queue().topic(),
        receipt.queue().topic()
    );
    producer.send_oneway(&message("oneway")).unwrap();
    let batch = rocketmq_blocking::Batch::new([message("1"), message("2")]).unwrap();
    let receipt = producer.send_batch(&batch).unwrap();
    assert_eq!(receipt.queue().topic(), "Topic");
    producer.flush(PATIENCE).unwrap();
    assert!(producer.shutdown_within(PATIENCE).is_clean());
}

/// All requests of a cluster; every kind of them must be there.
fn all_requests(cluster: &Cluster) -> Vec<ReceivedRequest> {
    for code in [GET_ROUTE, HEARTBEAT, SEND, SEND_BATCH, UNREGISTER] {
        let found = cluster.wait_for_requests(&On::Code(code), 1, PATIENCE);
        assert!(!found.is_empty(), "no request of code {code}");
    }
    let sends = cluster.wait_for_requests(&On::Send, 4, PATIENCE);
    assert_eq!(sends.len(), 4, "one of them oneway");
    cluster.requests(&On::Any)
}

fn field(request: &ReceivedRequest, name: &str) -> Option<String> {
    request.command().ext.get(name).map(str::to_owned)
}
