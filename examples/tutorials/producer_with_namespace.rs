//! `namespace/ProducerWithNamespace`: requests carry a namespace, in which servers from 5.2 on look
//! up topic and group; the names stay unchanged. (`.namespace(..)` is the older kind, which is a
//! part of the names.)

use std::error::Error;

use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::{ClientOptions, Message, Producer};

const NAMESPACE: &str = "InstanceTest";
const TOPIC: &str = "NAMESPACE_TOPIC";
const COUNT: usize = 3;

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("pidTest")
        .name_server(name_server)
        .options(ClientOptions::new().namespace_v2(NAMESPACE))
        .start()?;
    for _ in 0..COUNT {
        let receipt = producer.send(&Message::new(TOPIC, "hello").tag("tagTest"))?;
        let (topic, id) = (receipt.queue().topic(), receipt.message_id());
        println!("stored in topic {topic}: {id}");
    }
    if let Some(cluster) = cluster {
        for send in cluster.requests(&On::Send) {
            let namespace = send.command().ext.get("ns").unwrap_or("none");
            println!("  the broker was asked with namespace {namespace}");
        }
    }
    Ok(())
}
