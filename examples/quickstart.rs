//! The three ways to send a message: wait for the receipt, get it later, or get none.
//!
//! ```text
//! cargo run --example quickstart
//! cargo run --example quickstart -- --name-server 127.0.0.1:9876
//! ```
//!
//! It prints two receipts and the broker's three messages.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

/// Sends three messages: sync, async and oneway
#[derive(Parser)]
#[command(name = "quickstart")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

const TOPIC: &str = "TopicTest";
const PATIENCE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (name_server, cluster) = args.servers.given_or(Cluster::builder())?;
    let producer = Producer::builder("quickstart")
        .name_server(&name_server)
        .start()?;

    // Sync: returns when a broker has stored the message. Tag, key and properties are optional.
    let message = Message::new(TOPIC, "hello, sync")
        .tag("TagA")
        .key("Order188")
        .property("region", "north");
    let receipt = producer.send(&message)?;
    println!("sync    {receipt}");

    // Async: returns at once; the result comes to the callback, on another thread.
    let (tell, told) = mpsc::channel();
    producer.send_async(Message::new(TOPIC, "hello, async"), move |result| {
        let _ = tell.send(result);
    });
    let receipt = told.recv()??;
    println!("async   {receipt}");

    // Oneway: no answer and no receipt. The flush waits until the message is written.
    producer.send_oneway(&Message::new(TOPIC, "hello, oneway"))?;
    producer.flush(PATIENCE)?;
    println!("oneway  sent");

    match cluster {
        Some(cluster) => {
            println!("The broker holds:");
            for stored in cluster.wait_for_messages(TOPIC, 3, PATIENCE) {
                let (queue, offset) = (stored.queue_id(), stored.queue_offset());
                let body = stored.body();
                let text = String::from_utf8_lossy(&body);
                println!("  queue {queue} offset {offset}: {text}");
            }
        }
        None => println!("This example cannot read from a real broker: use a consumer."),
    }
    producer.shutdown(); // dropping the producer would do the same
    Ok(())
}
