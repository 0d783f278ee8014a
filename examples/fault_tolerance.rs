//! A broker that fails is avoided for a while, and messages go to the other one.
//!
//! Runs alone: a name server and two brokers are started inside this process, one of which is made
//! to refuse messages for a time.
//!
//! ```text
//! cargo run --example fault_tolerance
//! ```

use std::error::Error;
use std::time::Duration;

use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{FaultStrategy, Message, Producer};

const TOPIC: &str = "TopicTest";

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let cluster = Cluster::builder().brokers(2).topic(TOPIC, 2).start()?;

    // Without it, a send that meets the bad broker pays for an attempt each time. With it, the bad
    // broker is left alone: for 10 s by default, for half a second here.
    let strategy = FaultStrategy::default()
        .failure_counts_as(Duration::from_secs(10))
        .levels([(Duration::from_secs(10), Duration::from_millis(500))]);
    let producer = Producer::builder("fault-tolerance")
        .name_server(cluster.name_server())
        .latency_fault(strategy)
        .start()?;

    send(&producer, "both brokers are well", 4)?;
    let fault = cluster
        .broker("broker-a")
        .inject(Fault::answer(14, "maintenance").on(On::Send));
    send(&producer, "broker-a refuses", 4)?;
    println!(
        "  broker-a was asked {} time(s), then left alone",
        fault.hits()
    );
    fault.remove();
    std::thread::sleep(Duration::from_millis(600)); // its time of avoidance passes
    send(&producer, "broker-a is back", 4)?;
    Ok(())
}

fn send(producer: &Producer, what: &str, count: usize) -> Result<(), Box<dyn Error>> {
    println!("{what}:");
    for i in 0..count {
        let receipt = producer.send(&Message::new(TOPIC, format!("message {i}")))?;
        println!(
            "  {} after {} attempt(s)",
            receipt.queue(),
            receipt.attempts()
        );
    }
    Ok(())
}
