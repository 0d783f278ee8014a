//! Message trace: for every stored message a record goes to a topic of the broker, where RocketMQ's
//! dashboards and `mqadmin` find it.
//!
//! Runs alone: a name server and a broker are started inside this process. A real broker needs
//! `traceTopicEnable=true`.
//!
//! ```text
//! cargo run --example trace
//! cargo run --example trace -- --name-server 127.0.0.1:9876
//! ```

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

/// Sends three traced messages and shows their records
#[derive(Parser)]
struct Args {
    /// Real name servers, HOST:PORT[;HOST:PORT], instead of the cluster inside this process
    #[arg(long)]
    name_server: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let (name_server, cluster) = match Args::parse().name_server {
        Some(address) => (address, None),
        None => {
            let cluster = Cluster::start()?;
            (cluster.name_server(), Some(cluster))
        }
    };
    let producer = Producer::builder("traced")
        .name_server(&name_server)
        .trace()
        .start()?;
    for i in 0..3 {
        let message = Message::new("TopicTest", format!("message {i}")).key(format!("Order{i}"));
        println!("{}", producer.send(&message)?);
    }
    // Records leave in batches, in the background; shutdown sends what still waits.
    let report = producer.shutdown_within(Duration::from_secs(3));
    println!("{report}");

    if let Some(cluster) = cluster {
        println!("The trace topic holds:");
        for stored in cluster.messages("RMQ_SYS_TRACE_TOPIC") {
            for record in String::from_utf8_lossy(stored.raw_body()).split_terminator('\u{2}') {
                println!("  {}", record.replace('\u{1}', " | "));
            }
        }
    }
    Ok(())
}
