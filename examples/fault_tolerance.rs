//! A broker that fails is avoided for a while, and messages go to the other one.
//!
//! ```text
//! cargo run --example fault_tolerance
//! cargo run --example fault_tolerance -- --name-server 127.0.0.1:9876 --seconds 60
//! ```
//!
//! Each line shows the broker that took a message, and the number of attempts: two for the first
//! message that meets the failing broker, one for those after it. With real servers a message is
//! sent each second: stop and start one of the brokers.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::producer::FaultStrategy;
use rocketmq_blocking::{Message, Producer};

/// Sends to two brokers, of which one refuses messages for a while
#[derive(Parser)]
#[command(name = "fault_tolerance")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,

    /// With --name-server: how long to send
    #[arg(long, value_name = "N", default_value_t = 30)]
    seconds: u32,
}

const TOPIC: &str = "TopicTest";

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let two_brokers = Cluster::builder().brokers(2).topic(TOPIC, 2);
    let (name_server, cluster) = args.servers.given_or(two_brokers)?;

    // Without it, each send that meets the bad broker wastes an attempt. With it, the bad broker is
    // avoided: for 10 s by default, for half a second here.
    let strategy = FaultStrategy::default()
        .failure_counts_as(Duration::from_secs(10))
        .levels([(Duration::from_secs(10), Duration::from_millis(500))]);
    let producer = Producer::builder("fault-tolerance")
        .name_server(&name_server)
        .latency_fault(strategy)
        .start()?;

    let Some(cluster) = cluster else {
        for _ in 0..args.seconds {
            if let Err(error) = send(&producer, 1) {
                println!("  {error}");
            }
            thread::sleep(Duration::from_secs(1));
        }
        return Ok(());
    };
    println!("both brokers are well:");
    send(&producer, 4)?;

    let refusal = Fault::answer(14, "maintenance").on(On::Send);
    let fault = cluster.broker("broker-a").inject(refusal);
    println!("broker-a refuses:");
    send(&producer, 4)?;
    let hits = fault.hits();
    println!("  broker-a was tried {hits} time(s), then avoided");

    fault.remove();
    thread::sleep(Duration::from_millis(600)); // its time of avoidance passes
    println!("broker-a is back:");
    send(&producer, 4)
}

fn send(producer: &Producer, count: usize) -> Result<(), Box<dyn Error>> {
    for i in 0..count {
        let receipt = producer.send(&Message::new(TOPIC, format!("message {i}")))?;
        let (queue, attempts) = (receipt.queue(), receipt.attempts());
        println!("  {queue} after {attempts} attempt(s)");
    }
    Ok(())
}
