//! `lmq/LMQProducer`: a message is stored once, and is in its own queue and in several light
//! queues, of which a broker can have very many. A real one needs `enableLmq=true` and
//! `enableMultiDispatch=true`; the cluster inside this process keeps the property and has no such
//! queues.

use std::error::Error;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

const TOPIC: &str = "TopicLMQParent";
const LIGHT_QUEUES: [&str; 2] = ["%LMQ%123", "%LMQ%456"];
const COUNT: usize = 5;

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("lmq_group")
        .name_server(name_server)
        .start()?;
    for i in 0..COUNT {
        // Java's MessageConst.PROPERTY_INNER_MULTI_DISPATCH
        let message = Message::new(TOPIC, format!("reading {i}"))
            .tag("TagA")
            .key(format!("Key{i}"))
            .property("INNER_MULTI_DISPATCH", LIGHT_QUEUES.join(","));
        println!("{}", producer.send(&message)?);
    }
    if let Some(cluster) = cluster {
        for message in cluster.messages(TOPIC) {
            let queues = message
                .property("INNER_MULTI_DISPATCH")
                .unwrap_or("no light queue");
            println!("  {}: {queues}", String::from_utf8_lossy(&message.body()));
        }
    }
    Ok(())
}
