//! `ordermessage/Producer`: all messages of an order go to the queue that a selector picks by the
//! order's number. Consumers that process each queue in sequence see them in order.

use std::error::Error;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

const TOPIC: &str = "TopicTestjjj";
const TAGS: [&str; 5] = ["TagA", "TagB", "TagC", "TagD", "TagE"];

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("order_group")
        .name_server(name_server)
        .start()?;
    for (i, tag) in (0..20).zip(TAGS.into_iter().cycle()) {
        let order = i % 10;
        let message = Message::new(TOPIC, format!("order {order}"))
            .tag(tag)
            .key(format!("KEY{i}"));
        // The closure has what Java hands to its selector as an argument.
        let receipt = producer
            .prepare(&message)
            .select(move |queues| order % queues.len())
            .send()?;
        println!("order {order} {tag} -> {}", receipt.queue());
    }
    Ok(())
}
