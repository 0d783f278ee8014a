//! `quickstart/Producer`: messages with a tag, each sent with its own timeout. A failed send is
//! retried within that time, without a loop here.

use std::error::Error;
use std::time::Duration;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

const TOPIC: &str = "TopicTest";
const COUNT: usize = 10;

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    // A group is the name of an application's producers.
    let producer = Producer::builder("quickstart_group")
        .name_server(name_server)
        .start()?;
    for i in 0..COUNT {
        let message = Message::new(TOPIC, format!("greeting {i}")).tag("TagA");
        let receipt = producer
            .prepare(&message)
            .timeout(Duration::from_secs(20))
            .send()?;
        println!("{receipt}");
    }
    producer.shutdown();
    Ok(())
}
