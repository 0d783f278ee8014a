//! `tracemessage/TracePushConsumer`: with trace switched on, two records of each message go to a topic of the
//! broker: one when the handler gets it, one when that has ended. A real broker needs
//! `traceTopicEnable=true`.

use std::error::Error;
use std::sync::mpsc;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, PushConsumer, Retry, StartFrom};

use crate::feed;

const TOPIC: &str = "TopicTest";
const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
const COUNT: usize = 5;

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let greeting = |i| Message::new(TOPIC, format!("greeting {i}")).key(format!("OrderID{i}"));
    feed::send(name_server, (0..COUNT).map(greeting))?;
    let (tell, told) = mpsc::channel();
    let consumer = PushConsumer::builder("CID_JODIE_1")
        .name_server(name_server)
        .start_from(StartFrom::First)
        .subscribe(TOPIC, "*")
        .trace()
        .start(move |message| -> Result<(), Retry> {
            tell.send(message.text()?.to_owned())?;
            Ok(())
        })?;
    feed::print(&told, COUNT)?;
    consumer.shutdown(); // sends the records that still wait
    if let Some(cluster) = cluster {
        let (mut began, mut ended) = (0, 0);
        for stored in cluster.messages(TRACE_TOPIC) {
            let records = String::from_utf8(stored.body().to_vec())?;
            began += records.matches("SubBefore").count();
            ended += records.matches("SubAfter").count();
        }
        println!("{TRACE_TOPIC} has {began} beginnings and {ended} ends");
    }
    Ok(())
}
