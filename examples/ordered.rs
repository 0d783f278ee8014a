//! Messages of one order stay in order: they go to one queue, chosen by the order's number.
//!
//! ```text
//! cargo run --example ordered
//! cargo run --example ordered -- --name-server 127.0.0.1:9876
//! ```
//!
//! Each line shows the queue of a message: all three of an order have the same one. The last two are
//! for a queue that this program picks itself.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

/// Sends three steps of four orders, each order to its own queue
#[derive(Parser)]
#[command(name = "ordered")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

const TOPIC: &str = "OrderedTopic";
const STEPS: [&str; 3] = ["created", "paid", "shipped"];

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let two_brokers = Cluster::builder().brokers(2).topic(TOPIC, 4);
    let (name_server, _cluster) = args.servers.given_or(two_brokers)?;
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

    // Or choose the queue yourself, by its place: the list is sorted, the same for every client ..
    let message = Message::new(TOPIC, "always to the last queue");
    let receipt = producer
        .prepare(&message)
        .select(|queues| queues.len() - 1)
        .send()?;
    println!("{:<18} -> {}", "by selector", receipt.queue());

    // .. or as it is known from elsewhere, here from the receipt.
    let again = producer
        .prepare(&message)
        .queue(receipt.queue().clone())
        .send()?;
    println!("{:<18} -> {}", "by name", again.queue());
    Ok(())
}
