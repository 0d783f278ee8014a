//! Messages that consumers see later: by a delay level, after a time, at a time; and one that is
//! taken back before it is due.
//!
//! ```text
//! cargo run --example delay
//! cargo run --example delay -- --name-server 127.0.0.1:9876
//! ```
//!
//! Each send prints a receipt. Then the example moves the clock of the cluster inside this process,
//! and prints the messages that consumers see at each time.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

/// Sends delayed messages and recalls one of them
#[derive(Parser)]
#[command(name = "delay")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

const TOPIC: &str = "DelayTopic";
const MINUTE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let with_a_clock = Cluster::builder().hold_delayed_messages(true).recall(true);
    let (name_server, cluster) = args.servers.given_or(with_a_clock)?;
    let producer = Producer::builder("delay")
        .name_server(&name_server)
        .start()?;
    let reminder = |body: &str| Message::new(TOPIC, body);

    // Every broker has delay levels: level 3 is 10 s unless it is configured otherwise.
    let receipt = producer.send(&reminder("after 10 s").delay_level(3))?;
    println!("by level   {receipt}");

    // Any time up to three days: brokers from 5.0 on.
    let receipt = producer.send(&reminder("after 1 min").deliver_after(MINUTE))?;
    println!("after      {receipt}");
    let in_an_hour = SystemTime::now() + 60 * MINUTE;
    let receipt = producer.send(&reminder("after 1 h").deliver_at(in_an_hour))?;
    println!("at         {receipt}");

    // Brokers from 5.3.2 on answer with a handle, by which the message can be taken back until it is
    // due, if they are configured so.
    let receipt = producer.send(&reminder("never").deliver_after(2 * MINUTE))?;
    match receipt.recall_handle() {
        Some(handle) => match producer.recall(TOPIC, handle) {
            Ok(id) => println!("recalled   {id}"),
            Err(error) => println!("not recalled (is recallMessageEnable on?): {error}"),
        },
        None => println!("not recalled: this broker gives no handles"),
    }

    let Some(cluster) = cluster else {
        println!("When a real broker delivers cannot be shown here: ask a consumer.");
        return Ok(());
    };
    let mut seen = 0;
    for (name, step) in [
        ("10 s", Duration::from_secs(10)),
        ("1 min", Duration::from_secs(50)),
        ("2 min", MINUTE),
        ("2 h", 118 * MINUTE),
    ] {
        cluster.advance(step);
        let messages = cluster.messages(TOPIC);
        let bodies = messages.iter().skip(seen).map(|message| message.body());
        let new: Vec<String> = bodies
            .map(|body| String::from_utf8_lossy(&body).into_owned())
            .collect();
        println!("{name:>5} later consumers see {new:?}");
        seen = messages.len();
    }
    Ok(())
}
