//! `rpc/ResponseConsumer`: a consumer that replies to questions, here to one that the tutorial asks.

use std::error::Error;
use std::time::Duration;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, MessageView, Producer, PushConsumer, Retry};

const TOPIC: &str = "RequestTopic";
const PATIENCE: Duration = Duration::from_secs(10);

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("please_rename_unique_group_name")
        .name_server(name_server)
        .start()?;
    // The topic is there before the question comes.
    producer.admin().create_topic("TBW102", TOPIC, 4)?;
    let replies = producer.clone();
    let consumer = PushConsumer::builder("reply_consumers")
        .name_server(name_server)
        .subscribe(TOPIC, "*")
        .start(move |question: &MessageView| -> Result<(), Retry> {
            let reply = Message::reply_to(question, "reply message contents.")?;
            println!("{}: {}", question.text()?, replies.send(&reply)?.status());
            Ok(())
        })?;
    let reply = producer.request(&Message::new(TOPIC, "hello?"), PATIENCE)?;
    println!("the reply: {}", reply.text()?);
    consumer.shutdown();
    Ok(())
}
