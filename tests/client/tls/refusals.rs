use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::error::Wait;
use rocketmq_blocking::{ClientOptions, ErrorKind, Message, Producer, SendFate, TlsConfig};
use rustls::version::{TLS12, TLS13};

use super::front::{Front, Identity, identity};
use super::{CA, CLIENT, CLIENT_KEY, OTHER_CA, Secured, assert_refused};
use crate::support::PATIENCE;

fn hello() -> Message {
    Message::new("T", "hello")
}

#[test]
fn a_broker_that_cannot_be_verified_gets_nothing() {
    for (identity, why) in [
        (identity!("elsewhere"), "not valid for name"),
        (identity!("expired"), "expired"),
    ] {
        let (secured, _broker) = Secured::with_broker(&identity);
        let error = secured.producer().send(&hello()).unwrap_err();
        assert_refused(&error, why);
        assert_eq!(error.attempts().len(), 3, "{error}");
        assert_eq!(secured.cluster.message_count("T"), 0);
    }
}

#[test]
fn a_name_server_that_cannot_be_verified_is_not_asked() {
    let secured = Secured::start();
    for (tls, why) in [
        (TlsConfig::new().ca_pem(OTHER_CA), "UnknownIssuer"),
        (TlsConfig::new(), "UnknownIssuer"),
        (
            TlsConfig::new().ca_pem(CA).server_name("elsewhere.example"),
            "not valid for name",
        ),
    ] {
        let producer = secured.producer_with(tls, |b| b);
        let error = producer.send(&hello()).unwrap_err();
        assert_refused(&error, why);
    }
}

#[test]
fn a_given_name_takes_the_place_of_the_address() {
    let (secured, _broker) = Secured::with_broker(&identity!("server"));
    let tls = TlsConfig::new().ca_pem(CA).server_name("broker.internal");
    let _ = secured.producer_with(tls, |b| b).send(&hello()).unwrap();
}

#[test]
fn any_certificate_is_accepted_on_request() {
    for version in [&TLS12, &TLS13] {
        let identity = Identity {
            versions: vec![version],
            ..identity!("expired")
        };
        let (secured, _broker) = Secured::with_broker(&identity);
        let tls = TlsConfig::new()
            .ca_pem(OTHER_CA)
            .danger_accept_any_certificate();
        let _ = secured.producer_with(tls, |b| b).send(&hello()).unwrap();
    }
}

#[test]
fn a_plain_server_gets_no_frame() {
    // The real thing, and one that answers with text.
    let secured = Secured::start();
    let plain = secured.cluster.broker("broker-a").address();
    secured.broker_is_at(plain);
    let error = secured.producer().send(&hello()).unwrap_err();
    assert_refused(&error, "TLS handshake");
    assert_eq!(secured.cluster.message_count("T"), 0);

    let text = server(|mut client| {
        let mut first = [0; 5];
        client.read_exact(&mut first).unwrap();
        assert_eq!(first[..2], [0x16, 3], "no handshake but {first:?}");
        client
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        read_to_the_end(client);
    });
    secured.broker_is_at(text);
    let error = secured.producer().send(&hello()).unwrap_err();
    assert_refused(&error, "TLS handshake failed");
}

#[test]
fn a_handshake_that_is_cut_sends_nothing() {
    let secured = Secured::start();
    secured.broker_is_at(server(|mut client| {
        let mut some = [0; 16];
        client.read_exact(&mut some).unwrap();
    }));
    let error = secured.producer().send(&hello()).unwrap_err();
    assert_refused(&error, "TLS handshake");
}

#[test]
fn a_handshake_that_stalls_costs_no_more_than_the_deadline() {
    const TIMEOUT: Duration = Duration::from_secs(3);
    let secured = Secured::start();
    let producer = secured.producer_with(TlsConfig::new().ca_pem(CA), |b| b.send_timeout(TIMEOUT));
    secured.broker_is_at(server(read_to_the_end));
    let start = Instant::now();
    let error = producer.send(&hello()).unwrap_err();
    let took = start.elapsed();
    let seen = (error.kind(), error.fate(), error.wait());
    let expected = (ErrorKind::Timeout, SendFate::NotSent, Some(Wait::Connect));
    assert_eq!(seen, expected, "{error}");
    assert!(took >= TIMEOUT && took < PATIENCE, "{took:?}");
}

#[test]
fn a_handshake_that_drips_costs_no_more_than_the_deadline() {
    const TIMEOUT: Duration = Duration::from_secs(3);
    const PAUSE: Duration = Duration::from_millis(35);
    let secured = Secured::start();
    let producer = secured.producer_with(TlsConfig::new().ca_pem(CA), |b| b.send_timeout(TIMEOUT));
    // The beginning of a long handshake message, a byte for each that can be written; the client's
    // own end of the connection is what stops it.
    secured.broker_is_at(server(|mut client| {
        client.set_read_timeout(Some(PAUSE)).unwrap();
        let mut drip = [0x16, 3, 3, 0x3F, 0xFF, 2, 0, 0x3F, 0xF0].into_iter();
        let mut heard = [0; 1024];
        loop {
            let byte = drip.next().unwrap_or(3);
            let read = client.read(&mut heard);
            if matches!(read, Ok(0)) || client.write_all(&[byte]).is_err() {
                return;
            }
        }
    }));
    let start = Instant::now();
    let error = producer.send(&hello()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(error.wait(), Some(Wait::Connect), "{error}");
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn connecting_with_tls_takes_no_longer_than_connect_timeout() {
    let secured = Secured::start();
    secured.broker_is_at(server(read_to_the_end));
    let tls = TlsConfig::new().ca_pem(CA);
    let set = |b: rocketmq_blocking::producer::ProducerBuilder| {
        b.options(ClientOptions::new().connect_timeout(Duration::from_secs(2)))
            .retries(0)
    };
    let error = secured.producer_with(tls, set).send(&hello()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(error.to_string().contains("handshake took too long"));
}

#[test]
fn a_server_that_wants_a_certificate_gets_it() {
    for version in [&TLS12, &TLS13] {
        let identity = Identity {
            wants_client_certificate: true,
            versions: vec![version],
            ..identity!("server")
        };
        let (secured, _broker) = Secured::with_broker(&identity);
        let tls = TlsConfig::new()
            .ca_pem(CA)
            .client_certificate_pem(CLIENT, CLIENT_KEY);
        let _ = secured.producer_with(tls, |b| b).send(&hello()).unwrap();

        // Without one, TLS 1.3 refuses when the client has already sent its first request.
        let error = secured.producer().send(&hello()).unwrap_err();
        assert_refused(&error, "CertificateRequired");
        assert_eq!(secured.cluster.message_count("T"), 1);
    }
}

#[test]
fn a_name_server_that_requires_a_certificate_reports_it() {
    let secured = Secured::start();
    let strict = Identity {
        wants_client_certificate: true,
        ..identity!("server")
    };
    let strict = Front::start(secured.cluster.name_server().parse().unwrap(), &strict);
    let producer = Producer::builder("g")
        .name_server(strict.address.to_string())
        .tls(TlsConfig::new().ca_pem(CA))
        .start()
        .unwrap();
    let error = producer.send(&hello()).unwrap_err();
    assert_refused(&error, "CertificateRequired");
}

/// Serves each connection by a function, for as long as the test runs.
fn server(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(client));
        }
    });
    address
}

fn read_to_the_end(mut client: TcpStream) {
    let _ = client.read_to_end(&mut Vec::new());
}
