//! Message trace: for every stored message a record goes to a topic of the broker, and two for every time
//! that it is consumed. RocketMQ's dashboards and `mqadmin` find them there.
//!
//! ```text
//! cargo run --example trace
//! cargo run --example trace -- --name-server 127.0.0.1:9876
//! ```
//!
//! Three receipts are printed, how the producer ended, what a consumer got, how that ended, and the records
//! that the broker holds. A real broker needs `traceTopicEnable=true`.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer, PushConsumer, Retry, StartFrom};

const TOPIC: &str = "TracedTopic";
const COUNT: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends three traced messages, consumes them, and shows their records
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
    for i in 0..COUNT {
        let message = Message::new(TOPIC, format!("message {i}")).key(format!("Order{i}"));
        println!("{}", producer.send(&message)?);
    }
    // Records leave in batches, in the background; shutdown sends what still waits.
    println!("{}", producer.shutdown_within(PATIENCE));

    let (tell, told) = mpsc::channel();
    let consumer = PushConsumer::builder("traced")
        .name_server(&name_server)
        .subscribe(TOPIC, "*")
        .start_from(StartFrom::First)
        .trace()
        .start(move |message| -> Result<(), Retry> {
            tell.send(message.text()?.to_owned())?;
            Ok(())
        })?;
    for _ in 0..COUNT {
        println!("consumed: {}", told.recv_timeout(PATIENCE)?);
    }
    println!("{}", consumer.shutdown_within(PATIENCE));

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
