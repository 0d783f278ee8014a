//! A consumer that replies, for examples of requests.

use std::error::Error;
use std::thread;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, MessageView, Producer};

/// Replies to every message of a topic of this cluster, on a thread that ends with the cluster.
pub fn reply_to_all(
    cluster: &Cluster,
    topic: &str,
    answer: impl Fn(&MessageView) -> String + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let stored = cluster.subscribe();
    let topic = topic.to_owned();
    let producer = Producer::builder("repliers")
        .name_server(cluster.name_server())
        .start()?;
    thread::spawn(move || {
        for message in stored.iter().filter(|message| message.topic() == topic) {
            let question = message.view();
            // The reply goes to the cluster's own topic, marked for the client that asked.
            let reply = Message::reply_to(&question, answer(&question));
            if let Err(error) = reply.and_then(|reply| producer.send(&reply)) {
                eprintln!("no reply: {error}");
            }
        }
    });
    Ok(())
}
