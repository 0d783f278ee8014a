//! `ordermessage/Consumer`: the messages of a queue are handled one after the other. One that fails holds up
//! its queue, and is handled again there.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer, PushConsumer, Retry, StartFrom};

use crate::feed;

const TOPIC: &str = "TopicTestjjj";
const TAGS: [&str; 5] = ["TagA", "TagB", "TagC", "TagD", "TagE"];

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("order_group")
        .name_server(name_server)
        .start()?;
    for (i, tag) in (0..20).zip(TAGS.into_iter().cycle()) {
        let order = i % 4;
        let message = Message::new(TOPIC, format!("i={i}, order {order}")).tag(tag);
        let key = order.to_string();
        let _receipt = producer.prepare(&message).sharding_key(key).send()?;
    }
    let (tell, told) = mpsc::channel();
    let times = AtomicUsize::new(0);
    let consumer = PushConsumer::builder("order_consumers")
        .name_server(name_server)
        .start_from(StartFrom::First)
        .subscribe(TOPIC, "TagA || TagC || TagD")
        .suspend(Duration::from_millis(100))
        .start_ordered(move |message| -> Result<(), Retry> {
            let text = message.text()?;
            if times.fetch_add(1, Ordering::Relaxed) % 5 == 4 {
                tell.send(format!("{text} SUSPENDS its queue"))?;
                return Err(Retry::later());
            }
            tell.send(format!("{text} done"))?;
            Ok(())
        })?;
    // Of the 20 messages 12 have one of the tags, and 2 of these are handled twice.
    feed::print(&told, 12 + 2)?;
    consumer.shutdown();
    Ok(())
}
