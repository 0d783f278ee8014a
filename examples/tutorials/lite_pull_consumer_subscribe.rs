//! `simple/LitePullConsumerSubscribe`: the program polls, up to 20 messages at a time. What it marks as
//! done is committed in the background, each second.

use std::error::Error;
use std::time::Duration;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, PullConsumer, StartFrom};

use crate::feed;

const TOPIC: &str = "TopicTest";
const COUNT: usize = 50;

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let greeting = |i| Message::new(TOPIC, format!("greeting {i}"));
    feed::send(name_server, (0..COUNT).map(greeting))?;
    let consumer = PullConsumer::builder("lite_pull_consumer_test")
        .name_server(name_server)
        .start_from(StartFrom::First)
        .subscribe(TOPIC, "*")
        .poll_batch(20)
        .start()?;
    let mut left = COUNT;
    while left > 0 {
        let batch = consumer.poll(Duration::from_secs(5))?;
        println!("{} messages", batch.len());
        left = left.saturating_sub(batch.len());
        for message in batch {
            message.done();
        }
    }
    consumer.shutdown();
    Ok(())
}
