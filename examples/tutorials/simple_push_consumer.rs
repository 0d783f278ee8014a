//! `simple/PushConsumer`: a new group starts with what was stored in the last half hour. The handler gets
//! several messages of a queue at once, and says of each what becomes of it.

use std::error::Error;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, PushConsumer, Retry, StartFrom};

use crate::feed;

const TOPIC: &str = "TopicTest";
const COUNT: usize = 8;

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let greeting = |i| Message::new(TOPIC, format!("greeting {i}")).key(format!("OrderID{i}"));
    feed::send(name_server, (0..COUNT).map(greeting))?;
    let (tell, told) = mpsc::channel();
    let half_an_hour_ago = SystemTime::now() - Duration::from_secs(30 * 60);
    let consumer = PushConsumer::builder("CID_JODIE_1")
        .name_server(name_server)
        .start_from(StartFrom::Time(half_an_hour_ago))
        .subscribe(TOPIC, "*")
        .start_batch(32, move |batch| -> Result<(), Retry> {
            for place in 0..batch.len() {
                tell.send(format!("{} of {}", place + 1, batch.len()))?;
                // Nothing need be said of those that are done, if the result is Ok.
                if batch[place].body().is_empty() {
                    batch.retry(place, Retry::dead_letter().because("an empty message"));
                }
            }
            Ok(())
        })?;
    feed::print(&told, COUNT)?;
    consumer.shutdown();
    Ok(())
}
