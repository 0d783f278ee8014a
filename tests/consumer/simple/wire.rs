//! The requests of a simple consumer, compared with those of Java's consumers by POP.

use std::collections::BTreeSet;

use rocketmq_blocking::ClientOptions;
use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::protocol::{Command, HeaderFormat};

use super::{LONG, MEDIUM, ack, consumer, nothing_comes, receive, start};
use crate::common::send;
use crate::support::{captures, cluster, producer};

/// The names of the fields of a request, and the values that do not differ from client to client.
#[derive(Debug, PartialEq)]
struct Fields {
    names: BTreeSet<String>,
    fixed: BTreeSet<(String, String)>,
}

impl Fields {
    fn of(command: &Command) -> Fields {
        let fixed: &[&str] = match command.code {
            request::POP_MESSAGE => &["queueId", "expType", "exp", "order", "bname"],
            _ => &["bname"],
        };
        let all = || {
            command
                .ext
                .iter()
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
        };
        let names = all().map(|(name, _)| name).collect();
        let fixed = all().filter(|(name, _)| fixed.contains(&name.as_str()));
        let fixed = fixed.collect();
        Fields { names, fixed }
    }
}

#[test]
fn requests_have_the_fields_of_javas() {
    let cluster = cluster();
    send(&producer(&cluster), 0..3);
    let consumer = start(consumer(&cluster));
    let received = receive(&consumer, 3, LONG);
    let _ = received[0].extend(LONG).expect("no error");
    received.iter().for_each(ack);
    for code in [
        request::POP_MESSAGE,
        request::ACK_MESSAGE,
        request::CHANGE_MESSAGE_INVISIBLETIME,
    ] {
        let captured = captures::frames().iter().find(|f| f.is_request(&[code]));
        let captured = captured.expect("a capture").command();
        let requests = cluster.requests(&On::Code(code));
        assert!(!requests.is_empty(), "{code}");
        for ours in requests {
            assert_eq!(Fields::of(ours.command()), Fields::of(&captured), "{code}");
        }
    }
}

#[test]
fn codes_that_do_not_fit_a_binary_header_have_a_json_header() {
    let cluster = cluster();
    send(&producer(&cluster), 0..1);
    let options = ClientOptions::new().header_format(HeaderFormat::Binary);
    let consumer = start(consumer(&cluster).options(options));
    receive(&consumer, 1, LONG).iter().for_each(ack);
    for on in [On::Pop, On::Ack] {
        let requests = cluster.requests(&on);
        let mut formats = requests.iter().map(|r| r.format());
        assert!(formats.len() > 0 && formats.all(|used| used == HeaderFormat::Json));
    }
    let heartbeats = cluster.requests(&On::Heartbeat);
    let mut formats = heartbeats.iter().map(|r| r.format());
    assert!(formats.any(|used| used == HeaderFormat::Binary));
}

#[test]
fn names_are_in_the_namespace_on_the_wire_and_only_there() {
    let builder = Cluster::builder().topic("space%T", 4);
    let cluster = builder.start().expect("free ports");
    let builder = rocketmq_blocking::Producer::builder("p").namespace("space");
    let producer = builder.name_server(cluster.name_server()).start();
    let producer = producer.expect("a producer");
    let message = rocketmq_blocking::Message::new("T", "one");
    assert!(producer.send(&message).is_ok());
    let consumer = start(consumer(&cluster).namespace("space"));
    for (times, invisible) in [(0, MEDIUM), (1, LONG)] {
        let received = receive(&consumer, 1, invisible);
        assert_eq!(received[0].topic(), "T");
        assert_eq!(received[0].queue().expect("a queue").topic(), "T");
        assert_eq!(received[0].reconsume_times(), times);
        if times == 1 {
            ack(&received[0]);
        }
    }
    nothing_comes(&consumer);
    assert_eq!(cluster.group("space%g").in_flight(), 0);
}
