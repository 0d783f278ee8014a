//! `batch/SimpleBatchProducer`: a few messages in one request. They have one topic and one receipt, and
//! none of them is for later: a batch that breaks these rules cannot be made.

use std::error::Error;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Batch, Message, Producer};

const TOPIC: &str = "BatchTest";

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("batch_group")
        .name_server(name_server)
        .start()?;
    let orders = ["OrderID001", "OrderID002", "OrderID003"];
    let messages = orders.map(|order| Message::new(TOPIC, "a new order").tag("Tag").key(order));
    let batch = Batch::new(messages)?;
    let receipt = producer.send_batch(&batch)?;
    println!("{receipt}");

    let mixed = [
        Message::new(TOPIC, "now"),
        Message::new(TOPIC, "later").delay_level(1),
    ];
    match Batch::new(mixed) {
        Ok(batch) => println!("{batch:?}"),
        Err(error) => println!("no batch: {error}"),
    }
    Ok(())
}
