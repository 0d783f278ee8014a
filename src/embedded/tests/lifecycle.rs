use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::client::{Client, PATIENCE, heartbeat, route, send};
use crate::embedded::{Accept, Cluster, Fault, Gate, On};
use crate::protocol::code::response;

fn refused(address: SocketAddr) -> bool {
    let dialed = TcpStream::connect(address);
    dialed.is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn a_killed_broker_comes_back_with_its_messages() {
    let cluster = Cluster::builder().brokers(2).topic("T", 1).start().unwrap();
    let broker = cluster.broker("broker-a");
    let mut client = Client::connect(broker.address());
    client.call(&send("T", "before"));
    assert_eq!(broker.connections(), 1);

    broker.kill();
    broker.kill();
    assert!(client.try_read().is_none());
    assert!(refused(broker.address()));
    assert!(!broker.is_up());
    assert_eq!(broker.connections(), 0);
    let mut names = Client::connect(cluster.name_servers()[0].address());
    let left = cluster.route("T").unwrap();
    assert_eq!(left.broker_datas.len(), 1);
    assert_eq!(left.broker_datas[0].broker_name, "broker-b");
    cluster.broker("broker-b").kill();
    assert_eq!(names.call(&route("T")).code, response::TOPIC_NOT_EXIST);

    let address = broker.address();
    broker.restart().unwrap();
    broker.restart().unwrap();
    assert!(broker.is_up());
    let mut client = Client::connect(address);
    client.call(&send("T", "after"));
    assert_eq!(names.call(&route("T")).code, response::SUCCESS);
    let messages = cluster.messages("T");
    let offsets: Vec<_> = messages.iter().map(|m| m.queue_offset()).collect();
    assert_eq!(offsets, [0, 1]);
}

#[test]
fn a_name_server_can_be_killed_and_restarted() {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    let server = &cluster.name_servers()[0];
    let mut client = Client::connect(server.address());
    client.call(&route("T"));
    server.kill();
    assert!(client.try_read().is_none());
    assert!(refused(server.address()));
    server.restart().unwrap();
    let mut client = Client::connect(server.address());
    assert_eq!(client.call(&route("T")).code, response::SUCCESS);
}

#[test]
fn dropping_the_cluster_ends_all_of_it() {
    let cluster = Cluster::builder().brokers(2).start().unwrap();
    let gate = Gate::new();
    cluster.broker("broker-a").set_accept(Accept::NeverRead);
    cluster.broker("broker-b").inject(Fault::hold(&gate));
    let mut addresses = vec![cluster.name_servers()[0].address()];
    addresses.extend(cluster.brokers().iter().map(|b| b.address()));
    let mut clients: Vec<_> = addresses.iter().map(|a| Client::connect(*a)).collect();
    clients[2].write(&send("T", "held"));
    cluster.wait_for_requests(&On::Send, 1, PATIENCE);
    // Every thread of the cluster holds a part of it.
    let common = Arc::downgrade(&cluster.common);
    drop(cluster);
    for client in &mut clients {
        assert!(client.try_read().is_none());
    }
    assert!(addresses.into_iter().all(refused));
    gate.open();
    assert!(common.upgrade().is_none());
}

#[test]
fn all_frames_of_one_write_are_answered_and_a_frame_may_come_byte_by_byte() {
    let cluster = Cluster::start().unwrap();
    let mut client = Client::connect(cluster.brokers()[0].address());
    let mut bytes = Vec::new();
    for opaque in 0..1000 {
        let mut request = send("T", &opaque.to_string());
        request.opaque = opaque;
        request.encode(client.format, &mut bytes);
    }
    client.stream.write_all(&bytes).unwrap();
    for opaque in 0..1000 {
        assert_eq!(client.read().opaque, opaque);
    }
    client.stream.set_nodelay(true).unwrap();
    let one = bytes.len() / 1000;
    for byte in &bytes[..one] {
        client.stream.write_all(&[*byte]).unwrap();
    }
    client.stream.write_all(&bytes[one..]).unwrap();
    for opaque in 0..1000 {
        assert_eq!(client.read().opaque, opaque);
    }
    let messages = cluster.messages("T");
    assert_eq!(messages.len(), 2000);
    assert_eq!(messages[1999].queue_offset(), 1999);
}

#[test]
fn bad_frames_close_their_connection_and_nothing_else() {
    let cluster = Cluster::start().unwrap();
    let address = cluster.brokers()[0].address();
    let mut bystander = Client::connect(address);
    bystander.call(&send("T", "x"));
    let frame = |word: u32, header: &[u8]| {
        let len = 4 + header.len() as u32;
        [&len.to_be_bytes(), &word.to_be_bytes(), header].concat()
    };
    for bad in [
        vec![0xFF; 8],
        vec![0; 8],
        i32::MAX.to_be_bytes().to_vec(),
        frame(7 << 24, b""),
        frame(100, b"{}"),
        frame(2, b"{}"),
        frame(2, b"[]"),
        frame(1 << 24 | 3, b"abc"),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".to_vec(),
    ] {
        let mut client = Client::connect(address);
        client.stream.write_all(&bad).unwrap();
        assert!(client.try_read().is_none(), "{bad:?}");
    }
    // A frame that never ends is only waited for.
    let mut patient = Client::connect(address);
    patient.stream.write_all(&[0, 0, 1]).unwrap();
    assert_eq!(bystander.call(&send("T", "y")).code, response::SUCCESS);
    let answer = bystander.call(&crate::protocol::Command {
        body: b"{".to_vec(),
        ..heartbeat("me", &[])
    });
    assert_eq!(answer.code, response::SYSTEM_ERROR);
}

#[test]
fn new_connections_can_be_closed_or_left_unread() {
    let cluster = Cluster::start().unwrap();
    let broker = &cluster.brokers()[0];
    let mut old = Client::connect(broker.address());
    old.call(&send("T", "x"));
    broker.set_accept(Accept::Close);
    assert!(Client::connect(broker.address()).try_read().is_none());
    broker.set_accept(Accept::NeverRead);
    let unread = Client::connect(broker.address());
    fill(&unread.stream);
    assert!(broker.wait_for_connections(2, PATIENCE));
    broker.set_accept(Accept::Serve);
    let mut new = Client::connect(broker.address());
    assert_eq!(new.call(&send("T", "y")).code, response::SUCCESS);
    // Those that were there before are served all the time.
    assert_eq!(old.call(&send("T", "z")).code, response::SUCCESS);
    assert_eq!(broker.connections(), 3);
    drop(old);
    assert!(broker.wait_for_connections(2, PATIENCE));
    broker.disconnect_all();
    assert!(new.try_read().is_none());
    assert!(broker.is_up());
}

/// Writes until the socket is full, which happens only if the peer does not read.
pub(super) fn fill(mut stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    loop {
        match stream.write(&[0; 65_536]) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) => panic!("{e}"),
        }
    }
    stream.set_nonblocking(false).unwrap();
}

