//! `tracemessage/TraceProducer`: with trace switched on, each message leaves a record in a topic of the
//! broker, where it is found by the message's key. A real broker needs `traceTopicEnable=true`.

use std::error::Error;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

const TOPIC: &str = "TopicTest";
const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
const KEY: &str = "OrderID188";
const COUNT: usize = 5;

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("trace_group")
        .name_server(name_server)
        .trace()
        .start()?;
    for _ in 0..COUNT {
        let message = Message::new(TOPIC, "hello").tag("TagA").key(KEY);
        println!("{}", producer.send(&message)?);
    }
    producer.shutdown(); // sends the records that still wait
    if let Some(cluster) = cluster {
        let stored = cluster.messages(TRACE_TOPIC);
        let about_it = stored
            .iter()
            .filter(|records| records.keys().any(|key| key == KEY));
        println!(
            "{} message(s) of {TRACE_TOPIC} are about {KEY}",
            about_it.count()
        );
    }
    Ok(())
}
