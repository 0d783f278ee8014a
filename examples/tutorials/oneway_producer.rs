//! `simple/OnewayProducer`: messages without answers, for logs and the like. Java's program sleeps
//! at the end so that the last ones are not lost; here a flush waits exactly until they are
//! written.

use std::error::Error;
use std::time::Duration;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

const TOPIC: &str = "TopicTest";
const COUNT: usize = 100;
const PATIENCE: Duration = Duration::from_secs(5);

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("oneway_group")
        .name_server(name_server)
        .start()?;
    for i in 0..COUNT {
        producer.send_oneway(&Message::new(TOPIC, format!("log line {i}")).tag("TagA"))?;
    }
    println!("{COUNT} messages accepted");
    producer.flush(PATIENCE)?;
    // Its text names what did not get out, if there was anything.
    println!("{}", producer.shutdown_within(PATIENCE));
    if let Some(cluster) = cluster {
        let stored = cluster.wait_for_messages(TOPIC, COUNT, PATIENCE);
        println!("{} messages stored", stored.len());
    }
    Ok(())
}
