use std::time::Duration;

use super::super::client::{Client, PATIENCE, send};
use super::*;
use crate::embedded::server::MAX_HELD;
use crate::embedded::{Fault, Gate, On};
use crate::protocol::HeaderFormat;
use crate::protocol::code::response;

/// From queue 0 of "T", with a subscription of its own: no heartbeat is needed.
fn pull(offset: i64, most: i32, time: Duration) -> Command {
    let pull = PullRequest {
        max_messages: most,
        ..super::long_poll(offset, time)
    };
    command(&subscribing(pull, "*"))
}

fn at_once(offset: i64, most: i32) -> Command {
    let pull = PullRequest {
        max_messages: most,
        ..super::pull(offset)
    };
    command(&subscribing(pull, "*"))
}

fn poll(offset: i64) -> Command {
    pull(offset, 32, Duration::from_secs(15))
}

/// A cluster with the topic "T", whose clock stands still.
fn start() -> (Cluster, Client) {
    let builder = Cluster::builder().topic("T", 1).manual_clock(true);
    let cluster = builder.start().unwrap();
    let client = Client::connect(cluster.brokers()[0].address());
    (cluster, client)
}

#[test]
fn a_pull_gets_what_the_queue_has_from_its_offset_on() {
    #[track_caller]
    fn check(client: &mut Client, offset: i64, most: i32, code: i32, next: i64, found: &[&str]) {
        for format in [HeaderFormat::Json, HeaderFormat::Binary] {
            client.format = format;
            let answer = client.call(&at_once(offset, most));
            assert_eq!(answer.code, code, "{:?}", answer.remark);
            let next = next.to_string();
            assert_eq!(answer.ext.get("nextBeginOffset"), Some(next.as_str()));
            assert_eq!(bodies(&answer), found);
        }
    }
    let (cluster, mut client) = start();
    let client = &mut client;
    check(client, 0, 32, 19, 0, &[]);
    check(client, 5, 32, 21, 0, &[]);
    for body in ["0", "1", "2"] {
        client.call(&send("T", body));
    }
    check(client, 0, 32, 0, 3, &["0", "1", "2"]);
    check(client, 1, 1, 0, 2, &["1"]);
    check(client, 3, 32, 19, 3, &[]);
    check(client, 4, 32, 21, 3, &[]);
    cluster.clear_messages();
    check(client, 0, 32, 21, 3, &[]);
    client.call(&send("T", "3"));
    check(client, 3, 32, 0, 4, &["3"]);
    let answer = client.call(&at_once(0, 32));
    let field = |name| answer.ext.get(name);
    assert_eq!(
        (field("minOffset"), field("maxOffset")),
        (Some("3"), Some("4"))
    );
    assert_eq!(field("suggestWhichBrokerId"), Some("0"));
}

#[test]
fn a_batch_is_limited_in_bytes_and_has_one_message_at_least() {
    let (_cluster, mut client) = start();
    for body in ["x".repeat(300 << 10), "y".repeat(200 << 10), "z".into()] {
        client.call(&send("T", &body));
    }
    let mut lengths = |offset| {
        let answer = client.call(&at_once(offset, 32));
        bodies(&answer).iter().map(String::len).collect::<Vec<_>>()
    };
    assert_eq!(lengths(0), [300 << 10]);
    assert_eq!(lengths(1), [200 << 10, 1]);
}

#[test]
fn what_cannot_be_pulled_is_refused() {
    let (cluster, mut client) = start();
    let mut with = |name: &str, value: &str| {
        let mut command = poll(0);
        command.ext.set(name, value);
        client.call(&command).code
    };
    assert_eq!(with("topic", "U"), response::TOPIC_NOT_EXIST);
    assert_eq!(with("queueId", "1"), response::INVALID_PARAMETER);
    assert_eq!(with("queueId", "-1"), response::INVALID_PARAMETER);
    assert_eq!(with("queueOffset", "x"), response::SYSTEM_ERROR);
    cluster.set_permission("T", "broker-a", 2);
    assert_eq!(with("x", "y"), response::NO_PERMISSION);
    assert_eq!(
        client.call(&Command::request(361)).code,
        response::SYSTEM_ERROR
    );
}

#[test]
fn a_long_poll_waits_for_a_message_and_holds_up_no_other_request() {
    let (cluster, mut client) = start();
    let polls: Vec<i32> = (0..64).map(|_| client.write(&poll(0))).collect();
    // On the same connection; a send to another queue wakes none of them.
    cluster.create_topic("U", 1);
    assert_eq!(client.call(&send("U", "x")).code, 0);
    assert_eq!((cluster.common.held(), cluster.store.watches()), (64, 64));
    let sent = client.write(&send("T", "woken"));
    let mut answered = Vec::new();
    for _ in 0..=64 {
        let answer = client.read();
        if answer.opaque == sent {
            continue;
        }
        assert_eq!(
            (answer.code, bodies(&answer)),
            (0, vec!["woken".to_owned()])
        );
        answered.push(answer.opaque);
    }
    assert_eq!(answered, polls, "in the order in which they came");
    assert_eq!((cluster.common.held(), cluster.store.watches()), (0, 0));
    // One that need not wait does not.
    assert_eq!(client.call(&poll(0)).code, 0);
}

