//! `simple/LitePullConsumerAssign`: half of the queues, chosen by hand, the first one from its offset 1 on.
//! Only `commit()` commits.

use std::error::Error;

use rocketmq_blocking::consumer::Seek;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Client, ClientOptions, Message, PullConsumer, StartFrom};

use crate::feed;

const TOPIC: &str = "TopicTest";
const COUNT: usize = 20;

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let greeting = |i| Message::new(TOPIC, format!("greeting {i}"));
    feed::send(name_server, (0..COUNT).map(greeting))?;
    let client = Client::start(ClientOptions::new().name_server(name_server))?;
    let mut queues = client.admin().subscribe_queues(TOPIC)?;
    queues.sort();
    queues.truncate(queues.len() / 2);
    let consumer = PullConsumer::builder("lite_pull_consumer_assign")
        .client(&client)
        .start_from(StartFrom::First)
        .assign(queues.clone())
        .auto_commit(false)
        .start()?;
    consumer.seek(&queues[0], Seek::Offset(1))?;
    for message in consumer.messages().until_caught_up() {
        message?.done();
    }
    consumer.commit()?;
    for queue in &queues {
        let offset = consumer.committed(queue)?.unwrap_or(0);
        println!("{queue} is committed up to {offset}");
    }
    consumer.shutdown();
    client.shutdown();
    Ok(())
}
