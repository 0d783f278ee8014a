//! Many small messages in few requests: cut into batches by hand, and gathered by the producer.
//!
//! ```text
//! cargo run --example batch
//! cargo run --example batch -- --name-server 127.0.0.1:9876
//! ```
//!
//! It prints the rate of each way, the receipt of a batch, and the error for a message that no
//! batch can hold.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::producer::AutoBatch;
use rocketmq_blocking::{Batch, Message, Producer, SendHandle};

/// Sends the same small messages one by one, as batches, and gathered
#[derive(Parser)]
#[command(name = "batch")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,

    /// How many messages to send each way
    #[arg(long, value_name = "N", default_value_t = 2000)]
    count: u32,
}

const TOPIC: &str = "BatchTopic";
const BATCH_BYTES: usize = 64 * 1024;

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (name_server, _cluster) = args.servers.given_or(Cluster::builder())?;
    let readings = || (0..args.count).map(|i| Message::new(TOPIC, format!("reading {i}")));
    let producer = Producer::builder("batch")
        .name_server(&name_server)
        .start()?;

    // For comparison: one request for each message, one after the other.
    let start = Instant::now();
    for message in readings() {
        let _receipt = producer.send(&message)?;
    }
    report("one by one", args.count, start);

    // Batches of at most 64 KiB. A message that no batch can hold, like this delayed one, becomes
    // an error that returns it; most such messages can be sent alone.
    let start = Instant::now();
    let late = Message::new(TOPIC, "a late reading").delay_level(1);
    let mut batches = 0;
    for batch in Batch::split(readings().chain([late]), BATCH_BYTES) {
        match batch {
            Ok(batch) => {
                let receipt = producer.send_batch(&batch)?;
                if batches == 0 {
                    let (ids, queue) = (receipt.message_ids().count(), receipt.queue());
                    println!("the first batch: {ids} messages, all in queue {queue}");
                }
                batches += 1;
            }
            Err(alone) => {
                println!("{alone}");
                let _receipt = producer.send(alone.message())?;
            }
        }
    }
    report(&format!("{batches} batches"), args.count, start);

    // The producer gathers single sends; each still gets its own receipt.
    let gathering = Producer::builder("gathering")
        .name_server(&name_server)
        .auto_batch(AutoBatch::new().max_delay(Duration::from_millis(5)))
        .start()?;
    let start = Instant::now();
    let handles: Vec<SendHandle> = readings().map(|m| gathering.submit(m)).collect();
    for (i, handle) in handles.into_iter().enumerate() {
        let receipt = handle.wait()?;
        if i == 0 {
            println!("the first of those gathered: {receipt}");
        }
    }
    report("gathered", args.count, start);
    Ok(())
}

fn report(how: &str, count: u32, start: Instant) {
    let took = start.elapsed();
    let rate = f64::from(count) / took.as_secs_f64();
    println!("{how:>12}: {count} messages in {took:.1?}, {rate:.0} a second");
}
