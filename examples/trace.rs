//! Message trace: for every stored message a record goes to a topic of the broker, where RocketMQ's
//! dashboards and `mqadmin` find it.
//!
//! ```text
//! cargo run --example trace
//! cargo run --example trace -- --name-server 127.0.0.1:9876
//! ```
//!
//! Three receipts are printed, how the producer ended, and the records that the broker holds. A real
//! broker needs `traceTopicEnable=true`.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

/// Sends three traced messages and shows their records
#[derive(Parser)]
#[command(name = "trace")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (name_server, cluster) = args.servers.given_or(Cluster::builder())?;
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
            for record in String::from_utf8_lossy(&stored.body()).split_terminator('\u{2}') {
                println!("  {}", record.replace('\u{1}', " | "));
            }
        }
    }
    Ok(())
}
