//! `quickstart/Consumer`: a handler gets each message of a topic. A group that is new starts at the first
//! message here; the default is behind the last one.

use std::error::Error;
use std::sync::mpsc;
use std::thread;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, PushConsumer, Retry, StartFrom};

use crate::feed;

const TOPIC: &str = "TopicTest";
const COUNT: usize = 10;

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let greeting = |i| Message::new(TOPIC, format!("greeting {i}")).tag("TagA");
    feed::send(name_server, (0..COUNT).map(greeting))?;
    let (tell, told) = mpsc::channel();
    // A group is the name of an application's consumers: they share the messages.
    let consumer = PushConsumer::builder("quickstart_consumers")
        .name_server(name_server)
        .start_from(StartFrom::First)
        .subscribe(TOPIC, "*")
        .start(move |message| -> Result<(), Retry> {
            let thread = thread::current();
            let thread = thread.name().unwrap_or_default();
            tell.send(format!("{thread} has {}", message.text()?))?;
            Ok(())
        })?;
    feed::print(&told, COUNT)?;
    consumer.shutdown();
    Ok(())
}
