//! A broker's knowledge of its connected producers.

use std::time::Duration;

use rocketmq_blocking::protocol::{HeaderFormat, frame};
use rocketmq_blocking::{Client, ClientOptions, Message, Producer};

use crate::servers::wire::{self, Connection};
use crate::servers::{PATIENCE, Server, eventually};

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_producer_is_listed_after_its_first_send_and_gone_after_shutdown() {
    let server = Server::from_env();
    let broker = &server.brokers[0].address;
    for format in [HeaderFormat::Json, HeaderFormat::Binary] {
        let group = format!("heartbeat-{format:?}");
        let producer = server
            .producer(&group)
            .options(ClientOptions::new().header_format(format))
            .start()
            .unwrap();
        assert_eq!(wire::producers(broker, &group), [], "before the first send");
        let receipt = producer.send(&Message::new("HeartbeatTopic", "x"));
        assert_eq!(receipt.unwrap().attempts(), 1);
        let expected = Connection {
            client_id: producer.client().id().to_owned(),
            language: "RUST".to_owned(),
            version: frame::VERSION,
        };
        // The send does not wait for the heartbeat's answer.
        eventually("listed", || !wire::producers(broker, &group).is_empty());
        assert_eq!(wire::producers(broker, &group), [expected]);
        assert!(producer.shutdown_within(PATIENCE).is_clean());
        eventually("gone", || wire::producers(broker, &group).is_empty());
    }
}

/// The connection stays open, so that only the request can inform the broker.
#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn one_of_two_producers_on_a_client_unregisters_separately() {
    let server = Server::from_env();
    let broker = &server.brokers[0].address;
    // Timeouts that a busy machine does not reach.
    let unhurried = Duration::from_secs(15);
    let options = ClientOptions::new().name_server(&server.name_server);
    let options = options.instance_name("shared").api_timeout(unhurried);
    let client = Client::start(options).unwrap();
    let listed = |group: &str| -> Vec<String> {
        let connections = wire::producers(broker, group);
        connections.into_iter().map(|c| c.client_id).collect()
    };
    let [one, two] = ["heartbeat-one", "heartbeat-two"].map(|group| {
        let producer = Producer::builder(group).client(&client);
        producer.send_timeout(unhurried).start().unwrap()
    });
    let receipt = one.send(&Message::new("HeartbeatShared", "x"));
    assert_eq!(receipt.unwrap().attempts(), 1);
    for group in [one.group(), two.group()] {
        eventually("listed", || listed(group) == [client.id()]);
    }
    // Connected brokers are informed about a later one.
    let three = Producer::builder("heartbeat-three").client(&client).start();
    let three = three.unwrap();
    eventually("listed", || listed(three.group()) == [client.id()]);

    one.shutdown();
    eventually("gone", || listed(one.group()).is_empty());
    assert_eq!(listed(two.group()), [client.id()]);
    assert!(client.shutdown_within(PATIENCE).is_clean());
    // Without a request each: the connection is closed.
    eventually("gone", || listed(two.group()).is_empty());
}
