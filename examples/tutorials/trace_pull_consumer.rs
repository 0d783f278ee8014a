//! `tracemessage/TracePullConsumer`: the same of polled messages. A poll counts as their whole consumption, as
//! in Java. A real broker needs `traceTopicEnable=true`.

use std::error::Error;
use std::time::Duration;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, PullConsumer, StartFrom};

use crate::feed;

const TOPIC: &str = "TopicTest";
const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
const KEY: &str = "OrderID189";

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    feed::send(name_server, [Message::new(TOPIC, "hello").key(KEY)])?;
    let consumer = PullConsumer::builder("trace_pull_group")
        .name_server(name_server)
        .start_from(StartFrom::First)
        .subscribe(TOPIC, "*")
        .trace()
        .start()?;
    for message in consumer.poll(Duration::from_secs(5))? {
        println!("{message}");
        message.done();
    }
    consumer.shutdown(); // sends the records that still wait
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
