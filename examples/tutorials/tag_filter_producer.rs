//! `filter/TagFilterProducer`: each message has one tag, and consumers receive only messages with
//! the tags of their subscription.

use std::error::Error;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

const TOPIC: &str = "TagFilterTest";
const TAGS: [&str; 3] = ["TagA", "TagB", "TagC"];
const COUNT: usize = 9;

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("tag_filter_group")
        .name_server(name_server)
        .start()?;
    for tag in TAGS.into_iter().cycle().take(COUNT) {
        let message = Message::new(TOPIC, "hello").tag(tag);
        println!("{tag} {}", producer.send(&message)?);
    }
    if let Some(cluster) = cluster {
        let stored = cluster.messages(TOPIC);
        let seen = stored
            .iter()
            .filter(|message| matches!(message.tag(), Some("TagA" | "TagC")));
        println!(
            "a consumer of \"TagA || TagC\" sees {} of them",
            seen.count()
        );
    }
    Ok(())
}
