//! How far a group is: asked of the brokers by anybody, and of a consumer itself.
//!
//! ```text
//! cargo run --example lag
//! cargo run --example lag -- --name-server 127.0.0.1:9876 --topic Orders --group billing
//! ```
//!
//! With a topic of yours nothing is sent or consumed. `consume --lag` does the same for several topics,
//! and as JSON lines.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Admin, Client, ClientOptions, Message, Producer, PullConsumer, StartFrom};

/// Shows how far a group is behind
#[derive(Parser)]
#[command(name = "lag")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,

    /// Look at this topic, instead of at one for which jobs are sent
    #[arg(long, value_name = "NAME", requires = "name_server")]
    topic: Option<String>,

    /// The consumer group
    #[arg(long, value_name = "NAME", default_value = "workers")]
    group: String,
}

const TOPIC: &str = "Jobs";
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (name_server, _cluster) = args.servers.given_or(Cluster::builder())?;
    // Nobody has to be a member of the group to ask for its offsets.
    let options = ClientOptions::new().name_server(&name_server);
    let client = Client::start(options)?;
    let admin = client.admin();
    match &args.topic {
        Some(topic) => show(&admin, &args.group, topic)?,
        None => at_work(&client, &admin, &args.group)?,
    }
    client.shutdown();
    Ok(())
}

/// Prints how far a group is in each queue of a topic.
fn show(admin: &Admin, group: &str, topic: &str) -> Result<(), Box<dyn Error>> {
    // A group that never committed anything has no offset, which is not the offset 0.
    let progress = admin.group(group).progress(topic)?;
    for queue in &progress.queues {
        println!("  {queue}");
    }
    println!("  {group} is {} messages behind in {topic}", progress.lag());
    Ok(())
}

/// Sends jobs and has some of them done.
fn at_work(client: &Client, admin: &Admin, group: &str) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("lag").client(client).start()?;
    admin.create_topic("TBW102", TOPIC, 4)?;
    for n in 0..12 {
        let _receipt = producer.send(&Message::new(TOPIC, format!("job {n}")))?;
    }
    println!("before the group consumes:");
    show(admin, group, TOPIC)?;

    let worker = PullConsumer::builder(group)
        .client(client)
        .subscribe(TOPIC, "*")
        .start_from(StartFrom::First)
        .start()?;
    for job in worker.messages().until_idle(PATIENCE).take(5) {
        job?.done();
    }
    worker.commit()?;
    println!("after 5 jobs:");
    show(admin, group, TOPIC)?;

    // A consumer knows more: the age of the oldest message, and what each queue does. What it does
    // not know is None, and never 0.
    println!("the worker itself: {}", worker.lag());
    println!("{}", worker.describe());
    worker.shutdown();
    Ok(())
}
