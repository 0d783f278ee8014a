//! The cluster inside this process, for a run without servers.

use std::io;
use std::time::Duration;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Client, Error, Message, Producer};

use crate::args::Args;

/// How many messages it gets.
pub const MESSAGES: u64 = 20;

/// When nothing came for this time, all was handled that is wanted.
pub const DONE_AFTER: Duration = Duration::from_secs(3);

/// A cluster with the topics.
pub fn start(args: &Args) -> io::Result<Cluster> {
    let mut builder = Cluster::builder().record_requests(false).sql_filters(true);
    for topic in &args.topics {
        let on_wire = match args.client.namespace() {
            Some(namespace) => format!("{namespace}%{topic}"),
            None => topic.clone(),
        };
        builder = builder.topic(on_wire, 4);
    }
    builder.start()
}

/// Has the group pop the topics, if brokers are asked.
pub fn assign(args: &Args, client: &Client) -> Result<(), Error> {
    if args.broker_assignment {
        for topic in &args.topics {
            client
                .admin()
                .group(args.group.as_str())
                .set_pop(topic, 0)?;
        }
    }
    Ok(())
}

/// Sends the messages to the topics in turn, with tags that are consumed.
pub fn send(args: &Args, client: &Client) -> Result<(), Error> {
    let tags: Vec<&str> = match args.tags() {
        Some(tags) => tags.collect(),
        None => vec!["TagA", "TagB", "TagC"],
    };
    let producer = Producer::builder("consume-example-sends")
        .client(client)
        .start()?;
    let turns = args.topics.iter().cycle().zip(tags.iter().cycle());
    for (n, (topic, tag)) in (0..MESSAGES).zip(turns) {
        let message = Message::new(topic.as_str(), format!("message {n}"))
            .tag(*tag)
            .key(format!("K{n}"))
            .property("n", n.to_string());
        let _receipt = producer.send(&message)?;
    }
    producer.shutdown();
    Ok(())
}
