//! Hooks, message trace and latency fault tolerance, against the embedded cluster.

mod fault;
mod hooks;
mod stats;
mod trace;

use std::time::Duration;

use rocketmq_blocking::Producer;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::producer::ProducerBuilder;

/// Long enough for anything that is going to happen.
const PATIENCE: Duration = Duration::from_secs(10);

fn two_brokers() -> Cluster {
    Cluster::builder().brokers(2).topic("T", 2).start().unwrap()
}

fn builder(cluster: &Cluster) -> ProducerBuilder {
    Producer::builder("flow")
        .name_server(cluster.name_server())
        .send_timeout(PATIENCE)
}
