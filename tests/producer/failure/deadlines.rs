//! One deadline per call, whatever the peer does; and a call that is late harms no other.

use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::embedded::{Accept, Cluster, Fault, Gate, On};
use rocketmq_blocking::error::Wait;
use rocketmq_blocking::{ClientOptions, ErrorKind, Message, Producer, SendFate};

use crate::support::*;

/// So long that a peer without a sign of life is given up at the end, also if a thread was late.
const LONG: Duration = Duration::from_millis(2500);

/// More than a socket's buffers take while the peer does not read.
const LARGE: usize = 15 * 1024 * 1024;

fn large(cluster: &Cluster) -> (Producer, Message) {
    let setup = builder(cluster).retries(0).async_retries(0);
    let setup = setup.max_message_size(LARGE).compress_over(usize::MAX);
    (setup.start().unwrap(), message(vec![b'x'; LARGE]))
}

#[test]
fn a_silent_broker_costs_the_time_of_the_call_and_its_connection() {
    in_each_mode(|mode| {
        let cluster = cluster();
        let broker = cluster.broker("broker-a");
        let producer = producer(&cluster);
        assert!(producer.send(&message("x")).is_ok());
        broker.inject(Fault::silence().on(On::Send).once());
        let start = Instant::now();
        let error = error(mode.send_within(&producer, &message("x"), LONG));
        assert_eq!(
            (error.kind(), error.wait()),
            (ErrorKind::Timeout, Some(Wait::Response))
        );
        assert_eq!(error.fate(), SendFate::MaybeStored);
        assert!(start.elapsed() >= LONG && start.elapsed() < LONG + STALL);
        // It may be half open: the next send does not trust it.
        assert!(producer.send(&message("x")).is_ok());
        let sends = sends(&cluster);
        assert_eq!(sends[0].connection(), sends[1].connection());
        assert_ne!(sends[1].connection(), sends[2].connection());
    });
}

#[test]
fn a_peer_that_does_not_read_gets_no_second_frame_behind_half_a_one() {
    in_each_mode(|mode| {
        let cluster = cluster();
        cluster.broker("broker-a").set_accept(Accept::NeverRead);
        let (producer, message) = large(&cluster);
        assert_eq!(queues_seen(&producer, "T").len(), 4);
        let start = Instant::now();
        let error = error(mode.send_within(&producer, &message, LONG));
        assert_eq!(
            (error.kind(), error.wait()),
            (ErrorKind::Timeout, Some(Wait::Write))
        );
        assert_eq!(
            error.fate(),
            SendFate::NotSent,
            "no broker got the whole frame"
        );
        assert!(start.elapsed() >= LONG && start.elapsed() < LONG + STALL);
        cluster.broker("broker-a").set_accept(Accept::Serve);
        let small = self::message("x");
        eventually("a new connection works", || producer.send(&small).is_ok());
    });
}

/// Such a short time proves nothing about the peer, whose connection is shared. The connection ends
/// only if the peer continues not to read.
#[test]
fn a_frame_that_had_little_time_to_be_written_may_still_leave() {
    let cluster = cluster();
    let broker = cluster.broker("broker-a");
    let (producer, large) = large(&cluster);
    let small = message("x");
    assert!(producer.send(&small).is_ok());
    let stalled = broker.inject(Fault::stop_reading().on(On::Send).once());
    let short = producer.prepare(&small).timeout(ms(2000));
    short.send_oneway().unwrap();
    assert!(stalled.wait_hits(1, PATIENCE));
    let start = Instant::now();
    let handle = producer.prepare(&large).timeout(ms(100)).submit();
    let error = error(handle.wait());
    let connections = broker.connections();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    // If it took longer, because a thread was late, the peer may be given up.
    if start.elapsed() < ms(250) {
        // On a loaded machine it may have had no turn at all.
        let expected = match error.wait() {
            Some(Wait::Queue) => SendFate::NotSent,
            _ => SendFate::MaybeStored,
        };
        assert_eq!(error.fate(), expected, "{error}");
        assert_eq!(connections, 1, "it is not given up at once");
    }
    eventually("another connection is made", || {
        let sent = producer.prepare(&small).timeout(ms(200)).send();
        sent.is_ok()
    });
}

