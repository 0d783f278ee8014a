//! A simple consumer: each message is hidden for a time, and acknowledged by itself. There are no queues to
//! be divided: any number of members share the work.
//!
//! ```text
//! cargo run --example simple_consumer
//! cargo run --example simple_consumer -- --name-server 127.0.0.1:9876
//! ```
//!
//! Four mails are sent out. One takes longer than thought, one comes again, and one cannot be sent at all.
//! Brokers have this (POP) from 5.0 on.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer, SimpleConsumer, StartFrom};

/// Sends four mails, and receives and acknowledges them one by one
#[derive(Parser)]
#[command(name = "simple_consumer")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

const TOPIC: &str = "Mail";
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a received message is hidden from other members: the time that the work may take.
const INVISIBLE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (name_server, _cluster) = args.servers.given_or(Cluster::builder())?;
    let producer = Producer::builder("simple_consumer")
        .name_server(&name_server)
        .start()?;
    for mail in [
        "a letter",
        "a long letter",
        "to a full mailbox",
        "to nobody",
    ] {
        let _receipt = producer.send(&Message::new(TOPIC, mail))?;
    }
    let mailer = SimpleConsumer::builder("mailer")
        .name_server(&name_server)
        .subscribe(TOPIC, "*")
        .start_from(StartFrom::First)
        .start()?;
    let mut open = 4;
    while open > 0 {
        // Up to 16 messages of one topic of one broker; none if nothing comes for 15 s.
        let received = mailer.receive(16, INVISIBLE)?;
        if received.is_empty() {
            return Err("no mail came".into());
        }
        for mail in received {
            let text = mail.text()?;
            let tries = mail.reconsume_times();
            let status = match text {
                "to nobody" => {
                    println!("{text}: a dead letter");
                    mail.dead_letter()?
                }
                // Sooner or later than after its invisible time.
                "to a full mailbox" if tries == 0 => {
                    println!("{text}: again in 1 s");
                    open += 1;
                    mail.retry_after(Duration::from_secs(1))?
                }
                "a long letter" => {
                    println!("{text}: takes longer: {:?}", mail.extend(2 * INVISIBLE)?);
                    println!("{text}: sent");
                    mail.ack()?
                }
                _ => {
                    println!("{text}: sent at try {tries}");
                    mail.ack()?
                }
            };
            // Confirmed: it does not come again. Expired or Unknown: it may.
            println!("{text}: {status:?}");
            open -= 1;
        }
    }
    // What became of the received messages, and how many no member has received yet.
    println!("{}", mailer.stats());
    println!("{}", mailer.lag());
    println!("{}", mailer.shutdown_within(PATIENCE));
    Ok(())
}
