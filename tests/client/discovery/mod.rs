//! Name servers whose addresses come from a web server.

mod web;

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::{ClientOptions, Error, ErrorKind, Message, Producer, Result, SendFate};
use web::Web;

use crate::support::PATIENCE;

/// How often the list is fetched, in tests about that.
const OFTEN: Duration = Duration::from_millis(5);

fn builder(url: &str) -> ProducerBuilder {
    Producer::builder("g").options(ClientOptions::new().name_server_url(url))
}

/// A topic's first message needs its route, and so a name server.
#[track_caller]
fn send_to_a_new_topic(producer: &Producer, topic: &str) {
    let _ = producer.send(&Message::new(topic, "hello")).unwrap();
}

#[test]
fn the_list_is_fetched_once_when_it_is_first_needed() {
    let cluster = Cluster::start().unwrap();
    let web = Web::start(&cluster.name_server());
    let producer = builder(&web.url()).start().unwrap();
    for topic in ["A", "B", "C"] {
        send_to_a_new_topic(&producer, topic);
    }
    assert_eq!(web.requests(), ["GET /rocketmq/nsaddr HTTP/1.1"]);
    assert!(producer.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn a_unit_asks_for_its_own_list() {
    let cluster = Cluster::start().unwrap();
    let web = Web::start(&cluster.name_server());
    let producer = builder(&web.url())
        .options(ClientOptions::new().unit_name("south"))
        .start()
        .unwrap();
    send_to_a_new_topic(&producer, "T");
    assert_eq!(
        web.requests(),
        ["GET /rocketmq/nsaddr-south?nofix=1 HTTP/1.1"]
    );
}

#[test]
fn threads_that_come_at_once_share_one_question() {
    let cluster = Cluster::start().unwrap();
    let web = Web::start(&cluster.name_server());
    let producer = builder(&web.url()).start().unwrap();
    thread::scope(|scope| {
        for n in 0..8 {
            let producer = &producer;
            scope.spawn(move || send_to_a_new_topic(producer, &format!("T{n}")));
        }
    });
    assert_eq!(web.requests().len(), 1);
}

#[test]
fn a_bad_answer_leaves_the_list_as_it_was() {
    let cluster = Cluster::start().unwrap();
    let web = Web::start(&cluster.name_server());
    let producer = builder(&web.url())
        .options(ClientOptions::new().discovery_interval(OFTEN))
        .start()
        .unwrap();
    send_to_a_new_topic(&producer, "first");
    let long = "127.0.0.1:1;".repeat(10_000);
    for (n, answer) in [
        web::ok(""),
        web::ok("  \r\n"),
        web::ok("127.0.0.1"),
        web::ok("127.0.0.1:1;127.0.0.1:99999"),
        web::ok("<html><body>Hello</body></html>"),
        web::ok(&long),
        web::answer("204 No Content", "127.0.0.1:1"),
        web::answer("404 Not Found", "127.0.0.1:1"),
        web::answer("500 Internal Server Error", "127.0.0.1:1"),
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n127.0.0.1:1".to_owned(),
        "no HTTP".to_owned(),
        String::new(),
    ]
    .into_iter()
    .enumerate()
    {
        web.answer(answer);
        // The first of them may have been in flight; when the third comes, the second is done.
        web.wait_for_requests(3);
        send_to_a_new_topic(&producer, &format!("T{n}"));
    }
}

#[test]
fn a_new_list_takes_the_place_of_the_old_one() {
    let cluster = Cluster::builder().name_servers(2).start().unwrap();
    let [old, new] = cluster.name_servers() else {
        panic!("not two name servers");
    };
    let web = Web::start(&old.address().to_string());
    let producer = builder(&web.url())
        .options(ClientOptions::new().discovery_interval(OFTEN))
        .start()
        .unwrap();
    send_to_a_new_topic(&producer, "old");
    assert_eq!((old.connections(), new.connections()), (1, 0));
    web.answer(web::ok(&format!("\n{}\n", new.address())));
    web.wait_for_requests(3);
    old.kill();
    send_to_a_new_topic(&producer, "new");
    assert_eq!(new.connections(), 1);
}

#[test]
fn no_send_fails_while_lists_come_and_go() {
    let cluster = Cluster::builder().name_servers(2).start().unwrap();
    let lists: Vec<String> = cluster
        .name_servers()
        .iter()
        .map(|s| web::ok(&s.address().to_string()))
        .collect();
    let web = Web::start(&cluster.name_server());
    let producer = builder(&web.url())
        .options(
            ClientOptions::new()
                .discovery_interval(OFTEN)
                .route_interval(OFTEN),
        )
        .start()
        .unwrap();
    for n in 0..40 {
        web.answer(lists[n % 2].clone());
        for m in 0..5 {
            send_to_a_new_topic(&producer, &format!("T{n}-{m}"));
        }
        web.wait_for_requests(1);
    }
}

#[test]
fn a_failure_costs_no_more_than_the_deadline_and_heals() {
    let cluster = Cluster::start().unwrap();
    let web = Web::start("");
    let producer = builder(&web.url()).start().unwrap();
    let send = || producer.send(&Message::new("T", "hello"));
    let error = send().unwrap_err();
    let seen = (error.kind(), error.fate());
    assert_eq!(
        seen,
        (ErrorKind::NoNameServer, SendFate::NotSent),
        "{error}"
    );
    assert!(error.to_string().contains("gave no list of name servers"));
    web.answer(web::ok(&cluster.name_server()));
    let _ = send().unwrap();

    // The system accepts connections, but no answer ever comes.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/rocketmq/nsaddr", silent.local_addr().unwrap());
    let stalled = builder(&url)
        .options(ClientOptions::new().api_timeout(PATIENCE))
        .send_timeout(Duration::from_millis(300))
        .start()
        .unwrap();
    let start = Instant::now();
    let error = stalled.send(&Message::new("T", "hello")).unwrap_err();
    let took = start.elapsed();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(error.fate(), SendFate::NotSent, "{error}");
    assert!(took < PATIENCE / 2, "{took:?}");
    assert!(stalled.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn an_invalid_address_is_reported_at_the_start() {
    #[track_caller]
    fn check(started: Result<Producer>, why: &str) {
        let error: Error = started.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    for url in [
        "",
        "ns.example:8080/rocketmq/nsaddr",
        "https://ns.example/rocketmq/nsaddr",
        "http:///rocketmq/nsaddr",
        "http://ns example/",
        "/rocketmq/nsaddr",
    ] {
        check(builder(url).start(), "name_server_url");
    }
    let good = "http://ns.example:8080/rocketmq/nsaddr";
    let both = builder(good).name_server("127.0.0.1:9876");
    check(both.start(), "exclude each other");
    let never = builder(good).options(ClientOptions::new().discovery_interval(Duration::ZERO));
    check(never.start(), "discovery_interval");
}
