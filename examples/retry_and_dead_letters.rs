//! Messages that cannot be handled: they come again later, and become dead letters in the end.
//!
//! ```text
//! cargo run --example retry_and_dead_letters
//! cargo run --example retry_and_dead_letters -- --name-server 127.0.0.1:9876
//! ```
//!
//! Each try is printed. The cluster inside this process hands a message out again at once; real brokers
//! wait as long as they are asked to.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, MessageView, Producer, PushConsumer, Retry};

/// Consumes four payments, of which some fail
#[derive(Parser)]
#[command(name = "retry_and_dead_letters")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

const TOPIC: &str = "Payments";
const GROUP: &str = "bookkeeping";
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    example::main(run)
}

fn book(payment: &MessageView) -> Result<(), Retry> {
    let tries = payment.reconsume_times();
    match payment.text()? {
        // Looking at it again would not help: people have to.
        "void" => Err(Retry::dead_letter().because("void payments are not booked")),
        // Without a delay level the pauses grow with each try, from 10 s to 2 h. Level 1 is 1 s.
        "early" if tries < 2 => Err(Retry::level(1).because("the account is not open yet")),
        "hopeless" => Err(Retry::level(1).because("the account is closed")),
        _ => Ok(()),
    }
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (name_server, _cluster) = args.servers.given_or(Cluster::builder())?;
    let producer = Producer::builder("retry_and_dead_letters")
        .name_server(&name_server)
        .start()?;
    producer.admin().create_topic("TBW102", TOPIC, 4)?;

    let (tell, told) = mpsc::channel();
    let consumer = PushConsumer::builder(GROUP)
        .name_server(&name_server)
        .subscribe(TOPIC, "*")
        // After three more tries it is a dead letter; the default is 16.
        .max_reconsume(3)
        .start(move |payment| -> Result<(), Retry> {
            let result = book(payment);
            let name = payment.text()?.to_owned();
            tell.send((name, payment.reconsume_times(), result.clone()))?;
            result
        })?;
    for name in ["good", "early", "hopeless", "void"] {
        let _receipt = producer.send(&Message::new(TOPIC, name))?;
    }

    // In all, 1 + 3 + 4 + 1 tries.
    for _ in 0..9 {
        let (name, tries, result) = told.recv_timeout(PATIENCE)?;
        match result {
            Ok(()) => println!("{name:<8} try {tries}: booked"),
            Err(retry) => println!("{name:<8} try {tries}: {retry}"),
        }
    }
    println!("{}", consumer.shutdown_within(PATIENCE));
    // An operator looks at the dead letters. Once their cause is gone, `Message::from_dead_letter` makes a
    // message of each, which goes to its topic again.
    match producer.admin().group(GROUP).dead_letters(..) {
        Ok(letters) => {
            for dead in letters {
                let dead = dead?;
                let again = Message::from_dead_letter(&dead)?;
                println!("dead letter {}, of {}", dead.text()?, again.topic());
            }
        }
        // Brokers before 4.9.2 make their topic for writing only.
        Err(error) => println!("dead letters: {error}"),
    }
    Ok(())
}
