//! `broadcast/PushConsumer`: two consumers of a group get every message. Without a folder for their
//! offsets they start anew each time; see the example `broadcast`.

use std::error::Error;
use std::sync::mpsc;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, PushConsumer, Retry, StartFrom};

use crate::feed;

const TOPIC: &str = "TopicTest";
const TAGS: [&str; 4] = ["TagA", "TagB", "TagC", "TagD"];

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let tagged = |tag: &&str| Message::new(TOPIC, "hello").tag(*tag);
    feed::send(name_server, TAGS.iter().map(tagged))?;
    let (tell, told) = mpsc::channel();
    let mut consumers = Vec::new();
    for name in ["one", "two"] {
        let tell = tell.clone();
        let consumer = PushConsumer::builder("broadcast_consumers")
            .name_server(name_server)
            .broadcast()
            .start_from(StartFrom::First)
            .subscribe(TOPIC, "TagA || TagC || TagD")
            .start(move |message| -> Result<(), Retry> {
                tell.send(format!("{name} has {}", message.tag().unwrap_or_default()))?;
                Ok(())
            })?;
        consumers.push(consumer);
    }
    feed::print(&told, consumers.len() * 3)?;
    consumers.iter().for_each(PushConsumer::shutdown);
    Ok(())
}
