//! `schedule/TimerMessageProducer`: messages with a delivery time, to the second. Needs brokers
//! from 5.0 on.

use std::error::Error;
use std::time::{Duration, SystemTime};

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

const TOPIC: &str = "TimerTopic";
const COUNT: u64 = 10;

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("timer_group")
        .name_server(name_server)
        .start()?;
    for i in 0..COUNT {
        // `.deliver_after(..)` is the same for a time from now on.
        let time = SystemTime::now() + Duration::from_secs(10 + i);
        let message = Message::new(TOPIC, format!("alarm {i}")).deliver_at(time);
        println!("{}", producer.send(&message)?);
    }
    if let Some(cluster) = cluster {
        for seconds in [15, 15] {
            let due = cluster.advance(Duration::from_secs(seconds));
            println!("{seconds} s later consumers see {due} messages more");
        }
    }
    Ok(())
}
