//! `simple/PopConsumer`: brokers have the messages popped. Members do not divide queues: each message is
//! hidden from the others while a handler has it, and acknowledged by itself.

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Client, ClientOptions, Message, PushConsumer, Retry, StartFrom};

use crate::feed;

const TOPIC: &str = "TopicTest";
const GROUP: &str = "CID_JODIE_POP";
const COUNT: usize = 8;

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    feed::send(
        name_server,
        (0..COUNT).map(|i| Message::new(TOPIC, format!("greeting {i}"))),
    )?;
    let client = Client::start(ClientOptions::new().name_server(name_server))?;
    // An operator does this once; all members pop all queues.
    client.admin().group(GROUP).set_pop(TOPIC, 0)?;
    let (tell, told) = mpsc::channel();
    let consumer = PushConsumer::builder(GROUP)
        .client(&client)
        .start_from(StartFrom::First)
        .subscribe(TOPIC, "*")
        .broker_assignment(true)
        .invisible_time(Duration::from_secs(60))
        .start(move |message| -> Result<(), Retry> {
            tell.send(format!("received {message}"))?;
            Ok(())
        })?;
    println!("popping {:?}", consumer.assignment());
    feed::print(&told, COUNT)?;
    consumer.shutdown();
    client.shutdown();
    Ok(())
}
