//! The level and target of each event in the guide's table.
//!
//! Each test in a process of its own, since a process has one logger.

mod consumers;
mod events;
mod panics;
mod provoke;
mod volume;

use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::{Message, Producer};

use crate::support::apart::in_a_process_of_its_own;
use crate::support::{PATIENCE, logged};

/// So many brokers, each with one queue of the topic `T`.
fn brokers(count: usize) -> Cluster {
    let builder = Cluster::builder().brokers(count).topic("T", 1);
    builder.start().expect("free ports")
}

fn builder(cluster: &Cluster) -> ProducerBuilder {
    Producer::builder("logs")
        .name_server(cluster.name_server())
        .send_timeout(PATIENCE)
}

fn producer(cluster: &Cluster) -> Producer {
    builder(cluster).start().expect("a producer")
}

fn message() -> Message {
    Message::new("T", "x")
}

#[track_caller]
fn eventually(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        let lines = logged::lines();
        assert!(
            start.elapsed() < PATIENCE,
            "not in time: {what}\n{lines:#?}"
        );
        thread::sleep(Duration::from_millis(1));
    }
}
