//! `schedule/TimerMessageConsumer`: messages that come at a time, to the second.

use std::error::Error;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, PushConsumer, Retry, StartFrom};

use crate::feed;

const TOPIC: &str = "TimerTopic";
const COUNT: u64 = 3;

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    // The clock of brokers in this process stands still until it is moved.
    let now = cluster.map_or_else(SystemTime::now, Cluster::now);
    let alarm = |i| {
        let time = now + Duration::from_secs(2 + i);
        Message::new(TOPIC, format!("alarm {i}")).deliver_at(time)
    };
    feed::send(name_server, (0..COUNT).map(alarm))?;
    let (tell, told) = mpsc::channel();
    let consumer = PushConsumer::builder("TimerMessageConsumerGroup")
        .name_server(name_server)
        .start_from(StartFrom::First)
        .subscribe(TOPIC, "*")
        .start(move |message| -> Result<(), Retry> {
            tell.send(format!("{} rings", message.text()?))?;
            Ok(())
        })?;
    for _ in 0..COUNT {
        // With a real broker they come by themselves.
        if let Some(cluster) = cluster {
            let due = cluster.advance(Duration::from_secs(2));
            println!("2 s later: {due} of them");
        }
    }
    feed::print(&told, COUNT as usize)?;
    consumer.shutdown();
    Ok(())
}
