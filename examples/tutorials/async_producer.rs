//! `simple/AsyncProducer`: many sends are in flight at a time, and a callback gets each result.
//! Java has a switch for back-pressure; here it is always on.

use std::error::Error;
use std::sync::mpsc;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

const TOPIC: &str = "Jodie_topic_1023";
const COUNT: usize = 10;

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("async_group")
        .name_server(name_server)
        .async_retries(0) // a send that fails is not tried again
        .start()?;
    let (tell, told) = mpsc::channel();
    for i in 0..COUNT {
        let message = Message::new(TOPIC, "hello").tag("TagA").key("OrderID188");
        let tell = tell.clone();
        // Runs on another thread, once, whatever happens.
        producer.send_async(message, move |result| {
            let _ = tell.send((i, result));
        });
    }
    drop(tell); // the last callback ends the loop, which is Java's latch
    for (i, result) in told {
        let receipt = result.map_err(|error| format!("message {i}: {error}"))?;
        println!("{i:<4} ok {}", receipt.message_id());
    }
    Ok(())
}
