//! The proxy follows its scripts, the same way each time.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::protocol::{Command, HeaderFormat, frame};

use crate::bench::proxy::Proxy;
use crate::bench::script::{Script, Step};
use crate::bench::*;

fn with_proxy(seed: u64, run: impl FnOnce(&Proxy)) {
    let cluster = Cluster::start().expect("free ports");
    let server = cluster.brokers()[0].address();
    run(&Proxy::start(Ipv4Addr::LOCALHOST.into(), server, seed));
}

/// So many sends, and everything that comes in answer until the end.
fn exchange(proxy: &Proxy, sends: i32) -> std::io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(proxy.address())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut requests = Vec::new();
    for opaque in 0..sends {
        let mut send = Command::request(310);
        send.opaque = opaque;
        send.encode(HeaderFormat::Json, &mut requests);
    }
    socket.write_all(&requests)?;
    let mut answers = Vec::new();
    socket.read_to_end(&mut answers)?;
    Ok(answers)
}

fn opaques(mut bytes: &[u8]) -> Vec<i32> {
    let mut opaques = Vec::new();
    while let Some(raw) = frame::split(bytes).expect("frames") {
        bytes = &bytes[raw.wire_len()..];
        opaques.push(Command::decode(raw).expect("a header").opaque);
    }
    opaques
}

#[test]
fn a_seed_decides_all_that_a_script_leaves_open() {
    let shuffled = |seed| {
        let mut order = Vec::new();
        with_proxy(seed, |proxy| {
            proxy.next(Script::replies([Step::Shuffle(20), Step::Fin]));
            order = opaques(&exchange(proxy, 20).expect("answers"));
        });
        order
    };
    let first = shuffled(1);
    assert_eq!(first, shuffled(1));
    assert_ne!(first, shuffled(2));
    assert_ne!(first, (0..20).collect::<Vec<_>>());
}

#[test]
fn bytes_are_counted_within_the_frames_of_sends() {
    with_proxy(1, |proxy| {
        let whole = [Step::UntilSend, Step::Frame, Step::Fin];
        proxy.next(Script::replies(whole));
        let answer = exchange(proxy, 2).expect("an answer");
        assert_eq!(opaques(&answer), [0]);
        proxy.next(Script::replies([
            Step::Lose,
            Step::UntilSend,
            Step::Frame,
            Step::Fin,
        ]));
        assert_eq!(opaques(&exchange(proxy, 2).expect("an answer")), [1]);
        let cut = [
            Step::UntilSend,
            Step::Pass(7),
            Step::insert(*b"x"),
            Step::Fin,
        ];
        proxy.next(Script::replies(cut));
        let expected = [&answer[..7], b"x"].concat();
        assert_eq!(exchange(proxy, 2).expect("a piece"), expected);
    });
}

#[test]
fn a_reset_is_no_end_and_a_hole_is_no_refusal() {
    with_proxy(1, |proxy| {
        proxy.next(Script::replies([Step::UntilSend, Step::Reset]));
        let reset = exchange(proxy, 1).expect_err("a reset");
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
        let dial = || TcpStream::connect_timeout(&proxy.address(), Duration::from_millis(50));
        proxy.refuse();
        assert_eq!(
            dial().expect_err("refused").kind(),
            ErrorKind::ConnectionRefused
        );
        proxy.hole();
        assert_eq!(dial().expect_err("no answer").kind(), ErrorKind::TimedOut);
        proxy.serve();
        assert!(dial().is_ok());
    });
}
