//! `namespace/PullConsumerWithNamespace`: requests carry a namespace (servers from 5.2 on), and all queues
//! are read from their start to their end without leaving an offset behind.

use std::error::Error;

use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::{Client, ClientOptions, Message, Producer, PullConsumer, StartFrom};

const NAMESPACE: &str = "InstanceTest";
const TOPIC: &str = "NAMESPACE_TOPIC";
const COUNT: usize = 5;

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let options = ClientOptions::new()
        .name_server(name_server)
        .namespace_v2(NAMESPACE);
    let client = Client::start(options)?;
    let producer = Producer::builder("pidTest").client(&client).start()?;
    for _ in 0..COUNT {
        let _receipt = producer.send(&Message::new(TOPIC, "hello"))?;
    }
    let consumer = PullConsumer::builder("cidTest")
        .client(&client)
        .start_from(StartFrom::First)
        .assign(client.admin().subscribe_queues(TOPIC)?)
        .auto_commit(false)
        .start()?;
    for message in consumer.messages().until_caught_up() {
        let message = message?;
        println!("{message}");
        message.done();
    }
    if let Some(cluster) = cluster {
        let pulls = cluster.requests(&On::Pull);
        let namespace = pulls[0].command().ext.get("ns").unwrap_or("none");
        let commits = cluster.requests(&On::Commit).len();
        println!(
            "the broker was asked with namespace {namespace}; {commits} offsets were committed"
        );
    }
    consumer.shutdown();
    client.shutdown();
    Ok(())
}
