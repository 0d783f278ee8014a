//! `schedule/ScheduledMessageConsumer`: messages with a delay level are ordinary ones to a consumer, when
//! their time has come.

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, PushConsumer, Retry, StartFrom};

use crate::feed;

const TOPIC: &str = "TestTopic";
const COUNT: usize = 3;

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    // Level 3 is 10 s, unless the broker is configured otherwise.
    let reminder = |i| Message::new(TOPIC, format!("reminder {i}")).delay_level(3);
    feed::send(name_server, (0..COUNT).map(reminder))?;
    let (tell, told) = mpsc::channel();
    let consumer = PushConsumer::builder("ExampleConsumer")
        .name_server(name_server)
        .start_from(StartFrom::First)
        .subscribe(TOPIC, "*")
        .start(move |message| -> Result<(), Retry> {
            let later = message.store_timestamp() - message.born_timestamp();
            let seconds = later as f64 / 1000.0;
            tell.send(format!("{} came {seconds:.0} s later", message.text()?))?;
            Ok(())
        })?;
    if let Some(cluster) = cluster {
        cluster.advance(Duration::from_secs(10));
    }
    feed::print(&told, COUNT)?;
    consumer.shutdown();
    Ok(())
}