/// The sender's own thread writes, and a thread inside a write cannot be answered.
#[test]
fn a_short_send_that_is_stuck_in_its_own_write_is_not_late_for_long() {
    let late = || {
        let cluster = cluster();
        cluster.broker("broker-a").set_accept(Accept::NeverRead);
        let (producer, message) = large(&cluster);
        let start = Instant::now();
        let result = producer.prepare(&message).timeout(ms(100)).send();
        let error = error(result);
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        start.elapsed()
    };
    let quickest = (0..3).map(|_| late()).min();
    assert!(quickest < Some(ms(900)), "{quickest:?}");
}

/// The large frame has time until long after the small one's end; the small one's thread must not
/// be the one that writes it.
#[test]
fn a_short_send_behind_a_stuck_one_ends_at_its_own_time() {
    for mode in MODES {
        let cluster = cluster();
        cluster.broker("broker-a").set_accept(Accept::NeverRead);
        let (producer, message) = large(&cluster);
        let stuck = producer.prepare(&message).timeout(PATIENCE).submit();
        let small = self::message("x");
        let start = Instant::now();
        let error = error(mode.send_within(&producer, &small, ms(200)));
        assert_eq!(
            (error.kind(), error.wait()),
            (ErrorKind::Timeout, Some(Wait::Queue))
        );
        assert_eq!(error.fate(), SendFate::NotSent);
        assert!(start.elapsed() < ms(200) + STALL, "{:?}", start.elapsed());
        assert!(!stuck.is_done(), "it has time left");
        let _ = producer.shutdown_within(ms(100));
        assert_eq!(error_kind(stuck), ErrorKind::Closed);
    }
}

fn error_kind(handle: rocketmq_blocking::SendHandle) -> ErrorKind {
    error(handle.wait()).kind()
}

/// A oneway frame has no waiter, so no deadline detects that it is stuck.
#[test]
fn a_stuck_oneway_frame_blocks_its_broker_for_a_bounded_time() {
    let cluster = cluster();
    let broker = cluster.broker("broker-a");
    let (producer, large) = large(&cluster);
    let small = message("x");
    assert!(producer.send(&small).is_ok());
    let stalled = broker.inject(Fault::stop_reading().on(On::Send).once());
    let send = |message| producer.prepare(message).timeout(ms(1000)).send_oneway();
    send(&small).unwrap();
    assert!(stalled.wait_hits(1, PATIENCE));
    send(&large).unwrap();
    assert!(producer.flush(ms(1)).is_err());
    eventually("another connection is made", || {
        let sent = producer.prepare(&small).timeout(ms(200)).send();
        sent.is_ok()
    });
    assert!(producer.flush(PATIENCE).is_ok());
    assert_eq!(producer.shutdown_within(PATIENCE).lost_oneway, 1);
}

#[test]
fn no_time_at_all_means_not_sent() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let message = message("x");
    for cold in [true, false] {
        for timeout in [Duration::ZERO, Duration::from_nanos(1)] {
            let send = || producer.prepare(&message).timeout(timeout);
            let errors = [
                error(send().send()),
                error(send().submit().wait()),
                send().send_oneway().unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
                assert_eq!(error.fate(), SendFate::NotSent);
            }
        }
        if cold {
            assert!(
                producer.send(&message).is_ok(),
                "everything is connected from here on"
            );
        }
    }
    assert_eq!(cluster.message_count("T"), 1);
}

