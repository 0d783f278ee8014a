//! Filters: brokers hand out only what a consumer wants, by tags or by a condition on properties.
//!
//! ```text
//! cargo run --example filters
//! cargo run --example filters -- --name-server 127.0.0.1:9876
//! ```
//!
//! Two groups with different filters get different orders, and a third one asks for nonsense. A real
//! broker needs `enablePropertyFilter=true` for conditions.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Filter, Message, Producer, PullConsumer, StartFrom};

/// Sends orders, and consumes them with filters
#[derive(Parser)]
#[command(name = "filters")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

const TOPIC: &str = "RegionalOrders";
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let with_conditions = Cluster::builder().sql_filters(true);
    let (name_server, _cluster) = args.servers.given_or(with_conditions)?;
    let producer = Producer::builder("filters")
        .name_server(&name_server)
        .start()?;
    producer.admin().create_topic("TBW102", TOPIC, 4)?;
    for (n, tag, amount, region) in [
        (101, "created", 20, "north"),
        (102, "created", 500, "south"),
        (103, "paid", 500, "north"),
        (104, "paid", 70, "north"),
        (105, "shipped", 900, "north"),
    ] {
        let message = Message::new(
            TOPIC,
            format!("order {n} {tag}, {amount} from the {region}"),
        )
        .tag(tag)
        .property("amount", amount.to_string())
        .property("region", region);
        let _receipt = producer.send(&message)?;
    }

    // A message has at most one tag, and a text is a filter by tags.
    read(&name_server, "billing", "created || paid".into())?;
    // Properties are texts; a condition compares them as numbers where it names a number. The tag is the
    // property TAGS.
    let condition = "amount > 100 AND region = 'north' AND TAGS <> 'shipped'";
    read(&name_server, "audit", Filter::sql(condition))?;
    // All members of a group must have the same filter: a broker keeps the latest one of a group only.

    // What cannot work is an error at the start: this one here, and that one by the broker, which alone
    // reads conditions.
    for wrong in [Filter::tags(" || "), Filter::sql("amount >")] {
        match read(&name_server, "nonsense", wrong) {
            Ok(()) => println!("it is no nonsense"),
            Err(error) => println!("refused: {error}"),
        }
    }
    Ok(())
}

/// Prints all that a group gets to see of the topic.
fn read(name_server: &str, group: &str, filter: Filter) -> rocketmq_blocking::Result<()> {
    let consumer = PullConsumer::builder(group)
        .name_server(name_server)
        .subscribe(TOPIC, filter.clone())
        .start_from(StartFrom::First)
        .start()?;
    println!("{group} wants {filter:?}:");
    for message in consumer.messages().until_caught_up().until_idle(PATIENCE) {
        let message = message?;
        println!("  {}", String::from_utf8_lossy(message.body()));
        message.done();
    }
    consumer.shutdown();
    Ok(())
}
