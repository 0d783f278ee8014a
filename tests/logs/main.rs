//! What is logged, at which level and under which target: the table of the guide, event by event.
//!
//! A test binary of its own, since a process has one logger. Its tests run one after the other.

mod capture;
mod events;
mod panics;
mod provoke;
mod volume;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::{Message, Producer};

/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// The log is the whole process's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    capture::start();
    capture::clear();
    guard
}

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
        let lines = capture::lines();
        assert!(
            start.elapsed() < PATIENCE,
            "not in time: {what}\n{lines:#?}"
        );
        thread::sleep(Duration::from_millis(1));
    }
}
