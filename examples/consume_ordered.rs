//! A consumer that keeps the order: the messages of one queue are handled one after the other, and one
//! that fails holds up its queue, and no other.
//!
//! ```text
//! cargo run --example consume_ordered
//! cargo run --example consume_ordered -- --name-server 127.0.0.1:9876
//! ```
//!
//! Each order is created, paid and shipped, in this order, whatever the others do. The first payment
//! fails once.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer, PushConsumer, Retry};

/// Sends three steps of four orders, and consumes them in order
#[derive(Parser)]
#[command(name = "consume_ordered")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

const TOPIC: &str = "OrderSteps";
const STEPS: [&str; 3] = ["created", "paid", "shipped"];
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (name_server, _cluster) = args.servers.given_or(Cluster::builder())?;
    let producer = Producer::builder("consume_ordered")
        .name_server(&name_server)
        .start()?;
    producer.admin().create_topic("TBW102", TOPIC, 4)?;

    let (tell, told) = mpsc::channel();
    let bank_is_open = AtomicBool::new(false);
    let consumer = PushConsumer::builder("shipping")
        .name_server(&name_server)
        .subscribe(TOPIC, "*")
        // How long a queue waits after a failure; the default is a second.
        .suspend(Duration::from_millis(100))
        .start_ordered(move |message| -> Result<(), Retry> {
            let step = message.text()?.to_owned();
            let is_payment = message.tag() == Some("paid");
            if is_payment && !bank_is_open.swap(true, Ordering::Relaxed) {
                tell.send(format!("{step} FAILED: its queue waits"))?;
                return Err(Retry::later().because("the bank is closed"));
            }
            // The broker's lock keeps other members away from this queue. A handler that runs for
            // long asks before it does what cannot be undone.
            if !message.still_owned() {
                return Err(Retry::later().because("the queue may belong to another member"));
            }
            tell.send(step)?;
            Ok(())
        })?;

    // One order's messages go to one queue: only there is an order that can be kept.
    for step in STEPS {
        for order in 101..105 {
            let message = Message::new(TOPIC, format!("order {order} {step}")).tag(step);
            let key = order.to_string();
            let _receipt = producer.prepare(&message).sharding_key(key).send()?;
        }
    }
    for _ in 0..STEPS.len() * 4 + 1 {
        println!("{}", told.recv_timeout(PATIENCE)?);
    }
    println!("{}", consumer.shutdown_within(PATIENCE));
    Ok(())
}
