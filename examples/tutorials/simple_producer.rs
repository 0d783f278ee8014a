//! `simple/Producer`: messages with a key, here the number of an order, by which they are found again.

use std::error::Error;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

const TOPIC: &str = "TopicTest";
const KEY: &str = "OrderID188";
const COUNT: u16 = 5;

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("simple_group")
        .name_server(name_server)
        .start()?;
    for step in 0..COUNT {
        let message = Message::new(TOPIC, format!("step {step}")).key(KEY);
        println!("{}", producer.send(&message)?);
    }
    // Whatever time they were stored at. A real broker has its index ready a moment later.
    let found = producer.admin().query_by_key(TOPIC, KEY, COUNT, ..)?;
    println!("{KEY} finds {} messages:", found.len());
    for message in found {
        println!("  {}", String::from_utf8_lossy(message.body()));
    }
    Ok(())
}
