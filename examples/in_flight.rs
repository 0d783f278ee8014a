//! Many messages on their way at a time: from several threads, by handles to wait on, and within
//! limits. Two producers share the connections and threads of one client.
//!
//! ```text
//! cargo run --example in_flight
//! cargo run --example in_flight -- --name-server 127.0.0.1:9876 --threads 8
//! ```
//!
//! It prints the rate, the producer's statistics, the client's state, the error at an exhausted
//! limit (this needs delayed answers, so only with the cluster inside this process), and how the
//! client ended.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, value_parser};
use rocketmq_blocking::embedded::{Cluster, Fault, Gate, On};
use rocketmq_blocking::{Client, ClientOptions, Message, Producer, SendHandle};

/// Sends from several threads without waiting for each answer, and runs into a limit
#[derive(Parser)]
#[command(name = "in_flight")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,

    /// Number of sending threads
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u32).range(1..=64))]
    threads: u32,
}

const TOPIC: &str = "TopicTest";
const EACH: u32 = 1000;

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (name_server, cluster) = args.servers.given_or(Cluster::builder())?;

    // A producer has its own client, unless several share one.
    let client = Client::start(ClientOptions::new().name_server(&name_server))?;
    let orders = Producer::builder("orders").client(&client).start()?;
    let audit = Producer::builder("audit").client(&client).start()?;

    let start = Instant::now();
    thread::scope(|scope| {
        let senders: Vec<_> = (0..args.threads)
            .map(|_| scope.spawn(|| send_many(&orders)))
            .collect();
        senders.into_iter().try_for_each(|sender| {
            let sent = sender.join().map_err(|_| "a thread panicked")?;
            sent.map_err(Box::<dyn Error>::from)
        })
    })?;
    let count = args.threads * EACH;
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    println!("{count} orders stored, {rate:.0} a second");
    // Messages, failures, and for each broker how long answers took.
    println!("{}", orders.stats());
    println!("{}", audit.send(&Message::new(TOPIC, "orders were sent"))?);
    println!("{}", client.describe());

    if let Some(cluster) = &cluster {
        run_into_the_limit(cluster)?;
    }
    // Closes the producers too. Without it, the last handle that is dropped does.
    println!("{}", client.shutdown_within(Duration::from_secs(3)));
    Ok(())
}

/// Sends many messages, and only then waits for their receipts.
fn send_many(producer: &Producer) -> rocketmq_blocking::Result<()> {
    let handles: Vec<SendHandle> = (0..EACH)
        .map(|i| producer.submit(Message::new(TOPIC, format!("order {i}"))))
        .collect();
    handles
        .into_iter()
        .try_for_each(|handle| handle.wait().map(drop))
}

/// Sends one message more than may be without an answer (65,535, unless set).
fn run_into_the_limit(cluster: &Cluster) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("limited")
        .name_server(cluster.name_server())
        .options(ClientOptions::new().max_in_flight_messages(2))
        .start()?;
    let answers = Gate::new();
    let held = cluster
        .broker("broker-a")
        .inject(Fault::hold(&answers).on(On::Send));
    let first: Vec<SendHandle> = (0..2)
        .map(|i| producer.submit(Message::new(TOPIC, format!("{i}"))))
        .collect();

    // It waits for capacity until its deadline.
    let one_more = Message::new(TOPIC, "one more");
    let timeout = Duration::from_millis(100);
    match producer.prepare(&one_more).timeout(timeout).submit().wait() {
        Ok(receipt) => println!("there was capacity: {receipt}"),
        Err(error) => println!("no capacity: {error}"),
    }
    held.remove();
    answers.open();
    for handle in first {
        println!("answered at last: {}", handle.wait()?);
    }
    println!("and now there is capacity: {}", producer.send(&one_more)?);
    Ok(())
}
