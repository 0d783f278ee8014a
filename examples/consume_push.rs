//! A consumer with a handler: messages are fetched in the background, and handled on several threads at
//! once.
//!
//! ```text
//! cargo run --example consume_push
//! cargo run --example consume_push -- --name-server 127.0.0.1:9876
//! ```
//!
//! Four of six messages are printed, in any order, and how far the group is in each queue then.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer, PushConsumer, Retry};

/// Sends orders, and consumes those that were created or paid
#[derive(Parser)]
#[command(name = "consume_push")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

const TOPIC: &str = "Orders";
const GROUP: &str = "billing";
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (name_server, _cluster) = args.servers.given_or(Cluster::builder())?;
    let producer = Producer::builder("consume_push")
        .name_server(&name_server)
        .start()?;
    producer.admin().create_topic("TBW102", TOPIC, 4)?;

    // All members of the group share the queues of the topic. A group that is new starts behind the
    // last message: what is sent from now on.
    let (tell, told) = mpsc::channel();
    let consumer = PushConsumer::builder(GROUP)
        .name_server(&name_server)
        .subscribe(TOPIC, "created || paid")
        .start(move |message| -> Result<(), Retry> {
            // `?` works with any error: the message is not consumed then, and comes again later.
            let order = message.text()?;
            println!("handled {order}");
            tell.send(())?;
            Ok(())
        })?;

    for order in [101, 102] {
        for step in ["created", "paid", "shipped"] {
            let message = Message::new(TOPIC, format!("order {order} {step}")).tag(step);
            let _receipt = producer.send(&message)?;
        }
    }
    for _ in 0..4 {
        told.recv_timeout(PATIENCE)?;
    }

    // Running handlers end, and brokers confirm the progress: another member goes on there.
    println!("{}", consumer.shutdown_within(PATIENCE));
    let admin = producer.admin();
    for queue in admin.subscribe_queues(TOPIC)? {
        if let Some(offset) = admin.committed_offset(GROUP, &queue)? {
            println!("{GROUP} goes on in {queue} at {offset}");
        }
    }
    Ok(())
}
