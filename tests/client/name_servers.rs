//! Name servers that refuse, differ or are silent, and the errors about them.

use std::thread;

use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::error::Wait;
use rocketmq_blocking::{ClientOptions, ErrorKind, Message, Producer, SendFate};

use crate::support::*;

/// Two name servers, and some topics.
fn two_name_servers() -> Cluster {
    let builder = Cluster::builder().name_servers(2);
    let topics = ["T", "U", "V"];
    let builder = topics.iter().fold(builder, |b, topic| b.topic(*topic, 4));
    builder.start().expect("free ports")
}

fn send(producer: &Producer, topic: &str) {
    let sent = producer.send(&Message::new(topic, "x"));
    assert!(sent.is_ok(), "{topic}: {sent:?}");
}

/// One that has just been started, a broker's address in the list, one that is overloaded.
#[test]
fn a_name_server_that_refuses_is_passed_over_in_the_same_call_and_asked_last_for_a_while() {
    for bad in 0..2 {
        for code in [1, 2, 3, 16, 999] {
            let cluster = two_name_servers();
            let refusal = Fault::answer(code, "not ready").on(On::Route);
            let refusal = cluster.name_servers()[bad].inject(refusal);
            let producer = producer(&cluster);
            for topic in ["T", "U", "V"] {
                send(&producer, topic);
            }
            assert!(refusal.hits() <= 1, "it is asked repeatedly");
        }
    }
}

#[test]
fn if_all_refuse_the_error_has_one_answer_and_its_address() {
    let cluster = two_name_servers();
    for server in cluster.name_servers() {
        server.inject(Fault::answer(1, "not ready").on(On::Route));
    }
    let error = error(producer(&cluster).send(&message("x")));
    assert_eq!(error.kind(), ErrorKind::NameServer, "{error}");
    assert_eq!(error.fate(), SendFate::NotSent);
    assert_eq!(
        (error.response_code(), error.remark()),
        (Some(1.into()), Some("not ready"))
    );
    let address = error.address().expect("an address");
    assert!(cluster.name_server().contains(address), "{error}");
    assert!(error.to_string().contains(address), "{error}");
}

/// As after the restart of one of them, which has no registrations yet.
#[test]
fn a_topic_that_one_name_server_does_not_know_is_found_at_the_other() {
    for ignorant in 0..2 {
        let cluster = two_name_servers();
        let ignorant = &cluster.name_servers()[ignorant];
        let unknown = ignorant.inject(Fault::answer(17, "no route").on(On::Route));
        let producer = producer(&cluster);
        send(&producer, "T");
        // The default topic is found in the same way.
        send(&producer, "New");
        assert_eq!(cluster.message_count("New"), 1);
        unknown.remove();
        send(&producer, "U");
    }
}

#[test]
fn a_topic_that_all_name_servers_have_forgotten_is_kept_and_one_they_never_had_has_no_route() {
    let cluster = Cluster::builder().name_servers(2).topic("T", 16);
    let cluster = cluster.auto_create_topics(false).start().unwrap();
    let options = ClientOptions::new().route_interval(ms(10));
    let producer = builder(&cluster).options(options).start().unwrap();
    assert_eq!(queues_seen(&producer, "T").len(), 16);
    for server in cluster.name_servers() {
        server.inject(Fault::answer(17, "no route").on(On::Route));
    }
    cluster.clear_requests();
    // Some rounds of refreshes.
    let asked = cluster.wait_for_requests(&On::Route, 8, PATIENCE);
    assert!(asked.len() >= 8);
    assert_eq!(queues_seen(&producer, "T").len(), 16);
    let error = error(producer.send(&Message::new("Never", "x")));
    assert_eq!(error.kind(), ErrorKind::NoRoute, "{error}");
    assert!(error.to_string().contains("create it first"), "{error}");
}

