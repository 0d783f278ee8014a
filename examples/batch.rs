//! Many small messages in few requests: cut into batches by hand, and gathered by the producer.
//!
//! Runs alone: a name server and a broker are started inside this process.
//!
//! ```text
//! cargo run --example batch
//! cargo run --example batch -- --name-server 127.0.0.1:9876
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{AutoBatch, Batch, Message, Producer, SendHandle};

/// Sends the same small messages one by one, as batches, and gathered
#[derive(Parser)]
struct Args {
    /// Real name servers, HOST:PORT[;HOST:PORT], instead of the cluster inside this process
    #[arg(long)]
    name_server: Option<String>,

    /// How many messages to send each way
    #[arg(long, default_value_t = 2000)]
    count: u32,
}

const TOPIC: &str = "BatchTopic";
const BATCH_BYTES: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let args = Args::parse();
    let (name_server, _cluster) = match args.name_server {
        Some(address) => (address, None),
        None => {
            let cluster = Cluster::start()?;
            (cluster.name_server(), Some(cluster))
        }
    };
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

    // Batches of at most 64 KiB. What no batch can hold, like this delayed message, comes out as
    // an error that gives it back; most of that can be sent alone.
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

    // The producer gathers single sends by itself; each still gets a receipt of its own.
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
