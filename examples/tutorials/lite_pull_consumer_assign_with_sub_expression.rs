//! `simple/LitePullConsumerAssignWithSubExpression`: queues that are chosen by hand, with a filter by tags.

use std::error::Error;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Client, ClientOptions, Message, PullConsumer, StartFrom};

use crate::feed;

const TOPIC: &str = "TopicTest";
const TAGS: [&str; 3] = ["TagA", "TagB", "TagC"];
const COUNT: usize = 9;

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let tags = TAGS.into_iter().cycle().take(COUNT);
    feed::send(
        name_server,
        tags.map(|tag| Message::new(TOPIC, "hello").tag(tag)),
    )?;
    let client = Client::start(ClientOptions::new().name_server(name_server))?;
    let consumer = PullConsumer::builder("lite_pull_consumer_assign_tagged")
        .client(&client)
        .start_from(StartFrom::First)
        .assign(client.admin().subscribe_queues(TOPIC)?)
        .assign_filter("TagA")
        .start()?;
    let mut count = 0;
    for message in consumer.messages().until_caught_up() {
        let message = message?;
        count += usize::from(message.tag() == Some("TagA"));
        message.done();
    }
    println!("{count} messages have the tag TagA");
    consumer.shutdown();
    client.shutdown();
    Ok(())
}
