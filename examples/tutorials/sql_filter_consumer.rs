//! `filter/SqlFilterConsumer`: messages whose properties fulfil a condition. A real broker needs
//! `enablePropertyFilter=true`.

use std::error::Error;
use std::sync::mpsc;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Filter, Message, PushConsumer, Retry, StartFrom};

use crate::feed;

const TOPIC: &str = "SqlFilterTest";
const TAGS: [&str; 3] = ["TagA", "TagB", "TagC"];
const CONDITION: &str =
    "TAGS IS NOT NULL AND TAGS IN ('TagA', 'TagB') AND a IS NOT NULL AND a BETWEEN 0 AND 3";

pub fn run(name_server: &str, _cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let message = |(a, tag): (i32, &str)| {
        let message = Message::new(TOPIC, format!("a={a} {tag}")).tag(tag);
        message.property("a", a.to_string())
    };
    let messages = (0..10).zip(TAGS.into_iter().cycle());
    feed::send(name_server, messages.map(message))?;
    let (tell, told) = mpsc::channel();
    let consumer = PushConsumer::builder("sql_filter_consumers")
        .name_server(name_server)
        .start_from(StartFrom::First)
        .subscribe(TOPIC, Filter::sql(CONDITION))
        .start(move |message| -> Result<(), Retry> {
            tell.send(message.text()?.to_owned())?;
            Ok(())
        })?;
    feed::print(&told, 3)?;
    consumer.shutdown();
    Ok(())
}
