//! Broadcasting: every consumer of a group gets every message, as caches need it that drop what has
//! changed.
//!
//! ```text
//! cargo run --example broadcast
//! cargo run --example broadcast -- --name-server 127.0.0.1:9876
//! ```
//!
//! Two caches hear of three changed prices. One is away for the next two, and hears of them when it is
//! back: its offsets are in a file.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;
use std::{env, fs, process};

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer, PushConsumer, Retry};

/// Sends changes of prices to two caches
#[derive(Parser)]
#[command(name = "broadcast")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

const TOPIC: &str = "PriceChanges";
const GROUP: &str = "price-caches";
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let dir = env::temp_dir().join(format!("broadcast-{}", process::id()));
    let result = broadcast(&args, &dir);
    let _ = fs::remove_dir_all(&dir);
    result
}

fn broadcast(args: &Args, dir: &Path) -> Result<(), Box<dyn Error>> {
    let (name_server, _cluster) = args.servers.given_or(Cluster::builder())?;
    let producer = Producer::builder("broadcast")
        .name_server(&name_server)
        .start()?;
    producer.admin().create_topic("TBW102", TOPIC, 4)?;

    let (tell, told) = mpsc::channel();
    let first = cache("cache-1", &name_server, dir, &tell)?;
    let second = cache("cache-2", &name_server, dir, &tell)?;
    change(&producer, &["apples", "pears", "plums"])?;
    show(&told, 3 + 3)?;

    // Its offsets are saved at its end, and each second before.
    println!("cache-2 leaves: {}", second.shutdown_within(PATIENCE));
    change(&producer, &["cherries", "quinces"])?;
    show(&told, 2)?;
    println!("cache-2 is back");
    let second = cache("cache-2", &name_server, dir, &tell)?;
    show(&told, 2)?;
    for cache in [first, second] {
        println!("{}", cache.shutdown_within(PATIENCE));
    }
    Ok(())
}

/// A cache that goes on where the last one of this name ended.
fn cache(
    name: &'static str,
    name_server: &str,
    dir: &Path,
    tell: &Sender<String>,
) -> rocketmq_blocking::Result<PushConsumer> {
    let tell = tell.clone();
    PushConsumer::builder(GROUP)
        .name_server(name_server)
        // Brokers keep no offsets of a group that broadcasts. They are in a file if both are given: a
        // folder, and a name that is the same after a restart, and of one consumer at a time.
        .broadcast()
        .offset_dir(dir)
        .instance_name(name)
        .subscribe(TOPIC, "*")
        // A message that fails is dropped, and does not come again: brokers have no retries for it.
        .start(move |change| -> Result<(), Retry> {
            tell.send(format!("{name} drops {}", change.text()?))?;
            Ok(())
        })
}

fn change(producer: &Producer, prices: &[&str]) -> Result<(), Box<dyn Error>> {
    for price in prices {
        let _receipt = producer.send(&Message::new(TOPIC, *price))?;
    }
    Ok(())
}

fn show(told: &Receiver<String>, count: usize) -> Result<(), Box<dyn Error>> {
    for _ in 0..count {
        println!("{}", told.recv_timeout(PATIENCE)?);
    }
    Ok(())
}
