//! A consumer that is polled: the program asks for messages when it has time for them, and marks those
//! that are done. Only what is done is committed.
//!
//! ```text
//! cargo run --example consume_pull
//! cargo run --example consume_pull -- --name-server 127.0.0.1:9876
//! ```
//!
//! An export reads a topic to its end, fails to write one reading, and goes back for it.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::consumer::Seek;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer, PullConsumer, StartFrom};

/// Sends readings, and exports them
#[derive(Parser)]
#[command(name = "consume_pull")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

const TOPIC: &str = "Readings";
const GROUP: &str = "export";
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (name_server, _cluster) = args.servers.given_or(Cluster::builder())?;
    let producer = Producer::builder("consume_pull")
        .name_server(&name_server)
        .start()?;
    producer.admin().create_topic("TBW102", TOPIC, 2)?;
    for n in 1..7 {
        let _receipt = producer.send(&Message::new(TOPIC, format!("reading {n}")))?;
    }

    // A group that is new starts behind the last message, unless it is told otherwise.
    let export = PullConsumer::builder(GROUP)
        .name_server(&name_server)
        .subscribe(TOPIC, "*")
        .start_from(StartFrom::First)
        .start()?;
    let mut failed = Vec::new();
    for message in export.messages().until_caught_up() {
        let message = message?;
        let reading = message.text()?;
        if reading == "reading 3" {
            println!("{reading} cannot be written");
            // Without done(), neither this message counts as consumed nor those behind it in its queue.
            failed.extend(message.queue().cloned());
            continue;
        }
        println!("{reading} written");
        message.done();
    }
    // Brokers confirm that. In the background it happens each second, and at the end too.
    export.commit()?;

    // What is not done comes again to the next consumer of the group, or here when it is asked for:
    // that message, and what follows it in its queue.
    for queue in &failed {
        let committed = export.committed(queue)?;
        export.seek(queue, committed.map_or(Seek::Start, Seek::Offset))?;
    }
    // The other way to ask: for as many as are there, and no longer than this.
    while export.lag().messages() != Some(0) {
        for message in export.poll(Duration::from_secs(3))? {
            println!("{} written at last", message.text()?);
            message.done();
        }
    }
    println!("{}", export.lag());
    println!("{}", export.shutdown_within(PATIENCE));
    Ok(())
}
