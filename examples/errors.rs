//! Handle errors: what a failed send reports and how to react. Fix the message, send it again, or
//! send it again so that consumers recognize a second copy.
//!
//! ```text
//! cargo run --example errors
//! cargo run --example errors -- --name-server 127.0.0.1:9876
//! ```
//!
//! Each send fails. The example prints the error's text, its kind and fate, and the reaction. A
//! real broker does not fail on demand: with `--name-server` only the first error is shown.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{ErrorKind, Message, Producer, SendFate};

/// Sends messages that fail in different ways, and explains each error
#[derive(Parser)]
#[command(name = "errors")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

const TOPIC: &str = "TopicTest";

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (name_server, cluster) = args.servers.given_or(Cluster::builder())?;
    let producer = Producer::builder("errors")
        .name_server(&name_server)
        .send_timeout(Duration::from_secs(3)) // the default
        .start()?;

    attempt(&producer, "an empty body", &Message::new(TOPIC, ""));
    let Some(cluster) = cluster else {
        return Ok(());
    };
    let order = Message::new(TOPIC, "order 188");
    let broker = cluster.broker("broker-a");

    // The broker refuses. Codes that may pass at another broker would be retried there.
    let fault = broker.inject(Fault::answer(13, "not on a Sunday").on(On::Send));
    attempt(&producer, "a broker that refuses", &order);
    fault.remove();

    // The broker stores the message, but its answer is lost: the client cannot know. A chosen
    // unique key is the same in all copies (a UUID works well). Otherwise the error has the
    // generated key (`error.unique_key()`).
    let order = order.unique_key("7F000001-order-188");
    let fault = broker.inject(Fault::silence().on(On::Send).after_storing());
    attempt(&producer, "a broker that does not answer", &order);
    fault.remove();
    println!("sent again: {}", producer.send(&order)?);
    let copies = cluster.messages(TOPIC);
    let keys: Vec<_> = copies.iter().filter_map(|copy| copy.unique_key()).collect();
    println!("  the broker holds {keys:?}\n");

    // Nothing is reached at all: whatever is sent again later cannot be a copy.
    broker.kill();
    attempt(&producer, "no broker", &Message::new(TOPIC, "order 189"));
    Ok(())
}

/// Sends a message, and prints how to react to a failure.
fn attempt(producer: &Producer, what: &str, message: &Message) {
    println!("{what}:");
    let error = match producer.send(message) {
        Ok(receipt) => return println!("  {receipt}"),
        Err(error) => error,
    };
    println!("  {error}");
    let (kind, fate) = (error.kind(), error.fate());
    println!("  kind {}, {}", kind.as_str(), fate.as_str());
    let then = match (kind, fate) {
        (_, SendFate::MaybeStored) => {
            "send it again with the same unique key: it may be there already"
        }
        (ErrorKind::Invalid, _) => "fix the message: it can never be sent",
        (ErrorKind::Broker, _) => "read the broker's remark: a later send may succeed",
        (_, SendFate::NotSent) => "send it again later: it cannot be there twice",
    };
    println!("  -> {then}\n");
}
