//! TLS towards real RocketMQ servers. Every test needs servers of its kind:
//! `tests/rocketmq/tls.sh VERSION` starts them and runs the tests.

use std::collections::BTreeSet;
use std::env;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::{
    Batch, ClientOptions, ErrorKind, Message, Producer, PushConsumer, SendFate, SendReceipt,
    TlsConfig,
};

use crate::servers::kinds;

const CA: &str = include_str!("../certificates/ca.pem");
const OTHER_CA: &str = include_str!("../certificates/other-ca.pem");
const CLIENT: &str = include_str!("../certificates/client.pem");
const CLIENT_KEY: &str = include_str!("../certificates/client.key");

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

mod test_mode {
    use super::*;

    #[test]
    #[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
    fn an_unknown_certificate_is_accepted_only_on_request() {
        all_modes_work(TlsConfig::new().danger_accept_any_certificate());
        refused(TlsConfig::new(), "UnknownIssuer");
        refused(TlsConfig::new().ca_pem(CA), "UnknownIssuer");
        let any = TlsConfig::new().danger_accept_any_certificate();
        kinds::all_consume(&kinds::options().tls(any), "TlsAny");
    }
}

mod enforcing {
    use super::*;

    #[test]
    #[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
    fn servers_of_a_known_authority_take_all_modes_and_no_plain_connection() {
        all_modes_work(TlsConfig::new().ca_pem(CA));
        all_modes_work(TlsConfig::new().ca_pem(CA).server_name("broker.internal"));
        refused(TlsConfig::new().ca_pem(OTHER_CA), "UnknownIssuer");
        let elsewhere = TlsConfig::new().ca_pem(CA).server_name("elsewhere.example");
        refused(elsewhere, "not valid for name");

        let options = |tls: TlsConfig| kinds::options().tls(tls);
        kinds::all_consume(&options(TlsConfig::new().ca_pem(CA)), "TlsKnown");
        let other = options(TlsConfig::new().ca_pem(OTHER_CA));
        let consumer = PushConsumer::builder("tls").options(other);
        let consumer = consumer
            .subscribe("TlsKnown", "*")
            .start_timeout(Duration::from_secs(5));
        let error = consumer.start(|_| Ok(())).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.to_string().contains("UnknownIssuer"), "{error}");

        let plain = builder().start().unwrap();
        let error = plain.send(&Message::new("Tls", "plain")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoNameServer, "{error}");
    }
}

mod mutual {
    use super::*;

    #[test]
    #[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
    fn servers_that_want_a_certificate_get_it() {
        let tls = TlsConfig::new().ca_pem(CA);
        let own = tls.clone().client_certificate_pem(CLIENT, CLIENT_KEY);
        all_modes_work(own.clone());
        kinds::all_consume(&kinds::options().tls(own), "TlsMutual");
        refused(tls, "TLS");
    }
}

fn builder() -> ProducerBuilder {
    let name_server = env::var("ROCKETMQ_NAME_SERVER").expect("run by tests/rocketmq/tls.sh");
    let builder = Producer::builder("tls-interop").name_server(name_server);
    // A busy machine does not reach it.
    builder.options(ClientOptions::new().api_timeout(Duration::from_secs(10)))
}

fn all_modes_work(tls: TlsConfig) {
    let builder = builder().tls(tls).send_timeout(Duration::from_secs(10));
    let producer = builder.compress_over(usize::MAX).start().unwrap();
    let topic = format!("Tls{}", std::process::id());
    let message = |body: Vec<u8>| Message::new(topic.as_str(), body);

    let mut receipts = vec![first(&producer, &message(vec![1]))];
    for size in [16_384, 100_000, 4_000_000] {
        receipts.push(producer.send(&message(vec![7; size])).unwrap());
    }
    let (done, results) = mpsc::channel();
    for _ in 0..500 {
        let done = done.clone();
        producer.send_async(message(vec![2; 1000]), move |outcome| {
            done.send(outcome).unwrap();
        });
        producer.send_oneway(&message(vec![3])).unwrap();
    }
    for _ in 0..500 {
        receipts.push(results.recv_timeout(PATIENCE).unwrap().unwrap());
    }
    let batch = Batch::new([message(vec![4]), message(vec![5])]).unwrap();
    receipts.push(producer.send_batch(&batch).unwrap());
    let places: BTreeSet<_> = receipts
        .iter()
        .map(|r| (r.queue().id(), r.queue_offset()))
        .collect();
    assert_eq!(places.len(), receipts.len(), "each has a place of its own");
    assert!(producer.shutdown_within(PATIENCE).is_clean());
}

/// A broker that has just started may not be in the routes yet.
fn first(producer: &Producer, message: &Message) -> SendReceipt {
    let start = Instant::now();
    loop {
        match producer.send(message) {
            Ok(receipt) => return receipt,
            Err(error) if error.kind() == ErrorKind::NoRoute && start.elapsed() < PATIENCE => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn refused(tls: TlsConfig, why: &str) {
    let start = Instant::now();
    let builder = builder().tls(tls).send_timeout(Duration::from_secs(10));
    let producer = builder.start().unwrap();
    let error = producer.send(&Message::new("Tls", "refused")).unwrap_err();
    println!("{error}");
    let seen = (error.kind(), error.fate());
    assert_eq!(seen, (ErrorKind::Tls, SendFate::NotSent), "{error}");
    assert!(error.to_string().contains(why), "{error}");
    assert!(start.elapsed() < Duration::from_secs(9), "{error}");
}
