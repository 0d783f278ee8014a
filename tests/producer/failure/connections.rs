//! Connections that fail in every way: all waiters are answered, and the next send works.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::embedded::{Accept, Cluster, Fault, Gate, On};
use rocketmq_blocking::error::Wait;
use rocketmq_blocking::protocol::{Command, HeaderFormat};
use rocketmq_blocking::{ErrorKind, Producer, SendFate};

use crate::support::*;

/// A producer that makes one attempt and has so much time that only events can end its sends.
fn patient(cluster: &Cluster) -> Producer {
    let setup = builder(cluster).retries(0).async_retries(0);
    setup.send_timeout(PATIENCE * 3).start().unwrap()
}

/// Sends until it works: after a break the address is in back-off for a moment.
#[track_caller]
fn check_heals(producer: &Producer) {
    eventually("sends work again", || {
        producer.send(&message("healed")).is_ok()
    });
}

#[test]
fn a_refused_connection_is_reported_at_once() {
    let cluster = cluster();
    kill_unused(&cluster, "broker-a");
    let producer = patient(&cluster);
    for mode in MODES {
        let start = Instant::now();
        let error = error(mode.send(&producer, &message("x")));
        assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
        assert_eq!(error.fate(), SendFate::NotSent);
        assert!(error.attempts()[0].error.address().is_some());
        assert!(start.elapsed() < STALL);
    }
    cluster.broker("broker-a").restart().unwrap();
    check_heals(&producer);
}

#[test]
fn a_broker_that_closes_every_new_connection_is_not_waited_for() {
    let cluster = cluster();
    cluster.broker("broker-a").set_accept(Accept::Close);
    let producer = builder(&cluster)
        .send_timeout(PATIENCE * 3)
        .start()
        .unwrap();
    for mode in MODES {
        let start = Instant::now();
        let error = error(mode.send(&producer, &message("x")));
        let kinds = [ErrorKind::Connect, ErrorKind::Disconnected];
        assert!(kinds.contains(&error.kind()), "{error}");
        assert_eq!(error.attempts().len(), 3);
        assert!(start.elapsed() < ms(500) * 3 + STALL);
    }
    cluster.broker("broker-a").set_accept(Accept::Serve);
    check_heals(&producer);
}

#[test]
fn the_end_of_a_connection_answers_all_its_waiters_at_once() {
    for reset in [false, true] {
        let cluster = cluster();
        let broker = cluster.broker("broker-a");
        let producer = patient(&cluster);
        // With unread bytes in its buffer a socket's end is a reset.
        let silent = match reset {
            true => broker.inject(Fault::stop_reading().on(On::Send)),
            false => broker.inject(Fault::silence().on(On::Send)),
        };
        let pending: Vec<_> = (0..200)
            .map(|_| send_async(&producer, message("x")))
            .collect();
        thread::scope(|scope| {
            let sync: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| producer.send(&message("x"))))
                .collect();
            let met = if reset { 1 } else { 208 };
            assert!(silent.wait_hits(met, PATIENCE));
            broker.kill();
            let sync = sync.into_iter().map(|thread| thread.join().unwrap());
            let all = sync.chain(pending.iter().map(only));
            for result in all.collect::<Vec<_>>() {
                let error = error(result);
                let kinds = [ErrorKind::Connect, ErrorKind::Disconnected];
                assert!(kinds.contains(&error.kind()), "{error}");
                if !reset {
                    assert_eq!(error.fate(), SendFate::MaybeStored, "{error}");
                }
            }
        });
        broker.clear_faults();
        broker.restart().unwrap();
        check_heals(&producer);
    }
}

