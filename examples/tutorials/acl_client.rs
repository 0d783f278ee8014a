//! `simple/AclClient` (its producer): every request is signed with an access key and its secret. The
//! cluster inside this process takes anything; a real one needs `aclEnable=true` and this account.

use std::error::Error;

use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::{Message, Producer};

const TOPIC: &str = "TopicTest";
const ACCESS_KEY: &str = "RocketMQ";
const SECRET_KEY: &str = "1234567";
const COUNT: usize = 3;

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder("acl_group")
        .name_server(name_server)
        .credentials(ACCESS_KEY, SECRET_KEY)
        .start()?;
    for _ in 0..COUNT {
        let message = Message::new(TOPIC, "hello").tag("TagA").key("OrderID188");
        println!("{}", producer.send(&message)?);
    }
    if let Some(cluster) = cluster {
        for send in cluster.requests(&On::Send) {
            let ext = &send.command().ext;
            let [key, signature] =
                ["AccessKey", "Signature"].map(|name| ext.get(name).unwrap_or("nobody"));
            println!("  signed by {key}: {signature}");
        }
    }
    Ok(())
}