#[test]
fn a_long_poll_ends_by_the_clock() {
    let (cluster, mut client) = start();
    client.write(&poll(0));
    wait_until(|| cluster.store.watches() == 1);
    cluster.advance(Duration::from_millis(14_999));
    let served = client.write(&send("U", "x"));
    assert_eq!(client.read().opaque, served, "it waits still");
    cluster.advance(Duration::from_millis(1));
    let answer = client.read();
    assert_eq!((answer.code, answer.body.len()), (19, 0));
    assert_eq!((cluster.common.held(), cluster.store.watches()), (0, 0));
}

#[test]
fn a_running_clock_ends_a_long_poll() {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    let mut client = Client::connect(cluster.brokers()[0].address());
    let short = pull(0, 32, Duration::from_millis(1));
    assert_eq!(client.call(&short).code, 19);
}

#[test]
fn the_end_of_a_connection_forgets_its_long_polls() {
    let (cluster, mut client) = start();
    let forgotten = || cluster.common.held() == 0 && cluster.store.watches() == 0;
    for end in 0..3 {
        client.write(&poll(0));
        wait_until(|| cluster.store.watches() == 1);
        let broker = cluster.broker("broker-a");
        match end {
            0 => drop(client),
            1 => broker.disconnect_all(),
            _ => {
                broker.kill();
                assert!(forgotten(), "at once");
                broker.restart().unwrap();
            }
        }
        wait_until(forgotten);
        client = Client::connect(broker.address());
    }
    // Nothing of them is left that a message could wake.
    client.call(&send("T", "x"));
    cluster.advance(Duration::from_secs(60));
    assert_eq!(client.call(&poll(0)).code, 0);
}

#[test]
fn a_peer_that_does_not_read_blocks_no_other() {
    let (cluster, mut client) = start();
    let mut stuck = Client::connect(cluster.brokers()[0].address());
    for _ in 0..64 {
        stuck.write(&poll(0));
    }
    wait_until(|| cluster.store.watches() == 64);
    // Its answers are more than the buffers of a socket hold.
    let large = "x".repeat(1 << 20);
    assert_eq!(client.call(&send("T", &large)).code, 0);
    assert_eq!(client.call(&send("T", "y")).code, 0);
    assert_eq!(bodies(&stuck.read()), [large]);
}

#[test]
fn faults_happen_to_the_answer_of_a_long_poll_when_it_comes() {
    let gate = Gate::new();
    for (fault, expected) in [
        (Fault::answer(1, "sick"), Some(1)),
        (Fault::hang_up(), None),
        (Fault::silence(), Some(0)),
        (Fault::hold(&gate), Some(0)),
        (Fault::late(Duration::from_secs(1)), Some(0)),
        (Fault::slow(7, Duration::ZERO), Some(0)),
        (Fault::cut_after(10), None),
    ] {
        let (cluster, mut client) = start();
        let broker = cluster.broker("broker-a");
        let name = format!("{fault:?}");
        let injected = broker.inject(fault.on(On::Pull).after_storing().once());
        let asked = client.write(&poll(0));
        wait_until(|| cluster.store.watches() == 1);
        assert!(!injected.wait_hits(1, Duration::ZERO), "{name}");
        let mut other = Client::connect(broker.address());
        other.call(&send("T", "x"));
        assert!(injected.wait_hits(1, PATIENCE), "{name}");
        match () {
            () if name.contains("Silence") => {
                let next = client.write(&poll(0));
                assert_eq!(client.read().opaque, next, "{name}");
                continue;
            }
            () if name.contains("Hold") => {
                assert_eq!(gate.held(), 1);
                gate.open();
            }
            () => {
                cluster.advance(Duration::from_secs(1));
            }
        }
        match expected {
            Some(code) => {
                let answer = client.read();
                assert_eq!((answer.opaque, answer.code), (asked, code), "{name}");
            }
            None => assert!(client.read_to_end().len() <= 10, "{name}"),
        }
        assert_eq!(cluster.common.held(), 0, "{name}");
    }
}

#[test]
fn a_pull_held_at_a_gate_becomes_a_long_poll_when_it_opens() {
    let (cluster, mut client) = start();
    let gate = Gate::new();
    let held = Fault::hold(&gate).on(On::Pull).once();
    cluster.broker("broker-a").inject(held);
    let asked = client.write(&poll(0));
    wait_until(|| gate.held() == 1);
    gate.open();
    assert_eq!((cluster.common.held(), cluster.store.watches()), (1, 1));
    client.write(&send("T", "x").oneway());
    let answer = client.read();
    assert_eq!((answer.opaque, answer.code), (asked, 0));
}

#[test]
fn what_would_be_one_too_many_is_refused() {
    let (cluster, mut client) = start();
    let full: Vec<_> = (0..MAX_HELD).map(|_| cluster.common.hold(0)).collect();
    let answer = client.call(&poll(0));
    assert_eq!(answer.code, response::SYSTEM_BUSY);
    assert_eq!(cluster.store.watches(), 0);
    assert_eq!(client.call(&send("U", "x")).code, 0);
    drop(full);
    client.write(&poll(0));
    wait_until(|| cluster.store.watches() == 1);
}
