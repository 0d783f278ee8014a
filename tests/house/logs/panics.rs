//! A logger is the program's code, called on every thread of the library.

use std::time::Instant;

use rocketmq_blocking::embedded::{Fault, On};
use rocketmq_blocking::{ErrorKind, SendFate};

use super::provoke::answer_late;
use super::*;

/// On reader, writer, timer, dial and callback threads, in the middle of an exchange and at the end
/// of a connection: every waiter is answered, as if nothing were logged.
#[test]
fn a_logger_that_panics_at_every_line_changes_no_outcome() {
    in_a_process_of_its_own!();
    logged::start();
    let builder = Cluster::builder().brokers(1).topic("T", 1);
    let cluster = builder.record_requests(true).start().expect("free ports");
    let broker = cluster.broker("broker-a");
    let panicking = logged::Panicking::start();
    let start = Instant::now();
    let producer = super::builder(&cluster).retries(0).async_retries(1);
    let producer = producer.start().unwrap();
    assert!(producer.send(&message()).is_ok());

    // The reader warns about an invalid frame before the connection ends.
    broker.inject(Fault::bytes_from(|_| vec![0xff; 8]).on(On::Send).times(1));
    let error = producer.send(&message()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert_eq!(error.fate(), SendFate::MaybeStored, "{error}");
    eventually("a connection again", || producer.send(&message()).is_ok());

    // The reader notices it while it holds other answers.
    answer_late(&cluster, &producer);

    // Many sends in flight on a connection that ends; those that may be retried are.
    let before = cluster.requests(&On::Send).len();
    let silence = broker.inject(Fault::silence().on(On::Send));
    let waiting: Vec<_> = (0..100).map(|_| producer.submit(message())).collect();
    let received = cluster.wait_for_requests(&On::Send, before + 100, PATIENCE);
    assert_eq!(received.len(), before + 100);
    silence.remove();
    broker.disconnect_all();
    for handle in waiting {
        let outcome = handle.wait();
        let disconnected =
            |error: &rocketmq_blocking::Error| error.kind() == ErrorKind::Disconnected;
        assert!(
            outcome.as_ref().err().is_none_or(disconnected),
            "{outcome:?}"
        );
    }
    eventually("a connection again", || producer.send(&message()).is_ok());
    assert!(producer.shutdown_within(PATIENCE).is_clean());
    drop(producer);
    drop(panicking);

    assert!(
        start.elapsed() < PATIENCE,
        "an outcome that only time brought"
    );
    let lines = logged::lines();
    let was_logged = |what| lines.iter().any(|line| line.text.contains(what));
    assert!(was_logged("closing the connection"), "{lines:#?}");
    assert!(was_logged("connected"), "{lines:#?}");
}
