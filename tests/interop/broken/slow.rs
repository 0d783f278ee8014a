//! A broker that stores at once and confirms late: it waits for a replica that never acknowledges.
//! (A disk cannot be made that slow; to the client both look the same.)

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rocketmq_blocking::error::Wait;
use rocketmq_blocking::{ErrorKind, Message, SendFate, SendStatus};

use crate::servers::ledger::Ledger;
use crate::servers::{PATIENCE, Server, env, eventually};

/// Shorter than the broker's wait, and enough for a busy machine to store the message.
const SHORT: Duration = Duration::from_secs(3);

/// A slave that takes everything and confirms nothing.
struct Slave(TcpStream);

impl Slave {
    fn connect(broker: &str) -> Slave {
        let mut address: SocketAddr = broker.parse().unwrap();
        // As configured by the script.
        address.set_port(address.port() + 1);
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(&0i64.to_be_bytes()).unwrap();
        let mut copy = socket.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while copy.read(&mut bytes).is_ok_and(|read| read > 0) {}
        });
        Slave(socket)
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_message_confirmed_after_the_timeout_may_be_stored_and_is() {
    let conf = env("ROCKETMQ_BROKER_CONF");
    assert!(conf.contains("brokerRole=SYNC_MASTER"), "{conf}");
    let server = Server::from_env();
    let topic = "BrokerIsSlow";
    let producer = server.producer("slow").retries(0).async_retries(0);
    let producer = producer.start().unwrap();
    let _slave = Slave::connect(&server.brokers[0].address);
    let ledger = Ledger::default();
    let send = |text: String, timeout: Option<Duration>, sync: bool| {
        let message = Message::new(topic, text.clone());
        let mut prepared = producer.prepare(&message);
        if let Some(timeout) = timeout {
            prepared = prepared.timeout(timeout);
        }
        let start = Instant::now();
        let outcome = match sync {
            true => prepared.send(),
            false => prepared.submit().wait(),
        };
        ledger.note(&text, outcome.clone());
        (outcome, start.elapsed())
    };
    eventually("the broker waits for its slave", || {
        let (outcome, _) = send(format!("patient-{}", ledger.len()), None, true);
        outcome.unwrap().status() == SendStatus::FlushSlaveTimeout
    });
    for i in 0..6 {
        let (outcome, took) = send(format!("short-{i}"), Some(SHORT), i % 2 == 0);
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
        assert_eq!(error.wait(), Some(Wait::Response), "{error:?}");
        assert_eq!(error.fate(), SendFate::MaybeStored, "{error:?}");
        // Another test measures the lateness; a busy machine has stalled for a second here. Then
        // the handle's wait could end before the send: that error has no attempts.
        assert!(took < 5 * SHORT, "{took:?}");
        assert_eq!(error.attempts().len(), 1, "{took:?}: {error:?}");
    }
    let found = ledger.check(&server, &producer, topic);
    println!("{found:?}");
    assert_eq!((found.missing, found.more_copies), (0, 0), "{found:?}");
    assert_eq!(found.stored_after_all, 6, "{found:?}");
    assert!(producer.shutdown_within(PATIENCE).is_clean());
}
