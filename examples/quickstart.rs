//! The three ways to send a message, and what comes back from each.
//!
//! Runs alone: a name server and a broker are started inside this process.
//!
//! ```text
//! cargo run --example quickstart
//! cargo run --example quickstart -- --name-server 127.0.0.1:9876
//! ```

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

/// Sends three messages: sync, async and oneway
#[derive(Parser)]
struct Args {
    /// Real name servers, HOST:PORT[;HOST:PORT], instead of the cluster inside this process
    #[arg(long)]
    name_server: Option<String>,
}

const TOPIC: &str = "TopicTest";
const PATIENCE: Duration = Duration::from_secs(3);

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init(); // RUST_LOG=rocketmq_blocking=debug shows what the client does
    let (name_server, cluster) = match Args::parse().name_server {
        Some(address) => (address, None),
        None => {
            let cluster = Cluster::start()?;
            (cluster.name_server(), Some(cluster))
        }
    };
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

    // Oneway: nobody answers, so there is no receipt. The flush waits until it has been written.
    producer.send_oneway(&Message::new(TOPIC, "hello, oneway"))?;
    producer.flush(PATIENCE)?;
    println!("oneway  sent");

    match cluster {
        Some(cluster) => {
            println!("The broker holds:");
            for stored in cluster.wait_for_messages(TOPIC, 3, PATIENCE) {
                let (queue, offset) = (stored.queue_id(), stored.queue_offset());
                let body = String::from_utf8_lossy(stored.raw_body());
                println!("  queue {queue} offset {offset}: {body}");
            }
        }
        None => println!("What a real broker holds cannot be shown here: ask a consumer."),
    }
    producer.shutdown(); // dropping the producer would do the same
    Ok(())
}
