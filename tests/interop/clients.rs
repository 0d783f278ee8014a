//! What consumers of all kinds get from their client, on real servers: binary headers, the port for sends, name
//! servers from a web server, and one client for all of them.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crossbeam_channel::unbounded;
use rocketmq_blocking::consumer::{AckStatus, Doing};
use rocketmq_blocking::hook::{RpcHook, RpcRequest, RpcResponse};
use rocketmq_blocking::protocol::HeaderFormat;
use rocketmq_blocking::{
    Client, ClientOptions, Error, ErrorKind, Producer, PullConsumer, PushConsumer, Result,
    SimpleConsumer, StartFrom,
};

use crate::servers::topic::Topic;
use crate::servers::{PATIENCE, Server, Version, eventually, kinds};

/// Which forms of headers the connections through a port began with: the fifth byte of a frame, 0 for JSON and
/// 1 for binary.
#[derive(Clone, Default)]
struct Forms(Arc<Mutex<BTreeSet<u8>>>);

impl Forms {
    /// Opens a port in front of a server.
    fn listen(&self, server: &str) -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let (forms, server) = (self.clone(), server.to_owned());
        // It ends with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A connection that fails is the test's failure.
                let _ = forms.relay(client, TcpStream::connect(&server));
            }
        });
        Ok(address)
    }

    fn relay(&self, client: TcpStream, server: io::Result<TcpStream>) -> io::Result<()> {
        let (mut from_client, mut to_client) = (client.try_clone()?, client);
        let mut to_server = server?;
        let mut from_server = to_server.try_clone()?;
        let forms = self.clone();
        thread::spawn(move || {
            let mut begin = [0; 5];
            if from_client.read_exact(&mut begin).is_ok() && to_server.write_all(&begin).is_ok() {
                forms.0.lock().unwrap().insert(begin[4]);
                let _ = io::copy(&mut from_client, &mut to_server);
            }
            let _ = to_server.shutdown(Shutdown::Both);
        });
        thread::spawn(move || {
            let _ = io::copy(&mut from_server, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Both);
        });
        Ok(())
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn every_kind_consumes_with_binary_headers() {
    let server = Server::from_env();
    for (format, byte) in [(HeaderFormat::Binary, 1), (HeaderFormat::Json, 0)] {
        let forms = Forms::default();
        let address = forms.listen(&server.name_server).expect("a port");
        let options = ClientOptions::new().name_server(address);
        let options = options.api_timeout(Duration::from_secs(15));
        kinds::all_consume(
            &options.header_format(format),
            &format!("ClientsHeaders{format:?}"),
        );
        let seen = forms.0.lock().unwrap().clone();
        assert_eq!(seen, BTreeSet::from([byte]), "{format:?}");
    }
}

/// The addresses to which requests went, by their codes.
#[derive(Clone, Default)]
struct Addresses(Arc<Mutex<BTreeSet<(i32, String)>>>);

impl RpcHook for Addresses {
    fn after(&self, request: &RpcRequest, outcome: Result<RpcResponse<'_>, &Error>) {
        if outcome.is_ok() {
            let place = (request.code(), request.address().to_owned());
            self.0.lock().unwrap().insert(place);
        }
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn every_kind_consumes_what_came_by_the_port_for_sends() {
    const SEND: i32 = 310;
    // Pulls, commits, copies for the retry topic, heartbeats.
    const OTHERS: [i32; 4] = [11, 15, 36, 34];
    let server = Server::from_env();
    let ordinary = &server.brokers[0].address;
    let (host, port) = ordinary.rsplit_once(':').expect("an address");
    let port: u16 = port.parse().expect("a port");
    let for_sends = format!("{host}:{}", port - 2);
    let addresses = Addresses::default();
    let options = kinds::options().rpc_hook(addresses.clone());
    kinds::all_consume(&options.vip_channel(true), "ClientsVip");
    let seen = addresses.0.lock().unwrap();
    let of = |code| {
        let places = seen.iter().filter(move |(of, _)| *of == code);
        places.map(|(_, address)| &**address).collect::<Vec<_>>()
    };
    assert_eq!(of(SEND), [&*for_sends], "{seen:?}");
    for code in OTHERS {
        assert_eq!(of(code), [&**ordinary], "{code}: {seen:?}");
    }
}

#[cfg(feature = "discovery")]
#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn every_kind_finds_name_servers_by_a_web_server_also_those_that_it_names_later() {
    let server = Server::from_env();
    let topic = Topic::create(&server, "ClientsWeb", 1);
    // Nothing listens there.
    let web = crate::web::Web::start("127.0.0.1:1");
    let options = || {
        let options = ClientOptions::new().name_server_url(web.url());
        let options = options.discovery_interval(Duration::from_millis(200));
        options.api_timeout(Duration::from_secs(15))
    };
    let builder = |group: &str| {
        PushConsumer::builder(group)
            .options(options())
            .subscribe(topic.name, "*")
            .start_from(StartFrom::First)
            .start_timeout(Duration::from_millis(500))
    };
    let error = builder("clients-web").start(|_| Ok(()));
    let error = error.map(drop).expect_err("no name server answers");
    assert_eq!(error.kind(), ErrorKind::NoNameServer, "{error}");
    let (seen, bodies) = unbounded();
    let waiting = builder("clients-web").wait_for_servers(true);
    let waiting = waiting.start(move |message| {
        seen.send(message.text()?.to_owned())?;
        Ok(())
    });
    let waiting = waiting.expect("a consumer");
    topic.send(0..1);
    assert!(waiting.assignment().is_empty());
    // It asks again for as long as no server of the list answers.
    web.wait_for_requests(1);
    assert_eq!(web.requests()[0], "GET /rocketmq/nsaddr HTTP/1.1");
    web.answer(crate::web::ok(&server.name_server));
    let body = bodies.recv_timeout(2 * PATIENCE).expect("in time");
    assert_eq!(body, "0");
    assert!(waiting.shutdown_within(PATIENCE).is_clean());
    assert_eq!(topic.committed("clients-web"), [1]);
    kinds::all_consume(&options(), "ClientsWebKinds");
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn consumers_of_all_kinds_share_a_client_and_finish_before_it_ends() {
    let server = Server::from_env();
    let topic = Topic::create(&server, "ClientsShared", 2);
    let client = Client::start(kinds::options()).expect("a client");
    let groups = ["shared-push", "shared-ordered", "shared-pull"];
    let builder = |group: &str| {
        PushConsumer::builder(group)
            .client(&client)
            .subscribe(topic.name, "*")
            .start_from(StartFrom::First)
            // What is committed is committed at the end.
            .commit_interval(Duration::from_secs(3600))
    };
    let (open, gate) = unbounded::<()>();
    let (seen, pushed) = unbounded();
    let push = builder(groups[0]).start(move |message| {
        seen.send(message.text()?.to_owned())?;
        if message.text()? == "last" {
            let _ = gate.recv();
        }
        Ok(())
    });
    let push = push.expect("a consumer");
    let (seen, in_order) = unbounded();
    let ordered = builder(groups[1]).start_ordered(move |message| {
        seen.send(message.text()?.to_owned())?;
        Ok(())
    });
    let ordered = ordered.expect("a consumer");
    let pull = PullConsumer::builder(groups[2])
        .client(&client)
        .subscribe(topic.name, "*")
        .start_from(StartFrom::First)
        .start()
        .expect("a consumer");
    let again = builder(groups[0]).start(|_| Ok(()));
    let error = again.map(drop).expect_err("the group has a consumer");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    // Groups of producers are others.
    let producer = Producer::builder(groups[0]).client(&client);
    let producer = producer.send_timeout(Duration::from_secs(15));
    let producer = producer.start().expect("a producer");
    for n in 0..20 {
        topic.send_by(&producer, n % 2, &topic.message(n.to_string()));
    }
    for bodies in [&pushed, &in_order] {
        let next = |_| bodies.recv_timeout(2 * PATIENCE).expect("in time");
        assert_eq!((0..20).map(next).collect::<BTreeSet<_>>().len(), 20);
    }
    let mut pulled = 0;
    for message in pull.messages().until_caught_up() {
        assert!(message.expect("no error").done());
        pulled += 1;
    }
    assert_eq!(pulled, 20);
    for group in groups {
        eventually("it is a member", || topic.members(group) == [client.id()]);
    }
    let state = client.describe();
    let to_broker = state.connections.iter();
    let to_broker = to_broker.filter(|one| *one.address == *server.brokers[0].address);
    assert_eq!(to_broker.count(), 1, "{state}");
    if server.version == Version::V5 {
        let simple = SimpleConsumer::builder("shared-simple")
            .client(&client)
            .subscribe(topic.name, "*")
            .start_from(StartFrom::First)
            .start()
            .expect("a consumer");
        let mut received = 0;
        while received < 20 {
            let messages = simple.receive(32, 2 * PATIENCE).expect("no error");
            assert!(!messages.is_empty(), "{received}");
            received += messages.len();
            for status in simple.ack_all(&messages).expect("no error") {
                assert_eq!(status, AckStatus::Confirmed);
            }
        }
        let members = || topic.members("shared-simple");
        eventually("it is a member", || members() == [client.id()]);
        assert!(simple.shutdown_within(PATIENCE).is_clean());
        eventually("it is none any more", || members().is_empty());
    }
    // One of them ends alone.
    assert!(ordered.shutdown_within(PATIENCE).is_clean());
    eventually("it is no member any more", || {
        topic.members(groups[1]).is_empty()
    });
    assert_eq!(topic.committed(groups[1]), [10, 10]);
    assert_eq!(topic.members(groups[2]), [client.id()]);

    // The client ends while a handler runs.
    topic.send_to(0, &topic.message("last"));
    assert_eq!(pushed.recv_timeout(2 * PATIENCE).as_deref(), Ok("last"));
    assert_eq!(topic.committed(groups[0]), [0, 0]);
    let ending = client.clone();
    let (done, is_done) = unbounded();
    let end = thread::spawn(move || drop(done.send(ending.shutdown_within(2 * PATIENCE))));
    eventually("the consumer ends", || {
        let queues = push.describe().queues;
        queues.iter().all(|queue| queue.doing == Doing::GivingUp)
    });
    assert!(is_done.recv_timeout(Duration::from_millis(500)).is_err());
    drop(open);
    let report = is_done.recv_timeout(2 * PATIENCE).expect("in time");
    assert!(report.is_clean(), "{report}");
    end.join().expect("no panic");
    assert_eq!(topic.committed(groups[0]), [11, 10]);
    assert_eq!(topic.committed(groups[2]), [10, 10]);
    for group in groups {
        eventually("it is no member any more", || {
            topic.members(group).is_empty()
        });
    }
}
