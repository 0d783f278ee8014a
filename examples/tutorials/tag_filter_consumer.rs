//! `filter/TagFilterConsumer`: messages with one of two tags. The broker does not hand out the others.

use std::error::Error;
use std::sync::mpsc;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, PushConsumer, Retry, StartFrom};

use crate::feed;

const TOPIC: &str = "TagFilterTest";
const TAGS: [&str; 3] = ["TagA", "TagB", "TagC"];
const COUNT: usize = 9;

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let tags = TAGS.into_iter().cycle().take(COUNT);
    feed::send(
        name_server,
        tags.map(|tag| Message::new(TOPIC, "hello").tag(tag)),
    )?;
    let (tell, told) = mpsc::channel();
    let consumer = PushConsumer::builder("tag_filter_consumers")
        .name_server(name_server)
        .start_from(StartFrom::First)
        .subscribe(TOPIC, "TagA || TagC")
        .start(move |message| -> Result<(), Retry> {
            tell.send(format!("{message}"))?;
            Ok(())
        })?;
    feed::print(&told, COUNT * 2 / 3)?;
    consumer.shutdown();
    Ok(())
}
