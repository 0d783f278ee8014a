//! `namespace/PushConsumerWithNamespace`: a namespace that is a part of the names of topic and group. The
//! program itself sees names without it.

use std::error::Error;
use std::sync::mpsc;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer, PushConsumer, Retry, StartFrom};

use crate::feed;

const NAMESPACE: &str = "InstanceTest";
const TOPIC: &str = "NAMESPACE_TOPIC";

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("pidTest")
        .name_server(name_server)
        .namespace(NAMESPACE)
        .start()?;
    let _receipt = producer.send(&Message::new(TOPIC, "hello"))?;
    let (tell, told) = mpsc::channel();
    let consumer = PushConsumer::builder("cidTest")
        .name_server(name_server)
        .namespace(NAMESPACE)
        .start_from(StartFrom::First)
        .subscribe(TOPIC, "*")
        .start(move |message| -> Result<(), Retry> {
            tell.send(format!("a message of {}", message.topic()))?;
            Ok(())
        })?;
    feed::print(&told, 1)?;
    if let Some(cluster) = cluster {
        let on_wire = cluster.group("InstanceTest%cidTest").subscriptions();
        let topics: Vec<_> = on_wire.keys().map(ToString::to_string).collect();
        println!("brokers know the topics {}", topics.join(" and "));
    }
    consumer.shutdown();
    Ok(())
}