#[test]
fn waiting_for_what_does_not_come_ends_in_time() {
    let cluster = Cluster::start().unwrap();
    let moment = Duration::from_millis(1);
    assert!(cluster.wait_for_messages("T", 1, moment).is_empty());
    assert!(cluster.wait_for_requests(&On::Any, 1, moment).is_empty());
    let never = cluster.broker("broker-a").inject(Fault::silence());
    assert!(!never.wait_hits(1, moment));
}

#[test]
#[should_panic(expected = "no broker \"broker-x\"")]
fn an_unknown_broker_is_a_mistake_of_the_test() {
    let cluster = Cluster::start().unwrap();
    let _ = cluster.broker("broker-x");
}

#[test]
fn fixed_ports_go_up_in_steps() {
    // Whatever is free now may be taken later, so a few tries.
    let tried = (0..20).find_map(|_| {
        let free = Cluster::start().unwrap().brokers()[0].address().port();
        let builder = Cluster::builder().brokers(2).broker_port(free);
        builder.start().ok().map(|cluster| (free, cluster))
    });
    let (free, cluster) = tried.expect("two free ports");
    let ports: Vec<_> = cluster
        .brokers()
        .iter()
        .map(|b| b.address().port())
        .collect();
    assert_eq!(ports, [free, free + 10]);
    let taken = Cluster::builder().broker_port(free).start();
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AddrInUse);
    let beyond = Cluster::builder().brokers(2).broker_port(65_535).start();
    assert!(beyond.is_err());
}
