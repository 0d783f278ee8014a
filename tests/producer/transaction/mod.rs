//! Transactions: messages, ends, and the brokers' checks.

mod checks;
mod surroundings;
mod transactions;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::transaction::TransactionProducerBuilder;
use rocketmq_blocking::{MessageView, TransactionProducer, TransactionState};

use crate::support::PATIENCE;

pub fn cluster() -> Cluster {
    Cluster::builder().topic("Paid", 4).start().expect("ports")
}

/// A builder whose producer answers checks by this function.
pub fn checked(
    cluster: &Cluster,
    group: &str,
    check: impl Fn(&MessageView) -> TransactionState + Send + Sync + 'static,
) -> TransactionProducerBuilder {
    let builder = TransactionProducer::builder(group, check);
    let builder = builder.send_timeout(PATIENCE);
    builder.name_server(cluster.name_server())
}

/// A producer that is not expected to be asked.
pub fn unchecked(cluster: &Cluster, group: &str) -> TransactionProducer {
    let check = |_: &MessageView| panic!("a test's own panic: no check was expected");
    checked(cluster, group, check).start().expect("started")
}

pub fn bodies(cluster: &Cluster, topic: &str) -> Vec<String> {
    let messages = cluster.messages(topic).into_iter();
    messages
        .map(|m| String::from_utf8(m.body().into_owned()).expect("text"))
        .collect()
}
