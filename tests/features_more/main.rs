//! Compression, batches, administration, recall and timers, against the embedded cluster.

mod admin;
mod auto_batch;
mod batches;
mod compression;
mod delays;
mod retry_topics;

use rocketmq_blocking::Producer;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::producer::ProducerBuilder;

/// A builder of a producer for this cluster.
fn builder(cluster: &Cluster) -> ProducerBuilder {
    Producer::builder("more").name_server(cluster.name_server())
}

fn producer(cluster: &Cluster) -> Producer {
    builder(cluster).start().unwrap()
}