#[test]
fn invalid_frames_end_the_connection_and_answer_all_waiters() {
    let header = |len: i32, word: u32| [len.to_be_bytes(), word.to_be_bytes()].concat();
    let json = |text: &str| {
        let word = text.len() as u32;
        [
            header(4 + text.len() as i32, word),
            text.as_bytes().to_vec(),
        ]
        .concat()
    };
    let cases: Vec<Vec<u8>> = vec![
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        header(-1, 0),
        header(i32::MIN, 0),
        header(i32::MAX, 0),
        header(0, 0),
        header(3, 0),
        header(16 * 1024 * 1024 - 3, 0),
        header(4, 5),
        header(4, 0x00FF_FFFF),
        header(8, 2 << 24),
        header(8, 255 << 24),
        json("{"),
        json("{\"code\":"),
        json(&"[".repeat(100_000)),
        json("{\"code\":\"x\",\"opaque\":0,\"flag\":1}"),
        [header(4 + 21, (1 << 24) | 21), vec![0xFF; 21]].concat(),
    ];
    let cluster = cluster();
    let broker = cluster.broker("broker-a");
    let producer = patient(&cluster);
    let silent = broker.inject(Fault::silence().on(On::send_to("Silent")));
    cluster.create_topic("Silent", 1);
    for (i, bytes) in cases.iter().enumerate() {
        check_heals(&producer);
        let waiting = rocketmq_blocking::Message::new("Silent", "x");
        let pending = send_async(&producer, waiting);
        assert!(silent.wait_hits(i + 1, PATIENCE));
        broker.inject(Fault::bytes(bytes.clone()).on(On::send_to("T")).once());
        let failed = producer.send(&message("x"));
        for result in [failed, only(&pending)] {
            let error = error(result);
            assert_eq!(error.kind(), ErrorKind::Protocol, "case {i}: {error}");
            assert_eq!(error.fate(), SendFate::MaybeStored);
        }
    }
    check_heals(&producer);
}

#[test]
fn an_answer_that_is_cut_anywhere_may_mean_stored() {
    let cluster = cluster();
    let broker = cluster.broker("broker-a");
    let producer = patient(&cluster);
    for bytes in [0, 1, 3, 4, 5, 7, 8, 9, 50, 200] {
        check_heals(&producer);
        let before = cluster.message_count("T");
        broker.inject(Fault::cut_after(bytes).on(On::Send).once());
        let error = error(producer.send(&message("cut")));
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{bytes}: {error}");
        assert_eq!(error.fate(), SendFate::MaybeStored);
        assert_eq!(cluster.message_count("T"), before + 1);
    }
}

#[test]
fn a_slow_answer_is_an_answer() {
    let cluster = cluster();
    let drip = Fault::slow(7, ms(1)).on(On::Send).times(2);
    cluster.broker("broker-a").inject(drip);
    let producer = patient(&cluster);
    for mode in MODES {
        assert!(mode.send(&producer, &message("x")).is_ok());
    }
    assert_eq!(connections(&cluster).len(), 1);
}

/// As long as bytes arrive, the peer is alive, and other requests are on this connection.
#[test]
fn a_timeout_while_bytes_come_keeps_the_connection() {
    let cluster = cluster();
    let producer = patient(&cluster);
    assert!(producer.send(&message("x")).is_ok());
    let slow = Fault::slow(30, ms(300)).on(On::Send).once();
    cluster.broker("broker-a").inject(slow);
    let slow = producer.prepare(&message("x")).timeout(ms(2000)).send();
    assert_eq!(error(slow).wait(), Some(Wait::Response));
    assert!(producer.send(&message("x")).is_ok());
    assert_eq!(connections(&cluster).len(), 1);
}