/// A second opinion is not waited for until the call's time is over.
#[test]
fn a_silent_name_server_beside_one_that_does_not_know_the_topic_costs_no_send() {
    let cluster = two_name_servers();
    let [ignorant, silent] = cluster.name_servers() else {
        panic!("two");
    };
    let is_new = On::when(|c| c.ext.get("topic") == Some("New"));
    ignorant.inject(Fault::answer(17, "no route").on(is_new));
    silent.inject(Fault::silence());
    // The silent one costs half of this, if it is asked first.
    let most = ms(8000);
    let options = ClientOptions::new().api_timeout(most);
    let producer = builder(&cluster).options(options).send_timeout(most);
    let producer = producer.start().unwrap();
    send(&producer, "T");
    send(&producer, "New");
}

#[test]
fn a_brokers_address_in_the_list_is_suspected_to_be_one() {
    let cluster = cluster();
    let broker = cluster.broker("broker-a").address().to_string();
    let producer = Producer::builder("g").name_server(&broker).start().unwrap();
    let error = error(producer.send(&message("x")));
    assert_eq!(error.kind(), ErrorKind::NameServer, "{error}");
    assert_eq!(error.response_code(), Some(3.into()));
    assert_eq!(error.address(), Some(&*broker));
    let text = error.to_string();
    assert!(text.contains("is this a broker's address?"), "{text}");
    assert!(text.contains(&broker), "{text}");
}

/// Those too that wait for another's lookup.
#[test]
fn errors_about_a_silent_name_server_name_it() {
    let cluster = cluster();
    cluster.name_servers()[0].inject(Fault::silence());
    let server = cluster.name_server();
    let expected = format!("no answer from name server {server}");
    let producer = builder(&cluster).send_timeout(ms(1000)).start().unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let error = error(producer.send(&message("x")));
                // A send with a moment more than the one that asked finds the address in back-off.
                let kinds = [ErrorKind::Timeout, ErrorKind::NoNameServer];
                assert!(kinds.contains(&error.kind()), "{error}");
                assert_eq!(error.address(), Some(&*server), "{error}");
                let in_time = error.kind() == ErrorKind::Timeout;
                assert!(!in_time || error.to_string().contains(&expected), "{error}");
                assert!(!in_time || error.wait() == Some(Wait::Route), "{error}");
            });
        }
    });
    let options = ClientOptions::new().api_timeout(ms(1000));
    let hasty = patient(&cluster).options(options).start().unwrap();
    let error = error(hasty.send(&message("x")));
    assert_eq!(error.kind(), ErrorKind::NoNameServer, "{error}");
    assert_eq!(error.address(), Some(&*server));
    assert!(error.to_string().contains(&expected), "{error}");
}

#[test]
fn an_error_of_several_name_servers_names_all_of_them() {
    let cluster = two_name_servers();
    for server in cluster.name_servers() {
        kill_unused_name_server(server);
    }
    let error = error(producer(&cluster).send(&message("x")));
    assert_eq!(error.kind(), ErrorKind::NoNameServer, "{error}");
    for server in cluster.name_servers() {
        let address = server.address().to_string();
        assert!(error.to_string().contains(&address), "{error}");
    }
}

#[test]
fn an_address_as_people_write_it_is_refused_at_the_start_with_the_reason_and_without_its_password()
{
    for (address, expected) in [
        ("tcp://10.0.0.1:9876", "tcp://"),
        ("rocketmq://10.0.0.1:9876", "rocketmq://"),
        ("10.0.0.1:9876 10.0.0.2:9876", "blank"),
        ("10.0.0.1:9876,10.0.0.2:9876", "comma"),
        ("10.0.0.1:9876\u{FF1B}10.0.0.2:9876", "full-width semicolon"),
        ("admin:geheim@10.0.0.1:9876", "credentials"),
        ("http://10.0.0.1:9876/", "slash"),
        ("10.0.0.1:9876/", "slash"),
    ] {
        let builder = Producer::builder("g").name_server(address);
        let printed = format!("{builder:?}");
        let error = builder.start().expect_err(address);
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        let text = error.to_string();
        assert!(text.contains(expected), "{address}: {text}");
        assert!(
            !text.contains("geheim") && !printed.contains("geheim"),
            "{text} {printed}"
        );
    }
}
