//! One of three brokers, broker-c, is shut down. (It does not come back.)

use crate::servers::traffic::{check_stored, create_topic, send_during};
use crate::servers::wire;
use crate::servers::{PATIENCE, Server, Version, eventually};

/// Since 5.0 a broker can be told to answer everything with "go away" (1500) for some seconds
/// before it closes its port.
#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn no_send_fails_when_a_broker_is_shut_down() {
    let server = Server::from_env();
    let leaving = server.broker("broker-c");
    let producer = server.producer("leaving").start().unwrap();
    let topic = "BrokerLeaves";
    let mut receipts = create_topic(&producer, topic, &["broker-a", "broker-b", "broker-c"]);
    receipts.extend(send_during(&producer, topic, |wait_for| {
        wait_for(300);
        leaving.terminate();
        let expected = match server.version {
            Version::V5 => Some(1500),
            Version::V4 => None,
        };
        eventually("it answers GO_AWAY, or closes its port", || {
            wire::ping(&leaving.address) == expected
        });
        wait_for(500);
        leaving.kill();
        wait_for(500);
    }));
    assert!(producer.shutdown_within(PATIENCE).is_clean());
    check_stored(&server, topic, &receipts, &["broker-a", "broker-b"]);
}
