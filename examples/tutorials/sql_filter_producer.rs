//! `filter/SqlFilterProducer`: messages have a user property, and consumers select them by an SQL
//! condition. A real broker needs `enablePropertyFilter=true`.

use std::error::Error;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, Producer};

const TOPIC: &str = "SqlFilterTest";
const TAGS: [&str; 3] = ["TagA", "TagB", "TagC"];
const COUNT: usize = 10;

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("sql_filter_group")
        .name_server(name_server)
        .start()?;
    for (a, tag) in (0..COUNT).zip(TAGS.into_iter().cycle()) {
        let message = Message::new(TOPIC, "hello")
            .tag(tag)
            .property("a", a.to_string());
        println!("a={a} {tag} {}", producer.send(&message)?);
    }
    if let Some(cluster) = cluster {
        let stored = cluster.messages(TOPIC);
        let seen = stored.iter().filter(|message| {
            let a = message.property("a").and_then(|a| a.parse().ok());
            matches!(message.tag(), Some("TagA" | "TagB")) && matches!(a, Some(0..=3))
        });
        let sql = "TAGS in ('TagA', 'TagB') and a between 0 and 3";
        println!("a consumer of \"{sql}\" sees {} of them", seen.count());
    }
    Ok(())
}
