//! The only broker crashes. (It stays dead: nothing else can run after this.)

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use rocketmq_blocking::{Error, ErrorKind, Message, Result, SendFate, SendReceipt};

use crate::servers::{PATIENCE, Server, eventually};

const TIMEOUT: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn sends_fail_with_the_right_fate_and_within_their_time() {
    const SYNC_THREADS: usize = 4;
    const FAILURES: usize = 3;
    const IN_FLIGHT: usize = 16;
    let server = Server::from_env();
    // Others, if there were some, are gone by now.
    let broker = &server.brokers[0];
    let producer = server
        .producer("last-broker")
        .send_timeout(TIMEOUT)
        .start()
        .unwrap();
    let message = Message::new("LastBroker", "x");
    let first = producer.send(&message).unwrap();
    assert_eq!(first.queue().broker(), "broker-a");

    let stored = AtomicUsize::new(0);
    let (callback, answers) = unbounded::<Result<SendReceipt>>();
    let mut errors: Vec<Error> = Vec::new();
    std::thread::scope(|scope| {
        let (producer, message, stored) = (&producer, &message, &stored);
        let threads: Vec<_> = (0..SYNC_THREADS)
            .map(|_| {
                scope.spawn(move || {
                    let mut errors = Vec::new();
                    while errors.len() < FAILURES {
                        let start = Instant::now();
                        match producer.send(message) {
                            Ok(_) => drop(stored.fetch_add(1, Ordering::Relaxed)),
                            Err(error) => errors.push(error),
                        }
                        let late = start.elapsed() > TIMEOUT + Duration::from_secs(10);
                        assert!(!late, "a send took {:?}", start.elapsed());
                    }
                    errors
                })
            })
            .collect();
        // Never more than a few asynchronous ones, so that they are in flight all the time.
        let submit = || {
            let callback = callback.clone();
            producer.send_async(message.clone(), move |outcome| {
                callback.send(outcome).unwrap();
            });
        };
        (0..IN_FLIGHT).for_each(|_| submit());
        let mut killed = false;
        loop {
            match answers.recv_timeout(PATIENCE).unwrap() {
                Ok(_) => submit(),
                Err(error) => {
                    errors.push(error);
                    break;
                }
            }
            if !killed && stored.load(Ordering::Relaxed) > 200 {
                broker.kill();
                killed = true;
            }
        }
        for thread in threads {
            let of_thread = thread.join().unwrap();
            check_gone(of_thread.last().unwrap());
            errors.extend(of_thread);
        }
    });
    // Those that were in flight when the first of them failed.
    producer.flush(PATIENCE).unwrap();
    drop(callback);
    let mut answered = 1;
    for outcome in answers.iter() {
        answered += 1;
        errors.extend(outcome.err());
    }
    assert_eq!(answered, IN_FLIGHT, "every callback is called once");

    for error in &errors {
        check_consistent(error);
    }
    let in_doubt = errors
        .iter()
        .filter(|error| error.fate() == SendFate::MaybeStored)
        .count();
    assert!(in_doubt > 0, "some were in flight: {errors:?}");

    let error = producer.send_oneway(&message).unwrap_err();
    assert_eq!(error.fate(), SendFate::NotSent, "{error:?}");
    let start = Instant::now();
    assert!(producer.shutdown_within(PATIENCE).is_clean());
    assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
    // The name server notices as well.
    eventually("the route is gone", || {
        let producer = server.producer("last-broker-2").start().unwrap();
        let error = producer.send(&message).unwrap_err();
        assert_eq!(error.fate(), SendFate::NotSent, "{error:?}");
        let kind = error.kind();
        assert!(
            matches!(kind, ErrorKind::Connect | ErrorKind::NoRoute),
            "{error:?}"
        );
        kind == ErrorKind::NoRoute
    });
}

/// A send that began when the broker was gone already.
#[track_caller]
fn check_gone(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
    assert_eq!(error.fate(), SendFate::NotSent, "{error:?}");
    assert!(error.attempts().len() > 1, "{error:?}");
}

/// The fate of an error is the worst of its attempts: only messages in flight when the connection
/// broke may be stored.
#[track_caller]
fn check_consistent(error: &Error) {
    let of_attempts = error.attempts().iter().map(|a| a.error.fate()).max();
    assert_eq!(Some(error.fate()), of_attempts, "{error:?}");
    for attempt in error.attempts() {
        assert_eq!(&*attempt.broker, "broker-a");
        match attempt.error.kind() {
            ErrorKind::Disconnected => {}
            ErrorKind::Connect => assert_eq!(attempt.error.fate(), SendFate::NotSent),
            other => panic!("{other}: {error:?}"),
        }
    }
}
