//! One of two brokers, broker-b, crashes. (It does not come back.)

use crate::servers::traffic::{check_stored, create_topic, send_during};
use crate::servers::{PATIENCE, Server};

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn no_send_fails_when_a_broker_crashes() {
    let server = Server::from_env();
    let producer = server.producer("crash").start().unwrap();
    let topic = "BrokerCrashes";
    let mut receipts = create_topic(&producer, topic, &["broker-a", "broker-b"]);
    receipts.extend(send_during(&producer, topic, |wait_for| {
        wait_for(500);
        server.broker("broker-b").kill();
        wait_for(1000);
    }));
    let retried = receipts.iter().filter(|r| r.attempts() > 1).count();
    assert!(retried > 0, "some were on their way to the one that died");
    assert!(producer.shutdown_within(PATIENCE).is_clean());
    check_stored(&server, topic, &receipts, &["broker-a"]);
}
