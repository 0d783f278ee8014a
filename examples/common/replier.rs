//! A consumer that replies, for examples of requests.

use std::error::Error;

use rocketmq_blocking::{Message, MessageView, Producer, PushConsumer, Retry};

/// Replies to every message of a topic until it is dropped.
pub fn reply_to_all(
    name_server: &str,
    topic: &str,
    answer: impl Fn(&MessageView) -> String + Send + Sync + 'static,
) -> Result<PushConsumer, Box<dyn Error>> {
    let producer = Producer::builder("repliers")
        .name_server(name_server)
        .start()?;
    // A topic that does not exist yet is waited for, but a question does not wait so long.
    producer.admin().create_topic("TBW102", topic, 4)?;
    let consumer = PushConsumer::builder("repliers")
        .name_server(name_server)
        .subscribe(topic, "*")
        .start(move |question| -> Result<(), Retry> {
            // The reply goes to the cluster's own topic, marked for the client that asked.
            let reply = Message::reply_to(question, answer(question))?;
            let _receipt = producer.send(&reply)?;
            Ok(())
        })?;
    Ok(consumer)
}