#[test]
fn endless_time_is_legal() {
    let cluster = cluster();
    let setup = builder(&cluster).send_timeout(Duration::MAX);
    let setup = setup.options(
        ClientOptions::new()
            .connect_timeout(Duration::MAX)
            .api_timeout(Duration::MAX),
    );
    let setup = setup.options(
        ClientOptions::new()
            .heartbeat_interval(Duration::MAX)
            .route_interval(Duration::MAX),
    );
    let producer = setup.start().unwrap();
    for mode in MODES {
        assert!(mode.send(&producer, &message("x")).is_ok());
    }
    producer.send_oneway(&message("x")).unwrap();
    assert!(producer.flush(Duration::MAX).is_ok());
    let handle = producer.submit(message("x"));
    assert!(handle.wait_timeout(Duration::MAX).is_ok());
    assert!(producer.shutdown_within(Duration::MAX).is_clean());
}

/// Others' requests are on the same connection; a peer that was silent for some milliseconds only
/// is not dead. (One that was silent for longer, since a thread was late, may be taken for dead.)
#[test]
fn hasty_senders_do_not_break_the_connection_of_patient_ones() {
    assert!((0..10).any(|_| is_hasty_and_breaks_nothing()));
}

fn is_hasty_and_breaks_nothing() -> bool {
    let cluster = cluster();
    let broker = cluster.broker("broker-a");
    let setup = builder(&cluster).retries(0).async_retries(0);
    let producer = setup.send_timeout(PATIENCE).start().unwrap();
    assert!(producer.send(&message("x")).is_ok());
    let gate = Gate::new();
    let held = broker.inject(Fault::hold(&gate).on(On::Send).times(11));
    let patient: Vec<_> = (0..10)
        .map(|_| send_async(&producer, message("x")))
        .collect();
    assert!(held.wait_hits(10, PATIENCE));
    let start = Instant::now();
    let hasty = producer.prepare(&message("x")).timeout(ms(5)).send();
    if start.elapsed() >= ms(250) {
        return false;
    }
    assert_eq!(error(hasty).kind(), ErrorKind::Timeout);
    gate.open();
    for results in patient {
        assert!(only(&results).is_ok());
    }
    assert_eq!(broker.connections(), 1);
    true
}

/// The only broker is in back-off for up to half a second after several failures; that pause must
/// not exceed the caller's time.
#[test]
fn a_pause_between_attempts_ends_with_the_deadline() {
    let cluster = cluster();
    kill_unused(&cluster, "broker-a");
    let setup = builder(&cluster).retries(9).async_retries(9);
    let producer = setup.start().unwrap();
    for mode in MODES {
        // Long pauses come after several failures.
        let _ = producer.send(&message("x"));
        let message = message("x");
        let in_time = (0..20).filter(|_| {
            let start = Instant::now();
            let send = producer.prepare(&message).timeout(ms(30));
            let failed = match mode {
                Mode::Sync => send.send().is_err(),
                Mode::Async => send.submit().wait().is_err(),
            };
            assert!(failed);
            start.elapsed() < ms(150)
        });
        // Some of them may be late because the machine is.
        assert!(in_time.count() >= 12, "{mode:?}");
    }
}

#[test]
fn a_handle_can_be_waited_for_in_part() {
    let cluster = cluster();
    let gate = Gate::new();
    let held = cluster
        .broker("broker-a")
        .inject(Fault::hold(&gate).on(On::Send));
    let producer = builder(&cluster).send_timeout(PATIENCE).start().unwrap();
    let (first, second) = (producer.submit(message("1")), producer.submit(message("2")));
    assert!(held.wait_hits(2, PATIENCE));
    assert!(!second.is_done());
    let error = error(first.wait_timeout(ms(5)));
    assert_eq!(
        (error.kind(), error.fate()),
        (ErrorKind::Timeout, SendFate::MaybeStored)
    );
    thread::scope(|scope| {
        let waiting = scope.spawn(|| second.wait());
        gate.open();
        assert!(waiting.join().unwrap().is_ok());
    });
    assert_eq!(
        cluster.message_count("T"),
        2,
        "waiting no longer cancels nothing"
    );
}
