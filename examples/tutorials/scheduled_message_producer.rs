//! `schedule/ScheduledMessageProducer`: delayed messages, by one of the broker's delay levels. All
//! brokers have these.

use std::error::Error;
use std::time::Duration;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

const TOPIC: &str = "TestTopic";
const COUNT: usize = 10;

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("scheduled_group")
        .name_server(name_server)
        .start()?;
    for i in 0..COUNT {
        // Level 3 is 10 s, unless the broker is configured otherwise.
        let message = Message::new(TOPIC, format!("reminder {i}")).delay_level(3);
        println!("{}", producer.send(&message)?);
    }
    if let Some(cluster) = cluster {
        for seconds in [9, 1] {
            let due = cluster.advance(Duration::from_secs(seconds));
            println!("{seconds} s later consumers see {due} messages more");
        }
    }
    Ok(())
}
