//! `rpc/RequestProducer`: the question is a message, and the call returns the reply. With a real
//! server, Java's `rpc/ResponseConsumer` answers it.

use std::error::Error;
use std::time::{Duration, Instant};

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, MessageView, Producer};

use crate::replier;

const TOPIC: &str = "RequestTopic";
const PATIENCE: Duration = Duration::from_secs(3);

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let yes = |_: &MessageView| "yes, hello".to_owned();
    let start = |_| replier::reply_to_all(name_server, TOPIC, yes);
    let _replier = cluster.map(start).transpose()?;
    let producer = Producer::builder("request_group")
        .name_server(name_server)
        .start()?;
    let start = Instant::now();
    let reply = producer.request(&Message::new(TOPIC, "hello?"), PATIENCE)?;
    let (took, text) = (start.elapsed(), String::from_utf8_lossy(reply.body()));
    println!("{TOPIC} replied after {took:.1?}: {text}");
    Ok(())
}