#[test]
fn late_foreign_and_second_answers_are_ignored() {
    let cluster = cluster();
    let broker = cluster.broker("broker-a");
    let producer = patient(&cluster);
    assert!(producer.send(&message("x")).is_ok());
    let gate = Gate::new();
    let held = broker.inject(Fault::hold(&gate).on(On::Send).once());
    let message = message("late");
    let late = producer.prepare(&message).timeout(ms(2500)).submit();
    assert!(held.wait_hits(1, PATIENCE));
    // An answer since then shows that the peer lives.
    assert!(producer.send(&message).is_ok());
    assert_eq!(error(late.wait()).wait(), Some(Wait::Response));
    gate.open();
    let odd = Fault::bytes_from(|request| {
        let mut bytes = Vec::new();
        let mut answer = Command::response_to(request, 16);
        answer.opaque = request.opaque.wrapping_add(1_000_000);
        answer.encode(HeaderFormat::Json, &mut bytes);
        for code in [0, 16] {
            Command::response_to(request, code).encode(HeaderFormat::Binary, &mut bytes);
        }
        bytes
    });
    broker.inject(odd.on(On::Send).times(3));
    for _ in 0..6 {
        assert!(producer.send(&message).is_ok());
    }
    assert_eq!(connections(&cluster).len(), 1);
}

#[test]
fn requests_of_a_broker_are_refused_unless_oneway() {
    let (seen, answers) = crossbeam_channel::unbounded();
    let stub = Stub::start(move |mut peer| {
        while let Some(command) = peer.read() {
            if command.is_response() {
                seen.send((command.opaque, command.code))
                    .expect("a listener");
                continue;
            }
            if command.code == 310 {
                for (opaque, code) in (7000..).zip([40, 220, 221, 307, 9999, -5]) {
                    let mut request = Command::request(code);
                    request.opaque = opaque;
                    peer.write(&request);
                    request.opaque = command.opaque;
                    peer.write(&request.oneway());
                }
            }
            peer.answer(&command);
        }
    });
    let cluster = stub.cluster();
    let producer = patient(&cluster);
    assert!(producer.send(&message("x")).is_ok());
    for opaque in 7000..7006 {
        assert_eq!(answers.recv_timeout(PATIENCE), Ok((opaque, 3)));
    }
    assert!(producer.send(&message("x")).is_ok());
    assert_eq!(
        answers.recv_timeout(PATIENCE),
        Ok((7000, 3)),
        "none to oneway requests"
    );
}

#[test]
fn a_broker_that_is_back_is_used_within_a_second() {
    let cluster = cluster();
    let broker = cluster.broker("broker-a");
    let producer = patient(&cluster);
    assert!(producer.send(&message("x")).is_ok());
    let mut took = Vec::new();
    // One in time is the client's doing, one that is not may be the machine's.
    while took
        .last()
        .is_none_or(|took| *took > Duration::from_secs(1))
    {
        assert!(took.len() < 5, "{took:?}");
        broker.kill();
        for _ in 0..30 {
            assert!(producer.send(&message("x")).is_err());
            thread::sleep(ms(10));
        }
        broker.restart().unwrap();
        let start = Instant::now();
        check_heals(&producer);
        took.push(start.elapsed());
    }
}

#[test]
fn many_threads_dial_a_broken_broker_one_at_a_time_and_with_pauses() {
    let (now, most, all) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let counters = Arc::new((now, most, all));
    let counted = counters.clone();
    let stub = Stub::start(move |peer| {
        let (now, most, all) = &*counted;
        all.fetch_add(1, Ordering::SeqCst);
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Time for another one to come beside it.
        thread::sleep(ms(5));
        now.fetch_sub(1, Ordering::SeqCst);
        drop(peer);
    });
    let cluster = stub.cluster();
    let setup = builder(&cluster).retries(u32::MAX).send_timeout(ms(3000));
    let producer = setup.start().unwrap();
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| assert!(producer.send(&message("x")).is_err()));
        }
    });
    let (_, most, all) = &*counters;
    // 50, 100, 200, 400, 500 ms, and from that up to a quarter less.
    let dials = all.load(Ordering::SeqCst);
    let bound = 6 + start.elapsed().as_millis() as usize / 375;
    assert!(
        (2..=bound).contains(&dials),
        "{dials} dials, {bound} allowed"
    );
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

/// The connections of the received sends.
fn connections(cluster: &Cluster) -> BTreeSet<u64> {
    sends(cluster)
        .iter()
        .map(|request| request.connection())
        .collect()
}
