//! `batch/SplitBatchProducer`: a hundred thousand messages, cut into batches of at most a million
//! bytes. Java's tutorial counts bytes itself; here `Batch::split` does, as they are on the wire.

use std::error::Error;
use std::time::Duration;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Batch, Message, Producer};

const TOPIC: &str = "BatchTest";
const COUNT: usize = 100_000;
const MOST_BYTES: usize = 1_000_000;

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("batch_group")
        .name_server(name_server)
        .send_timeout(Duration::from_secs(20)) // brokers take their time for so many messages
        .start()?;
    // Created one by one, when a batch has capacity: they are never in memory all at once.
    let messages = (0..COUNT).map(|i| {
        Message::new(TOPIC, format!("message {i}"))
            .tag("Tag")
            .key(format!("OrderID{i}"))
    });
    for batch in Batch::split(messages, MOST_BYTES) {
        let batch = batch?; // an error here: a message that is too large for any batch
        let receipt = producer.send_batch(&batch)?;
        let count = batch.messages().len();
        println!("{count:>6} messages to {}", receipt.queue());
    }
    Ok(())
}
