//! Messages of one order stay in order: they go to one queue, chosen by the order's number.
//!
//! Runs alone: a name server and two brokers are started inside this process.
//!
//! ```text
//! cargo run --example ordered
//! cargo run --example ordered -- --name-server 127.0.0.1:9876
//! ```

use std::error::Error;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

/// Sends three steps of four orders, each order to a queue of its own
#[derive(Parser)]
struct Args {
    /// Real name servers, HOST:PORT[;HOST:PORT], instead of the cluster inside this process
    #[arg(long)]
    name_server: Option<String>,
}

const TOPIC: &str = "OrderedTopic";
const STEPS: [&str; 3] = ["created", "paid", "shipped"];

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let (name_server, _cluster) = match Args::parse().name_server {
        Some(address) => (address, None),
        None => {
            let cluster = Cluster::builder().brokers(2).topic(TOPIC, 4).start()?;
            (cluster.name_server(), Some(cluster))
        }
    };
    let producer = Producer::builder("ordered")
        .name_server(&name_server)
        .start()?;

    for step in STEPS {
        for order in 101..105 {
            let message = Message::new(TOPIC, format!("order {order} {step}")).tag(step);
            // The queue follows from Java's hash of the key, so that Java producers agree. Such a
            // send is never tried on another queue: order would be lost.
            let receipt = producer
                .prepare(&message)
                .sharding_key(order.to_string())
                .send()?;
            let (queue, offset) = (receipt.queue(), receipt.queue_offset());
            println!("order {order} {step:<8} -> {queue} offset {offset}");
        }
    }

    // Or choose the queue yourself: the list is sorted, the same for every client.
    let message = Message::new(TOPIC, "always to the last queue");
    let receipt = producer
        .prepare(&message)
        .select(|queues| queues.len() - 1)
        .send()?;
    println!("{:<18} -> {}", "by selector", receipt.queue());
    Ok(())
}
