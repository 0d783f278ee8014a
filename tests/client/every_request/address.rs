//! The addresses of requests, and the client id in them.

use rocketmq_blocking::{ClientOptions, ErrorKind};

use super::*;

/// A cluster, and another one whose broker listens two ports below the first one's.
fn with_vip_port() -> (Cluster, Cluster) {
    for _ in 0..50 {
        let plain = Cluster::start().unwrap();
        let port = plain.broker("broker-a").address().port() - 2;
        // Another program may have that port.
        if let Ok(vip) = Cluster::builder().broker_port(port).start() {
            return (plain, vip);
        }
    }
    panic!("no two free ports at the right distance");
}

#[test]
fn with_the_vip_channel_sends_go_two_ports_below_and_the_rest_does_not() {
    let (plain, vip) = with_vip_port();
    let producer = builder(&plain)
        .options(ClientOptions::new().vip_channel(true))
        .start()
        .unwrap();
    let _ = producer.send(&message("sync")).unwrap();
    let beat = plain.wait_for_requests(&On::Heartbeat, 1, PATIENCE);
    assert!(!beat.is_empty(), "the ordinary port gets the heartbeat");
    let _ = producer.submit(message("async")).wait().unwrap();
    producer.send_oneway(&message("oneway")).unwrap();
    let sends = vip.wait_for_requests(&On::Any, 3, PATIENCE);
    assert!(sends.iter().all(|r| r.command().code == SEND), "{sends:?}");
    assert_eq!(sends.len(), 3);
    assert!(producer.shutdown_within(PATIENCE).is_clean());
    let leaving = plain.wait_for_requests(&On::Unregister, 1, PATIENCE);
    assert_eq!(leaving.len(), 1);
    assert_eq!(plain.requests(&On::Send).len(), 0);
    assert_eq!(vip.requests(&On::Any).len(), 3);
}

#[test]
fn a_route_refresh_keeps_the_connection_for_sends() {
    let (plain, vip) = with_vip_port();
    let producer = builder(&plain)
        .options(
            ClientOptions::new()
                .vip_channel(true)
                .route_interval(std::time::Duration::from_millis(5)),
        )
        .start()
        .unwrap();
    let _ = producer.send(&message("1")).unwrap();
    plain.clear_requests();
    // Two whole rounds: what the first one closes is closed by the end of the second.
    plain.wait_for_requests(&On::Route, 3, PATIENCE);
    let _ = producer.send(&message("2")).unwrap();
    let sends = vip.requests(&On::Send);
    assert_eq!(sends[0].connection(), sends[1].connection());
}

#[test]
fn by_default_sends_go_to_the_ordinary_port() {
    let (plain, vip) = with_vip_port();
    send_in_all_modes(&builder(&plain).start().unwrap());
    assert!(vip.requests(&On::Any).is_empty());
    assert_eq!(plain.requests(&On::Send).len(), 4);
}

#[test]
fn a_unit_is_in_the_client_id_and_marks_its_messages() {
    let cluster = Cluster::start().unwrap();
    let producer = builder(&cluster)
        .options(ClientOptions::new().client_ip([10, 0, 0, 1].into()))
        .instance_name("instance")
        .options(ClientOptions::new().unit_name("unit").unit_mode(true))
        .start()
        .unwrap();
    assert_eq!(producer.client().id(), "10.0.0.1@instance@unit");
    send_in_all_modes(&producer);
    for request in all_requests(&cluster) {
        let command = request.command();
        match command.code {
            UNREGISTER => {
                assert_eq!(command.ext.get("clientID"), Some("10.0.0.1@instance@unit"));
            }
            SEND | SEND_BATCH => assert_eq!(command.ext.get("k"), Some("true")),
            _ => {}
        }
    }
}

#[test]
fn by_default_there_is_no_unit() {
    let cluster = Cluster::start().unwrap();
    let producer = builder(&cluster).instance_name("instance").start().unwrap();
    assert!(producer.client().id().ends_with("@instance"));
    let _ = producer.send(&message("x")).unwrap();
    assert_eq!(
        field(&cluster.requests(&On::Send)[0], "k").as_deref(),
        Some("false")
    );
    for bad in ["", "a@b", "a\n"] {
        let error = builder(&cluster)
            .options(ClientOptions::new().unit_name(bad))
            .start()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}
